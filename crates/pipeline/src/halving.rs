//! Halving: a window with a page that cannot be read is read in parts, until what cannot be read is alone. Pure.

use std::collections::VecDeque;
use std::ops::Range;

use copilot_lake_extractor::Error as ServiceError;
use copilot_lake_tables::Instant;

/// The length of a part that is not halved.
const SMALLEST_SECONDS: i64 = 1;
/// Parts that may be pending: where rows all over a window cannot be read, they are not looked for one by one.
const MOST_PENDING: usize = 32;
/// Parts that may fail before any is read: the window, its halves, its quarters and its eighths.
const FAILED_AT_FIRST: usize = 15;

/// Whether an error may be due to one page: a smaller window may be read nevertheless.
pub(crate) fn is_about_page(error: &ServiceError) -> bool {
    match error {
        _ if error.is_service_wide() => false,
        ServiceError::RetriesExhausted { status, .. } => *status != 429,
        ServiceError::Unreachable { .. } => true,
        ServiceError::BadPage { call, .. } => call.status.is_some(),
        _ => false,
    }
}

/// A window that is read in one part, or in several once one of them has failed.
#[derive(Debug)]
pub(crate) struct Halving {
    /// The first is read next. Siblings are read one after the other, before either of them is halved once more: one of
    /// them can usually be read, which shows that it is worth going on.
    pending: VecDeque<SubWindow>,
    unreadable: Vec<Range<Instant>>,
    is_any_read: bool,
    failed: usize,
}

#[derive(Debug)]
struct SubWindow {
    range: Range<Instant>,
    /// An earlier run has found that it cannot be read.
    is_known: bool,
}

/// What follows from the failure of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartFailure {
    /// Its halves are read instead.
    Halved,
    /// It cannot be read, and is no larger than it has to be.
    Unreadable,
    /// The parts that are pending are not worth a request.
    GivenUp,
}

impl Halving {
    /// Reads these windows. `known`: those that an earlier run has found unreadable; they are not halved.
    pub(crate) fn new(
        windows: impl IntoIterator<Item = Range<Instant>>,
        known: impl IntoIterator<Item = Range<Instant>>,
    ) -> Self {
        let part = |is_known| move |range| SubWindow { range, is_known };
        let pending = windows.into_iter().map(part(false)).chain(known.into_iter().map(part(true))).collect();
        Self { pending, unreadable: Vec::new(), is_any_read: false, failed: 0 }
    }

    /// The part to read next.
    pub(crate) fn next(&self) -> Option<Range<Instant>> {
        self.pending.front().map(|part| part.range.clone())
    }

    /// Whether the next part has failed before, by itself or as part of a larger one.
    pub(crate) fn has_failed_before(&self) -> bool {
        self.failed > 0 || self.pending.front().is_some_and(|part| part.is_known)
    }

    /// Notes that the part was read.
    pub(crate) fn read(&mut self) {
        self.is_any_read = true;
        self.pending.pop_front();
    }

    /// Notes that the part failed because of a page.
    pub(crate) fn failed(&mut self) -> PartFailure {
        let Some(part) = self.pending.pop_front() else { return PartFailure::GivenUp };
        if part.is_known || is_smallest(&part.range) {
            self.unreadable.push(part.range);
            return PartFailure::Unreadable;
        }
        self.failed += 1;
        let middle = middle(&part.range);
        let halves = [part.range.start..middle, middle..part.range.end];
        self.pending.extend(halves.map(|range| SubWindow { range, is_known: false }));
        let is_hopeless = !self.is_any_read && self.failed >= FAILED_AT_FIRST;
        if is_hopeless || self.pending.len() > MOST_PENDING { PartFailure::GivenUp } else { PartFailure::Halved }
    }

    /// What cannot be read, each as large as it has to be; adjacent parts are one.
    pub(crate) fn unreadable(&self) -> Vec<Range<Instant>> {
        merged(self.unreadable.iter().cloned())
    }

    /// What was not read, and may be readable.
    pub(crate) fn unread(&self) -> Vec<Range<Instant>> {
        merged(self.pending.iter().map(|part| part.range.clone()))
    }
}

fn is_smallest(range: &Range<Instant>) -> bool {
    range.end <= range.start.plus_seconds(SMALLEST_SECONDS)
}

/// The whole second in the middle of a window of more than one second.
fn middle(range: &Range<Instant>) -> Instant {
    let half = Instant(range.start.0 + (range.end.0 - range.start.0) / 2).floor_second();
    if half > range.start { half } else { range.start.floor_second().plus_seconds(1) }
}

/// The windows in order, adjacent ones merged.
fn merged(windows: impl Iterator<Item = Range<Instant>>) -> Vec<Range<Instant>> {
    let mut windows: Vec<_> = windows.collect();
    windows.sort_by_key(|window| window.start);
    let mut merged: Vec<Range<Instant>> = Vec::new();
    for window in windows {
        match merged.last_mut().filter(|last| last.end >= window.start) {
            Some(last) => last.end = last.end.max(window.end),
            None => merged.push(window),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use copilot_lake_extractor::FailedCall;

    use super::*;

    fn at(second: i64) -> Instant {
        Instant::from_seconds(second)
    }

    fn seconds(ranges: &[Range<Instant>]) -> Vec<(i64, i64)> {
        ranges.iter().map(|range| (range.start.0 / 1_000_000, range.end.0 / 1_000_000)).collect()
    }

    /// Reads windows at a service that fails for parts with one of these seconds. Returns what is unreadable, the rest,
    /// and the parts that were requested.
    fn read(windows: &[(i64, i64)], known: &[(i64, i64)], broken: &[i64]) -> [Vec<(i64, i64)>; 3] {
        let ranges =
            |windows: &[(i64, i64)]| -> Vec<_> { windows.iter().map(|(start, end)| at(*start)..at(*end)).collect() };
        let mut halving = Halving::new(ranges(windows), ranges(known));
        let mut requested = Vec::new();
        while let Some(part) = halving.next() {
            requested.push(part.clone());
            if !broken.iter().any(|second| part.contains(&at(*second))) {
                halving.read();
            } else if halving.failed() == PartFailure::GivenUp {
                break;
            }
        }
        [seconds(&halving.unreadable()), seconds(&halving.unread()), seconds(&requested)]
    }

    #[test]
    fn a_table_of_cases() {
        const WEEK: i64 = 7 * 86_400;
        let (none, all): (Vec<(i64, i64)>, Vec<i64>) = (vec![], (0..WEEK).collect());
        struct Case<'a> {
            name: &'a str,
            windows: &'a [(i64, i64)],
            known: &'a [(i64, i64)],
            broken: &'a [i64],
            unreadable: Vec<(i64, i64)>,
            rest: Vec<(i64, i64)>,
            /// The most requests.
            requests: usize,
        }
        let case = |name, windows, known, broken, unreadable: &[(i64, i64)], rest: &[(i64, i64)], requests| Case {
            name,
            windows,
            known,
            broken,
            unreadable: unreadable.to_vec(),
            rest: rest.to_vec(),
            requests,
        };
        let week: &[(i64, i64)] = &[(0, WEEK)];
        let cases = [
            case("nothing is broken", week, &[], &[], &none, &none, 1),
            case("one second is", week, &[], &[123_456], &[(123_456, 123_457)], &none, 43),
            case("the first one", week, &[], &[0], &[(0, 1)], &none, 43),
            case("the last one", week, &[], &[WEEK - 1], &[(WEEK - 1, WEEK)], &none, 43),
            case("neighbours are one", week, &[], &[5, 6], &[(5, 7)], &none, 45),
            case("two", week, &[], &[5, 400_000], &[(5, 6), (400_000, 400_001)], &none, 83),
            case("everything", week, &[], &all, &none, week, 15),
            case("a window of one second", &[(7, 8)], &[], &[7], &[(7, 8)], &none, 1),
            case("what is known is requested once", &[(0, 5), (7, 9)], &[(5, 7)], &[6], &[(5, 7)], &none, 3),
            case("what was known is there again", &[(0, 5), (7, 9)], &[(5, 7)], &[], &none, &none, 3),
        ];
        for Case { name, windows, known, broken, unreadable, rest, requests } in cases {
            let [found, unread, requested] = read(windows, known, broken);
            assert_eq!((found, unread), (unreadable, rest), "{name}");
            assert!(requested.len() <= requests, "{name}: {} requests", requested.len());
        }
    }

    #[test]
    fn rows_that_are_broken_all_over_a_window_are_not_looked_for_one_by_one() {
        let broken: Vec<i64> = (0..1_000).map(|n| n * 600 + 7).collect();
        let [unreadable, rest, requested] = read(&[(0, 604_800)], &[], &broken);
        assert_eq!(unreadable, []);
        // What was read is not in the rest, and nothing is in neither.
        assert!(requested.len() < 100 && !rest.is_empty(), "{} requests", requested.len());
        let is_in_rest = |second: &i64| rest.iter().any(|(start, end)| (*start..*end).contains(second));
        assert!(broken.iter().all(is_in_rest));
    }

    #[test]
    fn only_what_one_page_may_cause_is_halved() {
        let call = |status, is_outage| Box::new(FailedCall { status, is_outage, ..FailedCall::default() });
        let exhausted = |status: u16, is_outage| {
            let call = call(Some(status), is_outage);
            ServiceError::RetriesExhausted { status, cause: String::new(), call }
        };
        let cut = |status| ServiceError::BadPage { reason: String::new(), call: call(status, false) };
        let cases = [
            (exhausted(500, false), true),
            (exhausted(504, false), true),
            (exhausted(500, true), false),
            (exhausted(429, false), false),
            (ServiceError::Unreachable { cause: String::new(), call: call(None, false) }, true),
            (cut(Some(200)), true),
            // Too many pages, or links in a circle.
            (cut(None), false),
            (ServiceError::PermissionMissing { table: None, privilege: None, call: call(Some(403), false) }, false),
        ];
        for (error, expected) in cases {
            assert_eq!(is_about_page(&error), expected, "{error:?}");
        }
    }
}
