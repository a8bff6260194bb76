//! An attempt of a call that failed.

use tokio::time::Instant;

use super::identities::Refusals;
use super::request::Request;
use super::retry::Attempts;

/// The attempt that failed last, among those of its call.
pub(super) struct FailedAttempt<'a> {
    pub(super) request: &'a Request,
    /// The identities by which the request was refused.
    pub(super) refusals: &'a Refusals,
    /// The identity that made the attempt.
    pub(super) identity: usize,
    pub(super) attempts: &'a Attempts,
    /// Attempts that do not count, since others took what was permitted.
    pub(super) outpaced: u32,
    /// When the attempt before it failed.
    pub(super) since: Instant,
}
