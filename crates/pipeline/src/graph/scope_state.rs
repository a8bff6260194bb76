//! What is known of a user in scope: from the directory, the lake and the ledger.

use std::sync::Arc;

use copilot_lake_tables::Instant;

use super::selection::HistorySelection;
use crate::report::SliceStatus;

/// Somebody in scope.
#[derive(Debug)]
pub(crate) struct ScopeMember {
    pub(crate) is_licensed: bool,
    pub(crate) deleted_at: Option<Instant>,
    /// When the lake had the user first in scope; none: it does not know the user.
    pub(crate) first_seen: Option<Instant>,
    /// What the ledger says, once it is read.
    pub(crate) state: Option<ScopeState>,
}

/// The newest row of a user.
#[derive(Debug, Clone)]
pub(crate) struct ScopeState {
    /// Everything before it was read; none when nothing was.
    pub(crate) until: Option<Instant>,
    /// What was asked for until then.
    pub(crate) asked: Option<Arc<HistorySelection>>,
    /// The last window, whether or not it was read.
    pub(crate) window_start: Instant,
    pub(crate) window_end: Instant,
    /// How reading that window ended.
    pub(crate) status: SliceStatus,
    /// Whether a run wrote it that the present one continues.
    pub(crate) is_resumed: bool,
    /// Whether the run wrote it that found out what the lake has lost, or a later one.
    pub(crate) is_after_loss: bool,
    pub(crate) pages: u64,
    pub(crate) finished_at: i64,
}
