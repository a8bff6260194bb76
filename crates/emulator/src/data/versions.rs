//! Values of `versionnumber`.

use std::sync::atomic::{AtomicI64, Ordering};

/// The version counter of a database: standard tables count together.
#[derive(Debug)]
pub(crate) struct Versions(AtomicI64);

impl Versions {
    pub(crate) const fn new(next: i64) -> Self {
        Self(AtomicI64::new(next))
    }

    pub(crate) fn next(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// Versions count milliseconds from here, so that they grow with the time of modification.
const VERSION_EPOCH: i64 = 1_577_836_800;

/// A version for a row modified at that second; the ordinal tells rows of one second apart.
pub(crate) const fn version(modified: i64, ordinal: i64) -> i64 {
    (modified - VERSION_EPOCH) * 1_000 + ordinal % 1_000
}
