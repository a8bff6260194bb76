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
    /// The change tracking token that was given.
    pub(crate) token: Option<String>,
    pub(crate) finished_at: Instant,
    /// What was received.
    pub(crate) received: SliceCounts,
}

/// Until when everything is read, after a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watermark {
    /// The window says nothing about that: it was asked for by `--since` or `--until`, or watermarks are not gone by.
    None,
    /// As the table's done windows say, with this one if it is done.
    OfWindows,
    /// This, as the slice's own scope says.
    At(Option<Instant>),
}

/// What was received and written.
#[derive(Debug, Default)]
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
