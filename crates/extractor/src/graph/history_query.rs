//! History queries: which part of a user's history is read.

use std::ops::Range;

use copilot_lake_tables::Instant;

/// Which part of a user's history to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only interactions of these apps, as the service spells them; empty means all. Not sent without a window.
    pub app_classes: Vec<String>,
    /// The half-open window `[start, end)` of `createdDateTime`, in whole seconds; `None`: everything, unfiltered.
    ///
    /// The service's bounds are exclusive and compare finer than they are written, so the second before `start` is
    /// requested as well. What that adds is for the caller to drop or keep.
    pub window: Option<Range<Instant>>,
}
