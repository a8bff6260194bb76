//! The rate limiter: requests leave at a steady rate, however many are waiting and however long the line was idle.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// The longest interval between requests that makes sense.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// How late a queued request may leave without shifting the ones after it: timers and busy threads wake late, and the
/// rate must not suffer. This allows at most 7 % more than the rate within any second: of the 30 requests that Graph
/// documents, 26 instead of 24, and of the 747 that it sustains in 30 s, 722 instead of 720.
const MAX_BACKLOG: Duration = Duration::from_millis(60);

/// Lateness forgiven to a request that arrived after its slot: less than an interval, so no burst builds up.
const MAX_LATENESS: Duration = Duration::from_millis(5);

/// A 429 within this time after the pause for another one means that the rate is too high, and not only that something
/// else was busy.
const SUSTAINED_WINDOW: Duration = Duration::from_secs(60);

/// Factor by which such a 429 reduces the rate: the vendor sustains 83 % of a documented limit.
const SLOWDOWN_FACTOR: f64 = 0.83;

/// The rate never falls below this fraction.
const MIN_FRACTION: f64 = 0.1;

/// The time in which the full rate would recover from zero.
const RECOVERY_TIME: Duration = Duration::from_secs(30 * 60);

/// The rate of one tenant.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    interval: Duration,
    /// When the next request may leave. The holder of the lock is next; the others queue behind it, in order.
    next: tokio::sync::Mutex<Option<Instant>>,
    slowdown: Mutex<Slowdown>,
}

#[derive(Debug, Default)]
struct Slowdown {
    /// When the last 429 came.
    throttled: Option<Instant>,
    /// The wait that it asked for.
    wait: Duration,
    /// The fraction of the rate at that time.
    fraction: f64,
}

impl RateLimiter {
    /// A rate in requests per second; `None` if it is not a usable one.
    pub(crate) fn new(rate: f64) -> Option<Self> {
        let interval = Some(rate).filter(|rate| rate.is_finite() && *rate > 0.0)?;
        let interval = Duration::try_from_secs_f64(interval.recip()).ok().filter(|time| *time <= MAX_INTERVAL)?;
        Some(Self { interval, next: tokio::sync::Mutex::default(), slowdown: Mutex::default() })
    }

    /// Waits until the caller is next in line.
    pub(crate) async fn next_slot(&self) -> Slot<'_> {
        let arrived = Instant::now();
        let next = self.next.lock().await;
        let due = next.map_or(arrived, |next| next.max(before(arrived, MAX_LATENESS.min(self.interval))));
        Slot { rate_limiter: self, next, due }
    }

    /// Slows down if the request sent at `sent_at`, which must now wait `wait`, was throttled soon after another one. A
    /// burst of 429s counts once.
    pub(crate) fn throttled(&self, sent_at: Instant, wait: Duration) {
        let now = Instant::now();
        let fraction = self.fraction(now);
        let mut slowdown = self.lock();
        let last = slowdown.throttled;
        if last.is_some_and(|last| sent_at <= last) {
            return;
        }
        let sustained = last.is_some_and(|last| now - last <= slowdown.wait + SUSTAINED_WINDOW);
        let fraction = if sustained { (fraction * SLOWDOWN_FACTOR).max(MIN_FRACTION) } else { fraction };
        if sustained {
            warn!(percent = (fraction * 100.0).round(), "throttling persists: the rate is reduced for a while");
        }
        *slowdown = Slowdown { throttled: Some(now), wait: wait.min(MAX_INTERVAL), fraction };
    }

    /// The fraction of the rate in use now.
    pub(crate) fn fraction(&self, now: Instant) -> f64 {
        let slowdown = self.lock();
        let regained = slowdown.throttled.map_or(1.0, |last| (now - last).div_duration_f64(RECOVERY_TIME));
        (slowdown.fraction + regained).min(1.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slowdown> {
        self.slowdown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The slot at the head of the queue.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    rate_limiter: &'a RateLimiter,
    next: MutexGuard<'a, Option<Instant>>,
    /// When the request may leave.
    due: Instant,
}

impl Slot<'_> {
    /// Waits until the request may leave.
    pub(crate) async fn wait(&self) {
        sleep_until(self.due).await;
    }

    /// Drops the backlog: slots missed during a pause are not made up for.
    pub(crate) fn forgo_backlog(&mut self) {
        self.due = self.due.max(Instant::now());
    }

    /// The request leaves now; the next slot is an interval later.
    pub(crate) fn consume(mut self) {
        let now = Instant::now();
        let due = self.due.max(before(now, MAX_BACKLOG));
        *self.next = Some(due + self.rate_limiter.interval.div_f64(self.rate_limiter.fraction(now)));
    }
}

fn before(time: Instant, by: Duration) -> Instant {
    time.checked_sub(by).unwrap_or(time)
}

#[cfg(test)]
mod tests;
