//! The outage watch: notes how requests end, probes the service where that does not tell, and waits while it is out.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::attempt_error::AttemptError;
use super::outage::{OutageVerdict, OutageWait, ServiceHealth};

/// What the requests of one identity show of the service as a whole.
#[derive(Debug, Default)]
pub(crate) struct OutageWatch {
    health: Mutex<ServiceHealth>,
    /// How long an outage is waited out, once that is said.
    max_outage: OnceLock<Duration>,
    /// When a probe was last not answered. One request probes for all that wait.
    probing: tokio::sync::Mutex<Option<Instant>>,
}

impl OutageWatch {
    /// From now on, outages are waited out for this long.
    pub(crate) fn wait_out(&self, longest: Duration) {
        let _ = self.max_outage.set(longest);
    }

    /// Whether outages are waited out at all.
    pub(crate) fn is_waited_out(&self) -> bool {
        !self.max_outage().is_zero()
    }

    fn max_outage(&self) -> Duration {
        self.max_outage.get().copied().unwrap_or_default()
    }

    /// Notes that a request was answered.
    pub(crate) fn answered(&self) {
        self.health().answered(Instant::now());
    }

    /// Notes that an attempt failed: a refusal is an answer too.
    pub(crate) fn failed(&self, error: &AttemptError) {
        match error {
            AttemptError::Transient(transient) if transient.throttled.is_none() => self.health().failed(Instant::now()),
            AttemptError::Transient(_) | AttemptError::AccessTokenRejected(_) => self.answered(),
            AttemptError::Permanent(error) if error.is_response() => self.answered(),
            AttemptError::Permanent(_) | AttemptError::Unsent(_) | AttemptError::OutOfMemory { .. } => {}
        }
    }

    /// What to do with a request that has used up its attempts, and whose last attempt but one failed at `since`. If it
    /// is the service that fails, waits until the next attempt: as long as the service asks for, else the usual time.
    /// When the service answers the probe, the request is attempted once more: an outage may just be over. The service
    /// is never given up without a probe. `longest`: how long this failure is waited out, of the time that outages are.
    pub(crate) async fn judge(
        &self,
        since: Instant,
        wait: OutageWait,
        longest: impl FnOnce(Duration) -> Duration,
        probe: impl AsyncFnOnce() -> bool,
    ) -> OutageVerdict {
        let max_outage = Some(self.max_outage()).filter(|max_outage| !max_outage.is_zero()).map(longest);
        let judge = |probed| self.health().judge(since, (Instant::now(), wait), max_outage, probed);
        let is_requested = matches!(wait, OutageWait::Requested(_));
        let mut verdict = judge(is_requested);
        // What is asked for is longer than an outage may last: others may be answered, and this request is too late.
        let waits_too_long = verdict == OutageVerdict::GiveUpService;
        if let (true, OutageVerdict::Retry(wait)) = (is_requested, verdict) {
            // Nothing is sent before the time that the service asked for.
            tokio::time::sleep(wait).await;
            verdict = OutageVerdict::Probe;
        }
        if verdict == OutageVerdict::Probe || waits_too_long {
            if self.is_answering(probe).await {
                return if waits_too_long {
                    OutageVerdict::GiveUpRequest
                } else {
                    OutageVerdict::Retry(Duration::ZERO)
                };
            }
            verdict = judge(true);
        }
        if let OutageVerdict::Retry(wait) = verdict {
            warn!(seconds = wait.as_secs(), "the service answers nothing: waiting for it");
            tokio::time::sleep(wait).await;
        }
        verdict
    }

    /// Whether the service answers anything.
    async fn is_answering(&self, probe: impl AsyncFnOnce() -> bool) -> bool {
        let asked = Instant::now();
        let mut last_failure = self.probing.lock().await;
        if self.health().is_answered_since(asked) {
            return true;
        }
        if last_failure.is_some_and(|failed| failed >= asked) {
            return false;
        }
        let is_answered = probe().await;
        match is_answered {
            true => self.answered(),
            false => *last_failure = Some(Instant::now()),
        }
        is_answered
    }

    fn health(&self) -> MutexGuard<'_, ServiceHealth> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
