//! A set of instants, as ranges that neither overlap nor touch. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use copilot_lake_tables::Instant;

/// Half-open ranges by their starts. Ranges that overlap or touch are one, so its size is the number of gaps, whatever
/// the number of windows that were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RangeSet(BTreeMap<Instant, Instant>);

impl RangeSet {
    /// Adds a range.
    pub(super) fn insert(&mut self, range: Range<Instant>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // Starts and ends ascend together.
        while let Some((known, until)) = self.0.range(..=end).next_back().map(|(known, until)| (*known, *until))
            && until >= start
        {
            (start, end) = (start.min(known), end.max(until));
            self.0.remove(&known);
        }
        self.0.insert(start, end);
    }

    /// Adds the ranges of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|(start, end)| self.insert(*start..*end));
    }

    /// Whether every instant of the range is in the set.
    pub(super) fn contains(&self, range: &Range<Instant>) -> bool {
        range.is_empty() || self.0.range(..=range.start).next_back().is_some_and(|(_, end)| *end >= range.end)
    }

    /// The last range.
    pub(super) fn last(&self) -> Option<Range<Instant>> {
        self.0.last_key_value().map(|(start, end)| *start..*end)
    }

    /// The end of the gapless chain of ranges that begins at this instant.
    pub(super) fn chain_from(&self, at: Instant) -> Instant {
        self.0.iter().take_while(|(start, _)| **start <= at).map(|(_, end)| *end).fold(at, Instant::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(i64, i64)]) -> RangeSet {
        let mut set = RangeSet::default();
        ranges.iter().for_each(|(start, end)| set.insert(Instant(*start)..Instant(*end)));
        set
    }

    #[test]
    fn ranges_that_overlap_or_touch_are_one() {
        type Ranges = &'static [(i64, i64)];
        let cases: [(&str, Ranges, Ranges); 7] = [
            ("nothing", &[], &[]),
            ("an empty range", &[(3, 3)], &[]),
            ("apart", &[(5, 6), (1, 2)], &[(1, 2), (5, 6)]),
            ("touching", &[(2, 3), (1, 2)], &[(1, 3)]),
            ("overlapping", &[(1, 4), (3, 6)], &[(1, 6)]),
            ("within", &[(1, 9), (3, 6)], &[(1, 9)]),
            ("joining several", &[(1, 2), (4, 5), (7, 8), (2, 7)], &[(1, 8)]),
        ];
        for (name, added, expected) in cases {
            let expected = expected.iter().map(|(start, end)| (Instant(*start), Instant(*end))).collect();
            assert_eq!(set(added), RangeSet(expected), "{name}");
        }
    }

    #[test]
    fn chains_end_at_the_first_gap() {
        let set = set(&[(1, 4), (6, 9)]);
        let reached = |at| set.chain_from(Instant(at)).0;
        assert_eq!([reached(0), reached(1), reached(4), reached(5), reached(6), reached(20)], [0, 4, 4, 5, 9, 20]);
        let contains = |start, end| set.contains(&(Instant(start)..Instant(end)));
        assert!(contains(1, 4) && contains(7, 8) && contains(5, 5));
        assert!(!contains(3, 7) && !contains(4, 5) && !contains(0, 2));
    }
}
