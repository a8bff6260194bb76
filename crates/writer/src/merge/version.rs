//! The version of a row.

use std::cmp::Ordering;

use crate::keys::{KeyColumn, KeyScalar};

/// A row's version, the most significant part first; a part that is null is [`i64::MIN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version([i64; 2]);

impl Version {
    /// The version of a row, from the version columns.
    pub(crate) fn at_row(columns: &[KeyColumn], row: usize) -> Self {
        let mut parts = [i64::MIN; 2];
        for (part, column) in parts.iter_mut().zip(columns) {
            if let KeyScalar::Int(value) = column.get(row) {
                *part = value;
            }
        }
        Self(parts)
    }

    /// Compares two versions. Parts that either lacks do not count: a time that did not fit its column must not make
    /// its row the oldest.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        let known = |(a, b): &(i64, i64)| *a != i64::MIN && *b != i64::MIN;
        let parts = self.0.into_iter().zip(other.0).filter(known);
        parts.map(|(a, b)| a.cmp(&b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_one_lacks_do_not_count() {
        let null = i64::MIN;
        let cases = [
            ([1, 1], [1, 1], Ordering::Equal),
            ([1, 9], [2, 1], Ordering::Less),
            ([2, 2], [2, 1], Ordering::Greater),
            ([null, 2], [5, 1], Ordering::Greater),
            ([5, null], [null, 1], Ordering::Equal),
            ([5, null], [4, 7], Ordering::Greater),
            ([null, null], [4, 7], Ordering::Equal),
        ];
        for (a, b, expected) in cases {
            assert_eq!(Version(a).compare(Version(b)), expected, "{a:?} {b:?}");
            assert_eq!(Version(b).compare(Version(a)), expected.reverse(), "{b:?} {a:?}");
        }
    }
}
