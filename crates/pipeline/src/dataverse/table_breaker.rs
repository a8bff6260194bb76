//! The table breaker: whether the rest of a table is worth a request, although the service answers for others. Pure.

use std::collections::BTreeMap;

use copilot_lake_extractor::Error as ServiceError;

/// Slices of a table that fail one after the other before the rest of it fails at once.
pub(crate) const FAILED: usize = 3;

/// Why the rest of a table is not requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFailure {
    /// The reason of the slices that failed.
    pub(crate) reason: String,
    /// Whether a permission is missing.
    pub(crate) is_refused: bool,
}

/// How the slices of each table have ended so far.
#[derive(Debug, Default)]
pub(crate) struct TableBreaker(BTreeMap<&'static str, Failures>);

#[derive(Debug)]
struct Failures {
    in_a_row: usize,
    last: TableFailure,
}

impl TableBreaker {
    /// Notes that something of a table was read.
    pub(crate) fn read(&mut self, table: &'static str) {
        if self.failure(table).is_none() {
            self.0.remove(table);
        }
    }

    /// Notes that a slice of a table failed for good.
    pub(crate) fn failed(&mut self, table: &'static str, error: &ServiceError) {
        let is_refused = matches!(error, ServiceError::PermissionMissing { .. });
        let last = TableFailure { reason: error.without_call(), is_refused };
        let failures = self.0.entry(table).or_insert_with(|| Failures { in_a_row: 0, last: last.clone() });
        if failures.in_a_row < FAILED {
            *failures = Failures { in_a_row: failures.in_a_row + 1, last };
        }
    }

    /// Why the rest of a table is not requested; `None`: it is.
    pub(crate) fn failure(&self, table: &str) -> Option<&TableFailure> {
        self.0.get(table).filter(|failures| failures.in_a_row >= FAILED).map(|failures| &failures.last)
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
            let mut breaker = TableBreaker::default();
            for (table, failure) in *slices {
                match failure {
                    Some(status) => breaker.failed(table, &failing(*status)),
                    None => breaker.read(table),
                }
            }
            let reason = breaker.failure(A).map(|failure| failure.reason.trim_start_matches("retries exhausted: "));
            assert_eq!(reason, *expected, "{name}");
            assert_eq!(breaker.failure(B), None, "{name}");
        }
    }

    #[test]
    fn a_missing_permission_stays_one() {
        let mut breaker = TableBreaker::default();
        for _ in 0..FAILED {
            let call = Box::default();
            breaker.failed("a", &ServiceError::PermissionMissing { table: Some("a"), privilege: None, call });
        }
        assert!(breaker.failure("a").unwrap().is_refused);
    }
}
