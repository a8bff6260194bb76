//! Days and weeks as people count them: `local_day`, `week_of` and `lake_week`.

use std::sync::Arc;

use arrow::array::{AsArray, Date32Array};
use arrow::datatypes::{DataType, Date32Type};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::timezone::{INSTANT, is_instant, is_text, local_times};

/// The day of an instant in a zone.
pub(super) const LOCAL_DAY: &str =
    "local_day(instant, zone) AS\n  CAST(timezone(zone, CAST(instant AS TIMESTAMP WITH TIME ZONE)) AS DATE)";

/// The first day of an instant's week in a zone, of weeks that begin on Sunday or Monday.
pub(super) const WEEK_OF: &str = "week_of(instant, zone, first_day) AS CASE first_day
  WHEN 'sunday' THEN CAST(date_trunc('week', local_day(instant, zone) + INTERVAL '1 day') AS DATE) - 1
  WHEN 'monday' THEN CAST(date_trunc('week', local_day(instant, zone)) AS DATE)
  ELSE error('week_start is sunday or monday') END";

/// The week that a week of the lake, which begins on a Sunday, has most days with.
pub(super) const LAKE_WEEK: &str = "lake_week(week_start, first_day) AS CASE first_day
  WHEN 'sunday' THEN CAST(week_start AS DATE)
  WHEN 'monday' THEN CAST(week_start AS DATE) + 1
  ELSE error('week_start is sunday or monday') END";

pub(super) fn local_day() -> ScalarUDF {
    function(Returned::LocalDay)
}

pub(super) fn week_of() -> ScalarUDF {
    function(Returned::WeekOf)
}

pub(super) fn lake_week() -> ScalarUDF {
    function(Returned::LakeWeek)
}

fn function(returned: Returned) -> ScalarUDF {
    ScalarUDF::new_from_impl(DayFunction { returned, signature: Signature::user_defined(Volatility::Immutable) })
}

/// What a function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Returned {
    LocalDay,
    WeekOf,
    LakeWeek,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DayFunction {
    returned: Returned,
    signature: Signature,
}

impl ScalarUDFImpl for DayFunction {
    fn name(&self) -> &str {
        match self.returned {
            Returned::LocalDay => "local_day",
            Returned::WeekOf => "week_of",
            Returned::LakeWeek => "lake_week",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match (self.returned, types) {
            (Returned::LocalDay, [instant, zone]) if is_instant(instant) && is_text(zone) => {
                Ok(vec![INSTANT.clone(), DataType::Utf8])
            }
            (Returned::WeekOf, [instant, zone, first]) if is_instant(instant) && is_text(zone) && is_text(first) => {
                Ok(vec![INSTANT.clone(), DataType::Utf8, DataType::Utf8])
            }
            (Returned::LakeWeek, [DataType::Date32 | DataType::Null, first]) if is_text(first) => {
                Ok(vec![DataType::Date32, DataType::Utf8])
            }
            (Returned::LocalDay, _) => plan_err!("local_day needs a timestamp with time zone and the name of a zone"),
            (Returned::WeekOf, _) => {
                plan_err!("week_of needs a timestamp with time zone, the name of a zone, and sunday or monday")
            }
            (Returned::LakeWeek, _) => plan_err!("lake_week needs a date, and sunday or monday"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let days: Date32Array = match (self.returned, args.args.as_slice()) {
            (Returned::LocalDay, [instant, zone]) => local_days(instant, zone, rows)?.into_iter().collect(),
            (Returned::WeekOf, [instant, zone, first]) => weeks(local_days(instant, zone, rows)?, first, rows)?,
            (Returned::LakeWeek, [week, first]) => {
                let week = week.to_array(rows)?;
                // Of a week from Sunday, Wednesday is in the same week whichever day is the first.
                let days = week.as_primitive::<Date32Type>().iter().map(|day| day.map(|day| day + 3));
                weeks(days.collect(), first, rows)?
            }
            _ => return exec_err!("{} needs other arguments", self.name()),
        };
        Ok(ColumnarValue::Array(Arc::new(days)))
    }
}

/// The day that weeks begin with.
enum FirstDay {
    Sunday,
    Monday,
}

impl FirstDay {
    fn parse(name: Option<&str>) -> Result<Self> {
        match name {
            Some("sunday") => Ok(Self::Sunday),
            Some("monday") => Ok(Self::Monday),
            _ => plan_err!("week_start is sunday or monday"),
        }
    }

    /// The first day of the week of a day, both since 1970-01-01, a Thursday.
    fn week(&self, day: Option<i32>) -> Option<i32> {
        let past = match self {
            Self::Sunday => 4,
            Self::Monday => 3,
        };
        day.map(|day| day - (day + past).rem_euclid(7))
    }
}

/// The first days of the weeks of these days.
fn weeks(days: Vec<Option<i32>>, first_day: &ColumnarValue, rows: usize) -> Result<Date32Array> {
    let first_day = first_day.to_array(rows)?;
    days.into_iter().zip(first_day.as_string::<i32>()).map(|(day, name)| Ok(FirstDay::parse(name)?.week(day))).collect()
}

fn local_days(instant: &ColumnarValue, zone: &ColumnarValue, rows: usize) -> Result<Vec<Option<i32>>> {
    let times = local_times(zone, instant, rows)?;
    Ok(times.iter().map(|time| time.and_then(|time| i32::try_from(time.div_euclid(86_400_000_000)).ok())).collect())
}
