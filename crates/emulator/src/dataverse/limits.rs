//! Service protection limits per application: requests and execution time in a sliding window, and concurrent requests.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::http::response::ServiceError;
use crate::identity::APPLICATIONS;
use crate::scenario::service_settings::ServiceLimits;

/// The code of the concurrency limit, which a client can respect without being told.
pub(crate) const TOO_MANY_AT_ONCE: &str = "0x80072326";

/// Enforces the limits of each application.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: Option<ServiceLimits>,
    recent: [Mutex<VecDeque<Instant>>; APPLICATIONS.len()],
}

impl Limiter {
    pub(crate) fn new(limits: Option<ServiceLimits>) -> Self {
        Self { limits, recent: Default::default() }
    }

    /// Refuses a request beyond a limit; `in_flight` counts the application's requests, including this one.
    pub(crate) fn check(&self, application: usize, in_flight: u64) -> Result<(), ServiceError> {
        let (Some(limits), Some(recent)) = (&self.limits, self.recent.get(application)) else { return Ok(()) };
        if in_flight > limits.concurrency as u64 {
            let message = format!("Number of concurrent requests exceeded the limit of {}.", limits.concurrency);
            return Err(ServiceError::new(429, TOO_MANY_AT_ONCE, &message).retry_after(Some(1)));
        }
        let window = Duration::from_secs(limits.window);
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        while recent.front().is_some_and(|first| at.duration_since(*first) >= window) {
            recent.pop_front();
        }
        let left = recent.front().map_or(window, |first| window.saturating_sub(at.duration_since(*first)));
        let refuse = |code: &str, message: String| {
            Err(ServiceError::new(429, code, &message).retry_after(Some(left.as_secs() + 1)))
        };
        if recent.len() >= limits.requests {
            let (most, window) = (limits.requests, limits.window);
            let message =
                format!("Number of requests exceeded the limit of {most} over time window of {window} seconds.");
            return refuse("0x80072322", message);
        }
        if recent.len() as u64 * limits.ms_per_request >= limits.execution * 1_000 && limits.ms_per_request > 0 {
            let (most, window) = (grouped(limits.execution * 1_000), limits.window);
            let message = format!(
                "Combined execution time of incoming requests exceeded limit of {most} milliseconds over time window of {window} \
                 seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later."
            );
            return refuse("0x80072321", message);
        }
        recent.push_back(at);
        Ok(())
    }
}

/// `1,200,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
