//! Runs that did not get through, and who takes up what they left.

use std::collections::BTreeSet;

use copilot_lake_tables::Instant;

use super::{FULL, Ledger, REPLAY};
use crate::report::RunOutcome;

/// A run that did not end is continued by one that starts within this time.
const CONTINUED_WITHIN_SECONDS: i64 = 6 * 3600;

/// The runs that a run continues, and the time that it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restart {
    /// What they did is not asked again.
    pub(crate) runs: BTreeSet<String>,
    /// The start of the first of them, or of the run itself, in whole seconds of the service's clock.
    pub(crate) now: Instant,
    /// When the run itself started.
    pub(crate) started_at: Instant,
    /// Whether the last of them ended, though before it was through.
    is_last_ended: bool,
}

impl Restart {
    /// What a run that reads everything again goes by when no service has anything left of what was stopped: it begins
    /// fresh. `None`: it has nothing to do then.
    pub(crate) fn fresh(&self, full: bool) -> Option<Self> {
        let (runs, now) = (BTreeSet::new(), self.started_at.floor_second());
        (full && self.is_last_ended).then_some(Self { runs, now, started_at: self.started_at, is_last_ended: false })
    }
}

impl Ledger {
    /// Whether a run did not end lately: it may have left files behind. One before was cleaned up after by the next.
    pub(crate) fn has_unfinished(&self) -> bool {
        let is_replay = |run: &str| self.command_of(run) == REPLAY;
        let ended = self.started.iter().filter(|(run, _)| self.outcomes.contains_key(*run));
        self.started.iter().filter(|(run, _)| !self.outcomes.contains_key(*run)).any(|(run, started)| {
            // Replays go by another clock than extractions: of those only a day says which came later.
            let later = |other: &str| {
                if is_replay(other) == is_replay(run) { CONTINUED_WITHIN_SECONDS } else { Instant::DAY_SECONDS }
            };
            !ended.clone().any(|(other, at)| *at > started.plus_seconds(later(other)))
        })
    }

    /// Whether the run that started last did everything, or there is none.
    pub(crate) fn is_last_complete(&self) -> bool {
        let last = self.started.iter().max_by_key(|(_, started)| **started).map(|(run, _)| run);
        last.is_none_or(|run| self.outcomes.get(run).is_some_and(|outcome| outcome == RunOutcome::Complete.name()))
    }

    pub(super) fn command_of(&self, run: &str) -> &str {
        self.commands.get(run).map_or("", String::as_str)
    }

    /// The runs that a run of that command starting now continues, of which none was idle for longer than six hours: the
    /// newest ones without an end. A run that reads everything again continues those that did too, also when they ended
    /// before they were through; what others read is no part of it.
    pub(crate) fn restart(&self, command: &str, started_at: Instant) -> Restart {
        let runs = self.resumed_runs(command, started_at);
        let last = runs.iter().max_by_key(|run| self.started.get(*run));
        let is_last_ended = last.is_some_and(|run| self.outcomes.contains_key(run));
        let now = runs.iter().filter_map(|run| self.started.get(run)).min().unwrap_or(&started_at).floor_second();
        Restart { runs, now, started_at, is_last_ended }
    }

    fn resumed_runs(&self, command: &str, now: Instant) -> BTreeSet<String> {
        let is_full = command.ends_with(FULL);
        let is_of_kind = |run: &str| {
            let command = self.command_of(run);
            command != REPLAY && (!is_full || command.ends_with(FULL))
        };
        let mut runs: Vec<_> = self.started.iter().filter(|(run, _)| is_of_kind(run)).collect();
        runs.sort_by_key(|(_, started)| std::cmp::Reverse(**started));
        let earliest = now.plus_seconds(-CONTINUED_WITHIN_SECONDS);
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
