//! The memory of buffered rows and open row groups: one budget per lake.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget of bytes. A reservation may exceed it: the task that waits for memory then makes a consumer spill. Clones are
/// the same budget.
#[derive(Debug, Clone)]
pub(crate) struct MemoryPool {
    limit: usize,
    used: Arc<AtomicUsize>,
}

/// Bytes that count against the budget until dropped.
#[derive(Debug)]
pub(crate) struct MemoryReservation {
    used: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl MemoryPool {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default() }
    }

    /// The budget in bytes.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }

    /// An empty reservation that no consumer can be made to free.
    pub(crate) fn reserve(&self) -> MemoryReservation {
        self.reserve_for(&Arc::default())
    }

    /// A reservation of so many bytes, if they fit in the budget.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<MemoryReservation> {
        let mut reservation = self.reserve();
        reservation.resize(bytes);
        (!self.is_exceeded()).then_some(reservation)
    }

    /// An empty reservation, which also counts towards `held`, the total of one consumer.
    pub(crate) fn reserve_for(&self, held: &Arc<AtomicUsize>) -> MemoryReservation {
        MemoryReservation { used: Arc::clone(&self.used), held: Arc::clone(held), bytes: 0 }
    }
}

impl MemoryReservation {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn resize(&mut self, bytes: usize) {
        for total in [&self.used, &self.held] {
            total.fetch_add(bytes, Ordering::Relaxed);
            total.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_reserved() {
        let pool = MemoryPool::new(10);
        let first = pool.try_reserve(7).unwrap();
        assert!(pool.try_reserve(4).is_none());
        let second = pool.try_reserve(3).unwrap();
        assert_eq!((first.bytes(), second.bytes(), pool.is_exceeded()), (7, 3, false));
        drop((first, second));
        assert!(pool.try_reserve(11).is_none() && pool.try_reserve(10).is_some(), "nothing is held any more");
    }
}
