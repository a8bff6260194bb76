//! History asks: which part of a user's history is read.

use std::ops::Range;

use copilot_lake_tables::Instant;

/// What is asked of a user's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Only interactions of these apps, as the service spells them; empty means all. Not sent without a window.
    pub app_classes: Vec<String>,
    /// The half-open window `[start, end)` of `createdDateTime`, in whole seconds; `None` asks for everything,
    /// unfiltered.
    ///
    /// The service's bounds both exclude, and compare finer than they are written: the second before `start` is asked
    /// for too. What comes of it is the caller's to drop or to keep.
    pub window: Option<Range<Instant>>,
}
