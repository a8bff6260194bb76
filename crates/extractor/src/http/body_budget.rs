//! The body budget: how many bytes of files, or of history pages, may be in memory at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

const UNIT: usize = 1024;

/// After this long without memory one reservation may exceed the budget, so that a caller who holds bodies while
/// waiting for another one (ordered buffering) proceeds slowly instead of never.
const STALL: Duration = Duration::from_secs(10);

/// Memory shared by files or pages, granted in the order of their requests.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    capacity: usize,
    units: Arc<Semaphore>,
    overdraft: Arc<Semaphore>,
}

impl BodyBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        let capacity = bytes / UNIT;
        Self { capacity, units: Arc::new(Semaphore::new(capacity)), overdraft: Arc::new(Semaphore::new(1)) }
    }

    /// Reserves this many bytes; a body larger than the whole budget waits for all of it.
    pub(crate) async fn reserve(&self, bytes: usize) -> BodyReservation {
        let mut reservation = BodyReservation { permits: Vec::with_capacity(1), overdraft: None, bytes: 0 };
        self.grow(&mut reservation, bytes).await;
        reservation
    }

    /// Reserves this many bytes more.
    pub(crate) async fn grow(&self, reservation: &mut BodyReservation, bytes: usize) {
        reservation.bytes += bytes;
        if reservation.overdraft.is_some() {
            // A reservation in overdraft must not wait again, or nobody would proceed.
            return;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.capacity)).unwrap_or(u32::MAX);
        let permits = Arc::clone(&self.units).acquire_many_owned(units);
        // Neither semaphore is ever closed, so both always grant what was requested.
        tokio::select! {
            biased;
            permits = permits => reservation.permits.extend(permits),
            overdraft = self.overdraft_after_stall() => reservation.overdraft = overdraft.ok(),
        }
    }

    async fn overdraft_after_stall(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        tokio::time::sleep(STALL).await;
        Arc::clone(&self.overdraft).acquire_owned().await
    }
}

/// Memory reserved in the budget, released on drop.
#[derive(Debug)]
pub(crate) struct BodyReservation {
    permits: Vec<OwnedSemaphorePermit>,
    overdraft: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl BodyReservation {
    /// Releases what exceeds this many bytes.
    pub(crate) fn settle(&mut self, bytes: usize) {
        let mut spare = self.bytes.saturating_sub(bytes) / UNIT;
        for permits in &mut self.permits {
            let part = spare.min(permits.num_permits());
            drop(permits.split(part));
            spare -= part;
        }
        self.bytes = self.bytes.min(bytes.max(1));
    }

    /// Bytes reserved.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: usize = 64 << 20;
    use futures::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn room_is_given_back_when_a_reservation_is_dropped() {
        let budget = BodyBudget::new(BUDGET);
        let first = budget.reserve(40 << 20).await;
        let mut second = Box::pin(budget.reserve(30 << 20));
        assert!(second.as_mut().now_or_never().is_none(), "40 + 30 MiB do not fit");
        drop(first);
        assert_eq!(second.await.bytes(), 30 << 20);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_file_did_not_need_is_given_back() {
        let budget = BodyBudget::new(BUDGET);
        let mut held = Vec::new();
        for _ in 0..1_000 {
            let file = tokio::time::timeout(Duration::from_secs(1), budget.reserve(1 << 20)).await;
            let mut file = file.expect("room: the others need little");
            file.settle(3_000);
            held.push(file);
        }
        drop(held);
        assert!(budget.reserve(BUDGET).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_above_the_whole_budget_waits_for_all_of_it() {
        let budget = BodyBudget::new(BUDGET);
        let one = budget.reserve(1).await;
        assert!(budget.reserve(BUDGET * 3).now_or_never().is_none());
        drop(one);
        let all = budget.reserve(BUDGET * 3).now_or_never().unwrap();
        assert!(budget.reserve(1).now_or_never().is_none());
        drop(all);
    }

    #[tokio::test(start_paused = true)]
    async fn who_holds_everything_and_waits_for_more_is_let_through_one_at_a_time() {
        let budget = BodyBudget::new(BUDGET);
        let held = budget.reserve(BUDGET).await;
        let mut above = budget.reserve(32 << 20).await;
        budget.grow(&mut above, 1 << 20).now_or_never().unwrap();
        assert_eq!(above.bytes(), 33 << 20);
        assert!(tokio::time::timeout(STALL * 6, budget.reserve(1)).await.is_err(), "one overdraft at a time");
        drop(above);
        drop(budget.reserve(1).await);
        drop(held);
        assert!(budget.reserve(BUDGET).now_or_never().is_some());
    }
}
