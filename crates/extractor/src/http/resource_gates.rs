//! The gates of single resources, such as tables: after a response that asks for a wait, every request for the same
//! resource waits, and no other.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The times until which requests for a resource wait.
#[derive(Debug, Default)]
pub(crate) struct ResourceGates {
    closed_until: Mutex<HashMap<u64, Instant>>,
}

impl ResourceGates {
    /// Closes the gate of a resource for this long from now.
    pub(crate) fn close(&self, resource: u64, wait: Duration) {
        let now = Instant::now();
        let mut closed_until = self.lock();
        closed_until.retain(|_, until| *until > now);
        let until = closed_until.entry(resource).or_insert(now);
        *until = (now + wait).max(*until);
    }

    pub(crate) fn is_open(&self, resource: u64) -> bool {
        self.closed_until(resource).is_none()
    }

    /// Waits until the gate of a resource is open.
    pub(crate) async fn wait(&self, resource: u64) {
        // Another response may have closed it again in the meantime.
        while let Some(until) = self.closed_until(resource) {
            tokio::time::sleep_until(until).await;
        }
    }

    /// When the gate of a resource opens, if it is closed.
    pub(crate) fn closed_until(&self, resource: u64) -> Option<Instant> {
        self.lock().get(&resource).copied().filter(|until| *until > Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.closed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_concerns_the_resource_waits_for_the_longest_of_its_waits() {
        let gates = ResourceGates::default();
        let begun = Instant::now();
        gates.close(1, Duration::from_secs(10));
        gates.close(1, Duration::from_secs(12));
        gates.close(1, Duration::from_secs(5));
        gates.close(2, Duration::from_secs(1));
        assert!(!gates.is_open(1) && !gates.is_open(2) && gates.is_open(3));
        gates.wait(3).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        gates.wait(2).await;
        assert!(begun.elapsed() < Duration::from_secs(2) && gates.is_open(2) && !gates.is_open(1));
        gates.wait(1).await;
        assert!(begun.elapsed() >= Duration::from_secs(12) && gates.is_open(1));
        gates.close(3, Duration::from_secs(1));
        assert_eq!(gates.lock().len(), 1, "what is over is forgotten");
    }
}
