//! The failure breaker: whether the rest of a table, or of a File column, is worth a request, although the service answers
//! for others. Pure.

use std::collections::BTreeMap;

use copilot_lake_extractor::Error as ServiceError;

/// Why the rest is not requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenReason {
    /// The reason of what failed.
    pub(crate) reason: String,
    /// Whether a permission is missing.
    pub(crate) is_refused: bool,
}

/// How the requests of each kind have ended so far.
#[derive(Debug)]
pub(crate) struct FailureBreaker<K> {
    /// Failures one after the other before the rest fails at once.
    limit: usize,
    failures: BTreeMap<K, Failures>,
}

#[derive(Debug)]
struct Failures {
    in_a_row: usize,
    last: OpenReason,
}

impl<K: Ord + Copy> FailureBreaker<K> {
    /// A breaker that opens for a kind after so many failures of it in a row.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, failures: BTreeMap::new() }
    }

    /// Notes that something of a kind was read.
    pub(crate) fn read(&mut self, kind: K) {
        if self.failure(kind).is_none() {
            self.failures.remove(&kind);
        }
    }

    /// Notes that something of a kind failed for good.
    pub(crate) fn failed(&mut self, kind: K, error: &ServiceError) {
        let is_refused = matches!(error, ServiceError::PermissionMissing { .. });
        let last = OpenReason { reason: error.without_call(), is_refused };
        let failures = self.failures.entry(kind).or_insert_with(|| Failures { in_a_row: 0, last: last.clone() });
        if failures.in_a_row < self.limit {
            *failures = Failures { in_a_row: failures.in_a_row + 1, last };
        }
    }

    /// Why the rest of a kind is not requested; `None`: it is.
    pub(crate) fn failure(&self, kind: K) -> Option<&OpenReason> {
        self.failures.get(&kind).filter(|failures| failures.in_a_row >= self.limit).map(|failures| &failures.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(status: u16) -> ServiceError {
        ServiceError::RetriesExhausted { status, cause: format!("cause {status}"), call: Box::default() }
    }

    /// The table of a slice, and the status with which it failed; `None`: it was read.
    type SliceEnd = (&'static str, Option<u16>);

    #[test]
    fn a_table_of_cases() {
        const A: &str = "a";
        const B: &str = "b";
        let cases: &[(&str, &[SliceEnd], Option<&str>)] = &[
            ("nothing has failed", &[], None),
            ("two in a row", &[(A, Some(500)), (A, Some(500))], None),
            ("three in a row", &[(A, Some(500)), (A, Some(500)), (A, Some(502))], Some("cause 502")),
            ("three, not in a row", &[(A, Some(500)), (A, Some(500)), (A, None), (A, Some(500))], None),
            ("three of two tables", &[(A, Some(500)), (B, Some(500)), (A, Some(500))], None),
            (
                "others are read in between",
                &[(A, Some(500)), (B, None), (A, Some(500)), (B, None), (A, Some(500))],
                Some("cause 500"),
            ),
            (
                "those under way end later",
                &[(A, Some(500)), (A, Some(500)), (A, Some(500)), (A, None), (A, Some(502))],
                Some("cause 500"),
            ),
        ];
        for (name, slices, expected) in cases {
            let mut breaker = FailureBreaker::new(3);
            for (table, failure) in *slices {
                match failure {
                    Some(status) => breaker.failed(*table, &failing(*status)),
                    None => breaker.read(*table),
                }
            }
            let reason = breaker.failure(A).map(|failure| failure.reason.trim_start_matches("retries exhausted: "));
            assert_eq!(reason, *expected, "{name}");
            assert_eq!(breaker.failure(B), None, "{name}");
        }
    }

    #[test]
    fn a_missing_permission_stays_one() {
        let mut breaker = FailureBreaker::new(3);
        for _ in 0..3 {
            let call = Box::default();
            breaker.failed("a", &ServiceError::PermissionMissing { table: Some("a"), privilege: None, call });
        }
        assert!(breaker.failure("a").unwrap().is_refused);
    }
}
