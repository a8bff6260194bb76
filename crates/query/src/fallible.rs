//! The parts of a query that can fail for a value: casts, functions and operators, by the columns that they read.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

/// More of them are not listed.
const LISTED: usize = 3;

/// What may fail in a query, each as it is told: never with a constant, which may be somebody's data too.
#[derive(Debug, Default)]
pub(crate) struct FallibleParts {
    /// `a constant to Int64 beside t.a`: it does not fit, or it would have been computed.
    pub(crate) constants: BTreeSet<String>,
    /// `t.a to Int64`.
    pub(crate) casts: BTreeSet<String>,
    /// `date_part of t.a`.
    pub(crate) functions: BTreeSet<String>,
    /// `t.a % t.b`.
    pub(crate) operations: BTreeSet<String>,
}

impl FallibleParts {
    /// Those of a query, implied ones included; nothing if it cannot be analyzed.
    pub(crate) fn in_query(query: DataFrame) -> Self {
        let (state, plan) = query.into_parts();
        let mut found = Self::default();
        let analyzed = || state.analyzer().execute_and_check(plan.clone(), state.config_options(), |_, _| {});
        // What is not read is left out of an optimized plan. But a constant that does not fit cannot be optimized.
        if let Ok(plan) = state.optimize(&plan).or_else(|_| analyzed()) {
            found.take_in(&plan);
        }
        found
    }

    fn take_in(&mut self, plan: &LogicalPlan) {
        // Walking a plan that was made fails for no reason that matters to an error message.
        let _ = plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expression| {
                expression.apply(|part| {
                    self.take_in_part(part);
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        });
    }

    fn take_in_part(&mut self, part: &Expr) {
        let columns = columns(part);
        if columns.is_empty() {
            return;
        }
        match part {
            // Everything can be written as a text.
            Expr::Cast(cast) if is_text(cast.field.data_type()) => {}
            Expr::Cast(cast) => {
                self.casts.insert(format!("{} to {}", listed(&columns, " and "), cast.field.data_type()));
            }
            Expr::ScalarFunction(call) => {
                self.functions.insert(format!("{} of {}", call.name(), listed(&columns, " and ")));
            }
            Expr::BinaryExpr(operation) if is_fallible(operation.op) => {
                let place = match columns.len() {
                    1 => format!("`{}` of {}", operation.op, listed(&columns, "")),
                    _ => listed(&columns, &format!(" {} ", operation.op)),
                };
                self.operations.insert(place);
            }
            _ => {}
        }
        let _ = part.apply_children(|operand| {
            if let Expr::Cast(cast) = operand
                && cast.expr.column_refs().is_empty()
            {
                let to = cast.field.data_type();
                self.constants.insert(format!("a constant to {to} beside {}", listed(&columns, " and ")));
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }

    /// Whether nothing that reads a column can have failed: what did is in the text itself.
    pub(crate) fn is_empty(&self) -> bool {
        self.constants.is_empty() && self.casts.is_empty() && self.functions.is_empty() && self.operations.is_empty()
    }

    /// The casts, or without one what else reads values: `; the query casts t.a to Int64`.
    pub(crate) fn casts(&self) -> String {
        let casts = if self.constants.is_empty() { &self.casts } else { &self.constants };
        match casts.is_empty() {
            true => self.computations(),
            false => format!("; the query casts {}", listed(casts, ", ")),
        }
    }

    /// The functions and operators: `; the query computes date_part of t.a`.
    pub(crate) fn computations(&self) -> String {
        let all: BTreeSet<_> = self.operations.union(&self.functions).cloned().collect();
        told(&all)
    }

    /// The operators, or without one the functions.
    pub(crate) fn operations(&self) -> String {
        if self.operations.is_empty() { told(&self.functions) } else { told(&self.operations) }
    }

    /// The functions, or without one the operators.
    pub(crate) fn functions(&self) -> String {
        if self.functions.is_empty() { told(&self.operations) } else { told(&self.functions) }
    }
}

fn told(computations: &BTreeSet<String>) -> String {
    match computations.is_empty() {
        true => String::new(),
        false => format!("; the query computes {}", listed(computations, ", ")),
    }
}

/// The first of these, with `and others` if there are many.
fn listed(found: &BTreeSet<String>, separator: &str) -> String {
    let more = if found.len() > LISTED { " and others" } else { "" };
    let first: Vec<_> = found.iter().take(LISTED).map(String::as_str).collect();
    format!("{}{more}", first.join(separator))
}

/// The columns that an expression reads, without those that the planner makes up.
fn columns(part: &Expr) -> BTreeSet<String> {
    let columns = part.column_refs().into_iter().map(|column| column.flat_name());
    columns.filter(|name| !name.starts_with("__")).collect()
}

fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether an operator has no result for some values: comparisons and logic have one for all.
fn is_fallible(operator: Operator) -> bool {
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    use Operator::{RegexIMatch, RegexMatch, RegexNotIMatch, RegexNotMatch};
    matches!(operator, Plus | Minus | Multiply | Divide | Modulo)
        || matches!(operator, RegexMatch | RegexIMatch | RegexNotMatch | RegexNotIMatch)
}
