//! Batches from named columns.

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use copilot_lake_tables::Table;

use crate::Error;

/// A batch with exactly the columns of the table's layout; columns that are not named are null.
///
/// # Errors
/// A column has another type or length than the layout requires, or a key column is missing.
pub fn assemble(table: &'static Table, named: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, Error> {
    let layout = table.layout();
    let rows = named.first().map_or(0, |(_, array)| array.len());
    let mut columns: Vec<Option<ArrayRef>> = vec![None; layout.fields().len()];
    for (name, array) in named {
        if let Some(at) = layout.position(name) {
            columns[at] = Some(array);
        } else {
            let source = arrow::error::ArrowError::SchemaError(format!("no column {name}"));
            return Err(Error::Schema { table: table.name, source });
        }
    }
    let columns = columns
        .into_iter()
        .zip(layout.fields())
        .map(|(column, field)| column.unwrap_or_else(|| new_null_array(&field.ty.data_type(), rows)))
        .collect();
    RecordBatch::try_new(layout.schema().clone(), columns).map_err(|source| Error::Schema { table: table.name, source })
}
