//! Which slices are to be read: pure, from the ledger's windows and the run's request.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use copilot_lake_extractor::Slice;
use copilot_lake_tables::{Instant, Table, Week};

use crate::ledger::{Continued, Ledger};
use crate::settings::DataverseJob;

/// The clock of the first pass.
pub(crate) const CREATED: &str = "createdon";
/// The clock of later passes.
pub(crate) const MODIFIED: &str = "modifiedon";

/// Dataverse keeps no earlier time: the first pass ends here when its start is not configured.
pub(crate) const BEGINNING: Instant = Instant::from_days(-79_257);

/// A window of one table that was read and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) run_id: String,
    pub(crate) clock: String,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    pub(crate) as_of: Instant,
}

/// What planning needs beside the windows.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    /// The start of the run, or of the one that it continues, in whole seconds of the service's clock.
    pub(crate) now: Instant,
    /// Runs that did not end and are continued: what they did is not asked again.
    pub(crate) continued: &'a BTreeSet<String>,
    /// When each run of the ledger started.
    pub(crate) started: &'a BTreeMap<String, Instant>,
    /// Start of the first pass, when configured.
    pub(crate) since: Option<Instant>,
    pub(crate) overlap_seconds: i64,
}

impl<'a> Frame<'a> {
    /// For a run of that job.
    pub(crate) fn of(job: &DataverseJob, ledger: &'a Ledger, continued: &'a Continued) -> Self {
        Self {
            now: continued.now,
            continued: &continued.runs,
            started: ledger.started(),
            since: job.since,
            overlap_seconds: job.overlap.as_secs() as i64,
        }
    }
}

/// What is left to read of a table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Windows of `modifiedon`, oldest first.
    pub(crate) changed: Vec<Range<Instant>>,
    /// What the first pass has not read, newest first, not yet cut into weeks.
    pub(crate) first_pass: Vec<Range<Instant>>,
}

/// What is left to read of a table, of which `windows` are done for a selection that covers the present one.
pub(crate) fn plan(windows: &[Window], frame: &Frame<'_>) -> Plan {
    let of = |clock: &'static str| windows.iter().filter(move |window| window.clock == clock);
    let is_before = |window: &&Window| !frame.continued.contains(&window.run_id);

    // The first pass ends where the run that began it started: later rows are found by their modifiedon.
    let end = of(CREATED).filter_map(|window| frame.started.get(&window.run_id)).min();
    let end = end.map_or(frame.now, |start| start.floor_second().min(frame.now));
    let start = frame.since.unwrap_or(BEGINNING).floor_second();
    let first_pass = subtract(start..end, of(CREATED).map(|window| window.start..window.end));

    let mut changed = Vec::new();
    if let Some(watermark) = watermark(windows.iter().filter(is_before), end) {
        let mut at = watermark.plus_seconds(-frame.overlap_seconds).floor_second();
        while at < frame.now {
            let until = at.plus_seconds(Instant::DAY_SECONDS).min(frame.now);
            let done = of(MODIFIED).filter(|window| !is_before(window)).map(|window| window.start..window.end);
            if !subtract(at..until, done).is_empty() {
                changed.push(at..until);
            }
            at = until;
        }
    }
    Plan { changed, first_pass }
}

/// Until when everything that changed was read: the end of the gapless chain of `modifiedon` windows that begins with
/// the first pass. None before the first pass has begun.
pub(crate) fn watermark<'w>(windows: impl Iterator<Item = &'w Window>, first_pass_end: Instant) -> Option<Instant> {
    let (first, mut later): (Vec<_>, Vec<_>) = windows.partition(|window| window.clock == CREATED);
    let mut watermark = first.iter().map(|window| window.as_of).min()?.min(first_pass_end);
    later.sort_by_key(|window| window.start);
    for window in later {
        if window.start <= watermark {
            watermark = watermark.max(window.end);
        }
    }
    Some(watermark)
}

/// The parts of a window that no other covers, newest first.
pub(crate) fn subtract(whole: Range<Instant>, covered: impl Iterator<Item = Range<Instant>>) -> Vec<Range<Instant>> {
    let mut covered: Vec<_> = covered.collect();
    covered.sort_by_key(|range| range.start);
    let mut left = Vec::new();
    let mut at = whole.start;
    for range in covered {
        if range.start > at && at < whole.end {
            left.push(at..range.start.min(whole.end));
        }
        at = at.max(range.end);
    }
    if at < whole.end {
        left.push(at..whole.end);
    }
    left.reverse();
    left
}

/// Whether the oldest row must be asked for: the first pass has no configured start and has not reached its end.
pub(crate) fn needs_oldest(plan: &Plan) -> bool {
    plan.first_pass.last().is_some_and(|range| range.start == BEGINNING)
}

/// Cuts windows of `createdon` into weeks, newest first. Everything before the oldest row's week belongs to the oldest
/// slice, so that the ledger shows that nothing is left.
pub(crate) fn weekly(table: &'static Table, windows: &[Range<Instant>], oldest: Option<Instant>) -> Vec<Slice> {
    let mut slices = Vec::new();
    for window in windows {
        let mut end = window.end;
        while end > window.start {
            let week = Week::of(Instant(end.0 - 1));
            let is_last = oldest.is_none_or(|oldest| week.start() <= oldest) && window.start == BEGINNING;
            let start = if is_last { window.start } else { week.start().max(window.start) };
            slices.push(Slice { table, scope: String::new(), time_column: CREATED, start, end });
            end = start;
        }
    }
    slices
}

/// Slices of changed rows.
pub(crate) fn daily(table: &'static Table, windows: &[Range<Instant>]) -> Vec<Slice> {
    let slice = |window: &Range<Instant>| Slice {
        table,
        scope: String::new(),
        time_column: MODIFIED,
        start: window.start,
        end: window.end,
    };
    windows.iter().map(slice).collect()
}

/// Whether everything in `present` was asked for by `done`.
pub(crate) fn covers(done: &str, present: &str) -> bool {
    let done: BTreeSet<_> = done.split(',').collect();
    present.split(',').all(|column| done.contains(column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::COPILOT_EVENT;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn window(run: &str, clock: &str, start: &str, end: &str, as_of: &str) -> Window {
        let (start, end, as_of) = (at(start), at(end), at(as_of));
        Window { run_id: run.to_owned(), clock: clock.to_owned(), start, end, as_of }
    }

    struct World {
        windows: Vec<Window>,
        started: BTreeMap<String, Instant>,
        continued: BTreeSet<String>,
    }

    impl World {
        fn plan(&self, now: &str, since: Option<&str>) -> Plan {
            let frame = Frame {
                now: at(now),
                continued: &self.continued,
                started: &self.started,
                since: since.map(at),
                overlap_seconds: 3600,
            };
            plan(&self.windows, &frame)
        }
    }

    fn world(windows: Vec<Window>, started: &[(&str, &str)], continued: &[&str]) -> World {
        World {
            windows,
            started: started.iter().map(|(run, start)| ((*run).to_owned(), at(start))).collect(),
            continued: continued.iter().map(|run| (*run).to_owned()).collect(),
        }
    }

    #[test]
    fn a_first_run_reads_weeks_from_the_newest_back() {
        let plan = world(vec![], &[], &[]).plan("2025-07-02T10:00:00Z", None);
        assert_eq!(plan.changed, []);
        assert!(needs_oldest(&plan));
        let slices = weekly(&COPILOT_EVENT, &plan.first_pass, Some(at("2025-06-20T00:00:00Z")));
        let windows: Vec<_> = slices.iter().map(|slice| format!("{} {}", slice.start, slice.end)).collect();
        assert_eq!(
            windows,
            [
                "2025-06-29T00:00:00Z 2025-07-02T10:00:00Z",
                "2025-06-22T00:00:00Z 2025-06-29T00:00:00Z",
                "1753-01-01T00:00:00Z 2025-06-22T00:00:00Z",
            ]
        );
        assert_eq!(weekly(&COPILOT_EVENT, &plan.first_pass, None).len(), 1, "an empty table is one slice");
    }

    #[test]
    fn a_configured_start_cuts_the_oldest_week() {
        let plan = world(vec![], &[], &[]).plan("2025-07-02T10:00:00Z", Some("2025-06-25"));
        assert!(!needs_oldest(&plan));
        let slices = weekly(&COPILOT_EVENT, &plan.first_pass, None);
        assert_eq!(slices.len(), 2);
        assert_eq!(slices[1].start, at("2025-06-25"));
    }

    #[test]
    fn a_later_run_asks_for_what_changed() {
        let first = window("r1", CREATED, "1753-01-01", "2025-07-02T10:00:00Z", "2025-07-02T10:00:01Z");
        let world = world(vec![first], &[("r1", "2025-07-02T10:00:00.5Z")], &[]);
        let plan = world.plan("2025-07-04T00:00:00Z", None);
        assert_eq!(plan.first_pass, []);
        assert_eq!(
            plan.changed,
            [
                at("2025-07-02T09:00:00Z")..at("2025-07-03T09:00:00Z"),
                at("2025-07-03T09:00:00Z")..at("2025-07-04T00:00:00Z")
            ]
        );
    }

    #[test]
    fn a_failed_window_breaks_the_chain() {
        let windows = vec![
            window("r1", CREATED, "1753-01-01", "2025-07-02T10:00:00Z", "2025-07-02T10:00:01Z"),
            window("r2", MODIFIED, "2025-07-02T09:00:00Z", "2025-07-03T09:00:00Z", "2025-07-05T00:00:00Z"),
            window("r2", MODIFIED, "2025-07-04T09:00:00Z", "2025-07-05T00:00:00Z", "2025-07-05T00:00:00Z"),
        ];
        let world = world(windows, &[("r1", "2025-07-02T10:00:00Z"), ("r2", "2025-07-05T00:00:00Z")], &[]);
        let plan = world.plan("2025-07-05T00:00:00Z", None);
        assert_eq!(plan.changed.first().unwrap().start, at("2025-07-03T08:00:00Z"));
    }

    #[test]
    fn a_continued_run_asks_nothing_again() {
        let windows = vec![
            window("r1", CREATED, "1753-01-01", "2025-07-02T10:00:00Z", "2025-07-02T10:00:00Z"),
            window("r2", MODIFIED, "2025-07-02T09:00:00Z", "2025-07-03T09:00:00Z", "2025-07-05T00:00:00Z"),
        ];
        let started = [("r1", "2025-07-02T10:00:00Z"), ("r2", "2025-07-05T00:00:00Z")];
        let plan = world(windows, &started, &["r2"]).plan("2025-07-05T00:00:00Z", None);
        assert_eq!(
            plan.changed,
            [
                at("2025-07-03T09:00:00Z")..at("2025-07-04T09:00:00Z"),
                at("2025-07-04T09:00:00Z")..at("2025-07-05T00:00:00Z")
            ]
        );
    }

    #[test]
    fn a_killed_first_pass_keeps_its_end() {
        // Only an old week was done; the newest week is still owed up to the first run's start, the rest is in the
        // windows of modifiedon.
        let windows = vec![window("r1", CREATED, "2025-06-15", "2025-06-22", "2025-07-02T10:00:03Z")];
        let plan = world(windows, &[("r1", "2025-07-02T10:00:00Z")], &[]).plan("2025-07-03T10:00:00Z", None);
        let missing = [at("2025-06-22")..at("2025-07-02T10:00:00Z"), BEGINNING..at("2025-06-15")];
        assert_eq!(plan.first_pass, missing);
        assert_eq!(
            plan.changed,
            [
                at("2025-07-02T09:00:00Z")..at("2025-07-03T09:00:00Z"),
                at("2025-07-03T09:00:00Z")..at("2025-07-03T10:00:00Z")
            ]
        );
    }

    #[test]
    fn selections_cover_their_parts() {
        assert!(covers("a,b,c", "a,c"));
        assert!(!covers("a,b", "a,c"));
        assert_eq!(BEGINNING.to_string(), "1753-01-01T00:00:00Z");
    }
}
