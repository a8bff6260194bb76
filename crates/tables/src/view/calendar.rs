//! `calendar`: the days that the lake reaches over.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;
use crate::week::Week;

/// The first and the last week that the calendar counts, from 2000 on: rows of others have a time that nobody meant, or
/// none, and would make it reach over centuries. The view says the same.
pub const CALENDAR_WEEKS: (Week, Week) = (Week::of_day(10_958), Week::of_day(50_389));

/// A day of the years that the lake has rows of.
pub static CALENDAR: Table = Table::new(
    "calendar",
    Source::View { of: &["msdyn_copilotevent", "msdyn_copilotinteraction", "ai_interaction"] },
    &[
        Column::date("date").required().unique().doc("The day; one row each, without gaps."),
        Column::instant("starts_at").doc("Its midnight, UTC."),
        Column::date("sunday_week").doc("The Sunday on or before it: `week_start` of the other tables."),
        Column::date("monday_week").doc("The Monday on or before it."),
        Column::date("month").doc("The first day of its month."),
        Column::date("quarter").doc("The first day of its quarter."),
        Column::int32("year").doc("Its year."),
    ],
)
.doc("Days of every year that has rows, with their weeks, months and quarters; no day of unknown time.")
.key(&["date"])
.time(TimeOf::Unpartitioned("starts_at"));
