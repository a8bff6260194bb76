//! The slice of a user once it has ended: its ledger row, and the reason that it shares with others.

use copilot_lake_extractor::{Slice, printable_id};
use copilot_lake_tables::{AI_INTERACTION, Instant};

use super::window::HistoryTask;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::report::SliceStatus;

/// The time column of the windows.
const CREATED: &str = "createdDateTime";

/// A slice that has ended.
pub(crate) struct EndedSlice {
    pub(crate) row: SliceRow,
    /// Why it is not done, without the request that failed: many users have that in common.
    pub(crate) short_reason: Option<String>,
}

impl EndedSlice {
    /// `moves_watermark`: a window given by `--since` or `--until` moves none. The reasons are in full and
    /// short.
    pub(crate) fn new(
        task: &HistoryTask,
        status: SliceStatus,
        (reason, short_reason): (Option<String>, Option<String>),
        (finished_at, received): (Instant, SliceCounts),
        moves_watermark: bool,
    ) -> Self {
        let slice = Slice {
            table: &AI_INTERACTION,
            scope: printable_id(&task.user).into_owned(),
            time_column: CREATED,
            start: task.start,
            end: task.end,
        };
        let (selection, until) = if status == SliceStatus::Done && moves_watermark {
            // A watermark never moves back.
            let until = task.until.filter(|_| task.selection_before.as_deref() == Some(&*task.selection));
            (task.selection.to_string(), Some(until.map_or(task.end, |until| until.max(task.end))))
        } else {
            let selection = task.selection_before.as_ref().filter(|_| task.until.is_some()).unwrap_or(&task.selection);
            (selection.to_string(), task.until)
        };
        let watermark = Watermark::At(until);
        let row = SliceRow { slice, selection, status, reason, watermark, token: None, finished_at, received };
        Self { row, short_reason }
    }
}
