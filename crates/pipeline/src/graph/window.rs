//! The window of a user's history to read: pure, from the user's state and the options of the run.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use copilot_lake_tables::{AI_INTERACTION, INTERACTION_CHILDREN, Instant};
use copilot_lake_writer::Extent;

use super::scope_state::{ScopeState, UnreadableHistory};
use super::selection::HistorySelection;
use crate::halving::Halving;
use crate::ledger::windows::subtract;
use crate::report::SliceStatus;
use crate::settings::GraphJob;

/// Users without a history are requested again after this time.
pub(crate) const WITHOUT_HISTORY_SECONDS: i64 = 30 * Instant::DAY_SECONDS;

/// What planning a window needs besides the user's state.
#[derive(Debug)]
pub(crate) struct WindowInput {
    /// The start of the run, or of the earliest one that it resumes, in whole seconds of the service's clock.
    pub(crate) now: Instant,
    pub(crate) overlap_seconds: i64,
    /// Whether everything is read again.
    pub(crate) full: bool,
    /// The window that is read again; no watermark moves.
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// The selection; its `since` is the start of the first window.
    pub(crate) selection: Arc<HistorySelection>,
    /// What the lake has lost.
    pub(crate) lost: Option<LostHistories>,
}

/// Rows of histories that the lake has lost, of any user.
#[derive(Debug, Clone)]
pub(crate) struct LostHistories {
    /// No lost row is older.
    pub(crate) since: Instant,
    /// The run that found the loss, and all later ones: what they read is there.
    pub(crate) read_by: BTreeSet<String>,
}

impl LostHistories {
    /// The losses of all tables that histories are written to.
    pub(crate) fn new(
        tables: &BTreeMap<&'static str, copilot_lake_writer::LostRows>,
        job: &GraphJob,
        started: &BTreeMap<String, Instant>,
    ) -> Option<Self> {
        // Users are read in every run.
        let of_histories = INTERACTION_CHILDREN.into_iter().chain([&AI_INTERACTION]);
        let of_graph: Vec<_> = of_histories.filter_map(|table| tables.get(table.name)).collect();
        let last = of_graph.iter().max_by_key(|lost| lost.found_at)?;
        let since = of_graph.iter().map(|lost| oldest(lost, job)).min()?;
        let later = started.iter().filter(|(_, start)| **start > last.found_at).map(|(run, _)| run.clone());
        Some(Self { since, read_by: later.chain([last.found_by.clone()]).collect() })
    }

    /// Whether a user's history has been read again.
    fn is_settled(&self, state: &ScopeState) -> bool {
        state.is_after_loss && state.status == SliceStatus::Done && state.window_start <= self.since
    }
}

fn oldest(lost: &copilot_lake_writer::LostRows, job: &GraphJob) -> Instant {
    let first = match &lost.extent {
        Extent::Everything => None,
        Extent::Weeks(weeks) => weeks.values().map(|times| times.start).min(),
    };
    first.unwrap_or(job.since).floor_second()
}

/// A user's history in a window.
#[derive(Debug, Clone)]
pub(crate) struct HistoryTask {
    pub(crate) user: String,
    pub(crate) start: Instant,
    pub(crate) end: Instant,
    /// The watermark before.
    pub(crate) until: Option<Instant>,
    /// The selection of the watermark once the window is read.
    pub(crate) selection: Arc<HistorySelection>,
    /// The selection of the watermark before.
    pub(crate) selection_before: Option<Arc<HistorySelection>>,
    /// The pages to be expected, going by the last window.
    pub(crate) pages_expected: u64,
    /// Whether the user should have a history: is licensed, and the last window was read.
    pub(crate) is_expected: bool,
    /// Whether the directory has deleted the user.
    pub(crate) is_deleted: bool,
    /// Whether the user is known to have no history.
    pub(crate) is_without_history: bool,
    /// What earlier runs could not read.
    pub(crate) unreadable: Vec<UnreadableHistory>,
    /// Whether that is requested by itself, and left out of the window. Otherwise the window is read without regard to
    /// it, as the first one is, or has nothing to do with it.
    pub(crate) leaves_out_unreadable: bool,
}

impl HistoryTask {
    /// The window of a user of whom nothing is known.
    pub(crate) fn unread(user: String, window: Range<Instant>, selection: Arc<HistorySelection>) -> Self {
        Self {
            user,
            start: window.start,
            end: window.end,
            until: None,
            selection,
            selection_before: None,
            pages_expected: 1,
            is_expected: false,
            is_deleted: false,
            is_without_history: false,
            unreadable: Vec::new(),
            leaves_out_unreadable: false,
        }
    }

    /// The calls to be expected: the pages, and what is requested once more.
    pub(crate) fn calls_expected(&self) -> u64 {
        let again = if self.leaves_out_unreadable { self.unreadable.len() as u64 } else { 0 };
        self.pages_expected + again
    }

    /// The parts in which the window is read, and what is requested once more.
    pub(crate) fn halving(&self) -> Halving {
        let known: Vec<_> = match self.leaves_out_unreadable {
            true => self.unreadable.iter().map(|found| found.window.clone()).collect(),
            false => vec![],
        };
        let mut windows = subtract(self.start..self.end, known.iter().cloned());
        windows.reverse();
        Halving::new(windows, known)
    }

    /// These windows, which could not be read, with the time since when.
    pub(crate) fn unreadable_now(
        &self,
        windows: Vec<Range<Instant>>,
        as_of: Option<Instant>,
        reason: &str,
    ) -> Vec<UnreadableHistory> {
        let found = |window: Range<Instant>| {
            let is_part =
                |known: &&UnreadableHistory| window.start <= known.window.start && known.window.end <= window.end;
            let known = self.unreadable.iter().filter(is_part).map(|known| known.failing_since).min();
            let failing_since = known.or(as_of).unwrap_or(self.end);
            UnreadableHistory { window, failing_since, reason: reason.to_owned() }
        };
        windows.into_iter().map(found).collect()
    }
}

/// What the directory says of a user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DirectoryState {
    pub(crate) is_licensed: bool,
    /// Whether the directory has deleted the user.
    pub(crate) is_deleted: bool,
}

/// Plans the window of a user to read; `None` when a resumed run has read it, or the user is known to have no history.
pub(crate) fn task(
    user: String,
    directory: DirectoryState,
    state: Option<&ScopeState>,
    input: &WindowInput,
) -> Option<HistoryTask> {
    let covers = |state: &&ScopeState| state.selection.as_ref().is_some_and(|done| done.covers(&input.selection));
    let settled = |state: &ScopeState| {
        let done = state.until.is_some_and(|until| until >= input.now)
            && state.status != SliceStatus::Failed
            && covers(&state);
        state.is_resumed && (done || (state.status == SliceStatus::Skipped && state.window_end >= input.now))
    };
    let is_without_history = state.is_some_and(|state| state.is_without_history);
    let is_asked_again =
        |state: &ScopeState| state.window_end.plus_seconds(WITHOUT_HISTORY_SECONDS) <= input.now || input.full;
    if is_without_history && !state.is_some_and(is_asked_again) {
        return None;
    }
    let lost = input.lost.as_ref().filter(|lost| !state.is_some_and(|state| lost.is_settled(state)));
    if input.window.is_none() && lost.is_none() && state.is_some_and(settled) {
        return None;
    }
    let chain =
        state.filter(covers).filter(|_| !input.full).and_then(|state| state.until.zip(state.selection.as_ref()));
    let since = input.selection.since;
    let leaves_out_unreadable = input.window.is_none() && chain.is_some();
    let (start, end, selection) = match (input.window, chain) {
        (Some((start, end)), _) => {
            (start.unwrap_or(since).floor_second(), end.ceil_second(), Arc::clone(&input.selection))
        }
        (None, Some((until, done))) => {
            let start = until.plus_seconds(-input.overlap_seconds).floor_second();
            // A configured start after the watermark must not leave a gap.
            let start = if since <= until { start.max(since) } else { start };
            // What is lost is read together with what is new.
            let start = lost.map_or(start, |lost| start.min(lost.since));
            // The chain keeps its beginning.
            let selection = HistorySelection { since: done.since, app_classes: input.selection.app_classes.clone() };
            let selection =
                if selection == *input.selection { Arc::clone(&input.selection) } else { Arc::new(selection) };
            (start.min(input.now), input.now, selection)
        }
        (None, None) => {
            let start = lost.map_or(since, |lost| since.min(lost.since));
            (start, input.now, Arc::clone(&input.selection))
        }
    };
    let was_left_out = state.is_some_and(|state| state.status != SliceStatus::Done);
    Some(HistoryTask {
        until: state.and_then(|state| state.until),
        selection_before: state.and_then(|state| state.selection.clone()),
        pages_expected: state.map_or(1, |state| expected_pages(state, end.0 - start.0)),
        is_expected: directory.is_licensed && !directory.is_deleted && !was_left_out,
        is_deleted: directory.is_deleted,
        is_without_history,
        unreadable: state.map_or_else(Vec::new, |state| state.unreadable.clone()),
        leaves_out_unreadable,
        ..HistoryTask::unread(user, start..end, selection)
    })
}

/// The pages of a window of that length, if it is as dense as the last one.
fn expected_pages(state: &ScopeState, micros: i64) -> u64 {
    let before = (state.window_end.0 - state.window_start.0).max(1);
    let pages = state.pages as f64 * micros as f64 / before as f64;
    (pages.ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    fn selection(since: &str) -> Arc<HistorySelection> {
        Arc::new(HistorySelection { since: at(since), app_classes: std::collections::BTreeSet::new() })
    }

    fn input(since: &str) -> WindowInput {
        let selection = selection(since);
        WindowInput { now: at("2025-11-06"), overlap_seconds: 86_400, full: false, window: None, selection, lost: None }
    }

    fn state(until: Option<&str>, window: (&str, &str)) -> ScopeState {
        ScopeState {
            until: until.map(at),
            selection: Some(selection("2025-10-01")),
            window_start: at(window.0),
            window_end: at(window.1),
            status: SliceStatus::Done,
            is_resumed: false,
            is_after_loss: false,
            pages: 4,
            finished_at: 0,
            is_without_history: false,
            run_id: String::new(),
            unreadable: Vec::new(),
        }
    }

    const USER: DirectoryState = DirectoryState { is_licensed: true, is_deleted: false };

    fn planned(state: Option<&ScopeState>, input: &WindowInput) -> Option<(String, String)> {
        let task = task("u".to_owned(), USER, state, input)?;
        Some((task.start.to_string(), task.end.to_string()))
    }

    fn texts(texts: [&str; 2]) -> Option<(String, String)> {
        let [a, b] = texts.map(|text| at(text).to_string());
        Some((a, b))
    }

    #[test]
    fn a_first_window_begins_where_it_is_said_and_a_later_one_a_little_before_the_last() {
        assert_eq!(planned(None, &input("2025-10-01")), texts(["2025-10-01", "2025-11-06"]));
        let done = state(Some("2025-11-05"), ("2025-11-03", "2025-11-05"));
        assert_eq!(planned(Some(&done), &input("2025-10-01")), texts(["2025-11-04", "2025-11-06"]));
    }

    #[test]
    fn what_is_lost_is_read_again_once() {
        let lost = Some(LostHistories { since: at("2025-10-12"), read_by: BTreeSet::from(["run".to_owned()]) });
        let input = WindowInput { lost, ..input("2025-10-01") };
        let done = state(Some("2025-11-05"), ("2025-11-03", "2025-11-05"));
        assert_eq!(planned(Some(&done), &input), texts(["2025-10-12", "2025-11-06"]));
        let resumed = ScopeState { is_resumed: true, ..state(Some("2025-11-06"), ("2025-11-04", "2025-11-06")) };
        assert_eq!(planned(Some(&resumed), &input), texts(["2025-10-12", "2025-11-06"]));
        let again = ScopeState { is_after_loss: true, ..state(Some("2025-11-06"), ("2025-10-12", "2025-11-06")) };
        assert_eq!(planned(Some(&again), &input), texts(["2025-11-05", "2025-11-06"]));
        let failed = ScopeState { status: SliceStatus::Failed, ..again };
        assert_eq!(planned(Some(&failed), &input), texts(["2025-10-12", "2025-11-06"]));
    }

    #[test]
    fn a_start_after_the_watermark_leaves_no_gap() {
        let done = state(Some("2025-10-20"), ("2025-10-19", "2025-10-20"));
        assert_eq!(planned(Some(&done), &input("2025-11-01")), texts(["2025-10-19", "2025-11-06"]));
        let earlier = input("2025-09-01");
        assert_eq!(planned(Some(&done), &earlier), texts(["2025-09-01", "2025-11-06"]), "earlier history");
    }

    #[test]
    fn users_without_a_history_are_requested_every_thirty_days() {
        let state = |end: &str, is_without_history| ScopeState {
            status: SliceStatus::Skipped,
            is_without_history,
            ..state(None, ("2025-10-01", end))
        };
        let input = input("2025-10-01");
        let cases = [
            ("2025-11-05", true, false, false),
            ("2025-10-08", true, false, false),
            ("2025-10-07", true, false, true),
            ("2025-11-05", true, true, true),
            ("2025-11-05", false, false, true),
        ];
        for (end, is_without_history, full, expected) in cases {
            let input = WindowInput { full, selection: Arc::clone(&input.selection), lost: None, ..input };
            let task = task("u".to_owned(), USER, Some(&state(end, is_without_history)), &input);
            assert_eq!(task.is_some(), expected, "{end} {is_without_history} {full}");
            assert!(task.is_none_or(|task| task.is_without_history == is_without_history));
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out_of_what_is_read_next() {
        let found = |start: &str, end: &str| UnreadableHistory {
            window: at(start)..at(end),
            failing_since: at("2025-11-05"),
            reason: "status 500".to_owned(),
        };
        let unreadable =
            vec![found("2025-10-03", "2025-10-03T00:00:02Z"), found("2025-11-04T12:00:00Z", "2025-11-04T12:00:01Z")];
        let done =
            ScopeState { unreadable: unreadable.clone(), ..state(Some("2025-11-05"), ("2025-11-03", "2025-11-05")) };
        let planned = |input: &WindowInput| task("u".to_owned(), USER, Some(&done), input).unwrap();
        let later = planned(&input("2025-10-01"));
        assert_eq!((&later.unreadable, later.leaves_out_unreadable), (&unreadable, true));
        assert_eq!(later.calls_expected(), later.pages_expected + 2);
        let full = planned(&WindowInput { full: true, ..input("2025-10-01") });
        assert_eq!((&full.unreadable, full.leaves_out_unreadable), (&unreadable, false), "everything is read");
        let window = Some((Some(at("2025-10-03")), at("2025-10-04")));
        assert!(!planned(&WindowInput { window, ..input("2025-10-01") }).leaves_out_unreadable, "as it was given");
        assert!(!planned(&input("2025-09-01")).leaves_out_unreadable, "an earlier start: everything is read");
    }

    #[test]
    fn what_a_resumed_run_settled_is_not_read_again() {
        let input = input("2025-10-01");
        let done = || ScopeState { is_resumed: true, ..state(Some("2025-11-06"), ("2025-11-04", "2025-11-06")) };
        assert_eq!(planned(Some(&done()), &input), None);
        assert!(
            planned(Some(&ScopeState { selection: Some(selection("2025-10-30")), ..done() }), &input).is_some(),
            "less was requested"
        );
        let skipped = || ScopeState { until: None, status: SliceStatus::Skipped, ..done() };
        assert_eq!(planned(Some(&skipped()), &input), None);
        assert!(planned(Some(&ScopeState { status: SliceStatus::Failed, ..skipped() }), &input).is_some());
        assert!(planned(Some(&ScopeState { is_resumed: false, ..done() }), &input).is_some());
    }
}
