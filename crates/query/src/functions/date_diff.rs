//! `date_diff(part, earlier, later)`: how many days, say, begin between two times, as in DuckDB.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::timezone::is_text;

/// The function; null if either time is. Days and what is longer are those of UTC.
pub(super) fn date_diff() -> ScalarUDF {
    let signature = Signature::user_defined(Volatility::Immutable);
    ScalarUDF::new_from_impl(DateDiff { signature }).with_aliases(["datediff"])
}

const DAY: i64 = 86_400_000_000;

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateDiff {
    signature: Signature,
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &str {
        "date_diff"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let is_time =
            |ty: &DataType| is_text(ty) || matches!(ty, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..));
        match types {
            [part, earlier, later] if is_text(part) && is_time(earlier) && is_time(later) => {
                let zone = match (earlier, later) {
                    (DataType::Timestamp(_, Some(_)), _) | (_, DataType::Timestamp(_, Some(_))) => Some("UTC".into()),
                    _ => None,
                };
                let time = DataType::Timestamp(TimeUnit::Microsecond, zone);
                Ok(vec![DataType::Utf8, time.clone(), time])
            }
            _ => plan_err!("date_diff needs a part such as 'day', and two dates or timestamps"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(part))), earlier, later] = args.args.as_slice() else {
            return exec_err!("date_diff needs a part, and two times");
        };
        let Some((begun, length)) = begun(part) else {
            return plan_err!(
                "date_diff knows no '{part}': it is microsecond, millisecond, second, minute, hour, day, week, month, \
                 quarter or year"
            );
        };
        let (earlier, later) = (earlier.to_array(args.number_rows)?, later.to_array(args.number_rows)?);
        let times = |array| AsArray::as_primitive::<TimestampMicrosecondType>(array).iter();
        let counts: Int64Array = times(&earlier)
            .zip(times(&later))
            .map(|(earlier, later)| Some(begun(later?)?.checked_sub(begun(earlier?)?)? / length))
            .collect();
        Ok(ColumnarValue::Array(Arc::new(counts) as ArrayRef))
    }
}

/// How many have begun until a time; `None` if the time is out of bounds.
type PartCount = fn(i64) -> Option<i64>;

/// What is counted for a part: how many have begun until a time, since whenever, and how many of those are one. Weeks do
/// not begin on a day of their own: they are seven days.
fn begun(part: &str) -> Option<(PartCount, i64)> {
    let begun: PartCount = match part.to_ascii_lowercase().trim_end_matches('s') {
        "microsecond" => Some,
        "millisecond" => |time| Some(time.div_euclid(1000)),
        "second" => |time| Some(time.div_euclid(1_000_000)),
        "minute" => |time| Some(time.div_euclid(60_000_000)),
        "hour" => |time| Some(time.div_euclid(3_600_000_000)),
        "day" => days,
        "week" => return Some((days, 7)),
        "month" => months,
        "quarter" => |time| Some(months(time)?.div_euclid(3)),
        "year" => |time| Some(months(time)?.div_euclid(12)),
        _ => return None,
    };
    Some((begun, 1))
}

fn days(time: i64) -> Option<i64> {
    Some(time.div_euclid(DAY))
}

fn months(time: i64) -> Option<i64> {
    let time = DateTime::from_timestamp_micros(time)?;
    Some(i64::from(time.year()) * 12 + i64::from(time.month0()))
}
