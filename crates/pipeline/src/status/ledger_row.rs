//! A row of the ledger, as far as the status of the lake needs it.

use std::ops::Range;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_tables::Instant;

use crate::report::SliceStatus;

/// The columns that are read, in the order of [`rows`].
pub(super) const COLUMNS: [&str; 12] = [
    "run_id",
    "source",
    "table_name",
    "scope",
    "clock",
    "selection",
    "reason",
    "status",
    "window_start",
    "window_end",
    "as_of",
    "finished_at",
];

/// The column that follows them.
pub(super) const DONE_UNTIL: &str = "done_until";

/// A row of the ledger.
#[derive(Debug, Clone)]
pub(super) struct LedgerRow<'b> {
    pub(super) run_id: &'b str,
    pub(super) source: &'b str,
    pub(super) table: &'b str,
    pub(super) scope: &'b str,
    pub(super) time_column: &'b str,
    pub(super) selection: &'b str,
    pub(super) reason: &'b str,
    pub(super) status: SliceStatus,
    pub(super) window: Range<Instant>,
    pub(super) as_of: Instant,
    pub(super) finished_at: Instant,
    /// The watermark after the row; `None` for a window that moves none.
    pub(super) done_until: Option<Instant>,
}

/// The rows of a batch with these columns, newest first.
pub(super) fn rows(batch: &RecordBatch) -> impl Iterator<Item = LedgerRow<'_>> {
    let texts: Vec<&StringArray> = (0..8).map(|at| batch.column(at).as_string()).collect();
    let times: Vec<_> = (8..13).map(|at| batch.column(at).as_primitive::<TimestampMicrosecondType>()).collect();
    (0..batch.num_rows()).rev().map(move |row| {
        let text = |at: usize| if texts[at].is_valid(row) { texts[at].value(row) } else { "" };
        let time = |at: usize| times[at].is_valid(row).then(|| Instant(times[at].value(row)));
        let instant = |at: usize| time(at).unwrap_or(Instant(0));
        LedgerRow {
            run_id: text(0),
            source: text(1),
            table: text(2),
            scope: text(3),
            time_column: text(4),
            selection: text(5),
            reason: text(6),
            status: SliceStatus::parse(text(7)).unwrap_or(SliceStatus::Failed),
            window: instant(0)..instant(1),
            as_of: instant(2),
            finished_at: instant(3),
            done_until: time(4),
        }
    })
}
