//! The memory that rows wait in: one budget for all changes of a lake.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The budget of a lake and who holds how much of it.
pub(crate) struct MemoryPool<T> {
    limit: usize,
    used: Arc<AtomicUsize>,
    holders: Mutex<Vec<Weak<T>>>,
}

/// Bytes that count against the budget until dropped.
#[derive(Debug)]
pub(crate) struct MemoryReservation {
    used: Arc<AtomicUsize>,
    held: Arc<AtomicUsize>,
    bytes: usize,
}

impl<T> MemoryPool<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, used: Arc::default(), holders: Mutex::default() }
    }

    /// Bytes that may be held.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }

    /// Those who may be asked to give memory back.
    pub(crate) fn holders(&self) -> Vec<Arc<T>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn register(&self, holder: &Arc<T>) {
        let mut holders = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        holders.retain(|holder| holder.strong_count() > 0);
        holders.push(Arc::downgrade(holder));
    }

    /// An empty charge on the account of `held`.
    pub(crate) fn charge(&self, held: &Arc<AtomicUsize>) -> MemoryReservation {
        MemoryReservation { used: Arc::clone(&self.used), held: Arc::clone(held), bytes: 0 }
    }
}

impl MemoryReservation {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        for account in [&self.used, &self.held] {
            account.fetch_add(bytes, Ordering::Relaxed);
            account.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.set(0);
    }
}
