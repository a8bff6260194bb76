//! Replaying an archive in shards, by several processes, into a new lake.
//!
//! Each shard writes a part of the lake, which is a lake of its own, without holding up anybody; then it takes the lake's
//! lock and makes the rows of its part the lake's, with one commit for each table. A shard that is repeated changes
//! nothing; one that was killed begins again. The last step finds all shards in the lake and replays the rest.

use std::time::Duration;

use bytes::Bytes;
use copilot_lake_tables::{EXTRACTION_RUN, PAYLOAD, TABLES, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table};
use copilot_lake_writer::{Error as LakeError, Instance, Lake, Lock};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::part::Shard;
use crate::error::Error;
use crate::run::condition;

/// How long a shard waits before it asks for the lake's lock again.
const ASKED_AGAIN: Duration = Duration::from_millis(500);

/// What the shards of a lake have in common.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShardPlan {
    /// The archive that they replay.
    archive: String,
    /// How many there are.
    shards: u32,
}

impl ShardPlan {
    /// Joins the shards of a lake: the first one says what they have in common.
    pub(super) async fn join(lake: &Lake, archive: &str, shard: Shard) -> Result<(), Error> {
        let plan = Self { archive: archive.to_owned(), shards: shard.of };
        let refuse = |what: String| Err(Error::Shards { what });
        if Self::of_lake(lake).await?.is_none() {
            if lake.has(&EXTRACTION_RUN).await? {
                return refuse("the lake has rows already; shards fill a new one".to_owned());
            }
            let note = serde_json::to_vec(&plan).map_err(|error| Error::Shards { what: error.to_string() })?;
            lake.note_parts(Bytes::from(note)).await?;
        }
        match Self::of_lake(lake).await? {
            Some(of_lake) if of_lake == plan => Ok(()),
            Some(of_lake) if of_lake.archive == plan.archive => {
                refuse(format!("this lake has {} shards, not {}", of_lake.shards, plan.shards))
            }
            _ => refuse("the other shards of this lake had another archive".to_owned()),
        }
    }

    /// Checks that all shards are in the lake.
    pub(super) async fn check_all(lake: &Lake, archive: &str) -> Result<(), Error> {
        let Some(plan) = Self::of_lake(lake).await? else {
            return Err(Error::Shards { what: "no shard was replayed into this lake".to_owned() });
        };
        if plan.archive != archive {
            return Err(Error::Shards { what: "the shards of this lake had another archive".to_owned() });
        }
        let mut missing = Vec::new();
        for number in 1..=plan.shards {
            if !is_taken(lake, archive, Shard { number, of: plan.shards }).await? {
                missing.push(number);
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Error::ShardsMissing { missing, of: plan.shards }) }
    }

    async fn of_lake(lake: &Lake) -> Result<Option<Self>, Error> {
        let Some(note) = lake.parts_note().await? else { return Ok(None) };
        let damaged = |_| Error::Shards { what: "the note about the shards of this lake is damaged".to_owned() };
        serde_json::from_slice(&note).map(Some).map_err(damaged)
    }
}

/// The name of the part of the lake that a shard writes.
pub(super) fn part_of(archive: &str, shard: Shard) -> String {
    format!("{archive}-{}-of-{}", shard.number, shard.of)
}

/// Whether a shard is in the lake.
pub(super) async fn is_taken(lake: &Lake, archive: &str, shard: Shard) -> Result<bool, Error> {
    Ok(lake.has_taken(&part_of(archive, shard), last_table()).await?)
}

/// Makes the rows of a part the lake's. Waits while another shard does so.
pub(super) async fn take(
    lake: &Lake,
    part: &str,
    instance: &Instance,
    run_id: &str,
    stop: watch::Receiver<bool>,
) -> Result<(), Error> {
    let lock = wait_for_lock(lake, run_id, stop).await?;
    let taken = take_locked(lake, part, instance, run_id).await;
    lock.release().await;
    taken
}

async fn wait_for_lock(lake: &Lake, run_id: &str, mut stop: watch::Receiver<bool>) -> Result<Lock, Error> {
    loop {
        match lake.lock(run_id).await {
            Err(LakeError::Held { .. }) => {}
            taken => return Ok(taken?),
        }
        tokio::select! {
            () = tokio::time::sleep(ASKED_AGAIN) => {}
            Ok(_) = stop.wait_for(|stop| *stop) => {
                return Err(Error::Shards { what: "it was stopped before its rows were in the lake".to_owned() });
            }
        }
    }
}

async fn take_locked(lake: &Lake, part: &str, instance: &Instance, run_id: &str) -> Result<(), Error> {
    let stopped = condition::open(lake, instance, None).await?.stopped_tables;
    if let Some(error) = stopped.into_values().next() {
        return Err(error.into());
    }
    for table in in_order() {
        lake.take_part(part, table, run_id).await?;
    }
    lake.clear_part(part).await?;
    Ok(())
}

/// The tables in the order in which they are taken: derived rows before those that they come from, and the ledger last,
/// so that it says nothing that is not true.
fn in_order() -> impl Iterator<Item = &'static Table> {
    let derived = [&TRANSCRIPT_SOURCE, &TRANSCRIPT_MESSAGE];
    let place = move |table: &&'static Table| {
        let is = |other: &Table| table.name == other.name;
        match table {
            _ if derived.into_iter().any(is) => 0,
            table if table.name == last_table().name => 4,
            table if table.is_bookkeeping() => 3,
            table if table.name == PAYLOAD.name => 2,
            _ => 1,
        }
    };
    let mut tables = TABLES.to_vec();
    tables.sort_by_key(place);
    tables.into_iter()
}

/// The table whose rows are taken last: a shard whose runs are in the lake is there as a whole.
fn last_table() -> &'static Table {
    &EXTRACTION_RUN
}
