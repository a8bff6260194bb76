//! The spine of a run: what all its parts share, and what they report.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use copilot_lake_extractor::Dataverse;
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::{Error as LakeError, Lake, LostRows};
use tokio::sync::Mutex;

use crate::archive::Kept;
use crate::condition;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::halt::Halt;
use crate::ingest::Named;
use crate::labels::LabelCache;
use crate::ledger::{Ledger, SliceRow};
use crate::left::Left;
use crate::rejects::Rejects;
use crate::report::{Status, TableReport};
use crate::schema::Schema;
use crate::services::Services;

/// What every part of a run needs.
pub(crate) struct Spine {
    pub(crate) services: Services,
    pub(crate) lake: Lake,
    pub(crate) ledger: Ledger,
    pub(crate) rejects: Rejects,
    pub(crate) run_id: String,
    pub(crate) started_at: Instant,
    pub(crate) observe: Observer,
    pub(crate) halt: Arc<Halt>,
    /// What is kept for replay; nothing without it.
    pub(crate) archive: Option<Kept>,
    /// Read everything again.
    pub(crate) full: bool,
    /// Read this window again; without a start from the oldest row.
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// What tables have lost and is to be read again.
    pub(crate) lost: BTreeMap<&'static str, LostRows>,
    pub(crate) reports: Mutex<Reports>,
    /// What is left of what was stopped.
    pub(crate) left: Left,
}

/// The spine, with what only the tables of Dataverse need.
pub(crate) struct DataverseSpine<'s> {
    pub(crate) spine: &'s Spine,
    pub(crate) service: Dataverse,
    pub(crate) schema: Schema,
    pub(crate) labels: LabelCache,
    /// The people whom rows of this run name.
    pub(crate) named: Named,
}

impl Deref for DataverseSpine<'_> {
    type Target = Spine;

    fn deref(&self) -> &Spine {
        self.spine
    }
}

/// What the parts of a run report.
#[derive(Default)]
pub(crate) struct Reports {
    pub(crate) tables: BTreeMap<&'static str, TableReport>,
    pub(crate) stopped: bool,
    /// Something was dropped in the middle: the next run has to look for what it left.
    pub(crate) dropped: bool,
    /// Users whose history is to be read, whether or not it is due.
    pub(crate) in_scope: u64,
    /// Slices that failed because a permission is missing.
    pub(crate) refused: u64,
    /// Tables that are not written, and why.
    pub(crate) tables_stopped: BTreeMap<&'static str, LakeError>,
}

impl Reports {
    /// The report of a table.
    pub(crate) fn of(&mut self, table: &'static str) -> &mut TableReport {
        self.tables.entry(table).or_insert_with(|| TableReport { table, ..TableReport::default() })
    }
}

impl Spine {
    /// Notes that the run was stopped before it did everything.
    pub(crate) async fn stopped(&self) {
        self.reports.lock().await.stopped = true;
    }

    /// Notes that the run was stopped in the middle of something.
    pub(crate) async fn dropped(&self) {
        let mut reports = self.reports.lock().await;
        (reports.stopped, reports.dropped) = (true, true);
    }

    /// Takes in that a table is not written any more. The error comes back when the run cannot go on without the table.
    pub(crate) async fn stop_table(&self, error: LakeError) -> Result<(), Error> {
        let table = condition::table_of(&error).filter(|table| !condition::is_bookkeeping(table));
        let Some(table) = table else { return Err(error.into()) };
        let mut reports = self.reports.lock().await;
        if !reports.tables_stopped.contains_key(table.name) {
            tracing::warn!(%error, "the table is not written");
            let report = reports.of(table.name);
            report.slices_failed += 1;
            report.reasons.push(error.to_string());
            reports.tables_stopped.insert(table.name, error);
        }
        Ok(())
    }

    /// As [`Spine::stop_table`] with the error of a part of the run, where it is about a table.
    pub(crate) async fn stop_table_of(&self, result: Result<(), Error>) -> Result<(), Error> {
        match result {
            Err(Error::Lake(error)) if error.stops_table().is_some() => self.stop_table(error).await,
            result => result,
        }
    }

    /// Whether one of these tables is not written.
    pub(crate) async fn is_any_stopped(&self, tables: impl IntoIterator<Item = &'static Table>) -> bool {
        let reports = self.reports.lock().await;
        tables.into_iter().any(|table| reports.tables_stopped.contains_key(table.name))
    }

    /// Those of these tables that are written.
    pub(crate) async fn written(&self, tables: &[&'static Table]) -> Vec<&'static Table> {
        let reports = self.reports.lock().await;
        tables.iter().copied().filter(|table| !reports.tables_stopped.contains_key(table.name)).collect()
    }

    /// The service's time, as text; that other one when it cannot be told.
    pub(crate) async fn now(&self, otherwise: &str) -> String {
        match self.services.service_time().await {
            Ok(Some(now)) => now.to_string(),
            _ => otherwise.to_owned(),
        }
    }

    /// Reports how a slice ended.
    pub(crate) async fn report(&self, row: SliceRow) {
        let SliceRow { slice, status, reason, received: counts, .. } = row;
        let table = slice.table.name;
        let window = format!("{} {} to {}", slice.time_column, slice.start, slice.end);
        let mut reports = self.reports.lock().await;
        let report = reports.of(table);
        report.pages += counts.pages;
        report.rows_received += counts.rows;
        report.rejected += counts.rejected;
        if let Some(reason) = reason {
            if status == Status::Failed {
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
