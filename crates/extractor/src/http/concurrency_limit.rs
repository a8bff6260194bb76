//! The concurrency limit: how many requests of one identity may be in flight at once.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

/// An adaptive limit: never above the service's hint, halved when it reports too many concurrent requests or too much
/// execution time, then raised by one per round.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimit {
    /// Upper bound, whatever the service recommends.
    max: usize,
    state: Mutex<LimitState>,
    freed: Notify,
}

#[derive(Debug)]
struct LimitState {
    in_flight: usize,
    limit: usize,
    /// The service's recommendation.
    cap: usize,
    /// Successful responses since the limit last changed: a full round of them raises it by one.
    succeeded: usize,
    halved: Option<Instant>,
}

impl ConcurrencyLimit {
    pub(crate) fn new(max: usize) -> Self {
        let state = LimitState { in_flight: 0, limit: max, cap: max, succeeded: 0, halved: None };
        Self { max, state: Mutex::new(state), freed: Notify::new() }
    }

    /// How many requests may be in flight at once now.
    pub(crate) fn limit(&self) -> usize {
        self.lock().limit
    }

    /// How many permits are held now.
    pub(crate) fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// Waits for a permit; it is released on drop.
    pub(crate) async fn acquire(&self) -> Permit<'_> {
        loop {
            // Registered before looking at the state, so that no release in between is missed.
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

    /// Applies the service's recommendation (`x-ms-dop-hint`).
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

    /// Records a successful response: after as many as the limit, it rises by one.
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

    /// Records that the service refused a request begun at `begun` because of the load. A burst of refusals halves the
    /// limit once.
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

/// A permit for one request to be in flight.
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
