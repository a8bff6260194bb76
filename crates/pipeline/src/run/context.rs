//! The context of a run: what all of its parts share, and what they report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::{Error as LakeError, Lake, LostRows};
use tokio::sync::Mutex;

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::Ledger;
use crate::ledger::rejects::Rejects;
use crate::ledger::slice_row::SliceRow;
use crate::ledger::windows;
use crate::replay::archive_target::ArchiveTarget;
use crate::report::{SliceStatus, TableReport};
use crate::run::condition;
use crate::run::restart_barrier::RestartBarrier;
use crate::run::shutdown::Shutdown;

/// What every part of a run needs.
pub(crate) struct RunContext {
    pub(crate) lake: Lake,
    pub(crate) ledger: Ledger,
    pub(crate) rejects: Rejects,
    pub(crate) run_id: String,
    pub(crate) started_at: Instant,
    pub(crate) observe: Observer,
    pub(crate) shutdown: Arc<Shutdown>,
    /// Where pages and payloads are archived for replay; `None` archives nothing.
    pub(crate) archive: Option<ArchiveTarget>,
    /// Whether everything is read again.
    pub(crate) full: bool,
    /// The window that is read again; without a start it begins with the oldest row.
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// What tables have lost and this run reads again.
    pub(crate) lost: BTreeMap<&'static str, LostRows>,
    pub(crate) reports: Mutex<Reports>,
    /// Where a run with `--full` waits before it reads everything afresh.
    pub(crate) restart_barrier: RestartBarrier,
}

/// What the parts of a run report.
#[derive(Default)]
pub(crate) struct Reports {
    pub(crate) tables: BTreeMap<&'static str, TableReport>,
    pub(crate) stopped: bool,
    /// A commit may have been cancelled half-way: the next run has to look for orphan files.
    pub(crate) aborted: bool,
    /// What is being committed, by table; in the end, what was cancelled.
    pub(crate) committing: BTreeSet<(&'static str, String)>,
    /// Users in scope, whether or not their history is due.
    pub(crate) in_scope: u64,
    /// Skipped slices of users that are no refusals: of users known to have no history, and of parts of histories.
    pub(crate) exempt_skips: u64,
    /// Slices that failed because a permission is missing.
    pub(crate) refused: u64,
    /// Tables that are not written, and why.
    pub(crate) stopped_tables: BTreeMap<&'static str, LakeError>,
    /// Why a slice failed: the first refusal, otherwise the first error.
    pub(crate) first_failure: Option<ServiceError>,
}

impl Reports {
    /// The report of a table.
    pub(crate) fn table(&mut self, table: &'static str) -> &mut TableReport {
        self.tables.entry(table).or_insert_with(|| TableReport { table, ..TableReport::default() })
    }
}

impl RunContext {
    /// Notes that a shutdown kept the run from doing everything.
    pub(crate) async fn note_shutdown(&self) {
        self.reports.lock().await.stopped = true;
    }

    /// Notes that a shutdown cut off a commit.
    pub(crate) async fn note_aborted(&self) {
        let mut reports = self.reports.lock().await;
        (reports.stopped, reports.aborted) = (true, true);
    }

    /// Runs a commit to its end. `what` it commits is in the report if the commit is cancelled after a stop.
    pub(crate) async fn commit<T>(&self, table: &'static str, what: String, commit: impl Future<Output = T>) -> T {
        let entry = (table, what);
        self.reports.lock().await.committing.insert(entry.clone());
        let committed = commit.await;
        self.reports.lock().await.committing.remove(&entry);
        committed
    }

    /// Stops writing a table for the rest of the run, and reports why. The error comes back when the run cannot go on
    /// without the table.
    pub(crate) async fn stop_table(&self, error: LakeError) -> Result<(), Error> {
        let table = condition::table_of(&error).filter(|table| !table.is_bookkeeping());
        let Some(table) = table else { return Err(error.into()) };
        let mut reports = self.reports.lock().await;
        if !reports.stopped_tables.contains_key(table.name) {
            tracing::warn!(%error, "the table will not be written");
            let report = reports.table(table.name);
            report.slices_failed += 1;
            report.reasons.push(error.to_string());
            reports.stopped_tables.insert(table.name, error);
        }
        Ok(())
    }

    /// Calls [`RunContext::stop_table`] when a part of the run failed on one table; passes on any other result.
    pub(crate) async fn stop_failed_table(&self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(Error::Lake(error)) if error.stops_table().is_some() => self.stop_table(error).await,
            result => result,
        }
    }

    /// Whether one of these tables is not written.
    pub(crate) async fn is_any_table_stopped(&self, tables: impl IntoIterator<Item = &'static Table>) -> bool {
        let reports = self.reports.lock().await;
        tables.into_iter().any(|table| reports.stopped_tables.contains_key(table.name))
    }

    /// The tables among these that are written.
    pub(crate) async fn written(&self, tables: &[&'static Table]) -> Vec<&'static Table> {
        let reports = self.reports.lock().await;
        tables.iter().copied().filter(|table| !reports.stopped_tables.contains_key(table.name)).collect()
    }

    /// Notes why a slice failed.
    pub(crate) async fn note_failure(&self, error: &ServiceError) {
        let first = &mut self.reports.lock().await.first_failure;
        if first.as_ref().is_none_or(|first| !first.is_refusal() && error.is_refusal()) {
            *first = Some(error.clone());
        }
    }

    /// Reports how a slice ended.
    pub(crate) async fn report(&self, row: SliceRow) {
        let SliceRow { slice, status, reason, received: counts, .. } = row;
        let table = slice.table.name;
        let window = window_text(&slice);
        let mut reports = self.reports.lock().await;
        let report = reports.table(table);
        report.pages += counts.pages;
        report.rows_received += counts.rows;
        report.rejected += counts.rejected;
        if let Some(reason) = reason {
            if status == SliceStatus::Failed {
                report.slices_failed += 1;
            } else {
                report.slices_skipped += 1;
            }
            report.reasons.push(format!("{window}: {reason}"));
            (self.observe)(&Event::SliceNotDone { table, window, status, reason });
        } else {
            report.slices_done += 1;
            report.rows_written += counts.rows_written;
            report.files_added += counts.files_added;
            let (rows_received, rows_written) = (counts.rows, counts.rows_written);
            (self.observe)(&Event::SliceDone { table, window, rows_received, rows_written });
        }
    }
}

/// The window of a slice, as it is shown.
pub(crate) fn window_text(slice: &Slice) -> String {
    windows::in_words(slice.time_column, slice.start, slice.end)
}
