//! Maintenance of a lake: small files become few, logs get checkpoints, and what is no longer needed is deleted. No row
//! changes, and no service is asked.

use std::time::Instant as MachineInstant;

use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, TABLES, Table};
use copilot_lake_writer::{Error as LakeError, Instance, Lake, Lock, OrphanFiles, SmallFileLimits, SmallFiles, Survey};
use serde::Serialize;

use crate::error::Error;
use crate::ledger::commit_queue::slices;
use crate::ledger::runs::MAINTAIN;
use crate::report::{Report, RunOutcome, StoppedTable};
use crate::run::condition::{self, LakeCondition, only_of_table};
use crate::run::run_id::{local_time, run_id};
use crate::settings::Stop;

/// What a maintenance did, or would do.
#[derive(Debug, Serialize)]
pub struct MaintenanceReport {
    /// The run; `None` when it only looked, or nothing was to be done.
    pub run_id: Option<String>,
    /// Whether it only looked.
    pub dry_run: bool,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Whether a signal stopped it.
    pub stopped: bool,
    /// Tables that were left alone, and why.
    pub stopped_tables: Vec<StoppedTable>,
    /// Seconds from start to end.
    pub seconds: f64,
    /// The tables of which something was to be done.
    pub tables: Vec<TableMaintenance>,
    /// Files of shards of a replay that were killed, when all tables are maintained.
    pub shard_files_deleted: usize,
    /// Their bytes.
    pub shard_bytes_deleted: u64,
    /// Uploads that killed runs began and never ended, when all tables are maintained.
    pub uploads_aborted: usize,
}

impl MaintenanceReport {
    /// Counts what killed shards wrote for themselves.
    fn delete_shards(&mut self, files: OrphanFiles) {
        (self.shard_files_deleted, self.shard_bytes_deleted) = (files.files, files.bytes);
    }
}

/// What was done to a table, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableMaintenance {
    /// The table.
    pub table: &'static str,
    /// Weeks with files that were merged; a table without weeks counts as one.
    pub weeks: usize,
    /// Small files that were merged; what is merged in several steps counts in each of them.
    pub files_merged: usize,
    /// Their bytes.
    pub bytes_merged: u64,
    /// Files that they became: of a dry run an estimate.
    pub files_written: usize,
    /// Their bytes; `None` of a dry run.
    pub bytes_written: Option<u64>,
    /// Small files that stay, because they have columns that this program does not know.
    pub files_kept: usize,
    /// Files that the log does not name: what killed runs left, and removed files whose time is over.
    pub files_deleted: usize,
    /// Their bytes.
    pub bytes_deleted: u64,
    /// Files of the table's archives that killed runs left and nothing reads.
    pub archive_files_deleted: usize,
    /// Their bytes.
    pub archive_bytes_deleted: u64,
    /// Whether a checkpoint was written.
    pub checkpoint: bool,
}

impl TableMaintenance {
    fn is_nothing(&self) -> bool {
        *self == Self { table: self.table, bytes_written: self.bytes_written, ..Self::default() }
    }

    /// Counts what is deleted of the table's folder, and of its archives.
    fn delete(&mut self, (files, of_archives): (OrphanFiles, OrphanFiles)) {
        (self.files_deleted, self.bytes_deleted) = (files.files, files.bytes);
        (self.archive_files_deleted, self.archive_bytes_deleted) = (of_archives.files, of_archives.bytes);
    }
}

/// Says what maintenance of these tables would do. Changes nothing, and takes no lock.
///
/// # Errors
/// Reading the lake.
pub async fn plan_maintenance(lake: &Lake, tables: &[&'static Table]) -> Result<MaintenanceReport, Error> {
    let begun = MachineInstant::now();
    let Survey { stopped, absent, .. } = lake.survey(&Instance::default()).await?;
    let (mut stopped, mut found) = (stopped, Vec::new());
    for &table in tables.iter().filter(|table| !absent.iter().any(|absent| absent.table.name == table.name)) {
        if stopped.iter().any(|(of, _)| of.name == table.name) {
            continue;
        }
        match plan_table(lake, table).await {
            Ok(plan) => found.extend(Some(plan).filter(|plan| !plan.is_nothing())),
            Err(error) => stopped.push((table, only_of_table(error)?)),
        }
    }
    stopped.retain(|(table, _)| tables.iter().any(|of| of.name == table.name));
    let mut report = report(begun, tables.len(), None, true, found, stopped);
    if tables.len() == TABLES.len() {
        report.delete_shards(lake.files_of_parts().await?);
        report.uploads_aborted = lake.abandoned_uploads().await;
    }
    Ok(report)
}

/// What is due for a table.
async fn plan_table(lake: &Lake, table: &'static Table) -> Result<TableMaintenance, LakeError> {
    let mut plan = pending_work(lake, table).await?;
    plan.delete((lake.orphan_files(table).await?, lake.unfinished_archives(table).await?));
    Ok(plan)
}

/// What is due for a table besides its orphan files.
async fn pending_work(lake: &Lake, table: &'static Table) -> Result<TableMaintenance, LakeError> {
    let mut plan = TableMaintenance { table: table.name, ..TableMaintenance::default() };
    let mut add = |of: SmallFiles| {
        plan.weeks += 1;
        plan.files_merged += of.files;
        plan.bytes_merged += of.bytes;
        plan.files_written += of.merged_files;
    };
    if table.name == EXTRACTION_SLICE.name {
        let mut files = 0;
        for of in slices() {
            files += lake.files_to_compact(table, &of).await?;
        }
        if files > 0 {
            add(SmallFiles { week: None, files, bytes: 0, merged_files: 1 });
        }
    } else {
        lake.small_files(table, limits(table), local_time()).await?.into_iter().for_each(add);
    }
    plan.checkpoint = lake.is_checkpoint_due(table).await?;
    Ok(plan)
}

/// How many small files a table may have. Every run begins and ends with a commit to `extraction_run`, this one too.
fn limits(table: &Table) -> SmallFileLimits {
    if table.name == EXTRACTION_RUN.name { SmallFileLimits::TOLERATED } else { SmallFileLimits::FEWEST }
}

/// Maintains these tables of a lake, and tells of each when it is done.
///
/// # Errors
/// When another command holds the lake, or a bookkeeping table cannot be written. What was committed stays.
pub async fn maintain(
    lake: &Lake,
    tables: &[&'static Table],
    observe: &(dyn Fn(&TableMaintenance) + Send + Sync),
    stop: Stop,
) -> Result<MaintenanceReport, Error> {
    let mut lock = None;
    let report = maintain_locked(lake, tables, observe, stop, &mut lock).await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    report
}

/// Maintains under the lake's lock, which it leaves in `lock`.
async fn maintain_locked(
    lake: &Lake,
    tables: &[&'static Table],
    observe: &(dyn Fn(&TableMaintenance) + Send + Sync),
    stop: Stop,
    lock: &mut Option<Lock>,
) -> Result<MaintenanceReport, Error> {
    let (begun, started_at) = (MachineInstant::now(), local_time());
    let run = run_id(started_at);
    let mut uploads_aborted = lock.insert(lake.lock(&run).await?).aborted_uploads;
    if tables.len() == TABLES.len() {
        uploads_aborted += lake.abort_uploads().await;
    }
    let instance = Instance::default();
    let Survey { absent, stopped: unwritable, .. } = lake.survey(&instance).await?;
    let is_usable = |table: &&&'static Table| {
        !absent.iter().any(|absent| absent.table.name == table.name)
            && !unwritable.iter().any(|(of, _)| of.name == table.name)
    };
    // First, so that they are counted.
    let (mut plans, mut damaged) = (Vec::new(), Vec::new());
    for &table in tables.iter().filter(is_usable) {
        let removed =
            async { Ok((lake.remove_orphan_files(table).await?, lake.remove_unfinished_archives(table).await?)) };
        match removed.await {
            Ok(removed) => plans.push((table, removed)),
            Err(error) => damaged.push((table, only_of_table(error)?)),
        }
    }
    let LakeCondition { mut ledger, mut stopped_tables, .. } = condition::open(lake, &instance, None).await?;
    stopped_tables.retain(|name, _| tables.iter().any(|table| table.name == *name));
    let mut stopped: Vec<_> = stopped_tables
        .into_iter()
        .filter_map(|(name, error)| Some((copilot_lake_tables::table(name)?, error)))
        .collect();
    damaged.retain(|(table, _)| !stopped.iter().any(|(of, _): &(&Table, LakeError)| of.name == table.name));
    stopped.extend(damaged);
    plans.retain(|(table, _)| !stopped.iter().any(|(of, _)| of.name == table.name));

    let (mut done, mut recorded, mut is_stopped) = (Vec::new(), None, false);
    for (table, removed) in plans {
        let mut plan = match pending_work(lake, table).await {
            Ok(plan) => plan,
            Err(error) => {
                stopped.push((table, only_of_table(error)?));
                continue;
            }
        };
        let is_due = !plan.is_nothing();
        plan.delete(removed);
        if is_due && !is_stopped {
            is_stopped = *stop.borrow();
        }
        if is_due && !is_stopped && recorded.is_none() {
            // From now on a kill leaves files for the next command to find.
            let started_at = ledger.runs().next_start(started_at);
            ledger.start_run(&run, MAINTAIN, started_at).await?;
            recorded = Some(started_at);
        }
        let result = match is_due && !is_stopped {
            true => maintain_table(lake, table, &plan, &run, &stop).await,
            false => Ok((only_deleted(&plan), false)),
        };
        match result {
            Ok((of_table, was_stopped)) => {
                is_stopped |= was_stopped;
                if !of_table.is_nothing() {
                    observe(&of_table);
                    done.push(of_table);
                }
            }
            Err(error) if error.is_transient() => stopped.push((table, error)),
            Err(error) => stopped.push((table, only_of_table(error)?)),
        }
    }
    // Last: on a store the locks of what killed shards left are watched for a while.
    let of_shards = match tables.len() == TABLES.len() && !is_stopped {
        true => lake.remove_abandoned_parts("", &run).await,
        false => Ok(OrphanFiles::default()),
    };
    let mut report = report(begun, tables.len(), recorded.map(|_| run.clone()), false, done, stopped);
    if is_stopped {
        (report.stopped, report.outcome) = (true, RunOutcome::Partial);
    }
    if let Some(started_at) = recorded {
        let of_run = Report { outcome: report.outcome, stopped: is_stopped, ..Report::new(run) };
        ledger.end_run(MAINTAIN, started_at, local_time().max(started_at), &of_run).await?;
    }
    report.delete_shards(of_shards?);
    report.uploads_aborted = uploads_aborted;
    Ok(report)
}

/// What was deleted before, without what is due.
fn only_deleted(plan: &TableMaintenance) -> TableMaintenance {
    TableMaintenance {
        table: plan.table,
        files_deleted: plan.files_deleted,
        bytes_deleted: plan.bytes_deleted,
        archive_files_deleted: plan.archive_files_deleted,
        archive_bytes_deleted: plan.archive_bytes_deleted,
        ..TableMaintenance::default()
    }
}

/// Does what is due for a table. Returns whether it was stopped.
async fn maintain_table(
    lake: &Lake,
    table: &'static Table,
    plan: &TableMaintenance,
    run: &str,
    stop: &Stop,
) -> Result<(TableMaintenance, bool), LakeError> {
    let mut done = only_deleted(plan);
    let is_stopped = || *stop.borrow();
    if table.name == EXTRACTION_SLICE.name {
        for of in slices() {
            // The newest files are merged first; then those before them may be worth it.
            while !is_stopped() {
                let merged = lake.compact(table, &of, run).await?;
                if merged == 0 {
                    break;
                }
                done.weeks = 1;
                done.files_merged += merged;
                done.files_written += 1;
            }
        }
    } else {
        let merged = lake.merge_small_files(table, limits(table), local_time(), run, &is_stopped).await?;
        done.weeks = merged.weeks;
        (done.files_merged, done.bytes_merged) = (merged.files_removed, merged.bytes_removed);
        (done.files_written, done.bytes_written) = (merged.files_added, Some(merged.bytes_added));
        done.files_kept = merged.files_kept;
    }
    if !is_stopped() && (plan.checkpoint || lake.is_checkpoint_due(table).await?) {
        lake.checkpoint(table).await?;
        done.checkpoint = true;
    }
    Ok((done, is_stopped()))
}

fn report(
    begun: MachineInstant,
    requested: usize,
    run_id: Option<String>,
    dry_run: bool,
    tables: Vec<TableMaintenance>,
    stopped: Vec<(&'static Table, LakeError)>,
) -> MaintenanceReport {
    let outcome = match stopped.len() {
        0 => RunOutcome::Complete,
        count if count < requested => RunOutcome::Partial,
        _ => RunOutcome::Failed,
    };
    let stopped_tables = stopped.into_iter().map(|(table, error)| StoppedTable { table: table.name, error }).collect();
    let seconds = begun.elapsed().as_secs_f64();
    MaintenanceReport {
        run_id,
        dry_run,
        outcome,
        stopped: false,
        stopped_tables,
        seconds,
        tables,
        shard_files_deleted: 0,
        shard_bytes_deleted: 0,
        uploads_aborted: 0,
    }
}
