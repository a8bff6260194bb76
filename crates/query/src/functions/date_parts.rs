//! `year(time)`, `dayname(time)` and other parts of dates and timestamps, as in DuckDB. Those of instants are of UTC.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Datelike, Timelike, Utc};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// A function for every part; null if the time is.
pub(super) fn date_parts() -> impl Iterator<Item = ScalarUDF> {
    use CalendarPart::{Day, DayName, Hour, Minute, Month, MonthName, Quarter, Second, Week, Year};
    let parts = [Year, Quarter, Month, Week, Day, Hour, Minute, Second, DayName, MonthName];
    parts.into_iter().map(|part| {
        ScalarUDF::new_from_impl(DatePart { part, signature: Signature::user_defined(Volatility::Immutable) })
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum CalendarPart {
    Year,
    Quarter,
    Month,
    /// The week of ISO 8601, from Monday.
    Week,
    Day,
    Hour,
    Minute,
    Second,
    DayName,
    MonthName,
}

impl CalendarPart {
    /// The number that a time has; `None` for parts that are names.
    fn number(self, time: DateTime<Utc>) -> Option<i64> {
        let number = match self {
            Self::Year => return Some(i64::from(time.year())),
            Self::Quarter => time.month0() / 3 + 1,
            Self::Month => time.month(),
            Self::Week => time.iso_week().week(),
            Self::Day => time.day(),
            Self::Hour => time.hour(),
            Self::Minute => time.minute(),
            Self::Second => time.second(),
            Self::DayName | Self::MonthName => return None,
        };
        Some(i64::from(number))
    }

    /// How chrono writes a part that is a name.
    fn format(self) -> Option<&'static str> {
        match self {
            Self::DayName => Some("%A"),
            Self::MonthName => Some("%B"),
            _ => None,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart {
    part: CalendarPart,
    signature: Signature,
}

impl ScalarUDFImpl for DatePart {
    fn name(&self) -> &str {
        match self.part {
            CalendarPart::Year => "year",
            CalendarPart::Quarter => "quarter",
            CalendarPart::Month => "month",
            CalendarPart::Week => "week",
            CalendarPart::Day => "day",
            CalendarPart::Hour => "hour",
            CalendarPart::Minute => "minute",
            CalendarPart::Second => "second",
            CalendarPart::DayName => "dayname",
            CalendarPart::MonthName => "monthname",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.part.format().is_some() { DataType::Utf8 } else { DataType::Int64 })
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let zone = match types {
            [DataType::Timestamp(_, Some(_))] => Some("UTC".into()),
            [DataType::Timestamp(_, None) | DataType::Date32 | DataType::Date64 | DataType::Null] => None,
            _ => return plan_err!("{} needs a date or a timestamp", self.name()),
        };
        Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, zone)])
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [time] = args.args.as_slice() else {
            return exec_err!("{} needs one argument", self.name());
        };
        let times = time.to_array(args.number_rows)?;
        let times = times.as_primitive::<TimestampMicrosecondType>().iter();
        let times = times.map(|time| DateTime::from_timestamp_micros(time?));
        let values: ArrayRef = match self.part.format() {
            Some(format) => Arc::new(times.map(|time| Some(time?.format(format).to_string())).collect::<StringArray>()),
            None => Arc::new(times.map(|time| self.part.number(time?)).collect::<Int64Array>()),
        };
        Ok(ColumnarValue::Array(values))
    }
}
