//! `json_extract_string` and `json_extract`, which `->>` and `->` stand for, with paths as DuckDB writes them.

mod json_path;

use std::sync::Arc;

use self::json_path::JsonPath;
use super::timezone::is_text;
use arrow::array::{AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, Result, exec_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::sqlparser::ast::BinaryOperator;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What is at a path, as text: a string without its quotes, null for a JSON null.
pub(super) fn json_extract_string() -> ScalarUDF {
    function(Form::Text, "json_extract_path_text")
}

/// What is at a path, as JSON.
pub(super) fn json_extract() -> ScalarUDF {
    function(Form::Json, "json_extract_path")
}

fn function(form: Form, alias: &'static str) -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(JsonExtract { form, signature }).with_aliases([alias])
}

/// Plans `->>` and `->`.
#[derive(Debug)]
pub(crate) struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::LongArrow => json_extract_string(),
            BinaryOperator::Arrow => json_extract(),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let call = ScalarFunction::new_udf(Arc::new(function), vec![expr.left, expr.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

/// How what is at a path is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Text,
    Json,
}

/// A function over a text and the path in it. Null where there is no such path, or no JSON.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonExtract {
    form: Form,
    signature: Signature,
}

impl ScalarUDFImpl for JsonExtract {
    fn name(&self) -> &str {
        match self.form {
            Form::Text => "json_extract_string",
            Form::Json => "json_extract",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.scalar_arguments {
            [_, Some(path)] => JsonPath::parse(path)?,
            _ => return plan_err!("the path of {} is a constant", self.name()),
        };
        Ok(Arc::new(Field::new(self.name(), DataType::Utf8, true)))
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [json, path] if is_text(json) && is_text(path) => Ok(vec![DataType::Utf8, DataType::Utf8]),
            [json, place] if is_text(json) && place.is_integer() => Ok(vec![DataType::Utf8, DataType::Int64]),
            _ => plan_err!("{} needs a text, and the path in it", self.name()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, ColumnarValue::Scalar(path)] = args.args.as_slice() else {
            return exec_err!("{} needs a text, and a constant path", self.name());
        };
        let path = JsonPath::parse(path)?;
        let json = json.to_array(args.number_rows)?;
        let extract = |json: Option<&str>| {
            let found = path.as_ref()?.find(json?)?.get();
            match self.form {
                Form::Text => text_of(found),
                Form::Json => Some(found.to_owned()),
            }
        };
        let values: StringArray = json.as_string::<i32>().iter().map(extract).collect();
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

/// A string as what it says, a JSON null as null, anything else as it is written.
fn text_of(json: &str) -> Option<String> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).ok(),
        _ => (json != "null").then(|| json.to_owned()),
    }
}
