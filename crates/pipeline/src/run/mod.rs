//! A run from its sign-in to its report, and what all of its parts share: the context, the shutdown, the services and
//! the condition of the lake.
//!
//! Knows in which order things happen, and nothing of how a service is read.

pub(crate) mod condition;
pub(crate) mod context;
pub(crate) mod restart_barrier;
pub(crate) mod run_id;
pub(crate) mod services;
pub(crate) mod shutdown;

use std::sync::Arc;
use std::time::Instant as MachineInstant;

use copilot_lake_extractor::Error as ServiceError;
use copilot_lake_tables::{Instant, SYSTEM_USER, Service, Table};
use copilot_lake_writer::Lake;
use tokio::sync::Mutex;
use tracing::warn;

use self::condition::LakeCondition;
use self::context::{Reports, RunContext};
use self::restart_barrier::RestartBarrier;
use self::run_id::run_id;
use self::services::{Services, SignedIn};
use self::shutdown::Shutdown;
use crate::dataverse::context::DataverseContext;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::graph::window::LostHistories;
use crate::graph::work_list::HistoryPlanner;
use crate::ledger::rejects::Rejects;
use crate::replay::description::ArchiveIdentity;
use crate::report::{Circumstances, EndedEarly, Report, RunOutcome, StoppedTable};
use crate::settings::{Settings, Stop};
use crate::{dataverse, graph};

/// Memory for rows of histories: their five tables have open files for many weeks, each with buffers of its own.
const HISTORIES: usize = 48 << 20;

/// Extracts what is missing from the lake. Slices and payloads that fail are in the report.
///
/// # Errors
/// When nothing could be started, or the lake itself could not be written.
pub async fn run(settings: Settings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let begun = MachineInstant::now();
    let Settings { lake, mut lake_options, archive_raw, command, dataverse, graph, options } = settings;
    if graph.is_some() {
        lake_options.memory = lake_options.memory.min(HISTORIES);
        if archive_raw {
            warn!("pages of Graph are not kept: `lake.archive_raw` is about Dataverse alone");
        }
    }
    let lake = Lake::open(&lake, lake_options).await?;
    let services = Services::new(dataverse.as_ref(), graph.as_ref())?;
    let shutdown = Arc::new(Shutdown::new(stop, options.deadline));
    let _stopping = services.stop_on(Arc::clone(&shutdown));
    let Some(signed_in) = services.sign_in(dataverse.as_ref(), graph.as_ref()).await? else {
        let seconds = begun.elapsed().as_secs_f64();
        return Ok(Report { seconds, ..Report::new(String::new()) });
    };
    let SignedIn { started_at, instance, dataverse_refused, graph_refused } = signed_in;
    let run_id = run_id(started_at);

    let _lock = lake.lock(&run_id).await?;
    let repair = options.repair.then_some((run_id.as_str(), started_at));
    let LakeCondition { mut ledger, stopped: tables_stopped, lost } = condition::open(&lake, &instance, repair).await?;
    let started_at = ledger.runs().next_start(started_at);
    let command = options.command(command);
    let restart = ledger.runs().restart(&command, started_at);
    let window = options.window(restart.now)?;
    let rejects = Rejects::new(&lake);
    let environment = match (&services.dataverse, &dataverse) {
        (Some(service), Some(job)) if dataverse_refused.is_none() => {
            let mut tables: Vec<&'static Table> = job.tables.clone();
            tables.push(&SYSTEM_USER);
            Some((service.clone(), service.environment(&tables).await?))
        }
        _ => None,
    };
    ledger.start_run(&run_id, &command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !restart.runs.is_empty() });

    let identity = ArchiveIdentity { organization: instance.organization, tenant: instance.tenant };
    let context = RunContext {
        services,
        archive: archive_raw.then_some(identity),
        shutdown,
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
        restart_barrier: RestartBarrier::new(Service::ALL),
    };
    for error in tables_stopped.into_values() {
        context.stop_table(error).await?;
    }
    // The services have limits of their own: neither waits for the other.
    let both = async {
        tokio::join!(
            context.read_service(Service::Dataverse, dataverse_refused, async {
                let (Some(job), Some((service, environment))) = (&dataverse, environment) else { return Ok(()) };
                let context = DataverseContext::new(&context, service, environment);
                dataverse::read_tables(&context, job, &restart).await
            }),
            context.read_service(Service::Graph, graph_refused, async {
                let (Some(job), Some(service)) = (&graph, &context.services.graph) else { return Ok(()) };
                if context.is_any_stopped(condition::graph_tables()).await {
                    return Ok(());
                }
                let lost = LostHistories::new(&context.lost, job, context.ledger.runs().started());
                let (full, restart, restart_barrier) = (context.full, &restart, &context.restart_barrier);
                let planner = HistoryPlanner { service, job, full, window, lost, restart, restart_barrier };
                context.stop_table_on(graph::read_histories(&context, &planner).await).await
            }),
        )
    };
    let (dataverse_ended, graph_ended) = context.ledger.while_committing(&context.run_id, both).await;
    let ended_early = [dataverse_ended, graph_ended].into_iter().flatten().collect();
    context.finish((&command, restart.runs.is_empty()), begun, ended_early).await
}

impl RunContext {
    /// Reads a service, unless it refused the sign-in. When the lake fails, the other service stops too.
    async fn read_service(
        &self,
        service: Service,
        refused: Option<Error>,
        reading: impl Future<Output = Result<(), Error>>,
    ) -> Option<EndedEarly> {
        let result = match refused {
            Some(error) => Err(error),
            None => reading.await,
        };
        // A service that did not get as far as its plan has nothing that the other would have to wait for.
        self.restart_barrier.declare(service, false);
        let error = result.err()?;
        if let Error::Service(ServiceError::Stopped) = &error {
            self.note_stopped().await;
            return None;
        }
        if let Error::Lake(_) = &error {
            self.shutdown.request();
        }
        Some(EndedEarly { service, error })
    }

    /// Records the end of the run and makes its report. What ended a service early is in the report, or is the error
    /// when nothing was done.
    async fn finish(
        self,
        (command, everything_due): (&str, bool),
        begun: MachineInstant,
        mut ended_early: Vec<EndedEarly>,
    ) -> Result<Report, Error> {
        let started_at: Instant = self.started_at;
        let Reports { tables, stopped, aborted, refused, in_scope, tables_stopped } = self.reports.into_inner();
        let meter = self.services.meter();
        let mut report = Report {
            seconds: begun.elapsed().as_secs_f64(),
            requests: meter.requests,
            throttled_seconds: meter.throttled_seconds,
            tables: tables.into_values().collect(),
            stopped_tables: tables_stopped.into_iter().map(|(table, error)| StoppedTable { table, error }).collect(),
            ..Report::new(self.run_id)
        };
        let has_ended = !ended_early.is_empty();
        report.judge(&Circumstances { stopped, ended_early: has_ended, everything_due, refused, in_scope });
        // A run without an end makes the next one look for orphan files.
        let lake_failed = ended_early.iter().any(|ended| matches!(ended.error, Error::Lake(_)));
        if !aborted && !lake_failed {
            let finished_at = self.services.service_time().await.ok().flatten().unwrap_or(started_at);
            self.ledger.end_run(command, started_at, finished_at, &report).await?;
        } else if let Err(error) = self.ledger.flush(&report.run_id).await {
            warn!(%error, "slices that were done last will be read again");
        }
        // When both services ended early, the lake's own error says why, if there is one.
        ended_early.sort_by_key(|ended| !matches!(ended.error, Error::Lake(_)));
        if report.outcome == RunOutcome::Failed && has_ended {
            return Err(ended_early.swap_remove(0).error);
        }
        report.ended_early = ended_early;
        Ok(report)
    }
}
