//! The throttle gate: after a 429, all requests of the identity wait until the pause is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time until which all requests wait.
#[derive(Debug, Default)]
pub(crate) struct ThrottleGate {
    pause: Mutex<Pause>,
}

#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    /// Total length of all pauses, overlaps counted once.
    total: Duration,
}

impl ThrottleGate {
    /// Closes the gate for this long from now, and returns by how much that extends the pause.
    pub(crate) fn close(&self, wait: Duration) -> Duration {
        let now = Instant::now();
        let mut pause = self.lock();
        let before = pause.until.unwrap_or(now).max(now);
        let after = (now + wait).max(before);
        pause.until = Some(after);
        pause.total += after - before;
        after - before
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed_until().is_none()
    }

    /// When the pause is over, if there is one.
    pub(crate) fn closed_until(&self) -> Option<Instant> {
        self.lock().until.filter(|until| *until > Instant::now())
    }

    /// Total length of all pauses begun so far.
    pub(crate) fn paused(&self) -> Duration {
        self.lock().total
    }

    /// Waits until the gate is open and returns the time that took, exactly zero if it was open. `Err`: it stays closed
    /// for longer than `limit`, with the time remaining.
    pub(crate) async fn wait(&self, limit: Duration) -> Result<Duration, Duration> {
        let mut closed: Option<Instant> = None;
        loop {
            // Another response may have closed it again in the meantime.
            let until = self.lock().until;
            let now = Instant::now();
            match until {
                Some(until) if until - now > limit => return Err(until - now),
                Some(until) if until > now => {
                    closed.get_or_insert(now);
                    tokio::time::sleep_until(until).await;
                }
                _ => return Ok(closed.map_or(Duration::ZERO, |closed| now - closed)),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pause> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_request_waits_and_overlapping_pauses_count_once() {
        let gate = ThrottleGate::default();
        const MOST: Duration = Duration::from_secs(60);
        assert_eq!(gate.wait(MOST).await, Ok(Duration::ZERO));
        assert_eq!(gate.close(Duration::from_secs(10)), Duration::from_secs(10));
        assert_eq!(gate.close(Duration::from_secs(12)), Duration::from_secs(2));
        assert_eq!(gate.close(Duration::from_secs(5)), Duration::ZERO);
        assert!(!gate.is_open());
        let (one, two) = tokio::join!(gate.wait(MOST), gate.wait(MOST));
        assert!(one.unwrap() >= Duration::from_secs(12) && two.unwrap() >= Duration::from_secs(12));
        assert!(gate.is_open() && gate.paused() == Duration::from_secs(12));
        assert_eq!(gate.wait(MOST).await, Ok(Duration::ZERO));
        gate.close(Duration::from_secs(61));
        assert_eq!(gate.wait(MOST).await, Err(Duration::from_secs(61)), "nobody waits for that");
    }
}
