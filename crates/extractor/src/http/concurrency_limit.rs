//! Permits: how many requests of one identity may be under way at once.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// A limit that follows the service: never above its hint, halved when it says "too many at once" or "too much time",
/// then one more per round.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    /// However many the service recommends.
    max: usize,
    state: Mutex<LimitState>,
    freed: Notify,
}

#[derive(Debug)]
struct LimitState {
    in_flight: usize,
    limit: usize,
    /// What the service recommends.
    cap: usize,
    /// Answers since the limit last changed: a full round of them earns one more.
    succeeded: usize,
    halved: Option<Instant>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(max: usize) -> Self {
        let state = LimitState { in_flight: 0, limit: max, cap: max, succeeded: 0, halved: None };
        Self { max, state: Mutex::new(state), freed: Notify::new() }
    }

    /// Waits for a permit; it is given back when dropped.
    pub(crate) async fn acquire(&self) -> Permit<'_> {
        loop {
            // Made before the look at the state, so that no permit given back in between is missed.
            let freed = self.freed.notified();
            {
                let mut state = self.lock();
                if state.in_flight < state.limit {
                    state.in_flight += 1;
                    return Permit { permits: self };
                }
            }
            freed.await;
        }
    }

    /// Takes the service's recommendation (`x-ms-dop-hint`).
    pub(crate) fn follow_hint(&self, recommended: usize) {
        let cap = recommended.clamp(1, self.max);
        let mut state = self.lock();
        if cap != state.cap {
            // A limit that was never halved follows the hint in both directions.
            state.limit = if state.limit == state.cap { cap } else { state.limit.min(cap) };
            state.cap = cap;
        }
        self.wake(&state);
    }

    /// An answer that was not refused: after as many as the limit, one more may be under way.
    pub(crate) fn succeeded(&self) {
        let mut state = self.lock();
        if state.limit < state.cap {
            state.succeeded += 1;
            if state.succeeded >= state.limit {
                state.limit += 1;
                state.succeeded = 0;
            }
        }
        self.wake(&state);
    }

    /// The service refused a request begun then because of those under way. One crowd of refusals halves the limit once.
    pub(crate) fn refused(&self, begun: Instant) {
        let mut state = self.lock();
        if state.halved.is_none_or(|halved| begun > halved) {
            state.limit = (state.limit / 2).max(1);
            state.succeeded = 0;
            state.halved = Some(Instant::now());
        }
    }

    fn wake(&self, state: &LimitState) {
        for _ in state.in_flight..state.limit {
            self.freed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, LimitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave for one request to be under way.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    permits: &'a ConcurrencyLimit,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.permits.lock().in_flight -= 1;
        self.permits.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const MAX: usize = 52;

    fn take_all(permits: &ConcurrencyLimit) -> Vec<Permit<'_>> {
        std::iter::from_fn(|| permits.acquire().now_or_never()).collect()
    }

    #[test]
    fn the_hint_is_a_cap_within_one_and_the_documented_limit() {
        let permits = ConcurrencyLimit::new(MAX);
        assert_eq!(take_all(&permits).len(), 52);
        for (hint, limit) in [(4, 4), (0, 1), (1_000, 52)] {
            permits.follow_hint(hint);
            assert_eq!(take_all(&permits).len(), limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_of_refusals_halves_once_and_success_recovers_one_by_one() {
        let permits = ConcurrencyLimit::new(MAX);
        let begun = Instant::now();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        for _ in 0..10 {
            permits.refused(begun);
        }
        assert_eq!(take_all(&permits).len(), 26);
        for _ in 0..26 {
            permits.succeeded();
        }
        assert_eq!(take_all(&permits).len(), 27);
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        permits.refused(Instant::now());
        assert_eq!(take_all(&permits).len(), 13);
        for _ in 0..2_000 {
            permits.succeeded();
        }
        assert_eq!(take_all(&permits).len(), 52, "never above the cap");
    }

    #[tokio::test]
    async fn a_permit_given_back_wakes_the_next() {
        let permits = ConcurrencyLimit::new(MAX);
        permits.follow_hint(1);
        let first = permits.acquire().await;
        let mut second = Box::pin(permits.acquire());
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        second.await;
    }
}
