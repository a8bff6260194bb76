//! `getvariable('name')`: a parameter of the session, as in DuckDB after `SET VARIABLE name = 'value'`.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// The function over these parameters. Names are compared without case, as in DuckDB; a parameter that is not set is null.
pub(super) fn getvariable(params: &BTreeMap<String, String>) -> ScalarUDF {
    let params = params.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    // Immutable within a session, so that it becomes a literal before files are pruned.
    let signature = Signature::new(TypeSignature::Exact(vec![DataType::Utf8]), Volatility::Immutable);
    ScalarUDF::new_from_impl(GetVariable { params, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct GetVariable {
    params: BTreeMap<String, String>,
    signature: Signature,
}

impl ScalarUDFImpl for GetVariable {
    fn name(&self) -> &str {
        "getvariable"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(ScalarValue::Utf8(Some(name)))] => {
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(self.params.get(&name.to_lowercase()).cloned())))
            }
            [ColumnarValue::Scalar(_)] => plan_err!("getvariable needs the name of a parameter, not null"),
            _ => exec_err!("getvariable needs one literal name"),
        }
    }
}
