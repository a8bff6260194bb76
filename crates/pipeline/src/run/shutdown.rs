//! The shutdown of a run: on a signal, at its deadline, or because it cannot go on.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::settings::Stop;

/// After a stop, commits under way may take this long; the end of the run and its report must fit into 20 s too.
const GRACE_PERIOD: Duration = Duration::from_secs(18);

/// Tells every part of a run to stop.
pub(crate) struct Shutdown {
    /// Whether a signal came, or the run stopped itself. The deadline is not in it.
    stopped: watch::Sender<bool>,
    deadline: Option<Instant>,
    forward: JoinHandle<()>,
}

impl Shutdown {
    /// A shutdown that is requested when `stop` turns true, or at the deadline.
    pub(crate) fn new(mut stop: Stop, deadline: Option<Instant>) -> Self {
        let (stopped, _) = watch::channel(*stop.borrow());
        let sender = stopped.clone();
        let forward = tokio::spawn(async move {
            if stop.wait_for(|stop| *stop).await.is_ok() {
                sender.send_replace(true);
            }
        });
        Self { stopped, deadline, forward }
    }

    /// Stops the run from inside.
    pub(crate) fn request(&self) {
        self.stopped.send_replace(true);
    }

    /// The stop signal, for work that can be given up at any point. It does not turn true at the deadline: work under
    /// way by then is finished.
    pub(crate) fn subscribe(&self) -> Stop {
        self.stopped.subscribe()
    }

    /// Whether nothing new may be started.
    pub(crate) fn is_requested(&self) -> bool {
        *self.stopped.borrow() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until nothing new may be started.
    pub(crate) async fn requested(&self) {
        let mut stopped = self.stopped.subscribe();
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives as long as `self`.
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = deadline => {}
        }
    }

    /// Waits until a stop was signalled and the commits under way have had their grace period.
    pub(crate) async fn grace_period_over(&self) {
        let mut stopped = self.stopped.subscribe();
        let _ = stopped.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(GRACE_PERIOD).await;
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.forward.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn signal() -> (watch::Sender<bool>, Stop) {
        watch::channel(false)
    }

    #[tokio::test]
    async fn a_signal_stops_everything() {
        let (sender, stop) = signal();
        let shutdown = Shutdown::new(stop, None);
        assert!(!shutdown.is_requested() && shutdown.requested().now_or_never().is_none());
        sender.send_replace(true);
        shutdown.requested().await;
        assert!(shutdown.is_requested() && *shutdown.subscribe().borrow());
    }

    #[tokio::test]
    async fn a_signal_that_came_before_counts() {
        let (sender, stop) = signal();
        sender.send_replace(true);
        assert!(Shutdown::new(stop, None).is_requested());
    }

    #[tokio::test]
    async fn a_run_can_stop_itself() {
        let (_sender, stop) = signal();
        let shutdown = Shutdown::new(stop, None);
        shutdown.request();
        assert!(shutdown.is_requested() && shutdown.requested().now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_deadline_lets_work_under_way_finish() {
        let (_sender, stop) = signal();
        let shutdown = Shutdown::new(stop, Some(Instant::now()));
        assert!(shutdown.is_requested());
        shutdown.requested().await;
        assert!(!*shutdown.subscribe().borrow(), "nothing is given up in the middle");
        assert!(shutdown.grace_period_over().now_or_never().is_none(), "no grace period runs");
    }

    #[tokio::test(start_paused = true)]
    async fn commits_under_way_have_a_grace_period() {
        let (_sender, stop) = signal();
        let shutdown = Shutdown::new(stop, None);
        shutdown.request();
        let waited = tokio::time::timeout(GRACE_PERIOD - Duration::from_millis(1), shutdown.grace_period_over()).await;
        assert!(waited.is_err());
        tokio::time::timeout(GRACE_PERIOD + Duration::from_millis(1), shutdown.grace_period_over()).await.unwrap();
    }
}
