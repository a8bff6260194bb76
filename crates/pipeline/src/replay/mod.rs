//! Replay: archived pages and payloads into a lake, without any request; and the archive that a run writes for that.
//!
//! Whatever a page came from is in its description. Slices of one run are replayed several at a time, as they were read;
//! what follows on them, such as deletions and payloads, waits for them.
//!
//! Several processes may replay a shard each. A shard goes into a part of the lake as an archive does into a lake, and
//! becomes the lake's when all of it is there.

pub(crate) mod archive;
pub(crate) mod archive_target;
pub(crate) mod description;
pub(crate) mod graph_archive;
mod histories;
mod indexed_payloads;
mod open_histories;
mod page_slices;
mod payload_archives;
mod read_ahead;
mod read_description;
mod replayer;
mod seen_keys;
mod shard;
mod shard_commit;
mod users;

use std::collections::BTreeMap;
use std::sync::Arc;

use copilot_lake_tables::{
    AI_INTERACTION, EXTRACTION_RUN, GRAPH_USER, Instant, PAYLOAD, SYSTEM_USER, Table, written_with,
};
use copilot_lake_writer::{Instance, Lake, LakeOptions, LakePart, StoreOptions, archived, shown_location};
use futures::{StreamExt as _, stream};

use self::read_ahead::ReadAhead;
use self::read_description::{ArchivedSlice, instant, left_out, read_slices};
use self::replayer::Replayer;
pub use self::shard::Shard;
use self::shard::archive_id;
use self::shard_commit::{ArchiveShard, expect_shards, finish, lock_when_free};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::rejects::Rejects;
use crate::ledger::runs::REPLAY;
use crate::ledger::windows::TRACKING;
use crate::payloads::PAYLOAD_TABLES;
use crate::report::{Report, RunOutcome, StoppedTable, TableReport};
use crate::reread::reread;
use crate::run::condition::{self, LakeCondition};
use crate::run::context::{Reports, RunContext};
use crate::run::restart_barrier::RestartBarrier;
use crate::run::run_id::{local_time, run_id};
use crate::run::shutdown::Shutdown;
use crate::settings::Stop;
use crate::views::view_maker::ViewMaker;
use crate::views::{is_any_stale, make_views};

/// Slices in flight. Each holds a few pages, so this bounds memory.
const SLICES_IN_FLIGHT: usize = 3;

/// The settings of a replay.
#[derive(Debug)]
pub struct ReplaySettings {
    /// Where the lake is.
    pub lake: String,
    /// How the lake is written.
    pub lake_options: LakeOptions,
    /// How the stores of the archives are reached, as that of the lake is.
    pub archive_store: StoreOptions,
    /// Where archived slices are: paths or URLs of lakes, of their `_raw`, or of folders below.
    pub paths: Vec<String>,
    /// What makes the materialized views when the rows are in; without it they stay as they are.
    pub view_maker: Option<ViewMaker>,
    /// The shard of the archive that is replayed; `None`: all of it.
    pub shard: Option<Shard>,
}

/// What is replayed.
struct ArchiveToReplay {
    instance: Instance,
    /// In the order in which they were read.
    slices: Vec<ArchivedSlice>,
    /// Why others cannot be read.
    unread: Vec<Error>,
}

/// A run of a replay: its name and its start, who observes it, and what stops it.
struct ReplayRun {
    run_id: String,
    started_at: Instant,
    observe: Observer,
    stop: Stop,
    begun: std::time::Instant,
    view_maker: Option<ViewMaker>,
}

/// Decodes archived pages and payloads again, in the order in which they were read.
pub async fn replay(replay: ReplaySettings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let begun = std::time::Instant::now();
    if replay.shard.is_some() && replay.lake_options.store.single_writer {
        return Err(Error::Shards { what: "`lake.single_writer` permits one process at a time".to_owned() });
    }
    let archive = read_archive(&replay).await?;
    let lake = open_lake(&replay.lake, replay.lake_options).await?;
    let started_at = local_time();
    // The rows of one shard are not all that a view is made from.
    let view_maker = replay.view_maker.filter(|_| replay.shard.is_none());
    let run = ReplayRun { run_id: run_id(started_at), started_at, observe, stop, begun, view_maker };
    if let Some(shard) = replay.shard {
        return replay_shard(&lake, archive, shard, run).await;
    }
    let lock = lake.lock(&run.run_id).await?;
    let report = replay_locked(lake, archive, None, run).await;
    lock.release().await;
    report
}

/// Checks that all shards of an archive are in the lake, removes what killed processes left of them, and makes the views.
pub async fn finish_shards(replay: ReplaySettings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let begun = std::time::Instant::now();
    let archive = read_archive(&replay).await?;
    let lake = open_lake(&replay.lake, replay.lake_options).await?;
    let started_at = local_time();
    let run_id = run_id(started_at);
    // Before the lock, which would make a lake.
    expect_shards(&lake).await?;
    let lock = lake.lock(&run_id).await?;
    let run = ReplayRun { run_id, started_at, observe, stop, begun, view_maker: replay.view_maker };
    let report = finish_locked(lake, archive, run).await;
    lock.release().await;
    report
}

async fn finish_locked(lake: Lake, archive: ArchiveToReplay, run: ReplayRun) -> Result<Report, Error> {
    let shards = finish(&lake, &archive_id(&archive.slices), &archive.instance, &run.run_id).await?;
    (run.observe)(&Event::ShardsComplete { shards });
    let is_stale = match run.view_maker.as_ref().map(ViewMaker::definition) {
        Some(definition) => reread(|| is_any_stale(&lake, definition)).await?,
        None => false,
    };
    if !is_stale {
        return Ok(Report::new(run.run_id));
    }
    // Nothing of the archive is left to replay.
    replay_locked(lake, ArchiveToReplay { slices: vec![], unread: vec![], ..archive }, None, run).await
}

async fn open_lake(url: &str, mut options: LakeOptions) -> Result<Lake, Error> {
    if Lake::open(url, options.clone()).await?.has(&EXTRACTION_RUN).await.is_ok() {
        options.store = options.store.answered();
    }
    Ok(Lake::open(url, options).await?)
}

async fn read_archive(replay: &ReplaySettings) -> Result<ArchiveToReplay, Error> {
    let (mut slices, mut unread) = (Vec::new(), Vec::new());
    for path in &replay.paths {
        for folder in archived(path, &replay.archive_store.for_url(&replay.lake, path)).await? {
            for slice in read_slices(folder).await {
                match slice {
                    Ok(slice) => slices.push(slice),
                    Err(error) => unread.push(error),
                }
            }
        }
    }
    let Some(first) = slices.first() else {
        if let Some(error) = unread.pop() {
            return Err(error);
        }
        return Err(Error::NothingArchived {
            paths: replay.paths.iter().map(|path| shown_location(path).into()).collect(),
        });
    };
    // The organization is the environment; not every way of signing in knows the tenant.
    let is_other = |slice: &&ArchivedSlice| slice.about.organization != first.about.organization;
    if let Some(other) = slices.iter().find(is_other) {
        return Err(Error::Archive { what: format!("run {} belongs to another environment", other.about.run_id) });
    }
    let instance = Instance { organization: first.about.organization.clone(), tenant: first.about.tenant.clone() };
    slices.sort_by(|a, b| a.about.finished_at.cmp(&b.about.finished_at));
    Ok(ArchiveToReplay { instance, slices, unread })
}

/// Replays a shard into a part of the lake, and makes that the lake's.
async fn replay_shard(lake: &Lake, archive: ArchiveToReplay, shard: Shard, run: ReplayRun) -> Result<Report, Error> {
    let of_archive = ArchiveShard { shard, archive: archive_id(&archive.slices) };
    let is_known = of_archive.is_in(lake, &archive.instance).await?;
    lake.remove_abandoned_parts(&of_archive.part_prefix(), &run.run_id).await?;
    if is_known {
        (run.observe)(&Event::ShardKnown { shard: shard.to_string() });
        return Ok(Report::new(run.run_id));
    }
    let part = lake.part(&format!("{}{}", of_archive.part_prefix(), run.run_id))?;
    // It is held until the rows are the lake's: nobody takes the part for abandoned before.
    let lock = part.lake.lock(&run.run_id).await?;
    let report = replay_into_part((lake, &part), &of_archive, archive, run).await;
    lock.release().await;
    if let Err(error) = lake.remove_part(&part).await {
        tracing::warn!(%error, "what a shard wrote for itself stays: `copilot-lake maintain` removes it");
    }
    report
}

/// Replays a shard into a part of the lake, whose lock the caller holds, and commits it under the lock of the lake.
async fn replay_into_part(
    (lake, part): (&Lake, &LakePart),
    of_archive: &ArchiveShard,
    archive: ArchiveToReplay,
    run: ReplayRun,
) -> Result<Report, Error> {
    let (instance, observe, stop) = (archive.instance.clone(), Arc::clone(&run.observe), run.stop.clone());
    let archived_runs = archive.slices.iter().map(|slice| {
        let about = &slice.about;
        Ok::<_, Error>((about.run_id.clone(), instant(&about.started_at)?))
    });
    let archived_runs = archived_runs.collect::<Result<BTreeMap<_, _>, Error>>()?;
    let mut report = replay_locked(part.lake.clone(), archive, Some(of_archive.shard), run).await?;
    if report.outcome == RunOutcome::Complete {
        if let Some(lock) = lock_when_free(lake, &report.run_id, stop).await? {
            let committed = of_archive.commit((lake, part), &instance, &archived_runs, &report).await;
            lock.release().await;
            return committed.map(|()| report);
        }
        (report.outcome, report.stopped) = (RunOutcome::Partial, true);
    }
    observe(&Event::ShardLeftOut { shard: of_archive.shard.to_string() });
    Ok(report)
}

/// Replays an archive, or a shard of it, into a lake whose lock the caller holds.
async fn replay_locked(
    lake: Lake,
    archive: ArchiveToReplay,
    shard: Option<Shard>,
    run: ReplayRun,
) -> Result<Report, Error> {
    let ArchiveToReplay { instance, mut slices, unread } = archive;
    let ReplayRun { run_id, started_at, observe, stop, begun, view_maker } = run;
    if let Some(shard) = shard {
        slices.retain(|slice| shard.has_some_of(slice));
    }
    let LakeCondition { mut ledger, stopped_tables, .. } = condition::open(&lake, &instance, None).await?;
    for slice in &slices {
        ledger.adopt_run(&slice.about.run_id, instant(&slice.about.started_at)?).await?;
    }
    let started_at = ledger.runs().next_start(started_at);
    ledger.start_run(&run_id, REPLAY, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: false });

    let had_payloads = !lake.weeks(&PAYLOAD).await?.is_empty();
    let run = RunContext {
        archive: None,
        shutdown: Arc::new(Shutdown::new(stop, None)),
        full: false,
        lost: BTreeMap::new(),
        reports: tokio::sync::Mutex::default(),
        rejects: Rejects::new(&lake),
        lake,
        ledger,
        run_id,
        started_at,
        observe,
        window: None,
        restart_barrier: RestartBarrier::new([]),
    };
    for error in stopped_tables.into_values() {
        run.stop_table(error).await?;
    }
    let histories = tokio::sync::Mutex::default();
    let replayer = Replayer { run, shard, had_payloads, ahead: ReadAhead::default(), histories };
    for error in unread {
        replayer.record_unread(&error.to_string()).await;
    }
    if let Err(error) = replay_all(&replayer, slices).await {
        // What was replayed before is in the lake.
        return replayer.run.ledger.flush(&replayer.run.run_id).await.and(Err(error));
    }
    if let Some(maker) = &view_maker {
        make_views(&replayer.run, maker).await;
    }
    end(replayer.run, begun).await
}

/// Records the end of the replay and makes its report.
async fn end(run: RunContext, begun: std::time::Instant) -> Result<Report, Error> {
    let stopped = run.shutdown.is_requested();
    let Reports { tables: reports, stopped_tables, .. } = run.reports.into_inner();
    let count = |of: fn(&TableReport) -> u64| reports.values().map(of).sum::<u64>();
    let outcome = match (
        count(|table| table.slices_failed + table.payloads_failed),
        count(|table| table.slices_done + table.payloads + table.rows_written),
    ) {
        (1.., 0) => RunOutcome::Failed,
        (0, _) if !stopped => RunOutcome::Complete,
        _ => RunOutcome::Partial,
    };
    let report = Report {
        outcome,
        stopped,
        seconds: begun.elapsed().as_secs_f64(),
        tables: reports.into_values().collect(),
        stopped_tables: stopped_tables.into_iter().map(|(table, error)| StoppedTable { table, error }).collect(),
        ..Report::new(run.run_id)
    };
    run.ledger.end_run(REPLAY, run.started_at, local_time(), &report).await?;
    Ok(report)
}

/// Replays slices in the order in which they were read, several at a time where they were read so.
async fn replay_all(replayer: &Replayer, slices: Vec<ArchivedSlice>) -> Result<(), Error> {
    let mut waiting = slices.into_iter().peekable();
    while let Some(slice) = waiting.next() {
        let run_id = slice.about.run_id.clone();
        if is_of_payloads(&slice) {
            let mut archives = vec![slice];
            while let Some(next) = waiting.next_if(|next| is_of_payloads(next) && next.about.run_id == run_id) {
                archives.push(next);
            }
            replay_payloads_or_report(replayer, archives).await?;
            continue;
        }
        let mut together = vec![slice];
        while is_independent(&together[0])
            && let Some(next) = waiting.next_if(|next| is_independent(next) && next.about.run_id == run_id)
        {
            together.push(next);
        }
        let replayed = stream::iter(together).map(|slice| replay_or_report(replayer, slice));
        let mut replayed = std::pin::pin!(replayed.buffer_unordered(SLICES_IN_FLIGHT));
        let mut failure = Ok(());
        while let Some(result) = replayed.next().await {
            if result.is_err() {
                // No other is begun, and those under way stop.
                replayer.run.shutdown.request();
                failure = failure.and(result);
            }
        }
        failure?;
    }
    Ok(())
}

fn is_of_payloads(slice: &ArchivedSlice) -> bool {
    slice.about.table == PAYLOAD.name
}

/// Replays archives of payloads. Damaged ones are reported and do not hold up the others.
async fn replay_payloads_or_report(replayer: &Replayer, archives: Vec<ArchivedSlice>) -> Result<(), Error> {
    let run = &replayer.run;
    if run.shutdown.is_requested() || run.is_any_table_stopped(PAYLOAD_TABLES).await {
        return Ok(());
    }
    run.stop_failed_table(payload_archives::replay_payloads(replayer, archives).await).await
}

/// Whether a slice was read beside others of its run, and nothing that came before in that run has to be in the lake.
fn is_independent(slice: &ArchivedSlice) -> bool {
    let about = &slice.about;
    let table = copilot_lake_tables::table(&about.table);
    table.is_some_and(|table| table.entity_set().is_some() && table.name != SYSTEM_USER.name)
        && about.time_column != TRACKING
}

/// Replays a slice. A damaged one is reported and does not hold up the others.
async fn replay_or_report(replayer: &Replayer, slice: ArchivedSlice) -> Result<(), Error> {
    let shutdown = &replayer.run.shutdown;
    // The report says why a table is not written; its slices are not recorded, so they can be read or replayed later.
    if shutdown.is_requested() || replayer.run.is_any_table_stopped(tables_of(&slice)).await {
        return Ok(());
    }
    let replayed = match slice.about.table.as_str() {
        table if table == AI_INTERACTION.name => histories::replay_histories(replayer, &slice).await,
        table if table == GRAPH_USER.name => users::replay_users(replayer, &slice).await,
        _ => page_slices::replay_slice(replayer, &slice).await,
    };
    match replayed {
        // It was given up half-way.
        Err(Error::Archive { .. }) if shutdown.is_requested() => Ok(()),
        Err(Error::Archive { what }) => {
            replayer.record_failure(&slice.about, left_out(&what, "slice")).await;
            Ok(())
        }
        result => replayer.run.stop_failed_table(result).await,
    }
}

/// The tables that the rows of a slice are written to.
fn tables_of(slice: &ArchivedSlice) -> Vec<&'static Table> {
    let Some(table) = copilot_lake_tables::table(&slice.about.table) else { return vec![] };
    if table.name == AI_INTERACTION.name { written_with(table).collect() } else { vec![table] }
}
