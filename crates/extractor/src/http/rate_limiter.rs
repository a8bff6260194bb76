//! The pacer: requests leave at a steady rate, however many wait and however long none came.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::MutexGuard;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// The slowest pace that makes sense.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);

/// Lateness that later requests make up for, when a request was there at its time: timers and busy threads wake late, and
/// the rate must not suffer from that. Within any second this lets 4 % more leave than the rate says, at most.
const MADE_UP: Duration = Duration::from_millis(30);

/// Lateness that is forgiven when a request came too late for its time: less than an interval, so nothing is saved up.
const FORGIVEN: Duration = Duration::from_millis(5);

/// A 429 within this time after the wait for another one says that the rate is too high, and not only that something else
/// was busy.
const SUSTAINED: Duration = Duration::from_secs(60);

/// What such a 429 leaves of the rate: the vendor sustains 83 % of a documented limit.
const SLOWER: f64 = 0.83;

/// It does not go below this part of the rate.
const SLOWEST: f64 = 0.1;

/// The time in which the whole rate would be regained from nothing.
const REGAINED: Duration = Duration::from_secs(30 * 60);

/// The pace of one tenant.
#[derive(Debug)]
pub(crate) struct Pacer {
    interval: Duration,
    /// When the next request may leave. Who holds it is the next to leave; the others queue behind it, in their order.
    next: tokio::sync::Mutex<Option<Instant>>,
    slowness: Mutex<Slowness>,
}

#[derive(Debug, Default)]
struct Slowness {
    /// When the last 429 came.
    throttled: Option<Instant>,
    /// How long it said to wait.
    wait: Duration,
    /// The part of the rate that was left then.
    part: f64,
}

impl Pacer {
    /// A pace in requests per second; `None` for what is none.
    pub(crate) fn new(rate: f64) -> Option<Self> {
        let interval = Some(rate).filter(|rate| rate.is_finite() && *rate > 0.0)?;
        let interval = Duration::try_from_secs_f64(interval.recip()).ok().filter(|time| *time <= LONGEST_INTERVAL)?;
        Some(Self { interval, next: tokio::sync::Mutex::default(), slowness: Mutex::default() })
    }

    /// Waits until the caller is the next to leave.
    pub(crate) async fn queue(&self) -> Turn<'_> {
        let came = Instant::now();
        let next = self.next.lock().await;
        let due = next.map_or(came, |next| next.max(before(came, FORGIVEN.min(self.interval))));
        Turn { pacer: self, next, due }
    }

    /// Slows down if a request, which left then and must wait so long, was throttled soon after another. One crowd of them
    /// counts once.
    pub(crate) fn throttled(&self, left: Instant, wait: Duration) {
        let now = Instant::now();
        let part = self.part(now);
        let mut slowness = self.lock();
        let last = slowness.throttled;
        if last.is_some_and(|last| left <= last) {
            return;
        }
        let sustained = last.is_some_and(|last| now - last <= slowness.wait + SUSTAINED);
        let part = if sustained { (part * SLOWER).max(SLOWEST) } else { part };
        if sustained {
            warn!(percent = (part * 100.0).round(), "throttling goes on: the pace is slower for a while");
        }
        *slowness = Slowness { throttled: Some(now), wait: wait.min(LONGEST_INTERVAL), part };
    }

    /// The part of the rate that is used now.
    fn part(&self, now: Instant) -> f64 {
        let slowness = self.lock();
        let regained = slowness.throttled.map_or(1.0, |last| (now - last).div_duration_f64(REGAINED));
        (slowness.part + regained).min(1.0)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slowness> {
        self.slowness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place at the head of the queue.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    pacer: &'a Pacer,
    next: MutexGuard<'a, Option<Instant>>,
    /// When it may leave.
    due: Instant,
}

impl Turn<'_> {
    /// Waits until it may leave.
    pub(crate) async fn come(&self) {
        sleep_until(self.due).await;
    }

    /// After a pause nothing is made up for.
    pub(crate) fn restart(&mut self) {
        self.due = self.due.max(Instant::now());
    }

    /// Leaves now; the next one may after an interval.
    pub(crate) fn take(mut self) {
        let now = Instant::now();
        let due = self.due.max(before(now, MADE_UP));
        *self.next = Some(due + self.pacer.interval.div_f64(self.pacer.part(now)));
    }
}

fn before(time: Instant, by: Duration) -> Instant {
    time.checked_sub(by).unwrap_or(time)
}

#[cfg(test)]
mod tests;
