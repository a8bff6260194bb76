//! Aggregates that DuckDB has, each planned as one of DataFusion's: `count_if`, `max_by` and `min_by`.

use std::iter::once;

use arrow::datatypes::DataType;
use datafusion::common::{Result, not_impl_err, plan_err};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility, cast};

/// Every aggregate, under each of its names.
pub(super) fn aggregates() -> impl Iterator<Item = AggregateUDF> {
    let named = [
        ("count_if", Aggregated::TrueRows),
        ("countif", Aggregated::TrueRows),
        ("max_by", Aggregated::ValueOfGreatest),
        ("arg_max", Aggregated::ValueOfGreatest),
        ("min_by", Aggregated::ValueOfLeast),
        ("arg_min", Aggregated::ValueOfLeast),
    ];
    named.into_iter().map(|(name, aggregated)| {
        let signature = match aggregated {
            Aggregated::TrueRows => Signature::exact(vec![DataType::Boolean], Volatility::Immutable),
            Aggregated::ValueOfGreatest | Aggregated::ValueOfLeast => Signature::any(2, Volatility::Immutable),
        };
        AggregateUDF::new_from_impl(PlannedAggregate { name, aggregated, signature })
    })
}

/// What an aggregate returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Aggregated {
    /// How many rows meet a condition; null where it is null in all of them, as in DuckDB.
    TrueRows,
    /// The value of the row with the greatest key; rows where either is null do not count.
    ValueOfGreatest,
    /// The value of the row with the least key.
    ValueOfLeast,
}

impl Aggregated {
    /// The call as one of an aggregate that DataFusion computes.
    fn planned(self, call: AggregateFunction) -> Result<Expr> {
        let AggregateFunctionParams { args, distinct, filter, order_by, .. } = call.params;
        if distinct {
            return plan_err!("{} takes no DISTINCT", call.func.name());
        }
        let planned = match (self, args.as_slice()) {
            (Self::TrueRows, [condition]) => {
                let ones = cast(condition.clone(), DataType::Int64);
                AggregateFunction::new_udf(sum_udaf(), vec![ones], false, filter, order_by, None)
            }
            (Self::ValueOfGreatest | Self::ValueOfLeast, [value, key]) => {
                let exists = value.clone().is_not_null().and(key.clone().is_not_null());
                let filter = match filter {
                    Some(filter) => exists.and(*filter),
                    None => exists,
                };
                let first = key.clone().sort(self == Self::ValueOfLeast, false);
                let order_by = once(first).chain(order_by).collect();
                let args = vec![value.clone()];
                AggregateFunction::new_udf(first_value_udaf(), args, false, Some(Box::new(filter)), order_by, None)
            }
            _ => return plan_err!("{} needs other arguments", call.func.name()),
        };
        Ok(Expr::AggregateFunction(planned))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PlannedAggregate {
    name: &'static str,
    aggregated: Aggregated,
    signature: Signature,
}

impl AggregateUDFImpl for PlannedAggregate {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.aggregated, types) {
            (Aggregated::TrueRows, _) => Ok(DataType::Int64),
            (Aggregated::ValueOfGreatest | Aggregated::ValueOfLeast, [value, _]) => Ok(value.clone()),
            _ => plan_err!("{} needs a value, and what it is compared by", self.name),
        }
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!("{} is not supported with OVER", self.name)
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let aggregated = self.aggregated;
        Some(Box::new(move |call: AggregateFunction, _: &SimplifyContext| aggregated.planned(call)))
    }
}
