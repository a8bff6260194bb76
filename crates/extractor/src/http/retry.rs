//! Retries: how often and how long a call is attempted, and the headers that say when.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::transfer_limit::TransferLimit;

/// When to give up on a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// Attempts in total.
    pub(crate) max_attempts: u32,
    /// Attempts for failures that may concern this request alone, such as a file: while it is retried it takes up a slot
    /// that others need, and the next run fetches it again.
    pub(crate) max_attempts_request_specific: u32,
    /// Attempts for a refusal without a reason: it may be a mistake of the service.
    pub(crate) max_attempts_unexplained: u32,
    /// Attempts for a window that has failed before: this is to find out which part of it can be read.
    pub(crate) max_attempts_failed_before: u32,
    /// Attempts while the service was never reached and the failure looks like a wrong address.
    pub(crate) max_attempts_unreached: u32,
    /// No attempt begins later than this after the first.
    pub(crate) max_elapsed: Duration,
    /// While the service answers nothing at all, attempts go on for this long; zero: no longer than any others.
    pub(crate) max_outage: Duration,
    /// Waits where the service does not ask for one.
    pub(crate) backoff: Backoff,
    /// How slowly a response may arrive.
    pub(crate) transfer_limit: TransferLimit,
}

impl RetryPolicy {
    pub(crate) const fn documented() -> Self {
        Self {
            max_attempts: 10,
            max_attempts_request_specific: 5,
            max_attempts_unexplained: 3,
            max_attempts_failed_before: 2,
            max_attempts_unreached: 3,
            max_elapsed: Duration::from_secs(15 * 60),
            max_outage: Duration::ZERO,
            backoff: Backoff::documented(),
            transfer_limit: TransferLimit::usual(),
        }
    }
}

/// The attempts of one call.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// How many have begun.
    pub(crate) count: u32,
    started: Option<Instant>,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self { count: 0, started: None }
    }

    /// Counts an attempt. Time runs from the first one, not while it is still queued.
    pub(crate) fn begin(&mut self) {
        self.count += 1;
        self.started.get_or_insert_with(Instant::now);
    }

    /// Uncounts an attempt that failed for a reason of our own.
    pub(crate) fn retract(&mut self) {
        self.count -= 1;
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// The wait before the next of at most `max_attempts` attempts; `None`: give up.
    ///
    /// The service's own wait is always obeyed; if it would exceed the policy there is no point in waiting.
    pub(crate) fn wait_before_next(
        &self,
        retry_policy: &RetryPolicy,
        max_attempts: u32,
        requested: Option<Duration>,
    ) -> Option<Duration> {
        if self.count >= max_attempts {
            return None;
        }
        let wait = self.wait(retry_policy, requested);
        (self.elapsed().saturating_add(wait) <= retry_policy.max_elapsed).then_some(wait)
    }

    /// The wait that the service asks for, else that of the back-off.
    fn wait(&self, retry_policy: &RetryPolicy, requested: Option<Duration>) -> Duration {
        requested.filter(|requested| !requested.is_zero()).unwrap_or_else(|| retry_policy.backoff.wait(self.count))
    }

    /// As [`Self::wait_before_next`] while nothing is answered at all, whatever the number of attempts.
    pub(crate) fn wait_in_outage(
        &self,
        retry_policy: &RetryPolicy,
        max_outage: Duration,
        requested: Option<Duration>,
    ) -> Option<Duration> {
        let wait = self.wait(retry_policy, requested);
        (self.elapsed().saturating_add(wait) <= max_outage).then_some(wait)
    }

    /// When the first attempt began.
    pub(crate) fn begun(&self) -> Instant {
        self.started.unwrap_or_else(Instant::now)
    }
}

/// Parses `Retry-After`: seconds, or an HTTP date relative to the response's own `Date`.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    if let Some(seconds) = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0) {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let now = date(headers).unwrap_or_else(SystemTime::now);
    // A date in the past means now.
    Some(until.duration_since(now).unwrap_or_default())
}

/// The service's time at a response, in whole seconds.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn requested(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Sun, 22 Jun 2025 10:00:00 GMT"));
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_services_clock() {
        assert_eq!(requested("0"), Some(Duration::ZERO));
        assert_eq!(requested(" 37 "), Some(Duration::from_secs(37)));
        assert_eq!(requested("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(requested("Sun, 22 Jun 2025 10:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(requested("Sun, 22 Jun 2025 09:00:00 GMT"), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-3", "NaN", "inf", "1e300", "Sun, 99 Jun 2025 10:00:00 GMT"] {
            assert_eq!(requested(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_end_by_attempts_and_by_time() {
        let retry_policy =
            RetryPolicy { backoff: Backoff { jitter: || 1.0, ..Backoff::documented() }, ..RetryPolicy::documented() };
        let mut attempts = Attempts::new();
        attempts.begin();
        assert_eq!(attempts.wait_before_next(&retry_policy, 10, None), Some(Duration::from_secs(1)));
        assert_eq!(
            attempts.wait_before_next(&retry_policy, 10, Some(Duration::from_secs(30))),
            Some(Duration::from_secs(30))
        );
        assert_eq!(attempts.wait_before_next(&retry_policy, 10, Some(Duration::MAX)), None, "longer than retries last");
        assert_eq!(attempts.wait_before_next(&retry_policy, 1, None), None, "no try left");
        tokio::time::advance(Duration::from_secs(899)).await;
        attempts.begin();
        assert_eq!(attempts.wait_before_next(&retry_policy, 10, None), None, "two seconds would pass the end");
    }
}
