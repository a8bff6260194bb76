//! Throttling of histories per application: a burst limit in a short window, and a sustained one in a longer window.
//!
//! <https://learn.microsoft.com/graph/throttling-limits>

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::response::ServiceError;
use crate::identity::APPLICATIONS;
use crate::scenario::graph::HistoryLimits;

/// Limits requests for histories.
#[derive(Debug)]
pub(crate) struct Throttle {
    limits: Option<HistoryLimits>,
    recent: [Mutex<VecDeque<Instant>>; APPLICATIONS.len()],
}

const BURST: Duration = Duration::from_secs(1);

impl Throttle {
    pub(crate) fn new(limits: Option<HistoryLimits>) -> Self {
        Self { limits, recent: Default::default() }
    }

    /// Refuses a request beyond a limit. Refused requests count too.
    pub(crate) fn check(&self, application: usize) -> Result<(), ServiceError> {
        let (Some(limits), Some(recent)) = (&self.limits, self.recent.get(application)) else { return Ok(()) };
        let window = Duration::from_secs(limits.window).max(BURST);
        let burst = limits.requests_per_second as usize;
        let sustained = (f64::from(limits.requests_per_second) * limits.sustained * window.as_secs_f64()) as usize;
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        recent.push_back(now);
        while recent.front().is_some_and(|first| now.duration_since(*first) >= window) {
            recent.pop_front();
        }
        let ago = |at: usize| recent.get(at).map(|then| now.duration_since(*then));
        let left = |most: usize, window: Duration| {
            let too_many = recent.len().checked_sub(most + 1)?;
            // There is room for one more when the request after it leaves the window.
            ago(too_many).filter(|ago| *ago < window)?;
            Some(window.saturating_sub(ago(recent.len() - most.max(1))?))
        };
        let Some(wait) = left(burst, BURST).max(left(sustained, window)) else { return Ok(()) };
        let seconds = wait.as_millis().div_ceil(1_000).max(1) as u64;
        Err(too_many().retry_after(limits.retry_after.then_some(seconds)))
    }
}

pub(crate) fn too_many() -> ServiceError {
    ServiceError::new(429, "TooManyRequests", "Please retry again later.")
}
