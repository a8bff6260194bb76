//! Values of `versionnumber`.

use std::sync::atomic::{AtomicI64, Ordering};

/// The version counter of a database, which standard tables share.
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

/// Versions of elastic tables count milliseconds from here, so that they grow with the time of modification.
const VERSION_EPOCH: i64 = 1_577_836_800;

/// The version of a row modified at a second; the ordinal makes it unique within the second.
pub(crate) const fn version(modified: i64, ordinal: i64) -> i64 {
    (modified - VERSION_EPOCH) * 1_000 + ordinal % 1_000
}
