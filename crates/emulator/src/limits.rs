//! Service protection limits: requests in a sliding window, and requests at the same time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::reply::Refusal;
use crate::scenario::Limits;

/// Counts the requests of the one identity that there is.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Option<Limits>,
    recent: Mutex<VecDeque<Instant>>,
}

impl Limiter {
    pub(crate) fn new(limits: Option<Limits>) -> Self {
        Self { limits, recent: Mutex::new(VecDeque::new()) }
    }

    /// Refuses a request that goes beyond a limit; `now` is how many are being answered, this one included.
    pub(crate) fn check(&self, now: u64) -> Result<(), Refusal> {
        let Some(limits) = &self.limits else { return Ok(()) };
        if now > limits.concurrency as u64 {
            let message = format!("Number of concurrent requests exceeded the limit of {}.", limits.concurrency);
            return Err(Refusal::new(429, "0x80072326", &message).retry_after(Some(1)));
        }
        let window = Duration::from_secs(limits.window);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        while recent.front().is_some_and(|first| at.duration_since(*first) >= window) {
            recent.pop_front();
        }
        if recent.len() >= limits.requests {
            let left = recent.front().map_or(window, |first| window.saturating_sub(at.duration_since(*first)));
            let message = format!(
                "Number of requests exceeded the limit of {} over time window of {} seconds.",
                limits.requests, limits.window
            );
            return Err(Refusal::new(429, "0x80072322", &message).retry_after(Some(left.as_secs() + 1)));
        }
        recent.push_back(at);
        Ok(())
    }
}
