//! The condition of the lake when a run starts: which tables can be written, and what is lost and to be read again.
//!
//! A table is damaged when the ledger knows rows of it and it is not there, or when files that its log names are gone. It
//! stops no other, except for bookkeeping: without that nothing can be said of any table.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use copilot_lake_tables::{
    AI_INTERACTION, EXTRACTION_SLICE, GRAPH_USER, INTERACTION_CHILDREN, Instant, PAYLOAD, SYSTEM_USER, Source, TABLES,
    TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table, dataverse_tables,
};
use copilot_lake_writer::{Absent, Error as LakeError, Instance, Lake, LostRows, Scan, Survey};
use futures::TryStreamExt as _;

use crate::error::Error;
use crate::ledger::{Ledger, text};
use crate::report::Status;

/// What a run finds.
pub(crate) struct Condition {
    pub(crate) ledger: Ledger,
    /// Tables that are not written, and why.
    pub(crate) stopped: BTreeMap<&'static str, LakeError>,
    /// What tables have lost and is still to be read again.
    pub(crate) lost: BTreeMap<&'static str, LostRows>,
}

/// The tables that a history is written to.
pub(crate) fn tables_of_graph() -> impl Iterator<Item = &'static Table> {
    INTERACTION_CHILDREN.into_iter().chain([&AI_INTERACTION, &GRAPH_USER])
}

/// The tables that payloads are written to.
pub(crate) const TABLES_OF_PAYLOADS: [&Table; 3] = [&PAYLOAD, &TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE];

pub(crate) fn is_bookkeeping(table: &Table) -> bool {
    table.source == Source::Bookkeeping
}

/// Makes the lake ready for a run that holds the lock. `repair`: what is lost is taken out of the logs and noted, as found
/// by that run, which started then.
///
/// # Errors
/// A bookkeeping table that cannot be written, and what concerns the lake as a whole.
pub(crate) async fn open(
    lake: &Lake,
    instance: &Instance,
    repair: Option<(&str, Instant)>,
) -> Result<Condition, Error> {
    let Survey { absent, stopped, has_rows } = lake.survey(instance).await?;
    let mut stopped: BTreeMap<_, _> = stopped.into_iter().map(|(table, error)| (table.name, error)).collect();
    bookkeeping(lake, instance, repair, (&absent, &mut stopped, has_rows)).await?;
    let ledger = Ledger::read(lake).await?;
    let repair = repair.map(|(run_id, started_at)| (run_id, ledger.next_start(started_at)));

    let mut tables: Vec<_> = TABLES.iter().copied().filter(|table| !is_bookkeeping(table)).collect();
    for (table, error) in not_there(lake, &absent).await? {
        match (&error, repair) {
            (LakeError::Damaged { .. }, Some(found)) => match lake.repair(instance, table, found).await {
                Ok(_) => {}
                Err(error) => drop(stopped.insert(table.name, only_of_table(error)?)),
            },
            _ => drop(stopped.insert(table.name, error)),
        }
    }
    tables.retain(|table| !stopped.contains_key(table.name));
    let lists = repair.is_some() || ledger.has_unfinished() || !ledger.is_last_complete();
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
    Ok(Condition { ledger, stopped, lost })
}

/// What is wrong with the lake's tables, as far as reading tells; nothing is changed.
pub(crate) async fn look(lake: &Lake) -> Result<Vec<LakeError>, Error> {
    let Survey { absent, stopped, has_rows } = lake.survey(&Instance::default()).await?;
    let mut wrong: Vec<_> = stopped.into_iter().map(|(_, error)| error).collect();
    let of_bookkeeping = absent.iter().filter(|absent| is_bookkeeping(absent.table));
    wrong.extend(of_bookkeeping.filter(|_| has_rows).map(lost_table));
    for table in TABLES {
        match lake.check_files(table).await {
            Ok(()) => {}
            // The survey told.
            Err(error) if wrong.iter().any(|told| told.to_string() == error.to_string()) => {}
            Err(error) => wrong.push(only_of_table(error)?),
        }
    }
    let is_known = |error: &LakeError| table_of(error).is_some_and(is_bookkeeping);
    if !wrong.iter().any(is_known) {
        wrong.extend(not_there(lake, &absent).await?.into_iter().map(|(_, error)| error));
    }
    Ok(wrong)
}

/// The table that an error is about.
pub(crate) fn table_of(error: &LakeError) -> Option<&'static Table> {
    match error {
        LakeError::Log { table, .. } => copilot_lake_tables::table(table),
        error => error.stops_table().and_then(copilot_lake_tables::table),
    }
}

/// An error that is about one table; another one is the lake's.
fn only_of_table(error: LakeError) -> Result<LakeError, Error> {
    if error.stops_table().is_some() || matches!(error, LakeError::Log { .. }) { Ok(error) } else { Err(error.into()) }
}

/// Makes the bookkeeping ready. What it has lost is read again, which is everything.
async fn bookkeeping(
    lake: &Lake,
    instance: &Instance,
    repair: Option<(&str, Instant)>,
    (absent, stopped, has_rows): (&[Absent], &mut BTreeMap<&'static str, LakeError>, bool),
) -> Result<(), Error> {
    let tables: Vec<_> = TABLES.iter().copied().filter(|table| is_bookkeeping(table)).collect();
    if let Some(error) = tables.iter().find_map(|table| stopped.remove(table.name)) {
        return Err(error.into());
    }
    let of_bookkeeping: Vec<_> = absent.iter().filter(|absent| is_bookkeeping(absent.table)).collect();
    // Of a lake without rows nothing can be lost.
    let is_foreign = |absent: &&&Absent| !has_rows || !absent.is_own;
    if let Some(error) = of_bookkeeping.iter().filter(is_foreign).find_map(|absent| absent.not_a_table(lake)) {
        return Err(error.into());
    }
    let mut damage = of_bookkeeping.first().filter(|_| has_rows).map(|absent| lost_table(absent));
    if damage.is_none() {
        damage = lake.ready(instance, &tables, false).await?.into_iter().next().map(|(_, error)| error);
    }
    let Some(error) = damage else { return Ok(()) };
    let Some(found) = repair.filter(|_| matches!(error, LakeError::Damaged { .. })) else { return Err(error.into()) };
    // Before the rows that say what was read: a repair that is killed begins again.
    let is_there = |table: &Table| !absent.iter().any(|absent| absent.table.name == table.name);
    let of_rows = dataverse_tables().chain([&SYSTEM_USER, &AI_INTERACTION, &TRANSCRIPT_MESSAGE]);
    for table in of_rows.filter(|table| is_there(table) && !stopped.contains_key(table.name)) {
        lake.read_again(table, found).await?;
    }
    for &table in &tables {
        let is_lost = !is_there(table) || lake.check_files(table).await.is_err();
        if is_lost && lake.repair(instance, table, found).await? {
            lake.recovered(table).await?;
        }
    }
    match lake.ready(instance, &tables, true).await?.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(()),
    }
}

/// The tables that are not there and cannot be made: earlier runs wrote rows to them, or their folders hold somebody
/// else's files.
async fn not_there(lake: &Lake, absent: &[Absent]) -> Result<Vec<(&'static Table, LakeError)>, Error> {
    let absent: Vec<_> = absent.iter().filter(|absent| !is_bookkeeping(absent.table)).collect();
    let mut wrong = Vec::new();
    if absent.is_empty() {
        return Ok(wrong);
    }
    let known = known_by_ledger(lake).await?;
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
        Some(_) => "its log is not there, and earlier runs wrote rows to it",
        None => "it is not there, and earlier runs wrote rows to it",
    };
    LakeError::Damaged { table: absent.table.name, what: what.to_owned() }
}

/// The tables that earlier runs wrote rows to, as far as the ledger tells.
async fn known_by_ledger(lake: &Lake) -> Result<BTreeSet<&'static str>, Error> {
    let mut known = BTreeSet::new();
    let columns = vec!["table_name", "status", "rows"];
    let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, Scan { columns, ..Scan::default() }).await?);
    while let Some(batch) = batches.try_next().await? {
        let rows = batch.column(2).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|row| rows.is_valid(*row) && rows.value(*row) > 0) {
            if text(&batch, "status", row) == Status::Done.name()
                && let Some(table) = copilot_lake_tables::table(text(&batch, "table_name", row))
                && known.insert(table.name)
                && table.files().next().is_some()
            {
                known.extend(TABLES_OF_PAYLOADS.map(|table| table.name));
            }
        }
    }
    if known.contains(AI_INTERACTION.name) {
        known.extend(tables_of_graph().map(|table| table.name));
    }
    Ok(known)
}
