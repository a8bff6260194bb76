//! The emulated clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use copilot_lake_tables::{Instant, Week};

/// Fixed if the scenario says so; otherwise the real time, moved ahead when rows would lie in the future.
#[derive(Debug)]
pub(crate) struct Clock {
    fixed: AtomicI64,
    ahead: AtomicI64,
}

const RUNNING: i64 = i64::MIN;

impl Clock {
    pub(crate) fn new(fixed: Option<Instant>) -> Self {
        Self { fixed: AtomicI64::new(fixed.map_or(RUNNING, |at| at.0)), ahead: AtomicI64::new(0) }
    }

    pub(crate) fn now(&self) -> Instant {
        match self.fixed.load(Ordering::Relaxed) {
            RUNNING => Instant(real().0 + self.ahead.load(Ordering::Relaxed)),
            fixed => Instant(fixed),
        }
    }

    pub(crate) fn fix(&self, at: Instant) {
        self.fixed.store(at.0, Ordering::Relaxed);
    }

    /// Moves a running clock past `latest`, so that no row lies in the future.
    pub(crate) fn pass(&self, latest: Instant) {
        let behind = latest.plus_seconds(60).0 - self.now().0;
        if behind > 0 && self.fixed.load(Ordering::Relaxed) == RUNNING {
            self.ahead.fetch_add(behind, Ordering::Relaxed);
        }
    }
}

fn real() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Instant(since.as_micros() as i64)
}

/// The value of a `Date` header: `Sat, 01 Nov 2025 12:00:00 GMT`.
pub(crate) fn http_date(at: Instant) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    let text = at.floor_second().to_string();
    let day = DAYS[(at.days() - Week::of(at).start_days()) as usize % 7];
    let month = text[5..7].parse::<usize>().map_or("Jan", |month| MONTHS[(month + 11) % 12]);
    format!("{day}, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19])
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::Instant;

    #[test]
    fn dates_are_those_of_http() {
        let date = |text: &str| super::http_date(Instant::parse(text).unwrap());
        assert_eq!(date("1994-11-06T08:49:37Z"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date("2025-12-31T23:59:59.9Z"), "Wed, 31 Dec 2025 23:59:59 GMT");
    }
}
