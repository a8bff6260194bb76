//! The transfer limit: how slowly a body may arrive.

use std::time::Duration;

/// How slowly a body may arrive.
///
/// It limits silence too: of a small body by the time that is left, of a large one by the read timeout of the connection,
/// which is shorter there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TransferLimit {
    /// Time that every body gets, however small it is.
    pub(crate) base: Duration,
    /// Average rate that a body has to keep beyond that, in bytes per second.
    pub(crate) min_rate: u64,
    /// The most time that a body gets, however large it is.
    pub(crate) max: Duration,
}

impl TransferLimit {
    /// A page that takes longer is requested again, and would not fit into the time of all attempts.
    pub(crate) const fn usual() -> Self {
        Self { base: Duration::from_secs(60), min_rate: 8 << 10, max: Duration::from_secs(15 * 60) }
    }

    /// The time from its beginning within which a body must go on, with so many bytes received before.
    pub(crate) fn allowed(&self, received: u64) -> Duration {
        self.base.saturating_add(Duration::from_secs(received / self.min_rate)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_cases() {
        const MIB: u64 = 1 << 20;
        for (received, seconds, what) in [
            (0, 60, "nothing came"),
            (60, 60, "a byte a second"),
            (64 << 10, 68, "an error response at most"),
            (MIB, 60 + 128, "a small page"),
            (6 * MIB, 60 + 768, "a usual page"),
            (7 * MIB, 900, "a large page"),
            (64 * MIB, 900, "the largest page"),
            (u64::MAX, 900, "no overflow"),
        ] {
            assert_eq!(TransferLimit::usual().allowed(received), Duration::from_secs(seconds), "{what}");
        }
    }
}
