//! One identity at a service: its token, its pace, and what holds its requests back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt_error::Transient;
use super::cancellation::Cancellation;
use super::client_limits::ClientLimits;
use super::concurrency_limit::{ConcurrencyLimit, Permit};
use super::meter::Counters;
use super::rate_limiter::RateLimiter;
use super::request::Request;
use super::resource_gates::ResourceGates;
use super::throttle_gate::ThrottleGate;
use super::throttle_scope::{LoneThrottling, ThrottleScope, UnclearThrottling};
use crate::auth::sign_in::SignIn;
use crate::auth::token::AccessToken;
use crate::auth::token_cache::TokenCache;
use crate::error::Error;

/// An identity that sends requests.
#[derive(Debug)]
pub(crate) struct ServiceIdentity {
    /// The section of the configuration that describes it.
    pub(crate) name: String,
    pub(crate) tokens: Arc<TokenCache>,
    pub(crate) concurrency: ConcurrencyLimit,
    /// For rate-limited kinds of requests.
    pub(crate) rate_limiter: Option<RateLimiter>,
    pub(super) gate: ThrottleGate,
    /// What throttles this identity alone, such as a mailbox.
    pub(super) throttled_resources: ResourceGates,
    pub(super) unclear_throttling: UnclearThrottling,
    pub(super) lone_throttling: LoneThrottling,
    pub(super) counters: Counters,
}

/// What all identities of a client wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct SharedWaits<'a> {
    pub(super) resource_gates: &'a ResourceGates,
    pub(super) cancellation: &'a Cancellation,
    /// The longest time to wait at a gate.
    pub(super) limit: Duration,
}

/// A request that may be sent now.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    pub(super) permit: Permit<'a>,
    pub(super) token: Arc<AccessToken>,
    /// For how long throttling held it back.
    pub(super) throttled: Duration,
}

impl ServiceIdentity {
    pub(super) fn new(name: String, sign_in: SignIn, limits: &ClientLimits) -> Self {
        Self {
            name,
            tokens: Arc::new(TokenCache::new(sign_in, limits.retry_policy)),
            concurrency: ConcurrencyLimit::new(limits.in_flight),
            rate_limiter: limits.requests_per_second.and_then(RateLimiter::new),
            gate: ThrottleGate::default(),
            throttled_resources: ResourceGates::default(),
            unclear_throttling: UnclearThrottling::default(),
            lone_throttling: LoneThrottling::default(),
            counters: Counters::default(),
        }
    }

    /// Waits while the service is throttling the identity; gives up if that exceeds the limit, or if the client is
    /// stopped.
    async fn wait_for_gate(&self, request: &Request, waits: SharedWaits<'_>) -> Result<Duration, Error> {
        tokio::select! {
            biased;
            waited = self.gate.wait(waits.limit) => {
                waited.map_err(|remaining| Error::paused(remaining, request.call_after(0)))
            }
            _ = waits.cancellation.cancelled() => Err(Error::Stopped),
        }
    }

    async fn wait_for_resource(&self, request: &Request, waits: SharedWaits<'_>) -> Result<(), Error> {
        let open = async {
            self.throttled_resources.wait(request.resource).await;
            waits.resource_gates.wait(request.resource).await;
        };
        tokio::select! {
            biased;
            () = open => Ok(()),
            _ = waits.cancellation.cancelled() => Err(Error::Stopped),
        }
    }

    /// A token that is still fresh. When `in_race`, the caller may be dropped meanwhile, and the sign-in goes on.
    async fn token(&self, in_race: bool) -> Result<Arc<AccessToken>, Error> {
        match self.tokens.fresh() {
            Some(token) => Ok(token),
            None if in_race => {
                let tokens = Arc::clone(&self.tokens);
                match tokio::spawn(async move { tokens.get().await }).await {
                    Ok(token) => token,
                    Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
                    // The runtime is shutting down.
                    Err(_) => Err(Error::Stopped),
                }
            }
            None => self.tokens.get().await,
        }
    }

    /// Admits a request: the gate of its resource, concurrency permit, throttle gate, token, and for rate-limited kinds the
    /// rate limiter. The latter comes last, so that the rate is that of the requests actually sent. Nothing is used up
    /// when this is dropped before it is ready.
    pub(super) async fn admit(
        &self,
        request: &Request,
        waits: SharedWaits<'_>,
        in_race: bool,
    ) -> Result<Admission<'_>, Error> {
        let mut throttled = Duration::ZERO;
        let permit = loop {
            // Without a permit, which requests for other resources can use.
            self.wait_for_resource(request, waits).await?;
            let permit = self.concurrency.acquire().await;
            throttled += self.wait_for_gate(request, waits).await?;
            let gates = [waits.resource_gates, &self.throttled_resources];
            if gates.iter().all(|gates| gates.is_open(request.resource)) {
                break permit;
            }
        };
        let Some(rate_limiter) = self.rate_limiter.as_ref().filter(|_| request.kind.is_rate_limited()) else {
            return Ok(Admission { permit, token: self.token(in_race).await?, throttled });
        };
        let paused = self.gate.paused();
        let mut slot = rate_limiter.next_slot().await;
        let token = loop {
            if !self.wait_for_gate(request, waits).await?.is_zero() {
                slot.forgo_backlog();
            }
            let token = self.token(in_race).await?;
            slot.wait().await;
            // Another response may have closed the gate in the meantime.
            if self.gate.is_open() {
                break token;
            }
        };
        slot.consume();
        throttled += self.gate.paused() - paused;
        Ok(Admission { permit, token, throttled })
    }

    /// Reduces concurrency or rate if the service says that a request begun at `begun` was too much.
    pub(super) fn slow_down(&self, request: &Request, transient: &Transient, begun: Instant) {
        if transient.too_many_in_flight {
            self.concurrency.refused(begun);
        }
        let is_throttled = transient.throttled == Some(ThrottleScope::Identity);
        if let Some(rate_limiter) =
            self.rate_limiter.as_ref().filter(|_| is_throttled && request.kind.is_rate_limited())
        {
            rate_limiter.throttled(begun, transient.retry_after.unwrap_or_default());
        }
    }

    /// When the gates let the next request for this resource pass.
    pub(super) fn opens_at(&self, resource: u64) -> Option<Instant> {
        self.gate.closed_until().max(self.throttled_resources.closed_until(resource))
    }
}
