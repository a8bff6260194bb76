//! The casts of a query: where a value can be that does not fit.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;

/// More of them are not listed.
const LISTED: usize = 3;

/// Every cast of a column that may fail, implied ones included: `t.a to Int64`, with `and others` if there are many. Empty
/// where there is none.
pub(crate) fn listed_casts(query: DataFrame) -> String {
    let Ok(plan) = query.into_optimized_plan() else { return String::new() };
    let mut found = BTreeSet::new();
    // Walking a plan that was made fails for no reason that matters to an error message.
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                if let Expr::Cast(cast) = part {
                    found.extend(listed_cast(&cast.expr, cast.field.data_type()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    let more = if found.len() > LISTED { " and others" } else { "" };
    let first: Vec<_> = found.into_iter().take(LISTED).collect();
    format!("{}{more}", first.join(", "))
}

fn listed_cast(operand: &Expr, to: &DataType) -> Option<String> {
    // Everything can be written as a text.
    if matches!(to, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
        return None;
    }
    let columns: BTreeSet<_> = operand.column_refs().into_iter().map(|column| column.flat_name()).collect();
    let named: Vec<_> = columns.into_iter().filter(|name| !name.starts_with("__")).collect();
    (!named.is_empty()).then(|| format!("{} to {to}", named.join(" and ")))
}
