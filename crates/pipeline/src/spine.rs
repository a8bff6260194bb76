//! The spine of a run: what all its parts share, and what they report.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use copilot_lake_extractor::Dataverse;
use copilot_lake_tables::Instant;
use copilot_lake_writer::Lake;
use tokio::sync::Mutex;

use crate::archive::Kept;
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
        let window = format!("{} {} to {}", slice.clock, slice.start, slice.end);
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
