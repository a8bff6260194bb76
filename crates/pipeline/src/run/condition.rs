//! The condition of the lake when a run starts: which tables can be written, and what has to be read again.
//!
//! A table is damaged when it is missing although the ledger says that it has rows, or when files in its log are
//! missing. A damaged table does not stop the others, unless it is a bookkeeping table: without those nothing is known
//! of any table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use copilot_lake_tables::{EXTRACTION_SLICE, Instant, TABLES, TRANSCRIPT_MESSAGE, Table, written_with};
use copilot_lake_writer::{Absent, Error as LakeError, Instance, Lake, LostRows, Scan, Survey};
use futures::TryStreamExt as _;

use crate::cells::text;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::report::SliceStatus;
use crate::reread::reread;

/// The condition in which a run finds the lake.
pub(crate) struct LakeCondition {
    pub(crate) ledger: Ledger,
    /// Tables that are not written, and why.
    pub(crate) stopped_tables: BTreeMap<&'static str, LakeError>,
    /// What tables have lost and no run has read again yet.
    pub(crate) lost: BTreeMap<&'static str, LostRows>,
}

/// Prepares the lake for a run that holds the lock. `repair`: the run, and its start, that takes what is lost out of
/// the logs and notes it.
///
/// # Errors
/// When a bookkeeping table cannot be written, and for what concerns the lake as a whole.
pub(crate) async fn open(
    lake: &Lake,
    instance: &Instance,
    repair: Option<(&str, Instant)>,
) -> Result<LakeCondition, Error> {
    let Survey { absent, stopped, has_rows } = lake.survey(instance).await?;
    let mut stopped: BTreeMap<_, _> = stopped.into_iter().map(|(table, error)| (table.name, error)).collect();
    prepare_bookkeeping(lake, instance, repair, (&absent, &mut stopped, has_rows)).await?;
    let ledger = reread(|| Ledger::read(lake)).await?;
    let repair = repair.map(|(run_id, started_at)| (run_id, ledger.runs().next_start(started_at)));

    let mut tables: Vec<_> = TABLES.iter().copied().filter(|table| !table.is_bookkeeping()).collect();
    for (table, error) in missing_tables(lake, &absent).await? {
        match (&error, repair) {
            (LakeError::Damaged { .. }, Some(found)) => match lake.repair(instance, table, found).await {
                Ok(_) => {}
                Err(error) => drop(stopped.insert(table.name, only_of_table(error)?)),
            },
            _ => drop(stopped.insert(table.name, error)),
        }
    }
    tables.retain(|table| !stopped.contains_key(table.name));
    let lists = repair.is_some() || ledger.runs().has_unfinished() || !ledger.runs().is_last_complete();
    if lists && repair.is_none() {
        // Only their own rows told that it may be needed.
        list_bookkeeping(lake, instance).await?;
    }
    for (table, error) in lake.ready(instance, &tables, lists).await? {
        let Some(found) = repair.filter(|_| matches!(error, LakeError::Damaged { .. })) else {
            stopped.insert(table.name, error);
            continue;
        };
        if let Err(error) = lake.repair(instance, table, found).await {
            stopped.insert(table.name, only_of_table(error)?);
            continue;
        }
        stopped
            .extend(lake.ready(instance, &[table], true).await?.into_iter().map(|(table, error)| (table.name, error)));
    }
    let mut lost = BTreeMap::new();
    for table in tables.into_iter().filter(|table| !stopped.contains_key(table.name)) {
        if let Some(of_table) = lake.lost(table).await? {
            lost.insert(table.name, of_table);
        }
    }
    Ok(LakeCondition { ledger, stopped_tables: stopped, lost })
}

/// What is wrong with the lake's tables, as far as reading shows. Changes nothing.
pub(crate) async fn inspect(lake: &Lake) -> Result<Vec<LakeError>, Error> {
    let Survey { absent, stopped, has_rows } = lake.survey(&Instance::default()).await?;
    let mut wrong: Vec<_> = stopped.into_iter().map(|(_, error)| error).collect();
    let absent_bookkeeping = absent.iter().filter(|absent| absent.table.is_bookkeeping());
    wrong.extend(absent_bookkeeping.filter(|_| has_rows).map(lost_table));
    for table in TABLES {
        let checked = match lake.check_files(table).await {
            Ok(()) => lake.check_rows(table).await,
            failed => failed,
        };
        match checked {
            Ok(()) => {}
            // The survey found it.
            Err(error) if wrong.iter().any(|found| found.to_string() == error.to_string()) => {}
            Err(error @ LakeError::Parquet { .. }) => wrong.push(error),
            Err(error) => wrong.push(only_of_table(error)?),
        }
    }
    let is_known = |error: &LakeError| table_of(error).is_some_and(Table::is_bookkeeping);
    if !wrong.iter().any(is_known) {
        wrong.extend(missing_tables(lake, &absent).await?.into_iter().map(|(_, error)| error));
    }
    Ok(wrong)
}

/// The table that an error is about.
pub(crate) fn table_of(error: &LakeError) -> Option<&'static Table> {
    match error {
        LakeError::Log { table, .. } => copilot_lake_tables::table(table),
        LakeError::Parquet { path, .. } => path.split('/').next().and_then(copilot_lake_tables::table),
        error => error.stops_table().and_then(copilot_lake_tables::table),
    }
}

/// Passes an error on as a table's own where it is about one table; otherwise it is an error of the lake.
pub(crate) fn only_of_table(error: LakeError) -> Result<LakeError, Error> {
    if error.stops_table().is_some() || matches!(error, LakeError::Log { .. }) { Ok(error) } else { Err(error.into()) }
}

/// Prepares the bookkeeping tables. When they have lost something, everything is read again.
async fn prepare_bookkeeping(
    lake: &Lake,
    instance: &Instance,
    repair: Option<(&str, Instant)>,
    (absent, stopped, has_rows): (&[Absent], &mut BTreeMap<&'static str, LakeError>, bool),
) -> Result<(), Error> {
    let tables = bookkeeping_tables();
    if let Some(error) = tables.iter().find_map(|table| stopped.remove(table.name)) {
        return Err(error.into());
    }
    let absent_bookkeeping: Vec<_> = absent.iter().filter(|absent| absent.table.is_bookkeeping()).collect();
    // A lake without rows has lost nothing.
    let is_foreign = |absent: &&&Absent| !has_rows || !absent.is_own;
    if let Some(error) = absent_bookkeeping.iter().filter(is_foreign).find_map(|absent| absent.not_a_table(lake)) {
        return Err(error.into());
    }
    let mut damage = absent_bookkeeping.first().filter(|_| has_rows).map(|absent| lost_table(absent));
    if damage.is_none() {
        damage = lake.ready(instance, &tables, repair.is_some()).await?.into_iter().next().map(|(_, error)| error);
    }
    let Some(error) = damage else { return Ok(()) };
    let Some(found) = repair.filter(|_| matches!(error, LakeError::Damaged { .. })) else { return Err(error.into()) };
    // Before the rows of the ledger go: a repair that is killed here starts over.
    let is_there = |table: &Table| !absent.iter().any(|absent| absent.table.name == table.name);
    // Messages are decoded again from `payload`, the rows of all other tables are read again.
    let recorded = TABLES.iter().copied().filter(|table| table.is_in_ledger());
    let row_tables = recorded.chain([&TRANSCRIPT_MESSAGE]);
    for table in row_tables.filter(|table| is_there(table) && !stopped.contains_key(table.name)) {
        lake.read_again(table, found).await?;
    }
    for &table in &tables {
        let is_lost = !is_there(table) || lake.check_files(table).await.is_err();
        if is_lost && lake.repair(instance, table, found).await? {
            lake.recovered(table).await?;
        }
    }
    list_bookkeeping(lake, instance).await
}

fn bookkeeping_tables() -> Vec<&'static Table> {
    TABLES.iter().copied().filter(|table| table.is_bookkeeping()).collect()
}

/// Prepares the bookkeeping tables, and deletes what a run may have left in their folders.
async fn list_bookkeeping(lake: &Lake, instance: &Instance) -> Result<(), Error> {
    match lake.ready(instance, &bookkeeping_tables(), true).await?.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// The missing tables that cannot be created: earlier runs wrote rows to them, or their folders hold foreign files.
async fn missing_tables(lake: &Lake, absent: &[Absent]) -> Result<Vec<(&'static Table, LakeError)>, Error> {
    let absent: Vec<_> = absent.iter().filter(|absent| !absent.table.is_bookkeeping()).collect();
    let mut wrong = Vec::new();
    if absent.is_empty() {
        return Ok(wrong);
    }
    let known = reread(|| tables_in_ledger(lake)).await?;
    for absent in absent {
        if known.contains(absent.table.name) && absent.is_own {
            wrong.push((absent.table, lost_table(absent)));
        } else if let Some(error) = absent.not_a_table(lake) {
            wrong.push((absent.table, error));
        }
    }
    Ok(wrong)
}

fn lost_table(absent: &Absent) -> LakeError {
    let what = match &absent.file {
        Some(_) => "its log is missing, although earlier runs wrote rows to it",
        None => "it is missing, although earlier runs wrote rows to it",
    };
    LakeError::Damaged { table: absent.table.name, what: what.to_owned() }
}

/// The tables that earlier runs wrote rows to, according to the ledger.
async fn tables_in_ledger(lake: &Lake) -> Result<BTreeSet<&'static str>, Error> {
    let mut known = BTreeSet::new();
    let columns = vec!["table_name", "status", "rows"];
    let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, Scan { columns, ..Scan::default() }).await?);
    while let Some(batch) = batches.try_next().await? {
        let rows = batch.column(2).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|row| rows.is_valid(*row) && rows.value(*row) > 0) {
            if text(&batch, "status", row) == SliceStatus::Done.name()
                && let Some(table) = copilot_lake_tables::table(text(&batch, "table_name", row))
                // What is lost of a view is made again.
                && table.view_of().is_none()
                && !known.contains(table.name)
            {
                known.extend(written_with(table).map(|table| table.name));
            }
        }
    }
    Ok(known)
}
