//! The cost of a call, with all of its attempts.

use std::time::Duration;

/// What a call cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallCost {
    /// The identity that sent the last of them, by its index.
    pub(crate) identity: usize,
    pub(crate) requests: u32,
    pub(crate) throttled: Duration,
    /// What the attempt took that succeeded, with its body.
    pub(crate) last_attempt: Duration,
}
