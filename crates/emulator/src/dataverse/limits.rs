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
    recent: [Mutex<Recent>; APPLICATIONS.len()],
}

/// The requests of an application within the window, by the server that answered them.
#[derive(Debug, Default)]
struct Recent {
    /// How many came, which servers take in turn.
    count: usize,
    servers: Vec<VecDeque<Admitted>>,
}

/// A request that was admitted.
#[derive(Debug)]
struct Admitted {
    at: Instant,
    /// How often the nominal time of a request it took: once for each part of a batch.
    executions: u64,
}

impl Limiter {
    pub(crate) fn new(limits: Option<ServiceLimits>) -> Self {
        Self { limits, recent: Default::default() }
    }

    /// Refuses a request beyond a limit; `in_flight` counts the application's requests, including this one, and
    /// `executions` the parts of a batch.
    pub(crate) fn check(&self, application: usize, in_flight: u64, executions: u64) -> Result<(), ServiceError> {
        let (Some(limits), Some(recent)) = (&self.limits, self.recent.get(application)) else { return Ok(()) };
        let (servers, compression) = (limits.servers.max(1), limits.compression.max(1));
        if in_flight > (limits.concurrency * servers) as u64 {
            let message = format!("Number of concurrent requests exceeded the limit of {}.", limits.concurrency);
            return Err(
                ServiceError::new(429, TOO_MANY_AT_ONCE, &message).retry_in(Duration::from_secs(1) / compression)
            );
        }
        let window = Duration::from_secs(limits.window) / compression;
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.servers.resize_with(servers, VecDeque::new);
        let server = recent.count % servers;
        recent.count += 1;
        let recent = &mut recent.servers[server];
        let at = Instant::now();
        while recent.front().is_some_and(|first| at.duration_since(first.at) >= window) {
            recent.pop_front();
        }
        let left = recent.front().map_or(window, |first| window.saturating_sub(at.duration_since(first.at)));
        // The service says it in whole seconds.
        let wait = Duration::from_secs((left * compression).as_secs() + 1) / compression;
        let refuse = |code: &str, message: String| Err(ServiceError::new(429, code, &message).retry_in(wait));
        if recent.len() >= limits.requests {
            let (most, window) = (limits.requests, limits.window);
            let message =
                format!("Number of requests exceeded the limit of {most} over time window of {window} seconds.");
            return refuse("0x80072322", message);
        }
        let executed: u64 = recent.iter().map(|request| request.executions).sum();
        if executed * limits.ms_per_request >= limits.execution * 1_000 && limits.ms_per_request > 0 {
            let (most, window) = (grouped(limits.execution * 1_000), limits.window);
            let message = format!(
                "Combined execution time of incoming requests exceeded limit of {most} milliseconds over time window of {window} \
                 seconds. Decrease number of concurrent requests or reduce the duration of requests and try again later."
            );
            return refuse("0x80072321", message);
        }
        recent.push_back(Admitted { at, executions });
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
