//! Into which commit decoded rows go: pure.

use std::collections::HashSet;

use copilot_lake_decoder::Revision;

/// The most rows that are deferred.
const DEFERRED: usize = 10_000;

/// When rows that were decoded together are written.
///
/// Several versions of a row must not be in one commit: the writer could not tell which of them came last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteStep {
    /// With the commit that is being made up.
    Now,
    /// With the commit after that one.
    Deferred,
    /// As deferred, but what is pending has to be committed first: a version of these rows is deferred already, or many
    /// rows are.
    CommitFirst,
}

impl WriteStep {
    /// `deferred`: hashes of the keys of rows that are deferred.
    pub(crate) fn decide(revision: &Revision, deferred: &HashSet<u64>) -> Self {
        match revision {
            Revision::First => Self::Now,
            Revision::Later(keys) if deferred.len() < DEFERRED && deferred.is_disjoint(keys) => Self::Deferred,
            Revision::Later(_) => Self::CommitFirst,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_commit_has_two_versions_of_a_row() {
        let later = |keys: &[u64]| Revision::Later(keys.iter().copied().collect());
        let deferred = |keys: std::ops::Range<u64>| keys.collect::<HashSet<_>>();
        let cases = [
            (Revision::First, deferred(0..0), WriteStep::Now),
            (Revision::First, deferred(0..20_000), WriteStep::Now),
            (later(&[1, 2]), deferred(0..0), WriteStep::Deferred),
            (later(&[11, 12]), deferred(0..10), WriteStep::Deferred),
            (later(&[11, 5]), deferred(0..10), WriteStep::CommitFirst),
            (later(&[20_000]), deferred(0..9_999), WriteStep::Deferred),
            (later(&[20_000]), deferred(0..10_000), WriteStep::CommitFirst),
        ];
        for (revision, deferred, expected) in cases {
            assert_eq!(WriteStep::decide(&revision, &deferred), expected, "{revision:?}, {} deferred", deferred.len());
        }
    }
}
