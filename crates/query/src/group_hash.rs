//! The hash of a group's key: how groups of rows are told apart where their keys would take too much memory. Groups that
//! share a hash count as one, which takes more rows than needed and leaves none out.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt64Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// `group_hash(text, ...)`: the hash of a key of one column or more. Never null: a null is as good a part of a key as a text.
pub(crate) fn group_hash() -> ScalarUDF {
    let signature = Signature::variadic(vec![DataType::Utf8], Volatility::Immutable);
    ScalarUDF::new_from_impl(GroupHash { signature })
}

/// The hashes of keys of these columns.
pub(crate) fn hashes(keys: &[ArrayRef]) -> Result<Vec<u64>> {
    let mut hashes = vec![0; keys.first().map_or(0, |column| column.len())];
    create_hashes(keys, &QualityRandomState::default(), &mut hashes)?;
    Ok(hashes)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct GroupHash {
    signature: Signature,
}

impl ScalarUDFImpl for GroupHash {
    fn name(&self) -> &str {
        "group_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let keys = args.args.iter().map(|column| column.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(Arc::new(UInt64Array::from(hashes(&keys)?))))
    }
}
