//! `timezone(zone, instant)`: the local time in a zone, a timestamp without zone, as in DuckDB.

use std::sync::{Arc, LazyLock};

use arrow::array::timezone::Tz;
use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Offset, TimeZone};
use copilot_lake_tables::Instant;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The function. The zone is an IANA name or an offset such as `+05:30`; null in, null out.
pub(super) fn timezone() -> ScalarUDF {
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
            [zone, instant] if is_text(zone) && is_instant(instant) => Ok(vec![DataType::Utf8, INSTANT.clone()]),
            _ => plan_err!("timezone needs the name of a zone and a timestamp with time zone"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [zone, instant] = args.args.as_slice() else {
            return exec_err!("timezone needs two arguments");
        };
        Ok(ColumnarValue::Array(Arc::new(local_times(zone, instant, args.number_rows)?)))
    }
}

/// The time that clocks of a zone show at an instant, as if they showed UTC; `None` for an unknown zone.
pub fn local_time(zone: &str, instant: Instant) -> Option<Instant> {
    let zone: Tz = zone.parse().ok()?;
    Some(Instant(instant.0.saturating_add(offset(&zone, instant.0))))
}

/// The type of instants: what the lake's timestamps have.
pub(super) static INSTANT: LazyLock<DataType> =
    LazyLock::new(|| DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));

/// Whether values of a type are instants, of whatever unit.
pub(super) fn is_instant(ty: &DataType) -> bool {
    matches!(ty, DataType::Timestamp(_, Some(_)) | DataType::Null)
}

/// Whether values of a type are texts.
pub(super) fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null)
}

/// Local times of instants, each in its zone; null where the instant or the zone is.
pub(super) fn local_times(
    zone: &ColumnarValue,
    instant: &ColumnarValue,
    rows: usize,
) -> Result<TimestampMicrosecondArray> {
    let instants = instant.to_array(rows)?;
    let instants = instants.as_primitive::<TimestampMicrosecondType>();
    if let ColumnarValue::Scalar(ScalarValue::Utf8(Some(name))) = zone {
        let zone = parsed(name)?;
        let local: TimestampMicrosecondArray = if name == "UTC" {
            instants.clone()
        } else {
            instants.unary(|micros| micros.saturating_add(offset(&zone, micros)))
        };
        return Ok(local.with_timezone_opt(None::<Arc<str>>));
    }
    let zones = zone.to_array(rows)?;
    let mut last: Option<(&str, Tz)> = None;
    instants
        .iter()
        .zip(zones.as_string::<i32>())
        .map(|(micros, name)| {
            let Some(name) = name else { return Ok(None) };
            // Rows in a row have the same zone, as a rule.
            let zone = match last {
                Some((of, zone)) if of == name => zone,
                _ => parsed(name)?,
            };
            last = Some((name, zone));
            Ok(micros.map(|micros| micros.saturating_add(offset(&zone, micros))))
        })
        .collect()
}

fn parsed(name: &str) -> Result<Tz> {
    match name.parse() {
        Ok(zone) => Ok(zone),
        Err(_) => plan_err!(
            "unknown time zone{}: give a name such as Europe/Berlin, or an offset such as +01:00",
            quoted(name)
        ),
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
