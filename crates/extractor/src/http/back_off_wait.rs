//! What happens between two attempts: the wait, and when to give up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::{debug, warn};

use super::attempt_error::Transient;
use super::client::Client;
use super::failed_attempt::FailedAttempt;
use super::origin::redacted;
use super::outage::{OutageVerdict, OutageWait};
use super::throttle_scope::ThrottleScope;
use crate::error::Error;

/// Waits before the next attempt that are shorter than this are logged at debug level only.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// Upper bound of a pause requested by the service.
const MAX_PAUSE: Duration = Duration::from_hours(24);

/// The least time between two attempts.
const MIN_WAIT: Duration = Duration::from_millis(1);

impl Client {
    /// Waits until the next attempt, or gives up. Returns the time for which throttling of this resource alone held the
    /// request back.
    pub(super) async fn back_off(&self, failed: &FailedAttempt<'_>, transient: Transient) -> Result<Duration, Error> {
        let FailedAttempt { request, identity, attempts, outpaced, since, .. } = *failed;
        if self.cancellation.is_cancelled() {
            return Err(Error::Stopped);
        }
        if transient.forbids_attempts() {
            let call = request.call(attempts, transient.status, transient.request_id.clone());
            return Err(transient.into_error(&self.proxy, call));
        }
        let reached = self.reached.load(Ordering::Relaxed);
        let retry_policy = &self.limits.retry_policy;
        let gives_up_early = transient.is_lasting(reached)
            || (transient.maybe_wrong_address && !reached && !self.outages.are_waited_out());
        let max_attempts = match request.has_failed_before && transient.throttled.is_none() && !gives_up_early {
            true => retry_policy.max_attempts_failed_before,
            false => transient.max_attempts(retry_policy, request.kind.is_of_files(), gives_up_early),
        };
        let max_attempts = max_attempts.saturating_add(outpaced);
        let own_wait = attempts.wait_before_next(retry_policy, max_attempts, transient.retry_after);
        // A wait that concerns the whole identity does so even if this request gives up.
        let requested = transient.retry_after.filter(|wait| !wait.is_zero()).or(own_wait);
        let pause = requested.unwrap_or_else(|| retry_policy.backoff.wait(attempts.count)).min(MAX_PAUSE);
        let is_long = pause > retry_policy.max_elapsed;
        // For an outage that long nobody waits: whether it is one is found out from what others are answered.
        let unavailable = transient.unavailable.filter(|_| !is_long);
        let waits_at_gate = transient.throttled.or(unavailable) == Some(ThrottleScope::Identity);
        if unavailable == Some(ThrottleScope::Resource) {
            self.resource_gates.close(request.resource, pause);
        }
        let (wait, prolonged) = self.close_gates(failed, &transient, (waits_at_gate, pause));
        // Throttling is of one identity: another may send the request before this one may again.
        let wait = match wait {
            None => own_wait,
            Some(wait) => {
                let max_attempts = max_attempts.saturating_mul(self.identities.count() as u32);
                attempts.wait_before_next(retry_policy, max_attempts, Some(wait))
            }
        };
        if waits_at_gate && is_long {
            warn!(seconds = pause.as_secs(), "the service asks for a long pause");
            if wait.is_none() {
                let call = request.call(attempts, transient.status, transient.request_id);
                return Err(Error::paused(pause, call));
            }
        } else {
            self.identities.get(identity).counters.add_throttled(prolonged);
        }
        let Some(wait) = wait else {
            // A throttled request is answered, and so is one that is refused without a reason.
            let is_answered = transient.throttled.is_some() || transient.refusal.is_some();
            let verdict = if is_answered {
                OutageVerdict::GiveUpRequest
            } else {
                let wait = OutageWait::new(transient.retry_after, retry_policy.backoff.wait(attempts.count));
                let longest = |max_outage| transient.max_outage(max_outage, reached);
                tokio::select! {
                    verdict = self.outages.watch(request.kind).judge(since, wait, longest, || self.probe(request)) => verdict,
                    _ = self.cancellation.cancelled() => return Err(Error::Stopped),
                }
            };
            if let OutageVerdict::Retry(_) = verdict {
                debug!(url = %redacted(&request.url), attempts = attempts.count, "waited for the service");
                return Ok(Duration::ZERO);
            }
            let mut call = request.call(attempts, transient.status, transient.request_id.clone());
            call.is_outage = verdict == OutageVerdict::GiveUpService;
            return Err(transient.into_error(&self.proxy, call));
        };
        let (url, cause, status) = (redacted(&request.url), transient.cause, transient.status);
        let (page, request_id, attempts) = (request.page, transient.request_id, attempts.count);
        if transient.throttled.is_some() || wait < LONG_WAIT {
            debug!(%url, page, cause, status, request_id, attempts, ?wait, "retrying");
        } else {
            warn!(%url, page, cause, status, request_id, attempts, ?wait, "retrying after a long wait");
        }
        if waits_at_gate {
            return Ok(Duration::ZERO);
        }
        let _waiting = transient.throttled.map(|_| self.held_back.enter());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = self.cancellation.cancelled() => return Err(Error::Stopped),
        }
        Ok(if transient.throttled.is_some() { wait } else { Duration::ZERO })
    }

    /// Closes the gates of what is throttled. Returns how long the request waits where another identity may send it, and
    /// by how much the pause was prolonged.
    fn close_gates(
        &self,
        failed: &FailedAttempt<'_>,
        transient: &Transient,
        (waits_at_gate, pause): (bool, Duration),
    ) -> (Option<Duration>, Duration) {
        let FailedAttempt { request, refusals, identity: index, .. } = *failed;
        let identity = self.identities.get(index);
        let prolonged = match (waits_at_gate, transient.throttled) {
            (true, Some(_)) => identity.gate.close(pause),
            (true, None) => self.identities.close_all(pause),
            (false, _) => Duration::ZERO,
        };
        if self.identities.count() == 1 || transient.throttled.is_none() {
            return (None, prolonged);
        }
        if !waits_at_gate {
            identity.throttled_resources.close(request.resource, pause);
        }
        let mut others = self.identities.candidates(request, refusals);
        others.retain(|other| *other != index);
        let opens_in = self.identities.opens_in(&others, request.resource);
        (opens_in.map(|opens_in| opens_in.min(pause).max(MIN_WAIT)), prolonged)
    }
}
