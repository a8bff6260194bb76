//! `/` as in DuckDB: exact numbers divide to a float, so that `1 / 2` is 0.5 and `1 / 0` is infinite.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, cast};

/// Casts both operands to floats before they are divided.
#[derive(Debug)]
pub(crate) struct FloatDivision;

impl ExprPlanner for FloatDivision {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let is_exact = |operand: &Expr| -> Result<bool> {
            let ty = operand.get_type(schema)?;
            Ok(ty.is_integer() || ty.is_null() || matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..)))
        };
        if expr.op != BinaryOperator::Divide || !is_exact(&expr.left)? || !is_exact(&expr.right)? {
            return Ok(PlannerResult::Original(expr));
        }
        let float = |operand: Expr| Box::new(cast(operand, DataType::Float64));
        let division = BinaryExpr::new(float(expr.left), Operator::Divide, float(expr.right));
        Ok(PlannerResult::Planned(Expr::BinaryExpr(division)))
    }
}
