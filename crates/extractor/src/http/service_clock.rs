//! The service's clock: windows end by it, not by ours.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use copilot_lake_tables::Instant;
use reqwest::header::HeaderMap;

use super::retry::date;

/// The `Date` of the last answer, and when it came.
#[derive(Debug, Default)]
pub(crate) struct ServiceClock {
    last: Mutex<Option<(Instant, tokio::time::Instant)>>,
}

impl ServiceClock {
    /// Takes the time from an answer's headers; an answer without a `Date` changes nothing.
    pub(crate) fn observe(&self, headers: &HeaderMap) {
        if let Some(date) = date(headers) {
            let observed = (instant(date), tokio::time::Instant::now());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(observed);
        }
    }

    /// The last answer's time, advanced by what passed since. It is never ahead of the service: `Date` is cut to
    /// seconds and was written before the answer travelled.
    pub(crate) fn now(&self) -> Option<Instant> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.map(|(time, observed)| {
            let since = i64::try_from(observed.elapsed().as_micros()).unwrap_or(i64::MAX);
            Instant(time.0.saturating_add(since))
        })
    }
}

/// This machine's time, for a service that sends no `Date` at all.
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
