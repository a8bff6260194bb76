//! The meter: requests sent, and time lost to throttling.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one identity has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Meter {
    /// Requests sent, every attempt counted, sign-ins excluded.
    pub requests: u64,
    /// Seconds during which throttling (429) held all requests back. What holds back one user alone is not in it.
    pub throttled_seconds: f64,
}

/// The counters behind [`Meter`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    throttled_micros: AtomicU64,
}

impl Counters {
    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn add_throttled(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.throttled_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Meter {
        Meter {
            requests: self.requests.load(Ordering::Relaxed),
            throttled_seconds: self.throttled_micros.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}
