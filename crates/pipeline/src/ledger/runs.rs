//! The runs of a lake: in which order they were, how they ended, and which of them a new run resumes.

use std::collections::{BTreeMap, BTreeSet};

use copilot_lake_tables::Instant;

use crate::report::RunOutcome;

/// The command of a replay; that of a shard goes on.
pub(crate) const REPLAY: &str = "replay";
/// The command of a maintenance.
pub(crate) const MAINTAIN: &str = "maintain";
/// The end of the command of a run that reads everything again.
pub(crate) const FULL: &str = " --full";

/// A run without an end is resumed by one that starts within this time of its last slice.
const RESUMED_WITHIN_SECONDS: i64 = 6 * 3600;
/// Runs that start within this time of each other may have read the same value from a service's clock.
const SAME_MOMENT_SECONDS: i64 = 60;

/// Whether runs of that command read a service.
pub(crate) fn reads_service(command: &str) -> bool {
    !command.starts_with(REPLAY) && command != MAINTAIN
}

/// The runs that a new run resumes, and the time that it plans for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restart {
    /// The resumed runs: what they read is not requested again.
    pub(crate) runs: BTreeSet<String>,
    /// The start of the earliest of them, or of the run itself, in whole seconds of the service's clock.
    pub(crate) now: Instant,
    /// When the run itself started.
    pub(crate) started_at: Instant,
    /// Whether the latest of them recorded its end, although it had not read everything.
    has_latest_ended: bool,
}

impl Restart {
    /// The restart of a run with `--full` once no service has work pending of a stopped run: everything is read from the
    /// beginning. `None` when the run resumes nothing of that kind.
    pub(crate) fn fresh(&self, full: bool) -> Option<Self> {
        let (runs, now) = (BTreeSet::new(), self.started_at.floor_second());
        let fresh = Self { runs, now, started_at: self.started_at, has_latest_ended: false };
        (full && self.has_latest_ended).then_some(fresh)
    }
}

/// The runs of a lake that the ledger knows.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    started: BTreeMap<String, Instant>,
    outcomes: BTreeMap<String, String>,
    commands: BTreeMap<String, String>,
    /// When each run finished its last slice.
    active: BTreeMap<String, Instant>,
}

impl Runs {
    /// Adds a run. Without an outcome it has not ended.
    pub(crate) fn add(&mut self, run_id: &str, command: &str, started_at: Instant, outcome: Option<&str>) {
        self.started.insert(run_id.to_owned(), started_at);
        self.commands.insert(run_id.to_owned(), command.to_owned());
        if let Some(outcome) = outcome {
            self.outcomes.insert(run_id.to_owned(), outcome.to_owned());
        }
    }

    /// Notes that a run finished a slice at that time.
    pub(super) fn note_active(&mut self, run_id: &str, at: Instant) {
        match self.active.get_mut(run_id) {
            Some(last) => *last = at.max(*last),
            None => drop(self.active.insert(run_id.to_owned(), at)),
        }
    }

    pub(super) fn contains(&self, run_id: &str) -> bool {
        self.started.contains_key(run_id)
    }

    /// The command of each run, and whether it was complete.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&str, bool)> {
        self.commands.iter().map(move |(run, command)| {
            let outcome = self.outcomes.get(run);
            (command.as_str(), outcome.is_some_and(|outcome| outcome == RunOutcome::Complete.name()))
        })
    }

    /// When each run started.
    pub(crate) fn started(&self) -> &BTreeMap<String, Instant> {
        &self.started
    }

    /// A start later than those of all earlier runs, although they may have read the same value from a service's clock.
    /// Runs that started much later have another clock.
    pub(crate) fn next_start(&self, started_at: Instant) -> Instant {
        let near = started_at.plus_seconds(SAME_MOMENT_SECONDS);
        let last = self.started.values().filter(|start| **start < near).max();
        last.map_or(started_at, |last| started_at.max(Instant(last.0 + 1)))
    }

    /// Whether no run that may change rows started between these two.
    pub(crate) fn is_before(&self, run_id: &str, next: &str) -> bool {
        let Some(start) = self.started.get(next) else { return false };
        let earlier = self.changing().map(|(run, at)| (at, run.as_str())).filter(|run| *run < (start, next));
        earlier.max().is_some_and(|(_, before)| before == run_id)
    }

    /// Whether a recent run has no end and may have left orphan files. The next complete run cleaned up after older
    /// ones.
    pub(crate) fn has_unfinished(&self) -> bool {
        let is_local = |run: &str| !reads_service(self.command(run));
        let ended = self.started.iter().filter(|(run, _)| self.outcomes.contains_key(*run));
        self.started.iter().filter(|(run, _)| !self.outcomes.contains_key(*run)).any(|(run, started)| {
            // Replays and maintenance read the machine's clock, extractions the service's: only a day between two starts
            // tells their order.
            let margin = |other: &str| {
                if is_local(other) == is_local(run) { RESUMED_WITHIN_SECONDS } else { Instant::DAY_SECONDS }
            };
            !ended.clone().any(|(other, at)| *at > started.plus_seconds(margin(other)))
        })
    }

    /// The runs that may change rows, each with its start.
    fn changing(&self) -> impl Iterator<Item = (&String, &Instant)> {
        self.started.iter().filter(|(run, _)| self.command(run) != MAINTAIN)
    }

    /// Whether the run that started last was complete, or there is none.
    pub(crate) fn is_last_complete(&self) -> bool {
        let last = self.changing().max_by_key(|(_, started)| **started).map(|(run, _)| run);
        last.is_none_or(|run| self.outcomes.get(run).is_some_and(|outcome| outcome == RunOutcome::Complete.name()))
    }

    /// What a run of that command, starting now, resumes: the latest runs without an end, none of them idle for more
    /// than six hours. A run with `--full` resumes only such runs, including those that ended as partial.
    pub(crate) fn restart(&self, command: &str, started_at: Instant) -> Restart {
        let runs = self.resumed_runs(command, started_at);
        let last = runs.iter().max_by_key(|run| self.started.get(*run));
        let has_latest_ended = last.is_some_and(|run| self.outcomes.contains_key(run));
        let now = runs.iter().filter_map(|run| self.started.get(run)).min().unwrap_or(&started_at).floor_second();
        Restart { runs, now, started_at, has_latest_ended }
    }

    /// The start of the earliest run that another one may resume; `None` when there is none.
    pub(super) fn earliest_open(&self) -> Option<Instant> {
        let mut runs: Vec<_> = self.changing().collect();
        runs.sort_by_key(|(_, started)| std::cmp::Reverse(**started));
        let is_open = |run: &str| match self.outcomes.get(run) {
            None => true,
            Some(outcome) => outcome == RunOutcome::Partial.name() && self.command(run).ends_with(FULL),
        };
        runs.into_iter().take_while(|(run, _)| is_open(run)).map(|(_, started)| *started).last()
    }

    fn command(&self, run: &str) -> &str {
        self.commands.get(run).map_or("", String::as_str)
    }

    fn resumed_runs(&self, command: &str, now: Instant) -> BTreeSet<String> {
        let is_full = command.ends_with(FULL);
        let is_of_kind = |run: &str| {
            let command = self.command(run);
            reads_service(command) && (!is_full || command.ends_with(FULL))
        };
        let mut runs: Vec<_> = self.started.iter().filter(|(run, _)| is_of_kind(run)).collect();
        runs.sort_by_key(|(_, started)| std::cmp::Reverse(**started));
        let earliest = now.plus_seconds(-RESUMED_WITHIN_SECONDS);
        let is_open = |run: &str| match self.outcomes.get(run) {
            None => true,
            Some(outcome) => is_full && outcome == RunOutcome::Partial.name(),
        };
        let last_active = |run: &str, started: Instant| self.active.get(run).map_or(started, |at| started.max(*at));
        runs.into_iter()
            .take_while(|(run, started)| is_open(run) && last_active(run, **started) >= earliest)
            .map(|(run, _)| run.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        Instant::parse(text).unwrap()
    }

    /// Runs by name, command, start and outcome.
    fn runs(rows: &[(&str, &str, &str, &str)]) -> Runs {
        let mut runs = Runs::default();
        for (run, command, start, outcome) in rows {
            runs.add(run, command, at(start), Some(*outcome).filter(|outcome| !outcome.is_empty()));
        }
        runs
    }

    fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    #[test]
    fn a_killed_run_is_resumed_within_six_hours() {
        let mut runs = runs(&[
            ("a", "extract", "2025-11-05T07:00:00Z", "complete"),
            ("b", "extract", "2025-11-05T08:00:00Z", ""),
            ("c", "extract --full", "2025-11-05T09:00:00Z", ""),
            ("d", "replay", "2025-11-05T10:00:00Z", ""),
            ("e", "maintain", "2025-11-05T10:30:00Z", "complete"),
        ]);
        let now = at("2025-11-05T11:00:00Z");
        assert_eq!(runs.restart("extract", now).runs, names(["b", "c"]), "neither replay nor maintenance ends a chain");
        assert_eq!(runs.earliest_open(), Some(at("2025-11-05T08:00:00Z")));
        assert_eq!(runs.restart("extract --full", now).runs, names(["c"]), "what was read before is read again");
        let later = at("2025-11-05T14:30:00Z");
        assert_eq!(runs.restart("extract", later).runs, names(["c"]), "within six hours");
        runs.note_active("b", at("2025-11-05T08:50:00Z"));
        assert_eq!(runs.restart("extract", later).runs, names(["b", "c"]), "of its last slice");
        assert!(runs.has_unfinished());
    }

    #[test]
    fn a_full_run_resumes_a_partial_one_and_then_starts_afresh() {
        let mut runs = runs(&[
            ("a", "extract --full", "2025-11-05T06:00:00Z", "complete"),
            ("b", "extract --full", "2025-11-05T07:00:00Z", "partial"),
            ("c", "extract", "2025-11-05T08:00:00Z", "complete"),
            ("d", "extract --full", "2025-11-05T09:00:00Z", ""),
        ]);
        let now = at("2025-11-05T10:00:00Z");
        assert_eq!(runs.restart("extract --full", now).runs, names(["b", "d"]));
        assert_eq!(runs.restart("extract", now).runs, names(["d"]));
        let full = runs.restart("extract --full", now);
        assert_eq!((full.now, full.fresh(true)), (at("2025-11-05T07:00:00Z"), None), "the last one was killed");
        runs.outcomes.insert("d".to_owned(), "partial".to_owned());
        let full = runs.restart("extract --full", now);
        let fresh = full.fresh(true).unwrap();
        assert_eq!((fresh.now, fresh.runs), (now, names([])), "the stopped run may have read everything");
        assert_eq!(full.fresh(false), None);
        assert_eq!(runs.restart("extract", now).runs, names([]), "it ended");
    }

    #[test]
    fn runs_are_ordered_by_their_starts() {
        let runs = runs(&[
            ("z", "extract", "2025-11-05T07:00:00Z", "complete"),
            ("y", "replay", "2025-11-05T08:00:00Z", "complete"),
            ("m", "maintain", "2025-11-05T08:30:00Z", "complete"),
            ("x", "extract", "2025-11-05T09:00:00Z", "complete"),
        ]);
        assert!(runs.is_before("y", "x") && runs.is_before("z", "y"));
        assert!(!runs.is_before("z", "x") && !runs.is_before("x", "y"));
        assert!(!runs.has_unfinished() && runs.is_last_complete());
    }

    #[test]
    fn two_runs_never_start_at_the_same_instant() {
        let start = at("2025-11-05T07:00:00Z");
        let runs = runs(&[("a", "extract", "2025-11-05T07:00:00Z", ""), ("b", "replay", "2025-11-06T07:00:00Z", "")]);
        assert_eq!(runs.next_start(start), Instant(start.0 + 1));
        assert_eq!(runs.next_start(start.plus_seconds(5)), start.plus_seconds(5));
    }
}
