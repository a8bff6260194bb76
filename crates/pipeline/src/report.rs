//! The report of a run.

use copilot_lake_extractor::Error as ServiceError;
use copilot_lake_tables::{Service, Table, table};
use serde::{Serialize, Serializer};

use crate::error::Error;

/// The largest share of users in scope that a complete run may skip.
const SKIPPED: f64 = 0.05;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Everything that was due is in the lake.
    Complete,
    /// Some slices or payloads failed, or the run was stopped; the next run picks up the rest.
    Partial,
    /// No slice was done.
    Failed,
}

impl RunOutcome {
    /// The word in `extraction_run` and in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// How a slice ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceStatus {
    /// It is in the lake.
    Done,
    /// It is not in the lake, or not all of it; the next run tries again.
    Failed,
    /// It cannot be read, and does not have to be.
    Skipped,
}

impl SliceStatus {
    /// The word in `extraction_slice`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads that word.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Done, Self::Failed, Self::Skipped].into_iter().find(|status| status.name() == name)
    }
}

/// The report of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether a signal or the deadline stopped it.
    pub stopped: bool,
    /// Whether every slice failed because a permission is missing.
    pub permission_missing: bool,
    /// Users who were skipped, without those who were known to have no mailbox.
    pub users_skipped: u64,
    /// Whether they are so many that the run is not complete.
    pub too_many_skipped: bool,
    /// The services that were given up, and why.
    pub ended_early: Vec<EndedEarly>,
    /// The tables that were not written; each counts as a failed slice.
    pub stopped_tables: Vec<StoppedTable>,
    /// What was read but not committed within the time after a stop: the table, and what of it.
    pub uncommitted: Vec<String>,
    /// Why a slice failed: the first refusal, otherwise the first error of a service.
    #[serde(skip)]
    pub first_failure: Option<ServiceError>,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Requests to the service, retries included.
    pub requests: u64,
    /// Seconds of throttling by the service.
    pub throttled_seconds: f64,
    /// What each identity did, where several share the requests to a service.
    pub identities: Vec<IdentityReport>,
    /// The same per table.
    pub tables: Vec<TableReport>,
}

/// A service that was given up.
#[derive(Debug, Serialize)]
pub struct EndedEarly {
    /// The service; by name, as in the column `source` of `extraction_slice`.
    #[serde(rename = "source", serialize_with = "service_name")]
    pub service: Service,
    /// Why.
    #[serde(rename = "reason", serialize_with = "as_text")]
    pub error: Error,
}

/// One of several identities that share the requests to a service.
#[derive(Debug, Serialize)]
pub struct IdentityReport {
    /// The service.
    #[serde(rename = "source", serialize_with = "service_name")]
    pub service: Service,
    /// The section of the configuration that describes it.
    pub name: String,
    /// Its requests, retries included.
    pub requests: u64,
    /// Seconds for which the service throttled it.
    pub throttled_seconds: f64,
    /// Why it was no longer used.
    #[serde(rename = "reason")]
    pub ended: Option<String>,
}

fn service_name<S: Serializer>(service: &Service, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(service.name())
}

fn as_text<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// A table that was not written: it is damaged, or another tool changed it.
#[derive(Debug, Serialize)]
pub struct StoppedTable {
    /// The table.
    pub table: &'static str,
    /// Why.
    #[serde(rename = "reason", serialize_with = "lake_error_as_text")]
    pub error: copilot_lake_writer::Error,
}

fn lake_error_as_text<S: Serializer>(error: &copilot_lake_writer::Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// What decides the outcome of a run, besides what was done for each table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Circumstances {
    pub(crate) stopped: bool,
    /// A service was given up.
    pub(crate) ended_early: bool,
    /// Everything was due, rather than what another run had left.
    pub(crate) everything_due: bool,
    /// Slices that failed because a permission is missing.
    pub(crate) refused: u64,
    /// Users in scope, whether or not their history is due.
    pub(crate) in_scope: u64,
    /// Skipped slices of users that are no refusals.
    pub(crate) exempt_skips: u64,
}

/// The report of one table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// Slices that were committed.
    pub slices_done: u64,
    /// Slices that failed.
    pub slices_failed: u64,
    /// Slices that cannot be read, and do not have to be.
    pub slices_skipped: u64,
    /// Pages received.
    pub pages: u64,
    /// Rows received.
    pub rows_received: u64,
    /// Rows that were new or changed.
    pub rows_written: u64,
    /// Rows that were marked or removed because they were deleted at the service.
    pub rows_deleted: u64,
    /// Values that did not fit.
    pub rejected: u64,
    /// Files added.
    pub files_added: u64,
    /// Payloads written.
    pub payloads: u64,
    /// Payloads that could not be fetched.
    pub payloads_failed: u64,
    /// Why slices failed or were skipped.
    pub reasons: Vec<String>,
}

impl Report {
    /// The report of a run that did nothing: it is complete.
    pub(crate) fn new(run_id: String) -> Self {
        Self {
            run_id,
            outcome: RunOutcome::Complete,
            stopped: false,
            permission_missing: false,
            users_skipped: 0,
            too_many_skipped: false,
            ended_early: Vec::new(),
            stopped_tables: Vec::new(),
            uncommitted: Vec::new(),
            first_failure: None,
            seconds: 0.0,
            requests: 0,
            throttled_seconds: 0.0,
            identities: Vec::new(),
            tables: Vec::new(),
        }
    }

    /// Decides the outcome from what was done for each table.
    pub(crate) fn judge(&mut self, of: &Circumstances) {
        // People and users come along with other tables: reading them alone is no success.
        let is_requested = |report: &&TableReport| table(report.table).is_some_and(|table| table.is_sliced());
        let count = |of: fn(&TableReport) -> u64| self.tables.iter().filter(is_requested).map(of).sum::<u64>();
        let (done, failed) = (count(|table| table.slices_done), count(|table| table.slices_failed));
        // A table that cannot be written keeps no other from being read.
        let stopped = self.stopped_tables.iter().filter(|of| table(of.table).is_some_and(|table| table.is_sliced()));
        let failed_otherwise = failed.saturating_sub(stopped.count() as u64);
        let mut requested = self.tables.iter().filter(is_requested).peekable();
        let has_slices_of_users = |report: &TableReport| table(report.table).is_some_and(Table::has_slices_of_users);
        let skipped = |report: &TableReport| match has_slices_of_users(report) {
            true => report.slices_skipped.saturating_sub(of.exempt_skips),
            false => report.slices_skipped,
        };
        // An environment that has none of the tables is probably the wrong one.
        let all_skipped =
            of.everything_due && !of.stopped && requested.peek().is_some() && requested.all(|table| skipped(table) > 0);
        self.users_skipped = self.tables.iter().filter(|report| has_slices_of_users(report)).map(skipped).sum();
        self.stopped = of.stopped;
        self.too_many_skipped = self.users_skipped as f64 > SKIPPED * of.in_scope as f64;
        let is_partial = self.total(|table| table.slices_failed + table.payloads_failed) > 0
            || of.ended_early
            || of.stopped
            || self.too_many_skipped;
        self.outcome = match done {
            0 if of.ended_early || all_skipped || (failed_otherwise > 0 && !of.stopped) => RunOutcome::Failed,
            _ if is_partial => RunOutcome::Partial,
            _ => RunOutcome::Complete,
        };
        self.permission_missing = self.outcome == RunOutcome::Failed && failed > 0 && of.refused == failed;
    }

    /// A total over the tables.
    pub fn total(&self, of: fn(&TableReport) -> u64) -> u64 {
        self.tables.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(tables: Vec<TableReport>, of: Circumstances) -> (RunOutcome, bool, bool) {
        let mut report = Report { tables, ..Report::new(String::new()) };
        report.judge(&of);
        (report.outcome, report.permission_missing, report.too_many_skipped)
    }

    fn reported(table: &'static str, [done, failed, skipped]: [u64; 3]) -> TableReport {
        TableReport {
            table,
            slices_done: done,
            slices_failed: failed,
            slices_skipped: skipped,
            ..TableReport::default()
        }
    }

    #[test]
    fn a_table_that_is_not_written_makes_a_run_partial() {
        let error = || copilot_lake_writer::Error::Damaged { table: "msdyn_copilotevent", what: String::new() };
        let judged = |tables, stopped: usize| {
            let stopped = (0..stopped).map(|_| StoppedTable { table: "msdyn_copilotevent", error: error() });
            let mut report = Report { tables, stopped_tables: stopped.collect(), ..Report::new(String::new()) };
            report.judge(&Circumstances { everything_due: true, ..Circumstances::default() });
            report.outcome
        };
        let (events, others) = ("msdyn_copilotevent", "msdyn_copilottranscript");
        assert_eq!(judged(vec![reported(events, [0, 1, 0])], 1), RunOutcome::Partial);
        assert_eq!(judged(vec![reported(events, [0, 1, 0]), reported(others, [1, 0, 0])], 1), RunOutcome::Partial);
        assert_eq!(judged(vec![reported(events, [0, 1, 0]), reported(others, [0, 1, 0])], 1), RunOutcome::Failed);
    }

    #[test]
    fn the_outcome_follows_from_what_was_done() {
        use RunOutcome::{Complete, Failed, Partial};
        let whole = Circumstances { everything_due: true, in_scope: 100, ..Circumstances::default() };
        let (events, users, people) = ("msdyn_copilotevent", "ai_interaction", "systemuser");
        let cases = [
            (vec![], whole, (Complete, false, false)),
            (vec![reported(events, [3, 0, 0])], whole, (Complete, false, false)),
            (vec![reported(events, [3, 1, 0])], whole, (Partial, false, false)),
            (vec![reported(events, [0, 2, 0]), reported(people, [1, 0, 0])], whole, (Failed, false, false)),
            (vec![reported(events, [0, 2, 0])], Circumstances { refused: 2, ..whole }, (Failed, true, false)),
            (vec![reported(events, [0, 0, 1])], whole, (Failed, false, false)),
            (
                vec![reported(events, [0, 0, 1])],
                Circumstances { everything_due: false, ..whole },
                (Complete, false, false),
            ),
            (vec![reported(users, [95, 0, 5])], whole, (Complete, false, false)),
            (vec![reported(users, [94, 0, 6])], whole, (Partial, false, true)),
            (vec![reported(users, [90, 0, 10])], Circumstances { exempt_skips: 5, ..whole }, (Complete, false, false)),
            (vec![reported(users, [90, 0, 11])], Circumstances { exempt_skips: 5, ..whole }, (Partial, false, true)),
            // Nobody but users who were known to have no mailbox was due.
            (vec![reported(users, [0, 0, 5])], Circumstances { exempt_skips: 5, ..whole }, (Complete, false, false)),
            (vec![reported(users, [0, 0, 5])], Circumstances { exempt_skips: 4, ..whole }, (Failed, false, false)),
            (vec![reported(users, [94, 0, 0])], Circumstances { ended_early: true, ..whole }, (Partial, false, false)),
            (vec![], Circumstances { ended_early: true, ..whole }, (Failed, false, false)),
            (vec![], Circumstances { stopped: true, ..whole }, (Partial, false, false)),
            (vec![reported(events, [0, 1, 0])], Circumstances { stopped: true, ..whole }, (Partial, false, false)),
        ];
        for (tables, of, expected) in cases {
            assert_eq!(judged(tables.clone(), of), expected, "{tables:?} {of:?}");
        }
    }
}
