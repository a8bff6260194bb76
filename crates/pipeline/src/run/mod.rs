//! A run from its sign-in to its report, and what its parts share.

pub(crate) mod condition;
pub(crate) mod context;
pub(crate) mod restart_barrier;
pub(crate) mod services;
pub(crate) mod shutdown;

use std::sync::Arc;

use copilot_lake_tables::{AI_INTERACTION, Instant, SYSTEM_USER, Table};
use copilot_lake_writer::Lake;
use tokio::sync::Mutex;
use tracing::warn;

use self::condition::LakeCondition;
use self::context::{DataverseContext, Reports, RunContext};
use self::restart_barrier::RestartBarrier;
use self::services::{Services, SignedIn};
use self::shutdown::Shutdown;
use crate::dataverse::ingest::NamedPeople;
use crate::dataverse::labels::LabelCache;
use crate::dataverse::schema::Schema;
use crate::dataverse::{deletes, people, slices};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::Restart;
use crate::ledger::rejects::Rejects;
use crate::payloads::redecode;
use crate::replay::archive::ArchiveIdentity;
use crate::report::{Circumstances, EndedEarly, Report, RunOutcome, StoppedTable};
use crate::settings::{DataverseJob, Deletes, Settings, Stop};
use crate::{graph, payloads};

/// Memory for rows of histories: their five tables have open files of many weeks, each with buffers of its own.
const HISTORIES: usize = 48 << 20;

/// Extracts what is missing. Slices and payloads that fail are in the report; an error means that nothing could be
/// started, or that the lake itself could not be written.
pub async fn run(settings: Settings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let clock = std::time::Instant::now();
    let Settings { lake, mut lake_options, archive_raw, command, dataverse, graph, options } = settings;
    if graph.is_some() {
        lake_options.memory = lake_options.memory.min(HISTORIES);
        if archive_raw {
            warn!("pages of Graph are not kept: `lake.archive_raw` is about Dataverse alone");
        }
    }
    let lake = Lake::open(&lake, lake_options).await?;
    let services = Services::new(dataverse.as_ref(), graph.as_ref())?;
    let Some(signed_in) = services.sign_in(dataverse.as_ref(), graph.as_ref()).await? else {
        return Ok(empty_report(clock));
    };
    let SignedIn { started_at, instance, dataverse_refused, graph_refused } = signed_in;
    let run_id = run_id(started_at);

    let _lock = lake.lock(&run_id).await?;
    let repair = options.repair.then_some((run_id.as_str(), started_at));
    let LakeCondition { mut ledger, stopped: tables_stopped, lost } = condition::open(&lake, &instance, repair).await?;
    let started_at = ledger.next_start(started_at);
    let command = options.command(command);
    let restart = ledger.restart(&command, started_at);
    let window = options.window(restart.now)?;
    let rejects = Rejects::new(&lake);
    let environment = match (&services.dataverse, &dataverse) {
        (Some(service), Some(job)) if dataverse_refused.is_none() => {
            let mut asked: Vec<&'static Table> = job.tables.clone();
            asked.push(&SYSTEM_USER);
            Some((service.clone(), service.environment(&asked).await?))
        }
        _ => None,
    };
    ledger.start_run(&run_id, &command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !restart.runs.is_empty() });

    let kept = ArchiveIdentity { organization: instance.organization, tenant: instance.tenant };
    let context = RunContext {
        services,
        archive: archive_raw.then_some(kept),
        shutdown: Arc::new(Shutdown::new(stop, options.deadline)),
        full: options.full,
        lost,
        reports: Mutex::default(),
        lake,
        ledger,
        rejects,
        run_id,
        started_at,
        observe,
        window,
        restart_barrier: RestartBarrier::new([SYSTEM_USER.source_name(), AI_INTERACTION.source_name()]),
    };
    for error in tables_stopped.into_values() {
        context.stop_table(error).await?;
    }
    // The services have limits of their own: neither waits for the other.
    let parts = async {
        tokio::join!(
            context.read_service(SYSTEM_USER.source_name(), dataverse_refused, async {
                let (Some(job), Some((service, environment))) = (&dataverse, environment) else { return Ok(()) };
                let context = DataverseContext {
                    run: &context,
                    schema: Schema::new(environment),
                    labels: LabelCache::new(Some(service.clone())),
                    named: NamedPeople::default(),
                    service,
                };
                context.read_dataverse(job, &restart).await
            }),
            context.read_service(AI_INTERACTION.source_name(), graph_refused, async {
                let (Some(job), Some(service)) = (&graph, &context.services.graph) else { return Ok(()) };
                if context.is_any_stopped(condition::graph_tables()).await {
                    return Ok(());
                }
                let lost = graph::LostHistories::new(&context.lost, job, context.ledger.started());
                let (full, restart) = (context.full, &restart);
                let walk = graph::HistoryWalk {
                    service,
                    job,
                    full,
                    window,
                    lost,
                    restart,
                    restart_barrier: &context.restart_barrier,
                };
                context.stop_table_on(graph::read_histories(&context, &walk).await).await
            }),
        )
    };
    let (dataverse_ended, graph_ended) = context.ledger.while_committing(&context.run_id, parts).await;
    let ended_early = [dataverse_ended, graph_ended].into_iter().flatten().collect();
    context.finish((&command, restart.runs.is_empty()), started_at, clock, ended_early).await
}

impl DataverseContext<'_> {
    /// Rows first, then what was deleted, the people whom rows name, and the payloads.
    async fn read_dataverse(&self, job: &DataverseJob, restart: &Restart) -> Result<(), Error> {
        // Deletions are about everything up to now: a run over a window, or over everything again, finds none.
        let deletes = if self.run.full || self.run.window.is_some() { Deletes::Ignore } else { job.deletes };
        let written = self.run.written(&job.tables).await;
        if deletes != Deletes::Ignore {
            self.run.stop_table_on(deletes::start_tracking(self, &written).await).await?;
        }
        let mut tasks = slices::plan_slices(self, job, restart).await?;
        let mut fresh = restart.fresh(self.run.full);
        if fresh.is_some() {
            self.run.restart_barrier.declare(SYSTEM_USER.source_name(), !tasks.is_empty());
            fresh = fresh.filter(|_| tasks.is_empty());
        }
        if let Some(begun) = &fresh {
            match self.run.restart_barrier.nothing_pending().await {
                true => tasks = slices::plan_slices(self, job, begun).await?,
                false => fresh = None,
            }
        }
        slices::read_slices(self, tasks).await?;
        slices::settle_lost(self, job, restart).await?;
        if deletes != Deletes::Ignore {
            let written = self.run.written(&job.tables).await;
            self.run.stop_table_on(deletes::apply_deletions(self, &written, deletes).await).await?;
        }
        if self.run.shutdown.is_requested() {
            self.run.note_stopped().await;
            return Ok(());
        }
        if !self.run.is_any_stopped([&SYSTEM_USER]).await {
            let now = fresh.as_ref().unwrap_or(restart).now;
            self.run.stop_table_on(people::read_people(self, now, job.overlap.as_secs() as i64).await).await?;
        }
        if self.run.is_any_stopped(condition::PAYLOAD_TABLES).await {
            return Ok(());
        }
        self.run.stop_table_on(redecode::redecode_messages(self).await).await?;
        if !job.payloads {
            return Ok(());
        }
        let written = self.run.written(&job.tables).await;
        self.run.stop_table_on(payloads::fetch_payloads(self, &written).await).await
    }
}

impl RunContext {
    /// A service's part of the run, unless it refused the sign-in. When the lake fails, the others stop too.
    async fn read_service(
        &self,
        source: &'static str,
        refused: Option<Error>,
        part: impl Future<Output = Result<(), Error>>,
    ) -> Option<EndedEarly> {
        let result = match refused {
            Some(error) => Err(error),
            None => part.await,
        };
        // Who did not get so far has nothing that the other would have to wait for.
        self.restart_barrier.declare(source, false);
        let error = result.err()?;
        if let Error::Lake(_) = &error {
            self.shutdown.request();
        }
        Some(EndedEarly { source, error })
    }

    /// Writes the run's end and makes its report. What ended a service early is in it, or is the error when nothing was
    /// done.
    async fn finish(
        self,
        (command, everything_due): (&str, bool),
        started_at: Instant,
        clock: std::time::Instant,
        mut ended_early: Vec<EndedEarly>,
    ) -> Result<Report, Error> {
        let Reports { tables, stopped, aborted, refused, in_scope, tables_stopped } = self.reports.into_inner();
        let meter = self.services.meter();
        let mut report = Report {
            seconds: clock.elapsed().as_secs_f64(),
            requests: meter.requests,
            throttled_seconds: meter.throttled_seconds,
            tables: tables.into_values().collect(),
            stopped_tables: tables_stopped.into_iter().map(|(table, error)| StoppedTable { table, error }).collect(),
            ..Report::new(self.run_id)
        };
        let has_ended = !ended_early.is_empty();
        report.judge(&Circumstances { stopped, ended_early: has_ended, everything_due, refused, in_scope });
        // Without its end the next run looks for files that this one left.
        let lake_failed = ended_early.iter().any(|ended| matches!(ended.error, Error::Lake(_)));
        if !aborted && !lake_failed {
            let finished_at = self.services.service_time().await.ok().flatten().unwrap_or(started_at);
            self.ledger.end_run(command, started_at, finished_at, &report).await?;
        } else if let Err(error) = self.ledger.flush(&report.run_id).await {
            warn!(%error, "slices that were done last will be read again");
        }
        // What ended both is told by the lake's own error, if it has one.
        ended_early.sort_by_key(|ended| !matches!(ended.error, Error::Lake(_)));
        if report.outcome == RunOutcome::Failed && has_ended {
            return Err(ended_early.swap_remove(0).error);
        }
        report.ended_early = ended_early;
        Ok(report)
    }
}

fn empty_report(clock: std::time::Instant) -> Report {
    Report { seconds: clock.elapsed().as_secs_f64(), ..Report::new(String::new()) }
}

/// This machine's time: for what happens without a service.
pub(crate) fn local_time() -> Instant {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Instant(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A name that sorts by the run's start and is no other run's.
pub(crate) fn run_id(started_at: Instant) -> String {
    let start: String = started_at.floor_second().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{start}-{}", &random[..8])
}
