//! The gate: after a 429, every request of the identity waits until the service's time is over.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Until when all requests wait.
#[derive(Debug, Default)]
pub(crate) struct ThrottleGate {
    pause: Mutex<Pause>,
}

#[derive(Debug, Default)]
struct Pause {
    until: Option<Instant>,
    /// All pauses so far, those that overlap counted once.
    total: Duration,
}

impl ThrottleGate {
    /// Closes the gate for that long from now, and returns by how much this prolongs the pause.
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
        self.lock().until.is_none_or(|until| until <= Instant::now())
    }

    /// How long all pauses together last that were begun so far.
    pub(crate) fn paused(&self) -> Duration {
        self.lock().total
    }

    /// Waits until the gate is open, and returns how long that took; exactly nothing when it was open. `Err`: it stays
    /// closed for longer than `limit`, so long.
    pub(crate) async fn wait(&self, limit: Duration) -> Result<Duration, Duration> {
        let mut closed: Option<Instant> = None;
        loop {
            // Another answer may have closed it again while we slept.
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
