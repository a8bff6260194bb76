//! What materialized views lack: weeks of any year, a little memory, and only the files that are concerned.

use copilot_lake_tables::CALENDAR_WEEKS;

use crate::view;

#[test]
fn the_calendar_counts_the_weeks_that_its_table_is_made_from() {
    let (first, last) = CALENDAR_WEEKS;
    let counted = format!("week_start BETWEEN DATE '{first}' AND DATE '{last}'");
    assert!(view("calendar").unwrap().sql.contains(&counted), "{counted}");
}
