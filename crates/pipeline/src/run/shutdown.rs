//! When a run stops: on a signal, at its deadline, or because it cannot go on.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::settings::Stop;

/// After a stop, what is being committed may take this long; the run's end and report must fit into 20 s too.
const GRACE: Duration = Duration::from_secs(18);

/// Tells every part of a run to stop.
pub(crate) struct Shutdown {
    /// What is under way is given up at the next good moment.
    requested: watch::Sender<bool>,
    deadline: Option<Instant>,
    forward: JoinHandle<()>,
}

impl Shutdown {
    pub(crate) fn new(mut stop: Stop, deadline: Option<Instant>) -> Self {
        let (requested, _) = watch::channel(*stop.borrow());
        let sender = requested.clone();
        let forward = tokio::spawn(async move {
            if stop.wait_for(|stop| *stop).await.is_ok() {
                sender.send_replace(true);
            }
        });
        Self { requested, deadline, forward }
    }

    /// Stops the run from inside.
    pub(crate) fn request(&self) {
        self.requested.send_replace(true);
    }

    /// For those who can stop in the middle. The deadline is not told: what is under way then is finished.
    pub(crate) fn subscribe(&self) -> Stop {
        self.requested.subscribe()
    }

    /// Nothing new is to be started.
    pub(crate) fn is_requested(&self) -> bool {
        *self.requested.borrow() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until nothing new is to be started.
    pub(crate) async fn requested(&self) {
        let mut requested = self.requested.subscribe();
        let deadline = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives as long as this.
            _ = requested.wait_for(|requested| *requested) => {}
            () = deadline => {}
        }
    }

    /// Waits until, after a stop, what is being committed has had its time.
    pub(crate) async fn grace_period_over(&self) {
        let mut requested = self.requested.subscribe();
        let _ = requested.wait_for(|requested| *requested).await;
        tokio::time::sleep(GRACE).await;
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.forward.abort();
    }
}
