//! `seconds_between(earlier, later)`: how long something took.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::timezone::{INSTANT, is_instant};

/// Seconds from one instant to another, to the microsecond; negative if the other is earlier.
pub(super) const SECONDS_BETWEEN: &str = "seconds_between(earlier, later) AS\n  \
    date_diff('microsecond', CAST(earlier AS TIMESTAMP WITH TIME ZONE), CAST(later AS TIMESTAMP WITH TIME ZONE)) \
    / CAST(1000000 AS DOUBLE)";

/// The function; null if either instant is.
pub(super) fn seconds_between() -> ScalarUDF {
    ScalarUDF::new_from_impl(SecondsBetween { signature: Signature::user_defined(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SecondsBetween {
    signature: Signature,
}

impl ScalarUDFImpl for SecondsBetween {
    fn name(&self) -> &str {
        "seconds_between"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [earlier, later] if is_instant(earlier) && is_instant(later) => Ok(vec![INSTANT.clone(), INSTANT.clone()]),
            _ => plan_err!("seconds_between needs two timestamps with time zone"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [earlier, later] = args.args.as_slice() else {
            return exec_err!("seconds_between needs two arguments");
        };
        let (earlier, later) = (earlier.to_array(args.number_rows)?, later.to_array(args.number_rows)?);
        let instants = |array| AsArray::as_primitive::<TimestampMicrosecondType>(array).iter();
        #[expect(clippy::cast_precision_loss, reason = "DuckDB divides as a double too")]
        let seconds =
            |(earlier, later): (Option<i64>, Option<i64>)| Some(later?.checked_sub(earlier?)? as f64 / 1_000_000.0);
        let seconds: Float64Array = instants(&earlier).zip(instants(&later)).map(seconds).collect();
        Ok(ColumnarValue::Array(Arc::new(seconds)))
    }
}
