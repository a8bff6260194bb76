//! Retries: how often and how long a call is tried, and what the service says about when.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::backoff::Backoff;

/// How much trying a call is worth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Tries in all.
    pub(crate) tries: u32,
    /// Tries of what may be at fault itself, such as a file: the next run tries again what fails, and until then it holds
    /// a place of others.
    pub(crate) tries_few: u32,
    /// Tries while nothing was ever answered and the failure looks like a wrong address.
    pub(crate) tries_unheard: u32,
    /// No try begins later than this after the first.
    pub(crate) time: Duration,
    /// Waits where the service names none.
    pub(crate) backoff: Backoff,
}

impl Patience {
    pub(crate) const fn documented() -> Self {
        Self {
            tries: 10,
            tries_few: 5,
            tries_unheard: 3,
            time: Duration::from_secs(15 * 60),
            backoff: Backoff::documented(),
        }
    }
}

/// The tries of one call.
#[derive(Debug)]
pub(crate) struct Tries {
    /// How many were begun.
    pub(crate) count: u32,
    started: Option<Instant>,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self { count: 0, started: None }
    }

    /// Counts a try. The clock starts with the first one, not while it waits for its turn.
    pub(crate) fn begin(&mut self) {
        self.count += 1;
        self.started.get_or_insert_with(Instant::now);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    /// How long to wait before the next of at most `most` tries; `None`: give up.
    ///
    /// What the service asked for is obeyed; if patience ends before that, waiting would be in vain.
    pub(crate) fn next(&self, patience: &Patience, most: u32, asked: Option<Duration>) -> Option<Duration> {
        if self.count >= most {
            return None;
        }
        let wait = asked.filter(|asked| !asked.is_zero()).unwrap_or_else(|| patience.backoff.wait(self.count));
        (self.elapsed().saturating_add(wait) <= patience.time).then_some(wait)
    }
}

/// Reads `Retry-After`: seconds, or an HTTP date, which is compared with the answer's own `Date`.
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

/// The service's clock at the time of an answer, in whole seconds.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn asked(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, HeaderValue::from_static("Sun, 22 Jun 2025 10:00:00 GMT"));
        headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_services_clock() {
        assert_eq!(asked("0"), Some(Duration::ZERO));
        assert_eq!(asked(" 37 "), Some(Duration::from_secs(37)));
        assert_eq!(asked("1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(asked("Sun, 22 Jun 2025 10:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(asked("Sun, 22 Jun 2025 09:00:00 GMT"), Some(Duration::ZERO));
        for nonsense in ["", "soon", "-3", "NaN", "inf", "1e300", "Sun, 99 Jun 2025 10:00:00 GMT"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_by_tries_and_by_time() {
        let patience =
            Patience { backoff: Backoff { jitter: || 1.0, ..Backoff::documented() }, ..Patience::documented() };
        let mut tries = Tries::new();
        tries.begin();
        assert_eq!(tries.next(&patience, 10, None), Some(Duration::from_secs(1)));
        assert_eq!(tries.next(&patience, 10, Some(Duration::from_secs(30))), Some(Duration::from_secs(30)));
        assert_eq!(tries.next(&patience, 10, Some(Duration::MAX)), None, "longer than patience lasts");
        assert_eq!(tries.next(&patience, 1, None), None, "no try left");
        tokio::time::advance(Duration::from_secs(899)).await;
        tries.begin();
        assert_eq!(tries.next(&patience, 10, None), None, "two seconds would pass the end");
    }
}
