//! A materialized view as a session reads it where its stored rows are current: with the columns and types of its SQL.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, Result};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder};

use crate::lake_table::LakeTable;

/// What stored seconds are rounded to before they are floating-point numbers again. They lie between instants, which have
/// microseconds: these numbers are exactly those of the SQL.
const SECONDS: DataType = DataType::Decimal128(38, 6);

/// The rows of a table with these columns alone, in this order.
pub(crate) fn stored_view(name: &str, rows: LakeTable, columns: &DFSchema) -> Result<LogicalPlan> {
    let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(rows)), None)?;
    let stored: &DFSchema = scan.schema();
    let columns = columns.fields().iter().map(|field| {
        let column = Expr::Column(Column::new(Some(name), field.name()));
        let column = match (column.get_type(stored)?, field.data_type()) {
            (DataType::Decimal128(..), DataType::Float64) => column.cast_to(&SECONDS, stored)?,
            _ => column,
        };
        Ok(column.cast_to(field.data_type(), stored)?.alias(field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    scan.project(columns)?.build()
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Float64Array};
    use arrow::compute::cast;
    use arrow::datatypes::Float64Type;
    use copilot_lake_tables::{M365_TURN, Type};

    use super::*;

    #[test]
    fn seconds_are_the_same_numbers_again() {
        let column = M365_TURN.column("reply_seconds").unwrap();
        assert!(matches!(column.ty, Type::Decimal));
        // The last one would be another number without rounding.
        let micros = [0_i64, 1, -1_500_000, 59_999_999, 3_600_000_001, 579_102_381_283];
        let seconds: Float64Array = micros.iter().map(|micros| Some(*micros as f64 / 1_000_000.0)).collect();
        let of_type = |array: &ArrayRef, ty: &DataType| cast(array, ty).unwrap();
        let stored = of_type(&(Arc::new(seconds.clone()) as ArrayRef), &column.ty.data_type());
        let again = of_type(&of_type(&stored, &SECONDS), &DataType::Float64);
        assert_eq!(again.as_primitive::<Float64Type>(), &seconds);
        assert_ne!(of_type(&stored, &DataType::Float64).as_primitive::<Float64Type>(), &seconds);
    }
}
