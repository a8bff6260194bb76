//! Keys that came before, in little memory.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

/// Keys that came before, by their hashes: it may say so of one that did not.
#[derive(Debug, Default)]
pub(super) struct SeenKeys {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl SeenKeys {
    pub(super) fn contains(&self, key: impl Hash) -> bool {
        self.hashes.contains(&self.hasher.hash_one(key))
    }

    pub(super) fn insert(&mut self, key: impl Hash) {
        self.hashes.insert(self.hasher.hash_one(key));
    }

    pub(super) fn remove(&mut self, key: impl Hash) {
        self.hashes.remove(&self.hasher.hash_one(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_comes_again_is_known() {
        let mut keys = SeenKeys::default();
        assert!(!keys.contains("a"));
        keys.insert("a");
        assert!(keys.contains("a") && !keys.contains("b"));
        keys.remove("a");
        assert!(!keys.contains("a"));
    }
}
