//! The service's clock: windows end by its time, not ours.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use copilot_lake_tables::Instant;
use reqwest::header::HeaderMap;

use super::retry::date;

/// The `Date` of the last response, and when it arrived.
#[derive(Debug, Default)]
pub(crate) struct ServiceClock {
    last: Mutex<Option<(Instant, tokio::time::Instant)>>,
}

impl ServiceClock {
    /// Takes the time from a response's headers; one without a `Date` changes nothing.
    pub(crate) fn observe(&self, headers: &HeaderMap) {
        if let Some(date) = date(headers) {
            let observed = (instant(date), tokio::time::Instant::now());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(observed);
        }
    }

    /// The last response's time plus the time elapsed since. Never ahead of the service: `Date` is truncated to seconds
    /// and was written before the response travelled.
    pub(crate) fn now(&self) -> Option<Instant> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(time, observed)| {
            let since = i64::try_from(observed.elapsed().as_micros()).unwrap_or(i64::MAX);
            Instant(time.0.saturating_add(since))
        })
    }
}

/// The local time, for a service that sends no `Date` at all.
pub(crate) fn local_time() -> Instant {
    instant(SystemTime::now())
}

fn instant(time: SystemTime) -> Instant {
    let micros = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    };
    Instant(micros)
}
