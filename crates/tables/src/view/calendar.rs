//! `calendar`: the days that the lake reaches over.

use crate::column::Column;
use crate::table::{Source, Table};
use crate::time::TimeOf;

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
