//! What is recorded of the weeks of tables: rows of the ledger whose window is a week, by a time column that no service has.

use std::collections::BTreeMap;

use copilot_lake_extractor::Slice;
use copilot_lake_tables::{EXTRACTION_SLICE, Instant, Table, Week};
use copilot_lake_writer::{Error, Lake, Scan};
use futures::TryStreamExt as _;

use crate::cells::{instant, text};
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::report::SliceStatus;

/// What was recorded of a week last.
#[derive(Debug)]
pub(crate) struct WeekRecord {
    /// When it was.
    pub(crate) recorded_at: Instant,
    /// What, in a form of the time column's own.
    pub(crate) selection: String,
}

/// The newest records of a time column, by table and week.
pub(crate) async fn newest_records(
    lake: &Lake,
    time_column: &'static str,
) -> Result<BTreeMap<(String, Week), WeekRecord>, Error> {
    let columns = vec!["table_name", "clock", "window_start", "finished_at", "selection"];
    let scan = Scan { columns, key: Some(("clock", time_column)), ..Scan::default() };
    let mut newest = BTreeMap::<(String, Week), WeekRecord>::new();
    let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        for row in (0..batch.num_rows()).filter(|row| text(&batch, "clock", *row) == time_column) {
            let week = Week::of(instant(&batch, "window_start", row));
            let key = (text(&batch, "table_name", row).to_owned(), week);
            let recorded_at = instant(&batch, "finished_at", row);
            if newest.get(&key).is_none_or(|kept| kept.recorded_at < recorded_at) {
                let selection = text(&batch, "selection", row).to_owned();
                newest.insert(key, WeekRecord { recorded_at, selection });
            }
        }
    }
    Ok(newest)
}

/// The row that records something of a week. `rows`: how many rows the ledger says that it has.
pub(crate) fn record_row(
    table: &'static Table,
    time_column: &'static str,
    week: Week,
    selection: String,
    rows: u64,
    recorded_at: Instant,
) -> SliceRow {
    SliceRow {
        slice: Slice { table, scope: String::new(), time_column, start: week.start(), end: week.end() },
        selection,
        status: SliceStatus::Done,
        reason: None,
        watermark: Watermark::None,
        token: None,
        finished_at: recorded_at,
        received: SliceCounts { as_of: Some(recorded_at), rows, ..SliceCounts::default() },
    }
}
