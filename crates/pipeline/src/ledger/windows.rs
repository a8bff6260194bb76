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
/// The time column of a week of which all Files are in the lake: the week of their rows. `selection` is the fingerprint of
/// the week's rows and payloads; empty: some of its Files are missing again.
pub(crate) const PAYLOADS: &str = "payloads";
/// The time column of a week of a materialized view. `selection` has the fingerprints of the rows that it was made from.
pub(crate) const VIEWS: &str = "views";

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
    /// Whether it was read; otherwise the watermark passes it although it cannot be read.
    pub(crate) is_read: bool,
}

/// A window that the service could not serve, however small, as one run found it. The watermark passes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadableWindow {
    pub(crate) run_id: String,
    pub(crate) time_column: String,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    /// Before it was first requested in vain.
    pub(crate) failing_since: Instant,
    /// It has failed for so long that it is no longer requested.
    pub(crate) is_skipped: bool,
}

impl UnreadableWindow {
    /// The window as one that the watermark passes. `as_of`: when it was last requested.
    pub(crate) fn passed(&self, as_of: Instant) -> DoneWindow {
        let (run_id, time_column) = (self.run_id.clone(), self.time_column.clone());
        DoneWindow { run_id, time_column, start: self.start, end: self.end, as_of, is_read: false }
    }
}

/// How long a window is requested in vain before it is skipped.
const REQUESTED_FOR_SECONDS: i64 = 30 * Instant::DAY_SECONDS;

/// Whether a window that fails now, and has failed since then, is skipped.
pub(crate) fn is_skipped(failing_since: Instant, now: Instant) -> bool {
    now >= failing_since.plus_seconds(REQUESTED_FOR_SECONDS)
}

/// The windows that cannot be read, each once, with the time since when: those that were not read later.
pub(crate) fn still_unreadable(found: &[UnreadableWindow], done: &[DoneWindow]) -> Vec<UnreadableWindow> {
    let mut still: Vec<UnreadableWindow> = Vec::new();
    for window in found {
        let later = done.iter().filter(|done| {
            done.is_read && done.time_column == window.time_column && done.as_of >= window.failing_since
        });
        if subtract(window.start..window.end, later.map(|done| done.start..done.end)).is_empty() {
            continue;
        }
        let known = still.iter_mut().find(|known| {
            (&known.time_column, known.start, known.end) == (&window.time_column, window.start, window.end)
        });
        match known {
            Some(known) => {
                known.failing_since = known.failing_since.min(window.failing_since);
                known.is_skipped |= window.is_skipped;
            }
            None => still.push(window.clone()),
        }
    }
    still
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
    fn a_window_is_unreadable_until_it_is_read() {
        let found = |run: &str, time_column: &str, (start, end), since, is_skipped| UnreadableWindow {
            run_id: run.to_owned(),
            time_column: time_column.to_owned(),
            start: Instant(start),
            end: Instant(end),
            failing_since: Instant(since),
            is_skipped,
        };
        let done = |time_column: &str, (start, end), as_of| DoneWindow {
            run_id: "r".to_owned(),
            time_column: time_column.to_owned(),
            start: Instant(start),
            end: Instant(end),
            as_of: Instant(as_of),
            is_read: true,
        };
        let first = found("1", CREATED, (5, 6), 100, false);
        let second = found("2", CREATED, (5, 6), 100, false);
        let skipped = found("3", CREATED, (5, 6), 100, true);
        let again = found("4", CREATED, (5, 6), 300, false);
        let parts = vec![done(CREATED, (0, 5), 200), done(CREATED, (6, 9), 200)];
        let cases = [
            ("found once", vec![first.clone()], vec![], vec![first.clone()]),
            ("found by two runs", vec![first.clone(), second.clone()], vec![], vec![first.clone()]),
            ("skipped", vec![first.clone(), skipped], vec![], vec![found("1", CREATED, (5, 6), 100, true)]),
            ("read before it failed", vec![first.clone()], vec![done(CREATED, (0, 9), 99)], vec![first.clone()]),
            ("read later", vec![first.clone(), second], vec![done(CREATED, (0, 9), 200)], vec![]),
            ("read around it", vec![first.clone()], parts, vec![first.clone()]),
            ("passed by a watermark", vec![first.clone()], vec![first.passed(Instant(200))], vec![first.clone()]),
            ("read by another column", vec![first.clone()], vec![done(MODIFIED, (0, 9), 200)], vec![first.clone()]),
            ("failing again", vec![first, again.clone()], vec![done(CREATED, (0, 9), 200)], vec![again]),
        ];
        for (name, found, done, expected) in cases {
            assert_eq!(still_unreadable(&found, &done), expected, "{name}");
        }
        let day = |days: i64| Instant::from_seconds(1_760_000_000 + days * Instant::DAY_SECONDS);
        assert!(!is_skipped(day(0), day(29)) && is_skipped(day(0), day(30)));
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
