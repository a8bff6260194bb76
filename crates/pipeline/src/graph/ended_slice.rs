//! The slice of a user once it has ended: its ledger row, and the reason that it shares with others.

use copilot_lake_extractor::{Slice, printable_id};
use copilot_lake_tables::{AI_INTERACTION, Instant};

use super::scope_state::{NO_HISTORY, UnreadableHistory};
use super::window::HistoryTask;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::is_skipped;
use crate::report::SliceStatus;

/// The time column of the windows.
pub(crate) const CREATED: &str = "createdDateTime";

/// A slice that has ended.
pub(crate) struct EndedSlice {
    pub(crate) row: SliceRow,
    /// Why it is not done, without the request that failed: many users have that in common.
    pub(crate) short_reason: Option<String>,
    /// The windows of the history that cannot be read: they are of the same commit, and finish after the row.
    pub(crate) unreadable: Vec<SliceRow>,
    /// Whether those were requested by this run; otherwise they are recorded again, so that the next one does.
    pub(crate) is_unreadable_new: bool,
    /// Whether it is known from an earlier run that the user has no history.
    pub(crate) is_known_without_history: bool,
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
        let is_without_history = reason.as_ref().is_some_and(|reason| reason.starts_with(NO_HISTORY));
        let is_known_without_history = task.is_without_history && is_without_history;
        let row = SliceRow { slice, selection, status, reason, watermark, token: None, finished_at, received };
        let ended =
            Self { row, short_reason, unreadable: Vec::new(), is_unreadable_new: false, is_known_without_history };
        ended.with_unreadable(&task.unreadable, false)
    }

    /// The same slice with windows that cannot be read. `is_new`: this run has requested them.
    pub(crate) fn with_unreadable(mut self, unreadable: &[UnreadableHistory], is_new: bool) -> Self {
        let main = &mut self.row;
        let row = |found: &UnreadableHistory| {
            let is_skipped = is_new && is_skipped(found.failing_since, main.finished_at);
            SliceRow {
                slice: Slice { start: found.window.start, end: found.window.end, ..main.slice.clone() },
                selection: main.selection.clone(),
                status: if is_skipped { SliceStatus::Skipped } else { SliceStatus::Failed },
                reason: Some(found.reason.clone()),
                watermark: main.watermark,
                token: None,
                // The newest rows of a user are read first.
                finished_at: Instant(main.finished_at.0 + 1),
                received: SliceCounts { as_of: Some(found.failing_since), ..SliceCounts::default() },
            }
        };
        self.unreadable = unreadable.iter().map(row).collect();
        self.is_unreadable_new = is_new;
        // The start of its window is part of a row's key.
        if let Some(first) = unreadable.iter().find(|found| found.window.start == main.slice.start) {
            main.slice.start = first.window.end.min(main.slice.end);
        }
        self
    }

    /// The rows that it leaves in the ledger.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &SliceRow> {
        std::iter::once(&self.row).chain(&self.unreadable)
    }

    /// The skipped slices among those reported that are no refusal of a user: the user was known to have no history, or
    /// the history was read but for a part.
    pub(crate) fn exempt_skips(&self) -> u64 {
        let skipped = self.unreadable.iter().filter(|row| self.is_unreadable_new && row.status == SliceStatus::Skipped);
        skipped.count() as u64 + u64::from(self.is_known_without_history)
    }

    /// The rows that tell what this run did.
    pub(crate) fn reported(&self) -> impl Iterator<Item = (&SliceRow, &str)> {
        let short_reason = self.short_reason.as_deref().unwrap_or_default();
        let new = self.unreadable.iter().filter(|_| self.is_unreadable_new);
        std::iter::once((&self.row, short_reason)).chain(new.map(|row| (row, UNREADABLE)))
    }
}

/// Why a part of a history is not read, in short.
const UNREADABLE: &str = "the service cannot serve a part of the history";
