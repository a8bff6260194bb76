//! Parameters as constants: what a query joins to each row from a relation of one row that reads no table.
//!
//! A shipped query has its parameters in one row at its head. As columns they would keep weeks and row groups from being
//! pruned, because only conditions on constants do that.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullEquality, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{EmptyRelation, Expr, Filter, Join, JoinType, LogicalPlan, Projection};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

/// Replaces an inner join with a relation of one row by a projection that adds the row's values.
#[derive(Debug)]
pub(crate) struct JoinWithOneRow;

impl OptimizerRule for JoinWithOneRow {
    fn name(&self) -> &str {
        "join_with_one_row"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match plan {
            LogicalPlan::Join(join) => match projected(&join)? {
                Some(plan) => Ok(Transformed::yes(plan)),
                None => Ok(Transformed::no(LogicalPlan::Join(join))),
            },
            plan => Ok(Transformed::no(plan)),
        }
    }
}

fn projected(join: &Join) -> Result<Option<LogicalPlan>> {
    if join.join_type != JoinType::Inner || join.null_equality != NullEquality::NullEqualsNothing {
        return Ok(None);
    }
    let (row, other) = match (one_row(&join.right)?, one_row(&join.left)?) {
        (Some(row), _) => (row, &join.left),
        (None, Some(row)) => (row, &join.right),
        (None, None) => return Ok(None),
    };
    let columns = join.schema.columns().into_iter().map(|column| match value_of(&column, &row) {
        Some(value) => value.clone().alias_qualified(column.relation, column.name),
        None => Expr::Column(column),
    });
    let columns = columns.collect();
    let plan = Projection::try_new_with_schema(columns, Arc::clone(other), Arc::clone(&join.schema))?;
    let plan = LogicalPlan::Projection(plan);
    let equal = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    Ok(Some(match conjunction(equal.chain(join.filter.clone())) {
        Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?),
        None => plan,
    }))
}

/// The columns of a relation of one row that reads no table, with their values; `None` for any other relation.
fn one_row(plan: &LogicalPlan) -> Result<Option<Vec<(Column, Expr)>>> {
    Ok(match plan {
        LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) => Some(vec![]),
        LogicalPlan::SubqueryAlias(alias) => one_row(&alias.input)?.map(|values| {
            let values = values.into_iter().map(|(_, value)| value);
            alias.schema.columns().into_iter().zip(values).collect()
        }),
        LogicalPlan::Projection(projection) => {
            let Some(values) = one_row(&projection.input)? else { return Ok(None) };
            let mut columns = Vec::with_capacity(projection.expr.len());
            for (column, expression) in projection.schema.columns().into_iter().zip(&projection.expr) {
                if expression.is_volatile() || expression.contains_scalar_subquery() {
                    return Ok(None);
                }
                let value = expression.clone().unalias().transform_up(|part| {
                    let known = match &part {
                        Expr::Column(column) => value_of(column, &values).cloned(),
                        _ => None,
                    };
                    Ok(known.map_or_else(|| Transformed::no(part), Transformed::yes))
                })?;
                columns.push((column, value.data));
            }
            Some(columns)
        }
        _ => None,
    })
}

fn value_of<'a>(column: &Column, row: &'a [(Column, Expr)]) -> Option<&'a Expr> {
    row.iter().find(|(of, _)| of == column).map(|(_, value)| value)
}
