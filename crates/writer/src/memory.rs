//! The memory that rows wait in: one budget for all changes of a lake.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The budget of a lake and who holds how much of it.
pub(crate) struct MemoryPool<T> {
    limit: usize,
    used: Arc<AtomicUsize>,
    consumers: Mutex<Vec<Weak<T>>>,
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
        Self { limit, used: Arc::default(), consumers: Mutex::default() }
    }

    /// Bytes that may be held.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.limit
    }

    /// Those who may be asked to give memory back.
    pub(crate) fn consumers(&self) -> Vec<Arc<T>> {
        self.consumers.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn register(&self, consumer: &Arc<T>) {
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.retain(|consumer| consumer.strong_count() > 0);
        consumers.push(Arc::downgrade(consumer));
    }

    /// An empty charge on the account of `held`.
    pub(crate) fn reserve(&self, held: &Arc<AtomicUsize>) -> MemoryReservation {
        MemoryReservation { used: Arc::clone(&self.used), held: Arc::clone(held), bytes: 0 }
    }
}

impl MemoryReservation {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn resize(&mut self, bytes: usize) {
        for account in [&self.used, &self.held] {
            account.fetch_add(bytes, Ordering::Relaxed);
            account.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.resize(0);
    }
}
