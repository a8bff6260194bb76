//! The planner of slices: pure, from the windows of the ledger and the options of the run.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use copilot_lake_extractor::Slice;
use copilot_lake_tables::{Instant, Table, Week};

use crate::ledger::Ledger;
use crate::ledger::runs::Restart;
use crate::ledger::windows::{BEGINNING, CREATED, DoneWindow, MODIFIED, UnreadableWindow, subtract, watermark};
use crate::settings::DataverseJob;

/// What the planner needs besides the windows.
#[derive(Debug)]
pub(crate) struct PlanInput<'a> {
    /// The start of the run, or of the earliest one that it resumes, in whole seconds of the service's clock.
    pub(crate) now: Instant,
    /// The runs that are resumed: what they read is not requested again.
    pub(crate) resumed: &'a BTreeSet<String>,
    /// When each run of the ledger started.
    pub(crate) started: &'a BTreeMap<String, Instant>,
    /// The start of the first pass, when configured.
    pub(crate) since: Option<Instant>,
    pub(crate) overlap_seconds: i64,
}

impl<'a> PlanInput<'a> {
    /// The input for a run of that job.
    pub(crate) fn new(job: &DataverseJob, ledger: &'a Ledger, restart: &'a Restart) -> Self {
        Self {
            now: restart.now,
            resumed: &restart.runs,
            started: ledger.runs().started(),
            since: job.since,
            overlap_seconds: job.overlap.as_secs() as i64,
        }
    }
}

/// The windows of a table to read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SlicePlan {
    /// Windows of `modifiedon`, oldest first.
    pub(crate) changed: Vec<Range<Instant>>,
    /// Windows of `createdon` that the first pass has not read, newest first, not cut into weeks yet.
    pub(crate) first_pass: Vec<Range<Instant>>,
}

/// Plans the windows of a table to read. `windows`: those that are done, with a selection that covers the present one.
pub(crate) fn plan(windows: &[DoneWindow], input: &PlanInput<'_>) -> SlicePlan {
    let by_column = |time_column: &'static str| windows.iter().filter(move |window| window.time_column == time_column);
    let is_before = |window: &&DoneWindow| !input.resumed.contains(&window.run_id);

    // The first pass ends at the start of the run that began it: later rows are found by their modifiedon.
    let end = by_column(CREATED).filter_map(|window| input.started.get(&window.run_id)).min();
    let end = end.map_or(input.now, |start| start.floor_second().min(input.now));
    let start = input.since.unwrap_or(BEGINNING).floor_second();
    let first_pass = subtract(start..end, by_column(CREATED).map(|window| window.start..window.end));

    let mut changed = Vec::new();
    if let Some(watermark) = watermark(windows.iter().filter(is_before), end) {
        let mut at = watermark.plus_seconds(-input.overlap_seconds).floor_second();
        while at < input.now {
            let until = at.plus_seconds(Instant::DAY_SECONDS).min(input.now);
            let done = by_column(MODIFIED).filter(|window| !is_before(window)).map(|window| window.start..window.end);
            // A killed run may have read a day in part.
            changed.extend(subtract(at..until, done).into_iter().rev());
            at = until;
        }
    }
    SlicePlan { changed, first_pass }
}

impl SlicePlan {
    /// Leaves out windows that are known not to be readable: each is requested by itself.
    pub(crate) fn leave_out(&mut self, unreadable: &[UnreadableWindow]) {
        let without = |windows: &[Range<Instant>], time_column: &str| -> Vec<Range<Instant>> {
            let of_column = unreadable.iter().filter(|window| window.time_column == time_column);
            let unreadable: Vec<_> = of_column.map(|window| window.start..window.end).collect();
            windows.iter().flat_map(|window| subtract(window.clone(), unreadable.iter().cloned())).collect()
        };
        self.first_pass = without(&self.first_pass, CREATED);
        self.changed = without(&self.changed, MODIFIED);
        self.changed.sort_by_key(|range| range.start);
    }
}

/// The slices of windows that could not be read so far, and are requested once more.
pub(crate) fn unreadable(table: &'static Table, windows: &[UnreadableWindow]) -> Vec<Slice> {
    let slice = |window: &UnreadableWindow| {
        let time_column = [CREATED, MODIFIED].into_iter().find(|column| *column == window.time_column)?;
        Some(Slice { table, scope: String::new(), time_column, start: window.start, end: window.end })
    };
    windows.iter().filter(|window| !window.is_skipped).filter_map(slice).collect()
}

/// Whether the oldest row has to be requested: the first pass has no configured start and has not reached its end.
pub(crate) fn needs_oldest(plan: &SlicePlan) -> bool {
    plan.first_pass.last().is_some_and(|range| range.start == BEGINNING)
}

/// Cuts windows of `createdon` into weeks, newest first. The oldest slice covers everything before the oldest row's
/// week, so that the ledger shows no gap.
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

/// Puts the slices of all tables into the order in which they are read: first what changed, then the first pass from the
/// newest week of every table back. Those that were last requested in vain come after all others, so that they do not
/// keep these from being read in one run after the other: the rest of a table fails at once after some failures.
pub(crate) fn in_order(
    changed: Vec<Slice>,
    mut first_pass: Vec<Slice>,
    last_failure: impl Fn(&Slice) -> Option<Instant>,
) -> Vec<Slice> {
    first_pass.sort_by_key(|slice| Reverse(slice.end));
    let mut slices: Vec<_> = changed.into_iter().chain(first_pass).collect();
    slices.sort_by_cached_key(last_failure);
    slices
}

/// The slices of changed rows.
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

#[cfg(test)]
mod tests {
    use super::*;
    use copilot_lake_tables::COPILOT_EVENT;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn window(run: &str, column: &str, start: &str, end: &str, as_of: &str) -> DoneWindow {
        let (start, end, as_of) = (at(start), at(end), at(as_of));
        DoneWindow { run_id: run.to_owned(), time_column: column.to_owned(), start, end, as_of, is_read: true }
    }

    #[test]
    fn what_was_requested_in_vain_comes_after_everything_else() {
        let slice = |time_column, start: &str, end: &str| {
            let (table, scope) = (&COPILOT_EVENT, String::new());
            Slice { table, scope, time_column, start: at(start), end: at(end) }
        };
        let changed: Vec<_> =
            (1..4).map(|n| slice(MODIFIED, &format!("2025-11-0{n}"), &format!("2025-11-0{}", n + 1))).collect();
        let weeks: Vec<_> =
            (1..4).map(|n| slice(CREATED, &format!("2025-0{n}-01"), &format!("2025-0{n}-08"))).collect();
        // The windows that failed, each with when it last did, and the starts in the expected order.
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], [&'a str; 6]);
        let cases: [Case<'_>; 4] = [
            ("nothing", &[], ["11-01", "11-02", "11-03", "03-01", "02-01", "01-01"]),
            ("a week", &[("03-01", "2025-11-09")], ["11-01", "11-02", "11-03", "02-01", "01-01", "03-01"]),
            (
                "a day, then a week",
                &[("11-01", "2025-11-08"), ("03-01", "2025-11-09")],
                ["11-02", "11-03", "02-01", "01-01", "11-01", "03-01"],
            ),
            (
                "a week, then a day",
                &[("11-01", "2025-11-09"), ("03-01", "2025-11-08")],
                ["11-02", "11-03", "02-01", "01-01", "03-01", "11-01"],
            ),
        ];
        for (what, failures, expected) in cases {
            let last_failure = |slice: &Slice| {
                let start = slice.start.to_string();
                failures.iter().find(|(failed, _)| start[5..].starts_with(failed)).map(|(_, last)| at(last))
            };
            let slices = in_order(changed.clone(), weeks.clone(), last_failure);
            let starts: Vec<_> = slices.iter().map(|slice| slice.start.to_string()[5..10].to_owned()).collect();
            assert_eq!(starts, expected, "{what}");
        }
    }

    struct World {
        windows: Vec<DoneWindow>,
        started: BTreeMap<String, Instant>,
        resumed: BTreeSet<String>,
    }

    impl World {
        fn plan(&self, now: &str, since: Option<&str>) -> SlicePlan {
            let input = PlanInput {
                now: at(now),
                resumed: &self.resumed,
                started: &self.started,
                since: since.map(at),
                overlap_seconds: 3600,
            };
            plan(&self.windows, &input)
        }
    }

    fn world(windows: Vec<DoneWindow>, started: &[(&str, &str)], resumed: &[&str]) -> World {
        World {
            windows,
            started: started.iter().map(|(run, start)| ((*run).to_owned(), at(start))).collect(),
            resumed: resumed.iter().map(|run| (*run).to_owned()).collect(),
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
    fn a_later_run_reads_what_changed() {
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
    fn a_resumed_run_reads_nothing_again() {
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

    fn found(column: &str, start: &str, end: &str) -> UnreadableWindow {
        UnreadableWindow {
            run_id: "r1".to_owned(),
            time_column: column.to_owned(),
            start: at(start),
            end: at(end),
            failing_since: at("2025-07-02T10:00:00Z"),
            is_skipped: false,
        }
    }

    #[test]
    fn a_kill_between_halves_leaves_the_other_half() {
        // The week was halved; its second half and one second of the first could not be read before the kill.
        let row = found(CREATED, "2025-06-16T00:00:00Z", "2025-06-16T00:00:01Z");
        let windows = vec![
            window("r1", CREATED, "2025-06-22", "2025-07-02T10:00:00Z", "2025-07-02T10:00:00Z"),
            window("r1", CREATED, "2025-06-16T00:00:01Z", "2025-06-18T12:00:00Z", "2025-07-02T10:00:00Z"),
            window("r1", CREATED, "1753-01-01", "2025-06-16T00:00:00Z", "2025-07-02T10:00:00Z"),
            row.passed(at("2025-07-02T10:00:00Z")),
        ];
        let started = [("r1", "2025-07-02T10:00:00Z")];
        for resumed in [&["r1"][..], &[]] {
            let mut plan = world(windows.clone(), &started, resumed).plan("2025-07-02T10:00:00Z", None);
            plan.leave_out(std::slice::from_ref(&row));
            assert_eq!(plan.first_pass, [at("2025-06-18T12:00:00Z")..at("2025-06-22")]);
        }
        let again = unreadable(&COPILOT_EVENT, &[row.clone(), UnreadableWindow { is_skipped: true, ..row }]);
        assert_eq!(again.len(), 1, "by itself, until it is skipped");
        assert_eq!((again[0].start, again[0].time_column), (at("2025-06-16"), CREATED));
    }

    #[test]
    fn the_watermark_passes_what_cannot_be_read() {
        let row = found(MODIFIED, "2025-07-04T23:30:00Z", "2025-07-04T23:30:01Z");
        let started = [("r1", "2025-07-02T10:00:00Z"), ("r2", "2025-07-05T00:00:00Z")];
        let windows = vec![
            window("r1", CREATED, "1753-01-01", "2025-07-02T10:00:00Z", "2025-07-02T10:00:00Z"),
            window("r2", MODIFIED, "2025-07-02T09:00:00Z", "2025-07-04T23:30:00Z", "2025-07-05T00:00:00Z"),
            row.passed(at("2025-07-05T00:00:00Z")),
            window("r2", MODIFIED, "2025-07-04T23:30:01Z", "2025-07-05T00:00:00Z", "2025-07-05T00:00:00Z"),
        ];
        let mut plan = world(windows.clone(), &started, &[]).plan("2025-07-05T12:00:00Z", None);
        assert_eq!(plan.changed, [at("2025-07-04T23:00:00Z")..at("2025-07-05T12:00:00Z")]);
        plan.leave_out(std::slice::from_ref(&row));
        let around = [
            at("2025-07-04T23:00:00Z")..at("2025-07-04T23:30:00Z"),
            at("2025-07-04T23:30:01Z")..at("2025-07-05T12:00:00Z"),
        ];
        assert_eq!(plan.changed, around, "the overlap is read without it");
        // A killed run had read the first part of its day.
        let resumed = world(windows[..2].to_vec(), &started, &["r2"]).plan("2025-07-05T00:00:00Z", None);
        assert_eq!(resumed.changed, [at("2025-07-04T23:30:00Z")..at("2025-07-05T00:00:00Z")]);
    }

    #[test]
    fn a_killed_first_pass_keeps_its_end() {
        // Only an old week was done; the newest week is still due up to the first run's start, the rest is in the
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
}
