//! `timezone(zone, instant)`: the local time in a zone, a timestamp without zone, as in DuckDB.

use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Offset, TimeZone};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function. The zone is an IANA name or an offset such as `+05:30`; null in, null out.
pub(crate) fn timezone() -> ScalarUDF {
    ScalarUDF::new_from_impl(Timezone { signature: Signature::user_defined(Volatility::Immutable) })
}

const LOCAL: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Timezone {
    signature: Signature,
}

impl ScalarUDFImpl for Timezone {
    fn name(&self) -> &str {
        "timezone"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(LOCAL)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null,
                DataType::Timestamp(_, Some(_)) | DataType::Null,
            ] => Ok(vec![DataType::Utf8, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))]),
            _ => plan_err!("timezone needs the name of a zone and a timestamp with time zone"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [zone, instant] = args.args.as_slice() else {
            return exec_err!("timezone needs two arguments");
        };
        let name = match zone {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))) => name,
            ColumnarValue::Scalar(_) => return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(&LOCAL)?)),
            ColumnarValue::Array(_) => return exec_err!("timezone needs one zone for all rows"),
        };
        let Ok(zone) = name.parse::<Tz>() else {
            return plan_err!(
                "unknown time zone{}: give a name such as Europe/Berlin, or an offset such as +01:00",
                quoted(name)
            );
        };
        match instant {
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(micros, _)) => {
                let local = micros.map(|micros| micros + offset(&zone, micros));
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(local, None)))
            }
            ColumnarValue::Array(array) if array.data_type().is_temporal() => {
                let instants = array.as_primitive::<TimestampMicrosecondType>();
                let local: PrimitiveArray<TimestampMicrosecondType> = if name == "UTC" {
                    instants.clone()
                } else {
                    instants.unary(|micros| micros.saturating_add(offset(&zone, micros)))
                };
                Ok(ColumnarValue::Array(Arc::new(local.with_timezone_opt(None::<Arc<str>>))))
            }
            _ => exec_err!("timezone needs a timestamp"),
        }
    }
}

/// What may be a misspelt zone, for messages; any other text may come from a table and is not shown.
fn quoted(name: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-' | ':');
    if name.len() <= 32 && name.chars().all(is_part) { format!(" '{name}'") } else { String::new() }
}

/// Microseconds that local time is ahead of UTC at that instant; 0 beyond the calendar.
fn offset(zone: &Tz, micros: i64) -> i64 {
    let Some(instant) = DateTime::from_timestamp_micros(micros) else { return 0 };
    i64::from(zone.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()) * 1_000_000
}
