//! The shutdown of a run: on a signal, at its deadline, or because it cannot go on.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::settings::Stop;

/// How long what is read may still be committed after a stop, be it a signal or the deadline. A commit that takes longer
/// is given up: the table stays as it was, and the next run reads its rows again.
const GRACE_PERIOD: Duration = Duration::from_secs(17);

/// How long the end of the run may take after the grace period: a run is over 20 s after its deadline.
const END: Duration = Duration::from_secs(2);

/// Tells every part of a run to stop.
pub(crate) struct Shutdown {
    signal: StopSignal,
    deadline: Option<Instant>,
    forward: JoinHandle<()>,
}

/// A signal that came, or that the run gave itself. The deadline is not in it.
#[derive(Debug, Clone)]
struct StopSignal {
    stopped: watch::Sender<bool>,
    /// When it came.
    at: Arc<OnceLock<Instant>>,
}

impl StopSignal {
    fn send(&self) {
        self.at.get_or_init(Instant::now);
        self.stopped.send_replace(true);
    }
}

impl Shutdown {
    /// A shutdown that is requested when `stop` turns true, or at the deadline.
    pub(crate) fn new(mut stop: Stop, deadline: Option<std::time::Instant>) -> Self {
        let signal = StopSignal { stopped: watch::Sender::new(false), at: Arc::default() };
        if *stop.borrow() {
            signal.send();
        }
        let forwarded = signal.clone();
        let forward = tokio::spawn(async move {
            if stop.wait_for(|stop| *stop).await.is_ok() {
                forwarded.send();
            }
        });
        Self { signal, deadline: deadline.map(Instant::from_std), forward }
    }

    /// Stops the run from inside.
    pub(crate) fn request(&self) {
        self.signal.send();
    }

    /// The stop signal, for work that can be given up at any point. It does not turn true at the deadline: what is under
    /// way by then may go on for a while.
    pub(crate) fn subscribe(&self) -> Stop {
        self.signal.stopped.subscribe()
    }

    /// Whether nothing new may be started.
    pub(crate) fn is_requested(&self) -> bool {
        *self.signal.stopped.borrow() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until nothing new may be started.
    pub(crate) async fn requested(&self) {
        let mut stopped = self.signal.stopped.subscribe();
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives as long as `self`.
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = deadline => {}
        }
    }

    /// Waits until the commits that were under way, or were all that was left to do, have had their grace period.
    pub(crate) async fn grace_period_over(&self) {
        tokio::time::sleep_until(self.requested_at().await + GRACE_PERIOD).await;
    }

    /// Waits until the run has to be over.
    pub(crate) async fn end_overdue(&self) {
        tokio::time::sleep_until(self.requested_at().await + GRACE_PERIOD + END).await;
    }

    /// Waits for the stop. Returns when it came: the first one counts.
    async fn requested_at(&self) -> Instant {
        self.requested().await;
        let signalled = self.signal.at.get().copied();
        signalled.into_iter().chain(self.deadline).min().unwrap_or_else(Instant::now)
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
    async fn the_deadline_gives_up_nothing_at_once() {
        let (_sender, stop) = signal();
        let shutdown = Shutdown::new(stop, Some(std::time::Instant::now()));
        assert!(shutdown.is_requested());
        shutdown.requested().await;
        assert!(!*shutdown.subscribe().borrow());
    }

    #[tokio::test(start_paused = true)]
    async fn commits_and_the_end_of_the_run_fit_into_20_seconds() {
        assert!(GRACE_PERIOD + END < Duration::from_secs(20));
        let seconds = Duration::from_secs;
        // When the signal comes and the deadline is, and which of them counts.
        let cases = [
            ("a signal", Some(0), None, 0),
            ("a deadline", None, Some(5), 5),
            ("a signal before the deadline", Some(1), Some(5), 1),
            ("a signal after the deadline does not prolong it", Some(9), Some(5), 5),
        ];
        for (name, signalled, deadline, counts) in cases {
            let begun = Instant::now();
            let (_sender, stop) = signal();
            let shutdown = Shutdown::new(stop, deadline.map(|at| (begun + seconds(at)).into_std()));
            let signalled = async {
                if let Some(at) = signalled {
                    tokio::time::sleep(seconds(at)).await;
                    shutdown.request();
                }
            };
            let over = async {
                shutdown.grace_period_over().await;
                let over = begun.elapsed();
                shutdown.end_overdue().await;
                (over, begun.elapsed())
            };
            let ((over, end), ()) = tokio::join!(over, signalled);
            // The clock of tokio ticks once a millisecond.
            let is_near =
                |elapsed: Duration, expected: Duration| elapsed.abs_diff(expected) <= Duration::from_millis(2);
            assert!(is_near(over, seconds(counts) + GRACE_PERIOD), "{name}: {over:?}");
            assert!(is_near(end, seconds(counts) + GRACE_PERIOD + END), "{name}: {end:?}");
        }
    }
}
