//! The keys that a table may hold: a Bloom filter in bounded memory, built from the key columns of the table's files
//! when that is cheaper than searching them for every commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::parquet::bloom_filter::Sbbf;

/// Memory limit of all key filters of a lake. Half of it holds 10 million keys of one table at a false-positive rate
/// below 1 %.
pub(crate) const FILTER_BYTES: usize = 32 << 20;

/// Bytes per key, for a false-positive rate below 1e-3 over all layers.
const KEY_BYTES: usize = 3;

/// Bytes of a filter's block.
const BLOCK_BYTES: usize = 32;

/// The least size of a layer in bytes; every further layer is four times as large as all before.
const LAYER_BYTES: usize = 64 << 10;
const GROWTH: usize = 4;

/// Memory that the key filters of a lake share.
#[derive(Debug, Clone)]
pub(crate) struct FilterBudget(Arc<AtomicUsize>);

impl Default for FilterBudget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(FILTER_BYTES)))
    }
}

impl FilterBudget {
    /// Takes at most `wanted` bytes, and at most half of the rest, since other tables need some too. `None` when that
    /// is less than `least`.
    fn reserve(&self, wanted: usize, least: usize) -> Option<usize> {
        let share = |free: usize| wanted.min(free / 2).max(LAYER_BYTES) / BLOCK_BYTES * BLOCK_BYTES;
        let take = |free: usize| free.checked_sub(share(free)).filter(|_| share(free) >= least);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).ok().map(share)
    }

    fn release(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The keys of a table, with false positives but no false negatives.
pub(crate) struct KeyFilter {
    budget: FilterBudget,
    /// Every layer but the last is full.
    layers: Vec<Layer>,
    /// Whether a key is missing, because there was no memory for it: then no key can be ruled out.
    is_incomplete: bool,
}

struct Layer {
    filter: Sbbf,
    bytes: usize,
    /// Keys that can still be added at the intended false-positive rate.
    room: usize,
}

impl KeyFilter {
    /// An empty filter with room for that many keys.
    pub(crate) fn new(budget: FilterBudget, keys: usize) -> Self {
        let mut filter = Self { budget, layers: Vec::new(), is_incomplete: false };
        filter.grow(keys * KEY_BYTES);
        filter
    }

    /// Whether the table may hold a key, by its hash.
    pub(crate) fn contains(&self, key: u128) -> bool {
        let bytes = key.to_le_bytes();
        self.is_incomplete || self.layers.iter().any(|layer| layer.filter.check(&bytes[..]))
    }

    /// Adds a key; returns whether the table may have held it before.
    pub(crate) fn insert(&mut self, key: u128) -> bool {
        self.contains(key) || !self.add(key)
    }

    /// Adds a key without looking it up. `false`: there is no memory for a filter.
    pub(crate) fn add(&mut self, key: u128) -> bool {
        if self.layers.last().is_none_or(|layer| layer.room == 0) {
            let size: usize = self.layers.iter().map(|layer| layer.bytes).sum();
            self.grow(size * GROWTH);
        }
        let has_room = self.layers.last().is_some_and(|layer| layer.room > 0);
        // Without memory for a worthwhile layer the largest one is overfilled: more false positives.
        let layer =
            if has_room { self.layers.last_mut() } else { self.layers.iter_mut().max_by_key(|layer| layer.bytes) };
        match layer {
            Some(layer) => {
                layer.filter.insert(&key.to_le_bytes()[..]);
                layer.room = layer.room.saturating_sub(1);
                true
            }
            None => {
                self.is_incomplete = true;
                false
            }
        }
    }

    fn grow(&mut self, wanted: usize) {
        let size: usize = self.layers.iter().map(|layer| layer.bytes).sum();
        if let Some(bytes) = self.budget.reserve(wanted, (size / 2).max(LAYER_BYTES)) {
            self.layers.push(Layer { filter: Sbbf::new(&vec![0; bytes]), bytes, room: bytes / KEY_BYTES });
        }
    }
}

impl Drop for KeyFilter {
    fn drop(&mut self) {
        self.budget.release(self.layers.iter().map(|layer| layer.bytes).sum());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash as good as any, of a number.
    fn key(n: u64) -> u128 {
        crate::keys::hash_of(|hasher| std::hash::Hasher::write_u64(hasher, n))
    }

    #[test]
    fn no_key_is_missed_and_few_are_taken_for_others() {
        let mut filter = KeyFilter::new(FilterBudget::default(), 0);
        let known = (0..1_200_000).filter(|n| filter.insert(key(*n))).count();
        assert!(known < 1_200, "{known} of 1,200,000 were taken for others while the filter grew");
        assert!(filter.layers.len() > 1);
        assert!((0..1_200_000).all(|n| filter.insert(key(n))));
    }

    #[test]
    fn filters_share_their_memory_and_give_it_back() {
        let budget = FilterBudget::default();
        let large = KeyFilter::new(budget.clone(), 10_000_000);
        assert_eq!(large.layers[0].bytes, FILTER_BYTES / 2);
        let others: Vec<_> = (0..20).map(|_| KeyFilter::new(budget.clone(), 3_000_000)).collect();
        assert!(budget.0.load(Ordering::Relaxed) < LAYER_BYTES);
        let mut last = KeyFilter::new(budget.clone(), 100);
        assert!(last.insert(1), "without memory nothing can be told");
        drop(others);
        assert!(last.insert(2) && last.contains(1), "the first key was not kept");
        let mut next = KeyFilter::new(budget.clone(), 100);
        assert!(!next.insert(1) && next.insert(1));
        drop((large, last, next));
        assert_eq!(budget.0.load(Ordering::Relaxed), FILTER_BYTES);
    }
}
