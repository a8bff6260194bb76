//! What is known of a user in scope: from the directory, the lake and the ledger.

use std::ops::Range;
use std::sync::Arc;

use copilot_lake_tables::Instant;

use super::selection::HistorySelection;
use crate::report::SliceStatus;

/// Begins the reason of users without a history that can be read: no mailbox, or no such user.
pub(crate) const NO_HISTORY: &str = "requested again after 30 days: ";

/// A user in scope.
#[derive(Debug, Clone)]
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
    /// The run that wrote the row.
    pub(crate) run_id: String,
    /// Whether a resumed run wrote it.
    pub(crate) is_resumed: bool,
    /// Whether the run that found a loss of the lake wrote it, or a later one.
    pub(crate) is_after_loss: bool,
    pub(crate) pages: u64,
    pub(crate) finished_at: i64,
    /// Whether the user was found to have no history.
    pub(crate) is_without_history: bool,
    /// What could not be read of the history, and is requested once more.
    pub(crate) unreadable: Vec<UnreadableHistory>,
}

/// A window of a history that the service could not serve, however small. The watermark passes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadableHistory {
    pub(crate) window: Range<Instant>,
    /// Before it was first requested in vain.
    pub(crate) failing_since: Instant,
    /// Why it cannot be read.
    pub(crate) reason: String,
}
