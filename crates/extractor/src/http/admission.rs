//! The admission of requests: when one may be sent, and how those to come are slowed down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::attempt_error::Transient;
use super::call_cost::CallCost;
use super::client::Client;
use super::concurrency_limit::Permit;
use super::request::Request;
use super::throttle_scope::ThrottleScope;
use crate::auth::token::AccessToken;
use crate::error::Error;

impl Client {
    /// Waits while the service is throttling; gives up if that exceeds the retry policy, or if the client is stopped.
    pub(super) async fn wait_for_gate(&self, request: &Request) -> Result<Duration, Error> {
        tokio::select! {
            biased;
            waited = self.gate.wait(self.limits.retry_policy.max_elapsed) => {
                waited.map_err(|remaining| Error::paused(remaining, request.call_after(0)))
            }
            _ = self.cancellation.cancelled() => Err(Error::Stopped),
        }
    }

    async fn wait_for_resource(&self, request: &Request) -> Result<(), Error> {
        tokio::select! {
            biased;
            () = self.resource_gates.wait(request.resource) => Ok(()),
            _ = self.cancellation.cancelled() => Err(Error::Stopped),
        }
    }

    /// Admits a request: the gate of its resource, concurrency permit, throttle gate, token, and for rate-limited kinds the
    /// rate limiter. The latter comes last, so that the rate is that of the requests actually sent.
    pub(super) async fn admit(
        &self,
        request: &Request,
        cost: &mut CallCost,
    ) -> Result<(Permit<'_>, Arc<AccessToken>), Error> {
        let permit = loop {
            // Without a permit, which requests for other resources can use.
            self.wait_for_resource(request).await?;
            let permit = self.limits.concurrency.acquire().await;
            cost.throttled += self.wait_for_gate(request).await?;
            if self.resource_gates.is_open(request.resource) {
                break permit;
            }
        };
        let Some(rate_limiter) = self.limits.rate_limiter.as_ref().filter(|_| request.kind.is_rate_limited()) else {
            return Ok((permit, self.tokens.get().await?));
        };
        let paused = self.gate.paused();
        let mut slot = rate_limiter.next_slot().await;
        let token = loop {
            if !self.wait_for_gate(request).await?.is_zero() {
                slot.forgo_backlog();
            }
            let token = self.tokens.get().await?;
            slot.wait().await;
            // Another response may have closed the gate in the meantime.
            if self.gate.is_open() {
                break token;
            }
        };
        slot.consume();
        cost.throttled += self.gate.paused() - paused;
        Ok((permit, token))
    }

    /// Reduces concurrency or rate if the service says that a request begun at `begun` was too much.
    pub(super) fn slow_down(&self, request: &Request, transient: &Transient, begun: Instant) {
        if transient.too_many_in_flight {
            self.limits.concurrency.refused(begun);
        }
        let is_throttled = transient.throttled == Some(ThrottleScope::Identity);
        if let Some(rate_limiter) =
            self.limits.rate_limiter.as_ref().filter(|_| is_throttled && request.kind.is_rate_limited())
        {
            rate_limiter.throttled(begun, transient.retry_after.unwrap_or_default());
        }
    }
}
