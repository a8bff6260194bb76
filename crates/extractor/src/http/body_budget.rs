//! The body budget: how many bytes of files, or of history pages, may be in memory at once.
//!
//! Why it cannot deadlock: memory is waited for only before the first byte of a body, by a request that holds neither
//! memory nor a concurrency permit. A body that has memory never waits for more: it takes what is free, or its attempt
//! ends and the next one reserves twice the length that this one reached. It may wait for a permit, but the holder of a
//! permit never waits for memory. So every body with memory is read to its end, its caller drops it, and the requests
//! that wait get their memory in order. What callers hold while they wait for a further body must leave room for the
//! largest one.
//!
//! The bound is the budget. A page larger than all of it exceeds it, alone; so does, while it is read, a file of unknown
//! size from a service that ignores ranges.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit.
const UNIT: usize = 1024;

/// Memory shared by files or pages, granted in the order of their requests. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct BodyBudget {
    capacity: usize,
    units: Arc<Semaphore>,
}

impl BodyBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let capacity = bytes / UNIT;
        Self { capacity, units: Arc::new(Semaphore::new(capacity)) }
    }

    /// Reserves this many bytes if they are free now.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<BodyReservation> {
        self.try_acquire(self.units_of(bytes)).map(|permits| BodyReservation { budget: self.clone(), permits })
    }

    /// Waits until this many bytes are reserved; a body larger than the whole budget waits for all of it. The caller
    /// must hold no other reservation and no concurrency permit.
    pub(crate) async fn reserve(&self, bytes: usize) -> BodyReservation {
        let units = u32::try_from(self.units_of(bytes)).unwrap_or(u32::MAX);
        let acquired = Arc::clone(&self.units).acquire_many_owned(units).await;
        let permits = acquired.unwrap_or_else(|_| unreachable!("the semaphore is never closed"));
        BodyReservation { budget: self.clone(), permits }
    }

    fn try_acquire(&self, units: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.units).try_acquire_many_owned(u32::try_from(units).ok()?).ok()
    }

    fn units_of(&self, bytes: usize) -> usize {
        bytes.div_ceil(UNIT).clamp(1, self.capacity)
    }
}

/// Memory reserved in the budget, released on drop.
#[derive(Debug)]
pub(crate) struct BodyReservation {
    budget: BodyBudget,
    permits: OwnedSemaphorePermit,
}

impl BodyReservation {
    /// Grows to this many bytes if what is missing is free now; never waits. A reservation of the whole budget suffices
    /// for a body of any size.
    #[must_use]
    pub(crate) fn try_grow_to(&mut self, bytes: usize) -> bool {
        let missing = self.budget.units_of(bytes).saturating_sub(self.permits.num_permits());
        if missing == 0 {
            return true;
        }
        self.budget.try_acquire(missing).map(|more| self.permits.merge(more)).is_some()
    }

    /// Releases what exceeds this many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let spare = self.permits.num_permits().saturating_sub(self.budget.units_of(bytes));
        drop(self.permits.split(spare));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const BUDGET: usize = 64 << 20;

    #[tokio::test(start_paused = true)]
    async fn memory_is_released_when_a_reservation_is_dropped() {
        let budget = BodyBudget::new(BUDGET);
        let first = budget.reserve(40 << 20).await;
        let mut second = Box::pin(budget.reserve(30 << 20));
        assert!(second.as_mut().now_or_never().is_none(), "40 + 30 MiB do not fit");
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    // Outside a runtime: inside, so many acquisitions without a yield would have to wait for the scheduler.
    #[test]
    fn what_a_file_did_not_need_is_released() {
        let budget = BodyBudget::new(BUDGET);
        let mut held = Vec::new();
        for _ in 0..1_000 {
            let mut file = budget.reserve(1 << 20).now_or_never().expect("room: the others need little");
            file.shrink_to(3_000);
            held.push(file);
        }
        drop(held);
        assert!(budget.reserve(BUDGET).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_above_the_whole_budget_waits_for_all_of_it_and_then_for_nothing() {
        let budget = BodyBudget::new(BUDGET);
        let one = budget.reserve(1).await;
        assert!(budget.reserve(BUDGET * 3).now_or_never().is_none());
        drop(one);
        let mut all = budget.reserve(BUDGET * 3).now_or_never().unwrap();
        assert!(all.try_grow_to(BUDGET * 9));
        assert!(budget.reserve(1).now_or_never().is_none());
        drop(all);
        assert!(budget.reserve(BUDGET).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_granted_in_the_order_of_requests_and_growth_does_not_overtake() {
        let budget = BodyBudget::new(BUDGET);
        let first = budget.reserve(60 << 20).await;
        let mut other = budget.reserve(1 << 20).await;
        let mut large = Box::pin(budget.reserve(32 << 20));
        assert!(large.as_mut().now_or_never().is_none());
        let mut small = Box::pin(budget.reserve(1));
        assert!(small.as_mut().now_or_never().is_none(), "3 MiB are free, but the large one is first");
        assert!(budget.try_reserve(1).is_none() && !other.try_grow_to(2 << 20));
        drop(first);
        let large = large.now_or_never().expect("61 MiB are free");
        assert!(small.now_or_never().is_some() && other.try_grow_to(2 << 20));
        drop(large);
    }

    /// Bodies of unknown size fill the budget, and each of them needs more: in the order in which they were begun
    /// they all end, however many there are.
    #[tokio::test(start_paused = true)]
    async fn bodies_that_all_need_more_than_there_is_are_all_read() {
        let budget = BodyBudget::new(BUDGET);
        let need = 32 << 20;
        let bodies = (0..100).map(|_| {
            let budget = budget.clone();
            async move {
                let mut body = budget.reserve(1 << 20).await;
                tokio::task::yield_now().await;
                if !body.try_grow_to(need) {
                    // The attempt ends, and with it its reservation.
                    drop(body);
                    body = budget.reserve(need).await;
                    assert!(body.try_grow_to(need), "what is reserved suffices");
                }
                tokio::task::yield_now().await;
                drop(body);
            }
        });
        futures::future::join_all(bodies).await;
        assert!(budget.reserve(BUDGET).now_or_never().is_some());
    }
}
