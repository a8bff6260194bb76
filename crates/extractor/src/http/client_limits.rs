//! The limits that a service sets for its client.

use super::concurrency_limit::ConcurrencyLimit;
use super::rate_limiter::RateLimiter;
use super::retry::RetryPolicy;

/// Limits on the load that the client puts on the service.
#[derive(Debug)]
pub(crate) struct ClientLimits {
    pub(crate) retry_policy: RetryPolicy,
    pub(crate) concurrency: ConcurrencyLimit,
    /// For rate-limited kinds of requests.
    pub(crate) rate_limiter: Option<RateLimiter>,
    /// Bytes of bounded bodies in memory.
    pub(crate) budget: usize,
}
