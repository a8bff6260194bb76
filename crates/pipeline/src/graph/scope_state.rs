//! What is known of a user in scope: from the directory, the lake and the ledger.

use std::sync::Arc;

use copilot_lake_tables::Instant;

use super::selection::HistorySelection;
use crate::report::SliceStatus;

/// A user in scope.
#[derive(Debug)]
pub(crate) struct ScopeMember {
    pub(crate) is_licensed: bool,
    pub(crate) deleted_at: Option<Instant>,
    /// When the user was first in scope; `None` when the lake does not know the user.
    pub(crate) first_seen: Option<Instant>,
    /// The state in the ledger, once that is read.
    pub(crate) state: Option<ScopeState>,
}

/// The newest row of a user in the ledger.
#[derive(Debug, Clone)]
pub(crate) struct ScopeState {
    /// The watermark: everything before it was read. `None` when nothing was.
    pub(crate) until: Option<Instant>,
    /// The selection of what was read.
    pub(crate) selection: Option<Arc<HistorySelection>>,
    /// The last window, whether or not it was read.
    pub(crate) window_start: Instant,
    pub(crate) window_end: Instant,
    /// How reading that window ended.
    pub(crate) status: SliceStatus,
    /// Whether a resumed run wrote it.
    pub(crate) is_resumed: bool,
    /// Whether the run that found a loss of the lake wrote it, or a later one.
    pub(crate) is_after_loss: bool,
    pub(crate) pages: u64,
    pub(crate) finished_at: i64,
}
