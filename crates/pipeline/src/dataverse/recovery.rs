//! The windows that are read again because the lake has lost their rows: pure, from the note in the table's log and the
//! windows of the ledger.

use std::ops::Range;

use copilot_lake_tables::Instant;
use copilot_lake_writer::{Extent, LostRows};

use crate::dataverse::plan::{PlanInput, SlicePlan};
use crate::ledger::windows::{BEGINNING, CREATED, DoneWindow, MODIFIED, UnreadableWindow, subtract, watermark};

impl SlicePlan {
    /// Adds the windows that the lake has lost and no run has read again.
    pub(crate) fn add_lost(&mut self, lost: &LostRows, windows: &[DoneWindow], input: &PlanInput<'_>) {
        let is_since = |run: &str| is_since(lost, run, input);
        for range in lost_ranges(lost, windows, input, &is_since) {
            self.first_pass.extend(subtract(range, self.first_pass.clone().into_iter()));
        }
        self.first_pass.sort_by_key(|range| std::cmp::Reverse(range.start));
        for range in lost_changes(lost, windows, input, &is_since) {
            for mut rest in subtract(range, self.changed.clone().into_iter()) {
                while rest.start < rest.end {
                    let until = rest.start.plus_seconds(Instant::DAY_SECONDS).min(rest.end);
                    self.changed.push(rest.start..until);
                    rest.start = until;
                }
            }
        }
        self.changed.sort_by_key(|range| range.start);
    }
}

/// Whether everything that the lake has lost of a table has been read again by the end of that run, but for what is
/// skipped because it cannot be read: that is no longer requested.
pub(crate) fn is_recovered(
    lost: &LostRows,
    (windows, unreadable): (&[DoneWindow], &[UnreadableWindow]),
    input: &PlanInput<'_>,
    run_id: &str,
) -> bool {
    let is_since = |run: &str| run == run_id || is_since(lost, run, input);
    let skipped = unreadable.iter().filter(|window| window.is_skipped);
    let skipped = skipped.map(|window| DoneWindow { run_id: run_id.to_owned(), ..window.passed(input.now) });
    let windows: Vec<_> = windows.iter().cloned().chain(skipped).collect();
    lost_ranges(lost, &windows, input, &is_since).is_empty()
        && lost_changes(lost, &windows, input, &is_since).is_empty()
}

/// Whether the rows that a run read are still there: it found the loss, or is later.
fn is_since(lost: &LostRows, run: &str, input: &PlanInput<'_>) -> bool {
    run == lost.found_by || input.started.get(run).is_some_and(|start| *start > lost.found_at)
}

/// The windows of `createdon` that have lost rows and that no run has read since.
fn lost_ranges(
    lost: &LostRows,
    windows: &[DoneWindow],
    input: &PlanInput<'_>,
    is_since: &dyn Fn(&str) -> bool,
) -> Vec<Range<Instant>> {
    let whole: Vec<_> = match &lost.extent {
        Extent::Everything => vec![input.since.unwrap_or(BEGINNING).floor_second()..input.now],
        Extent::Weeks(weeks) => weeks.values().map(|times| times.start..times.end.min(input.now)).collect(),
    };
    let mut gaps: Vec<Range<Instant>> = Vec::new();
    for range in whole {
        let covered: Vec<_> = read_since(windows, CREATED, is_since).chain(gaps.iter().cloned()).collect();
        gaps.extend(subtract(range, covered.into_iter()));
    }
    gaps
}

/// The windows of `modifiedon` that have lost rows: rows older than the start of the first pass came that way.
fn lost_changes(
    lost: &LostRows,
    windows: &[DoneWindow],
    input: &PlanInput<'_>,
    is_since: &dyn Fn(&str) -> bool,
) -> Vec<Range<Instant>> {
    if lost.extent != Extent::Everything || input.since.is_none() {
        return vec![];
    }
    let Some(start) = watermark(windows.iter().filter(|window| window.time_column == CREATED), input.now) else {
        return vec![];
    };
    let start = start.plus_seconds(-input.overlap_seconds).floor_second();
    subtract(start..input.now, read_since(windows, MODIFIED, is_since))
}

/// The windows of a time column that these runs have read.
fn read_since<'a>(
    windows: &'a [DoneWindow],
    time_column: &'a str,
    is_since: &'a dyn Fn(&str) -> bool,
) -> impl Iterator<Item = Range<Instant>> + 'a {
    let in_column = windows.iter().filter(move |window| window.time_column == time_column && is_since(&window.run_id));
    in_column.map(|window| window.start..window.end)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use copilot_lake_tables::Week;

    use super::*;
    use crate::dataverse::plan::plan;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn window(run: &str, column: &str, start: &str, end: &str, as_of: &str) -> DoneWindow {
        let (start, end, as_of) = (at(start), at(end), at(as_of));
        DoneWindow { run_id: run.to_owned(), time_column: column.to_owned(), start, end, as_of, is_read: true }
    }

    fn texts(ranges: &[Range<Instant>]) -> Vec<String> {
        ranges.iter().map(|range| format!("{}/{}", range.start, range.end)).collect()
    }

    /// A lake whose first pass is done, and what is planned when that is lost.
    fn with_lost(lost: &LostRows, more: Vec<DoneWindow>, since: Option<&str>) -> (Vec<String>, Vec<String>, bool) {
        let mut windows = vec![
            window("a", CREATED, "2025-06-01", "2025-07-01", "2025-07-01"),
            window("b", MODIFIED, "2025-06-30T23:00:00Z", "2025-07-03", "2025-07-03"),
        ];
        windows.extend(more);
        let runs = [("a", "2025-07-01"), ("b", "2025-07-03"), ("c", "2025-07-04"), ("d", "2025-07-05")];
        let started = runs.into_iter().map(|(run, start)| (run.to_owned(), at(start))).collect();
        let (now, since, resumed) = (at("2025-07-05"), since.map(at), BTreeSet::new());
        let input = PlanInput { now, resumed: &resumed, started: &started, since, overlap_seconds: 3600 };
        let mut plan = plan(&windows, &input);
        plan.add_lost(lost, &windows, &input);
        (texts(&plan.first_pass), texts(&plan.changed), is_recovered(lost, (&windows, &[]), &input, "d"))
    }

    #[test]
    fn lost_weeks_are_read_again_once() {
        let times = at("2025-06-08")..at("2025-06-15");
        let weeks = BTreeMap::from([(Week::of(times.start), times)]);
        let lost = LostRows { found_at: at("2025-07-04"), found_by: "c".to_owned(), extent: Extent::Weeks(weeks) };
        let daily = |starts: &[&str]| -> Vec<String> {
            let day = |start: &&str| {
                format!("{start}/{}", at(start).plus_seconds(Instant::DAY_SECONDS).min(at("2025-07-05")))
            };
            starts.iter().map(day).collect()
        };
        let since = Some("2025-06-01");
        let changed = daily(&["2025-07-02T23:00:00Z", "2025-07-03T23:00:00Z", "2025-07-04T23:00:00Z"]);
        let week = vec!["2025-06-08T00:00:00Z/2025-06-15T00:00:00Z".to_owned()];
        assert_eq!(with_lost(&lost, vec![], since), (week, changed.clone(), false));
        let part = window("c", CREATED, "2025-06-08", "2025-06-12", "2025-07-04");
        let rest = vec!["2025-06-12T00:00:00Z/2025-06-15T00:00:00Z".to_owned()];
        assert_eq!(with_lost(&lost, vec![part.clone()], since), (rest, changed.clone(), false));
        let other = window("d", CREATED, "2025-06-12", "2025-06-15", "2025-07-05");
        assert_eq!(with_lost(&lost, vec![part, other], since), (vec![], changed, true), "watermarks do not move");
    }

    #[test]
    fn a_lost_table_is_read_again_with_what_changed_before_its_first_pass_begins() {
        let lost = LostRows { found_at: at("2025-07-04"), found_by: "c".to_owned(), extent: Extent::Everything };
        let (first_pass, changed, recovered) = with_lost(&lost, vec![], Some("2025-06-01"));
        assert_eq!(first_pass, ["2025-06-01T00:00:00Z/2025-07-05T00:00:00Z"]);
        assert_eq!(
            (changed[0].as_str(), changed.len(), recovered),
            ("2025-06-30T23:00:00Z/2025-07-01T23:00:00Z", 5, false)
        );
        let (first_pass, changed, _) = with_lost(&lost, vec![], None);
        let before = format!("{BEGINNING}/2025-06-01T00:00:00Z");
        assert_eq!(first_pass, ["2025-06-01T00:00:00Z/2025-07-05T00:00:00Z", &before], "what was never read, too");
        assert_eq!(changed.len(), 3);
        let all = window("c", CREATED, "1000-01-01", "2025-07-05", "2025-07-04");
        assert!(with_lost(&lost, vec![all], None).2);
    }

    #[test]
    fn what_is_skipped_keeps_no_loss_open() {
        let times = at("2025-06-08")..at("2025-06-15");
        let weeks = BTreeMap::from([(Week::of(times.start), times)]);
        let lost = LostRows { found_at: at("2025-07-04"), found_by: "c".to_owned(), extent: Extent::Weeks(weeks) };
        let unreadable = |is_skipped| UnreadableWindow {
            run_id: "a".to_owned(),
            time_column: CREATED.to_owned(),
            start: at("2025-06-12"),
            end: at("2025-06-12T00:00:01Z"),
            failing_since: at("2025-05-01"),
            is_skipped,
        };
        let around = [
            window("d", CREATED, "2025-06-08", "2025-06-12", "2025-07-05"),
            window("d", CREATED, "2025-06-12T00:00:01Z", "2025-06-15", "2025-07-05"),
        ];
        let (resumed, started) = (BTreeSet::new(), BTreeMap::new());
        let input =
            PlanInput { now: at("2025-07-05"), resumed: &resumed, started: &started, since: None, overlap_seconds: 0 };
        for (is_skipped, expected) in [(true, true), (false, false)] {
            let found = [unreadable(is_skipped)];
            assert_eq!(is_recovered(&lost, (&around, &found), &input, "d"), expected, "{is_skipped}");
        }
    }
}
