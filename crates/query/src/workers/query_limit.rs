//! How many queries a worker computes at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The queries that a worker computes: as many clients at most, each of which runs one query at a time or few.
#[derive(Debug, Clone)]
pub(crate) struct QueryLimit {
    limit: usize,
    running: Arc<Mutex<HashMap<String, Weak<QuerySlot>>>>,
}

/// The place of a client among those that the worker computes for, kept by each of its requests.
#[derive(Debug)]
pub(crate) struct QuerySlot;

impl QueryLimit {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, running: Arc::default() }
    }

    /// The client's place, if it has one or one is free. It does not wait: two queries that hold places on two workers
    /// could wait for each other.
    pub(crate) fn slot(&self, client: &str) -> Option<Arc<QuerySlot>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|_, slot| slot.strong_count() > 0);
        if let Some(slot) = running.get(client).and_then(Weak::upgrade) {
            return Some(slot);
        }
        if running.len() >= self.limit {
            return None;
        }
        let slot = Arc::new(QuerySlot);
        running.insert(client.to_owned(), Arc::downgrade(&slot));
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_its_place_until_its_last_request_ends() {
        let limit = QueryLimit::new(2);
        let (first, again, second) = (limit.slot("a"), limit.slot("a"), limit.slot("b"));
        assert!(first.is_some() && again.is_some() && second.is_some() && limit.slot("c").is_none());
        drop(first);
        assert!(limit.slot("c").is_none(), "a's other request is under way");
        drop(again);
        assert!(limit.slot("c").is_some());
    }
}
