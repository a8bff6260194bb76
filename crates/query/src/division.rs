//! `/` and `//` as in DuckDB: exact numbers divide to a float, so that `1 / 2` is 0.5 and `1 / 0` is infinite; `//` of whole
//! numbers is what is whole of the quotient, and fails by zero.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};

/// Casts both operands of `/` to floats before they are divided.
#[derive(Debug)]
pub(crate) struct Division;

impl ExprPlanner for Division {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let divided = |left: Expr, right: Expr| {
            let division = BinaryExpr::new(Box::new(left), Operator::Divide, Box::new(right));
            Ok(PlannerResult::Planned(Expr::BinaryExpr(division)))
        };
        let (left, right) = match expr.op {
            BinaryOperator::Divide | BinaryOperator::DuckIntegerDivide => {
                (expr.left.get_type(schema)?, expr.right.get_type(schema)?)
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        if expr.op == BinaryOperator::DuckIntegerDivide {
            if is_whole(&left) && is_whole(&right) {
                return divided(expr.left, expr.right);
            }
            return plan_err!("`//` divides whole numbers; `/` divides others");
        }
        if is_exact(&left) && is_exact(&right) {
            return divided(cast(expr.left, DataType::Float64), cast(expr.right, DataType::Float64));
        }
        Ok(PlannerResult::Original(expr))
    }
}

fn is_whole(ty: &DataType) -> bool {
    ty.is_integer() || ty.is_null()
}

fn is_exact(ty: &DataType) -> bool {
    is_whole(ty) || matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..))
}
