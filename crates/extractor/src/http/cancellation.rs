//! Cancellation: ends the calls of a client once the run is to be over.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How long requests in flight may still take after the cancellation: most are answered by then, and a run has to be
/// over, with its commits, 20 s after its deadline.
pub(crate) const GRACE_PERIOD: Duration = Duration::from_secs(8);

/// Whether the calls of a client are to end, and when.
#[derive(Debug)]
pub(crate) struct Cancellation {
    /// When everything ends; `None` until it is cancelled.
    end: watch::Sender<Option<Instant>>,
}

impl Default for Cancellation {
    fn default() -> Self {
        Self { end: watch::Sender::new(None) }
    }
}

impl Cancellation {
    /// From now on nothing is attempted again, and after the grace period nothing is in flight. Only the first call has
    /// an effect.
    pub(crate) fn cancel(&self) {
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert_with(|| Instant::now() + GRACE_PERIOD);
            is_first
        });
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// Waits until it is cancelled: back-off and pauses end here. Returns the end of the grace period.
    pub(crate) async fn cancelled(&self) -> Instant {
        let mut end = self.end.subscribe();
        // The sender lives as long as `self`.
        let end = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        end.unwrap_or_else(Instant::now)
    }

    /// Waits until the grace period is over: whatever is in flight ends here.
    pub(crate) async fn grace_period_over(&self) {
        sleep_until(self.cancelled().await).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn waits_end_at_once_and_requests_after_the_grace_period() {
        let cancellation = Cancellation::default();
        assert!(!cancellation.is_cancelled());
        assert!(
            cancellation.cancelled().now_or_never().is_none()
                && cancellation.grace_period_over().now_or_never().is_none()
        );
        cancellation.cancel();
        assert!(cancellation.is_cancelled() && cancellation.cancelled().now_or_never().is_some());
        assert!(cancellation.grace_period_over().now_or_never().is_none());
        tokio::time::advance(GRACE_PERIOD / 2).await;
        cancellation.cancel();
        tokio::time::advance(GRACE_PERIOD / 2).await;
        assert!(cancellation.grace_period_over().now_or_never().is_some(), "the second call does not prolong it");
    }
}
