//! The done windows of a table, and what follows from them. Pure.

use std::collections::BTreeSet;
use std::ops::Range;

use copilot_lake_tables::Instant;

/// The time column of the first pass.
pub(crate) const CREATED: &str = "createdon";
/// The time column of later passes.
pub(crate) const MODIFIED: &str = "modifiedon";

/// What slices of change tracking have in place of a time column.
pub(crate) const TRACKING: &str = "tracking";

/// The earliest time of Dataverse: the first pass goes back to here when no start is configured.
pub(crate) const BEGINNING: Instant = Instant::from_days(-79_257);

/// A window in words: the column, and from when to when.
pub(crate) fn in_words(time_column: &str, start: Instant, end: Instant) -> String {
    if start <= BEGINNING {
        return format!("{time_column} from the beginning to {end}");
    }
    format!("{time_column} {start} to {end}")
}

/// A window of one table that was read and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DoneWindow {
    pub(crate) run_id: String,
    pub(crate) time_column: String,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) as_of: Instant,
}

/// The watermark: the end of the gapless chain of `modifiedon` windows that begins with the first pass. `None` before
/// the first pass has begun.
pub(crate) fn watermark<'w>(windows: impl Iterator<Item = &'w DoneWindow>, first_pass_end: Instant) -> Option<Instant> {
    let (first, mut later): (Vec<_>, Vec<_>) = windows.partition(|window| window.time_column == CREATED);
    let mut watermark = first.iter().map(|window| window.as_of).min()?.min(first_pass_end);
    later.sort_by_key(|window| window.start);
    for window in later {
        if window.start <= watermark {
            watermark = watermark.max(window.end);
        }
    }
    Some(watermark)
}

/// The parts of a window that no other window covers, newest first.
pub(crate) fn subtract(whole: Range<Instant>, covered: impl Iterator<Item = Range<Instant>>) -> Vec<Range<Instant>> {
    let mut covered: Vec<_> = covered.collect();
    covered.sort_by_key(|range| range.start);
    let mut gaps = Vec::new();
    let mut at = whole.start;
    for range in covered {
        if range.start > at && at < whole.end {
            gaps.push(at..range.start.min(whole.end));
        }
        at = at.max(range.end);
    }
    if at < whole.end {
        gaps.push(at..whole.end);
    }
    gaps.reverse();
    gaps
}

/// Whether the selection `done` has every column of `present`.
pub(crate) fn covers(done: &str, present: &str) -> bool {
    let done: BTreeSet<_> = done.split(',').collect();
    present.split(',').all(|column| done.contains(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_covers_its_parts() {
        assert!(covers("a,b,c", "a,c"));
        assert!(!covers("a,b", "a,c"));
    }

    #[test]
    fn a_window_is_told_without_the_time_that_stands_for_the_beginning() {
        let at = |text: &str| Instant::parse(text).unwrap();
        assert_eq!(BEGINNING.to_string(), "1753-01-01T00:00:00Z");
        let (june, july) = (at("2025-06-01"), at("2025-07-01"));
        assert_eq!(in_words(CREATED, june, july), "createdon 2025-06-01T00:00:00Z to 2025-07-01T00:00:00Z");
        assert_eq!(in_words(CREATED, BEGINNING, june), "createdon from the beginning to 2025-06-01T00:00:00Z");
    }

    #[test]
    fn gaps_are_what_no_window_covers_newest_first() {
        let range = |start, end| Instant(start)..Instant(end);
        let gaps = |covered: &[Range<Instant>]| subtract(range(0, 10), covered.iter().cloned());
        assert_eq!(gaps(&[]), [range(0, 10)]);
        assert_eq!(gaps(&[range(2, 4), range(3, 5)]), [range(5, 10), range(0, 2)]);
        assert_eq!(gaps(&[range(-5, 3), range(8, 20)]), [range(3, 8)]);
        assert_eq!(gaps(&[range(-5, 20)]), []);
    }
}
