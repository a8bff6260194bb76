//! The runs of a lake, as its status shows them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::{EXTRACTION_RUN, Instant};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;

use super::lake_status::RunStatus;
use crate::cells::text;
use crate::error::Error;
use crate::report::RunOutcome;

/// The most runs that are shown.
const SHOWN: usize = 5;

/// All runs, newest first.
#[derive(Debug, Default)]
pub(super) struct RunHistory(Vec<RunStatus>);

impl RunHistory {
    /// Reads the runs.
    pub(super) async fn read(lake: &Lake) -> Result<Self, Error> {
        let columns = vec![
            "run_id",
            "command",
            "started_at",
            "finished_at",
            "outcome",
            "rows_written",
            "slices_failed",
            "slices_skipped",
            "payloads",
            "payloads_failed",
        ];
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_RUN, Scan { columns, ..Scan::default() }).await?);
        let mut runs = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            runs.extend((0..batch.num_rows()).map(|row| run(&batch, row)));
        }
        Ok(Self::new(runs))
    }

    fn new(mut runs: Vec<RunStatus>) -> Self {
        runs.sort_by_key(|run| Reverse(run.started_at));
        Self(runs)
    }

    /// When the last complete run ended.
    pub(super) fn last_complete_at(&self) -> Option<Instant> {
        self.0.iter().find(|run| is_complete(run)).and_then(|run| run.finished_at)
    }

    /// The start of the last complete one of these runs, or of the earliest of the runs that it may have resumed: whoever
    /// is in scope has had a slice since. `None` when none of them is complete.
    pub(super) fn complete_since(&self, of: &BTreeSet<String>) -> Option<Instant> {
        let mut runs = self.0.iter().filter(|run| run.reads_service());
        let complete = runs.find(|run| is_complete(run) && of.contains(&run.run_id))?;
        runs.take_while(|run| !is_complete(run)).last().unwrap_or(complete).started_at
    }

    /// The last runs, newest first.
    pub(super) fn shown(mut self) -> Vec<RunStatus> {
        self.0.truncate(SHOWN);
        self.0
    }
}

fn is_complete(run: &RunStatus) -> bool {
    run.reads_service() && run.outcome.as_deref() == Some(RunOutcome::Complete.name())
}

fn run(batch: &RecordBatch, row: usize) -> RunStatus {
    let time = |name: &str| {
        let times = batch.column_by_name(name)?.as_primitive::<TimestampMicrosecondType>();
        times.is_valid(row).then(|| Instant(times.value(row)))
    };
    let count = |name: &str| {
        let counts = batch.column_by_name(name)?.as_primitive::<Int64Type>();
        counts.is_valid(row).then(|| counts.value(row))
    };
    let (started_at, finished_at) = (time("started_at"), time("finished_at"));
    RunStatus {
        run_id: text(batch, "run_id", row).to_owned(),
        command: text(batch, "command", row).to_owned(),
        started_at,
        finished_at,
        seconds: started_at.zip(finished_at).map(|(start, end)| seconds_between(start, end)),
        outcome: Some(text(batch, "outcome", row)).filter(|outcome| !outcome.is_empty()).map(str::to_owned),
        rows_written: count("rows_written"),
        slices_failed: count("slices_failed"),
        slices_skipped: count("slices_skipped"),
        payloads: count("payloads"),
        payloads_failed: count("payloads_failed"),
    }
}

/// Whole seconds from one time to another.
pub(super) const fn seconds_between(start: Instant, end: Instant) -> i64 {
    (end.0 - start.0) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(runs: &[(&str, &str, i64, &str)]) -> RunHistory {
        let run = |(run_id, command, start, outcome): &(&str, &str, i64, &str)| RunStatus {
            run_id: (*run_id).to_owned(),
            command: (*command).to_owned(),
            started_at: Some(Instant(*start)),
            finished_at: (!outcome.is_empty()).then_some(Instant(*start + 5)),
            outcome: Some((*outcome).to_owned()).filter(|outcome| !outcome.is_empty()),
            ..RunStatus::default()
        };
        RunHistory::new(runs.iter().map(run).collect())
    }

    #[test]
    fn whoever_is_in_scope_has_a_slice_since_the_last_complete_run_began() {
        let runs = history(&[
            ("a", "extract", 10, "complete"),
            ("b", "extract", 20, ""),
            ("c", "extract", 30, "partial"),
            ("r", "replay", 35, "complete"),
            ("d", "extract", 40, "complete"),
            ("e", "extract", 50, "complete"),
            ("m", "maintain", 55, "complete"),
            ("f", "extract", 60, ""),
        ]);
        let since = |of: &[&str]| runs.complete_since(&of.iter().map(|run| (*run).to_owned()).collect());
        assert_eq!(since(&["d", "f"]), Some(Instant(20)), "it may have resumed those before");
        assert_eq!(since(&["d", "e"]), Some(Instant(50)));
        assert_eq!(since(&["a"]), Some(Instant(10)));
        assert_eq!(since(&["b", "f", "r"]), None);
        assert_eq!(runs.last_complete_at(), Some(Instant(55)));
        let shown: Vec<_> = runs.shown().into_iter().map(|run| run.run_id).collect();
        assert_eq!(shown, ["f", "m", "e", "d", "r"]);
    }
}
