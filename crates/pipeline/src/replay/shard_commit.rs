//! What becomes of a shard once it is replayed: its rows become the lake's, with one commit for each table, and a run in
//! the ledger says so, which comes last. The ledger alone knows which shards a lake has.

use std::collections::BTreeMap;
use std::time::Duration;

use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, Instant, PAYLOAD, TABLES, Table};
use copilot_lake_writer::{Error as LakeError, Instance, Lake, LakePart, Lock};

use super::shard::Shard;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::ledger::runs::Runs;
use crate::report::Report;
use crate::reread::reread;
use crate::run::condition::{self, LakeCondition};
use crate::run::run_id::local_time;
use crate::settings::Stop;

/// What the commands of shards begin with in the ledger.
const COMMAND: &str = "replay --shard ";
/// What the log knows the commits of shards by begins with this.
const APPLICATION: &str = "copilot-lake/shard/";
const NO_SHARD: &str = "no shard was replayed into this lake";
/// How long a shard waits before it tries again to take the lock of the lake.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// A shard of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ArchiveShard {
    pub(super) shard: Shard,
    /// The id of the archive.
    pub(super) archive: String,
}

impl ArchiveShard {
    /// The command of its runs in the ledger.
    fn command(&self) -> String {
        format!("{COMMAND}{} of {}", self.shard, self.archive)
    }

    /// Reads a command in the ledger; `None` if it is no shard's.
    fn parse(command: &str) -> Option<Self> {
        let (shard, archive) = command.strip_prefix(COMMAND)?.split_once(" of ")?;
        Some(Self { shard: Shard::parse(shard)?, archive: archive.to_owned() })
    }

    /// What the names of its parts of the lake begin with.
    pub(super) fn part_prefix(&self) -> String {
        format!("{}-{}-of-{}-", self.archive, self.shard.number, self.shard.of)
    }

    /// Whether the lake has it, going by the ledger.
    ///
    /// # Errors
    /// [`Error::Shards`] when it cannot join what the lake has.
    pub(super) async fn is_in(&self, lake: &Lake, instance: &Instance) -> Result<bool, Error> {
        // Reads the logs again.
        lake.survey(instance).await?;
        if !lake.has(&EXTRACTION_RUN).await? {
            return Ok(false);
        }
        self.is_complete(reread(|| Ledger::read(lake)).await?.runs())
    }

    fn is_complete(&self, runs: &Runs) -> Result<bool, Error> {
        let shards = shards_of(&self.archive, runs)?;
        match shards.first() {
            None if !runs.started().is_empty() => refuse("the lake has rows already; shards fill a new one"),
            Some((other, _)) if other.of != self.shard.of => {
                refuse(format!("{} shards fill this lake, not {}", other.of, self.shard.of))
            }
            _ => Ok(shards.contains(&(self.shard, true))),
        }
    }

    /// Makes the rows of a part of the lake the lake's, and records the shard with the report of its replay. Repeating it
    /// changes nothing. The caller holds the locks of both.
    ///
    /// `archived_runs`: the runs of the archive, with their starts.
    pub(super) async fn commit(
        &self,
        (lake, part): (&Lake, &LakePart),
        instance: &Instance,
        archived_runs: &BTreeMap<String, Instant>,
        report: &Report,
    ) -> Result<(), Error> {
        let LakeCondition { mut ledger, stopped_tables, .. } = condition::open(lake, instance, None).await?;
        if let Some(error) = stopped_tables.into_values().next() {
            return Err(error.into());
        }
        if self.is_complete(ledger.runs())? {
            // Another process has replayed it, too.
            return Ok(());
        }
        // First: runs of the archive alone look like those of another lake. From now on a kill leaves files for the next
        // command to find, which looks for those of runs that have not ended since the last complete one started: so the run
        // starts now, whenever the replay did.
        let (command, run_id) = (self.command(), &report.run_id);
        let started_at = ledger.runs().next_start(local_time());
        ledger.start_run(run_id, &command, started_at).await?;
        for (run_id, started_at) in archived_runs {
            ledger.adopt_run(run_id, *started_at).await?;
        }
        let app_id = format!("{APPLICATION}{}/{}", self.archive, self.shard);
        for table in in_order() {
            lake.commit_part(part, table, &app_id, run_id).await?;
        }
        ledger.end_run(&command, started_at, local_time().max(started_at), report).await
    }
}

/// Checks that the lake may have shards, without making one.
///
/// # Errors
/// [`Error::Shards`] when the lake has no run.
pub(super) async fn expect_shards(lake: &Lake) -> Result<(), Error> {
    if lake.has(&EXTRACTION_RUN).await? { Ok(()) } else { refuse(NO_SHARD) }
}

/// Checks that a lake, whose lock the caller holds, has all shards of an archive, and removes what killed processes left of
/// them. Returns how many shards there are.
///
/// # Errors
/// [`Error::ShardsMissing`], and [`Error::Shards`] when the lake has none, or others.
pub(super) async fn finish(lake: &Lake, archive: &str, instance: &Instance, run_id: &str) -> Result<u32, Error> {
    lake.survey(instance).await?;
    let ledger = reread(|| Ledger::read(lake)).await?;
    let of = check_all(archive, ledger.runs())?;
    lake.remove_abandoned_parts("", run_id).await?;
    Ok(of)
}

/// Checks that all shards are complete. Returns how many there are.
fn check_all(archive: &str, runs: &Runs) -> Result<u32, Error> {
    let shards = shards_of(archive, runs)?;
    let Some((Shard { of, .. }, _)) = shards.first().copied() else { return refuse(NO_SHARD) };
    let is_missing = |number: &u32| !shards.contains(&(Shard { number: *number, of }, true));
    let missing: Vec<u32> = (1..=of).filter(is_missing).collect();
    if missing.is_empty() { Ok(of) } else { Err(Error::ShardsMissing { missing, of }) }
}

/// The shards of an archive whose runs a lake has, and whether each run is complete.
fn shards_of(archive: &str, runs: &Runs) -> Result<Vec<(Shard, bool)>, Error> {
    let mut shards = Vec::new();
    for (command, is_complete) in runs.commands() {
        let Some(found) = ArchiveShard::parse(command) else { continue };
        if found.archive != archive {
            return refuse("the shards of this lake are of another archive, or of this one before it changed");
        }
        shards.push((found.shard, is_complete));
    }
    Ok(shards)
}

fn refuse<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Shards { what: what.into() })
}

/// Takes the lock of a lake as soon as no other run holds it; `None` if the process is to stop before.
pub(super) async fn lock_when_free(lake: &Lake, run_id: &str, mut stop: Stop) -> Result<Option<Lock>, Error> {
    let mut waits = false;
    loop {
        match lake.lock(run_id).await {
            Err(LakeError::Held { run_id, since }) => {
                if !std::mem::replace(&mut waits, true) {
                    tracing::info!("another run holds the lake: {run_id}, since {since}; waiting until it ends");
                }
            }
            taken => return Ok(Some(taken?)),
        }
        tokio::select! {
            () = tokio::time::sleep(LOCK_PAUSE) => {}
            Ok(_) = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}

/// The tables in the order in which their rows are committed: what is derived from rows comes before them, and slices come
/// last. A shard has no runs but its own.
fn in_order() -> Vec<&'static Table> {
    let stage = |table: &&Table| match table.name {
        name if name == EXTRACTION_SLICE.name => 2,
        name => u8::from(table.service().is_some() || name == PAYLOAD.name),
    };
    let mut tables: Vec<_> = TABLES.iter().copied().filter(|table| table.name != EXTRACTION_RUN.name).collect();
    tables.sort_by_key(stage);
    tables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::runs::{REPLAY, reads_service};

    fn shard(text: &str) -> ArchiveShard {
        ArchiveShard { shard: Shard::parse(text).unwrap(), archive: "a1".to_owned() }
    }

    /// Runs with these commands and outcomes.
    fn runs(rows: &[(String, &str)]) -> Runs {
        let mut runs = Runs::default();
        for (number, (command, outcome)) in rows.iter().enumerate() {
            let outcome = Some(*outcome).filter(|outcome| !outcome.is_empty());
            runs.add(&format!("run-{number}"), command, Instant::from_seconds(1_760_000_000), outcome);
        }
        runs
    }

    #[test]
    fn a_command_names_the_shard_and_its_archive() {
        let command = shard("2/4").command();
        assert_eq!(command, "replay --shard 2/4 of a1");
        assert_eq!(ArchiveShard::parse(&command), Some(shard("2/4")));
        assert!(command.starts_with(REPLAY) && !reads_service(&command));
        for other in ["replay", "extract", "replay --shard 5/4 of a1", "replay --shard 1/4"] {
            assert_eq!(ArchiveShard::parse(other), None, "{other}");
        }
        assert_eq!(shard("2/4").part_prefix(), "a1-2-of-4-");
    }

    #[test]
    fn a_shard_joins_others_of_its_archive_in_a_new_lake() {
        let (second, other) = (shard("2/4").command(), ArchiveShard { archive: "b2".to_owned(), ..shard("1/4") });
        let (archived, replay) = (("extract".to_owned(), "replayed"), ("replay".to_owned(), "complete"));
        let cases = [
            (vec![], Ok(false)),
            (vec![archived.clone(), (shard("1/4").command(), "complete")], Ok(false)),
            (vec![(second.clone(), "")], Ok(false)),
            (vec![(second.clone(), ""), (second.clone(), "complete")], Ok(true)),
            (vec![(second.clone(), "complete"), (shard("1/4").command(), "")], Ok(true)),
            (vec![archived], Err("the lake has rows already; shards fill a new one")),
            (vec![replay], Err("the lake has rows already; shards fill a new one")),
            (vec![(shard("1/3").command(), "")], Err("3 shards fill this lake, not 4")),
            (
                vec![(second, "complete"), (other.command(), "complete")],
                Err("the shards of this lake are of another archive, or of this one before it changed"),
            ),
        ];
        for (rows, expected) in cases {
            let found = shard("2/4").is_complete(&runs(&rows)).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{rows:?}");
        }
    }

    #[test]
    fn every_shard_has_to_be_complete() {
        let (first, second) = (shard("1/2").command(), shard("2/2").command());
        let cases = [
            (vec![], Err(NO_SHARD)),
            (vec![(first.clone(), "complete")], Err("of 2 shards, the lake lacks 2")),
            (vec![(first.clone(), ""), (second.clone(), "partial")], Err("of 2 shards, the lake lacks 1, 2")),
            (vec![(first.clone(), ""), (first, "complete"), (second, "complete")], Ok(2)),
        ];
        for (rows, expected) in cases {
            let found = check_all("a1", &runs(&rows)).map_err(|error| error.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{rows:?}");
        }
    }

    #[test]
    fn what_is_derived_is_committed_first_and_slices_last() {
        let names: Vec<_> = in_order().iter().map(|table| table.name).collect();
        let place = |name: &str| names.iter().position(|other| *other == name);
        assert_eq!((names.len(), place(EXTRACTION_RUN.name)), (TABLES.len() - 1, None));
        assert_eq!(place(EXTRACTION_SLICE.name), Some(names.len() - 1));
        for (derived, of) in [
            ("transcript_message", "payload"),
            ("transcript_source", "payload"),
            ("ai_interaction_link", "ai_interaction"),
            ("rejected_record", "msdyn_copilotevent"),
        ] {
            assert!(place(derived) < place(of), "{derived} before {of}: {names:?}");
        }
    }
}
