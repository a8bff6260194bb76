//! The limits of a client.

use super::retry::RetryPolicy;

/// Limits on the load that a client puts on its service.
#[derive(Debug)]
pub(crate) struct ClientLimits {
    pub(crate) retry_policy: RetryPolicy,
    /// Requests of each identity that may be in flight at once.
    pub(crate) in_flight: usize,
    /// Requests of a rate-limited kind that each identity may send in a second.
    pub(crate) requests_per_second: Option<f64>,
    /// Bytes of bounded bodies in memory.
    pub(crate) budget: usize,
}
