//! The row that a slice leaves in `extraction_slice`.

use copilot_lake_extractor::Slice;
use copilot_lake_tables::Instant;

use crate::report::SliceStatus;

/// The row that a slice leaves.
#[derive(Debug)]
pub(crate) struct SliceRow {
    pub(crate) slice: Slice,
    pub(crate) selection: String,
    pub(crate) status: SliceStatus,
    pub(crate) reason: Option<String>,
    pub(crate) watermark: Watermark,
    /// The delta token of change tracking.
    pub(crate) token: Option<String>,
    pub(crate) finished_at: Instant,
    /// What was received and written.
    pub(crate) received: SliceCounts,
}

/// The watermark after a slice: until when everything is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watermark {
    /// The slice moves no watermark: its window was given by `--since` or `--until`, or its table has none.
    None,
    /// The one that follows from the table's done windows, with this one if it is done.
    OfWindows,
    /// As before, and it passes the window: the service cannot serve it, however small it is.
    PastUnreadable,
    /// The one of the slice's own scope.
    At(Option<Instant>),
}

/// What was received and written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SliceCounts {
    pub(crate) as_of: Option<Instant>,
    pub(crate) pages: u64,
    pub(crate) rows: u64,
    pub(crate) rows_written: u64,
    pub(crate) files_added: u64,
    pub(crate) rejected: u64,
    pub(crate) requests: u64,
    pub(crate) throttled_seconds: f64,
}

impl SliceCounts {
    /// Adds those of another part of the slice, which was read later.
    pub(crate) fn add(&mut self, later: Self) {
        self.as_of = later.as_of.or(self.as_of);
        self.pages += later.pages;
        self.rows += later.rows;
        self.rows_written += later.rows_written;
        self.files_added += later.files_added;
        self.rejected += later.rejected;
        self.requests += later.requests;
        self.throttled_seconds += later.throttled_seconds;
    }

    /// Takes the counts, of which the time remains: several rows share them, and one of them has them.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self { as_of: self.as_of, ..Self::default() })
    }
}
