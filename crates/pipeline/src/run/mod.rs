//! A run from its sign-in to its report, and what all of its parts share: the context, the shutdown, the services and
//! the condition of the lake.
//!
//! Knows in which order things happen, and nothing of how a service is read: that is behind [`service_reader`].

pub(crate) mod condition;
pub(crate) mod context;
pub(crate) mod plan_context;
pub(crate) mod restart_barrier;
pub(crate) mod run_id;
pub(crate) mod service_reader;
pub(crate) mod services;
pub(crate) mod shutdown;
pub(crate) mod small_files;

use std::sync::Arc;
use std::time::{Duration, Instant as MachineInstant};

use copilot_lake_tables::{EXTRACTION_RUN, Instant};
use copilot_lake_writer::{Instance, Lake, Lock, StoreRequests};
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::condition::LakeCondition;
use self::context::{Reports, RunContext};
use self::run_id::run_id;
use self::services::{Services, SignedIn};
use self::shutdown::Shutdown;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::rejects::Rejects;
use crate::ledger::runs::Restart;
use crate::replay::archive;
use crate::replay::archive_target::ArchiveTarget;
use crate::report::{Circumstances, EndedEarly, Report, RunOutcome, StoppedTable};
use crate::settings::{Settings, Stop};
use crate::views::make_views;

/// How long a service may answer nothing before it is given up.
const LONGEST_OUTAGE: Duration = Duration::from_secs(10 * 60);

/// Extracts what is missing from the lake. Slices and payloads that fail are in the report.
///
/// # Errors
/// When nothing could be started, or the lake itself could not be written.
pub async fn run(settings: Settings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let mut lock = None;
    let report = run_locked(settings, observe, stop, &mut lock).await;
    if let Some(lock) = lock {
        lock.release().await;
    }
    report
}

/// Runs under the lake's lock, which it leaves in `lock`.
async fn run_locked(
    settings: Settings,
    observe: Observer,
    stop: Stop,
    lock: &mut Option<Lock>,
) -> Result<Report, Error> {
    let begun = MachineInstant::now();
    let view_maker = settings.view_maker.clone();
    let shutdown = Arc::new(Shutdown::new(stop, settings.options.deadline));
    let started = tokio::select! {
        biased;
        started = start(settings, observe, Arc::clone(&shutdown), lock) => started,
        () = shutdown.grace_period_over() => Err(Error::Stopped),
    };
    let Some(StartedRun { context, mut services, restart, command, stopping: _stopping }) = started? else {
        let seconds = begun.elapsed().as_secs_f64();
        return Ok(Report { seconds, ..Report::new(String::new()) });
    };
    let reading = services.read(&context, &restart);
    let ended_early = context.ledger.while_committing(&context.run_id, reading).await;
    archive::merge_all(&context).await;
    if let Some(maker) = &view_maker {
        make_views(&context, maker).await;
    }
    small_files::merge_small_files(&context).await;
    context.finish(&services, (&command, restart.runs.is_empty()), begun, ended_early).await
}

/// A run that is recorded and has read nothing yet.
struct StartedRun {
    context: RunContext,
    services: Services,
    restart: Restart,
    command: String,
    /// Stops the services with the run.
    stopping: JoinSet<()>,
}

/// Signs in, prepares the lake, and records the start of the run. `None` when no service is configured.
async fn start(
    settings: Settings,
    observe: Observer,
    shutdown: Arc<Shutdown>,
    lock: &mut Option<Lock>,
) -> Result<Option<StartedRun>, Error> {
    let Settings { lake, mut lake_options, archive_raw, command, jobs, options, view_maker: _ } = settings;
    let mut services = Services::new(jobs)?;
    services.adapt_lake(&mut lake_options);
    let stopping = services.stop_on(Arc::clone(&shutdown));
    // What has answered before is configured well: of the store this request tells, of the services the runs before.
    if let Ok(has_runs) = Lake::open(&lake, lake_options.clone()).await?.has(&EXTRACTION_RUN).await {
        lake_options.store = lake_options.store.answered();
        if has_runs {
            services.wait_out_outages(LONGEST_OUTAGE);
        }
    }
    let lake = Lake::open(&lake, lake_options).await?;
    let Some(SignedIn { started_at, instance }) = services.sign_in().await? else { return Ok(None) };
    services.wait_out_outages(LONGEST_OUTAGE);
    let run_id = run_id(started_at);

    *lock = Some(lake.lock(&run_id).await?);
    let repair = options.repair.then_some((run_id.as_str(), started_at));
    let LakeCondition { mut ledger, stopped_tables, lost } = condition::open(&lake, &instance, repair).await?;
    let started_at = ledger.runs().next_start(started_at);
    let command = options.command(command);
    let restart = ledger.runs().restart(&command, started_at);
    let window = options.window(restart.now)?;
    let rejects = Rejects::new(&lake);
    services.prepare().await?;
    ledger.start_run(&run_id, &command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !restart.runs.is_empty() });

    let Instance { organization, tenant } = instance;
    let archive = archive_raw.then(|| ArchiveTarget { organization, tenant, run_archive: lake.archive(&run_id) });
    let context = RunContext {
        archive,
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
        restart_barrier: services.restart_barrier(),
    };
    for error in stopped_tables.into_values() {
        context.stop_table(error).await?;
    }
    Ok(Some(StartedRun { context, services, restart, command, stopping }))
}

impl RunContext {
    /// Records the end of the run and makes its report. What ended a service early is in the report, or is the error
    /// when nothing was done.
    async fn finish(
        self,
        services: &Services,
        (command, everything_due): (&str, bool),
        begun: MachineInstant,
        mut ended_early: Vec<EndedEarly>,
    ) -> Result<Report, Error> {
        let started_at: Instant = self.started_at;
        let Reports {
            tables,
            stopped,
            aborted,
            refused,
            in_scope,
            exempt_skips,
            stopped_tables,
            first_failure,
            committing,
        } = self.reports.into_inner();
        let meter = services.meter();
        let mut report = Report {
            seconds: begun.elapsed().as_secs_f64(),
            requests: meter.requests,
            throttled_seconds: meter.throttled_seconds,
            identities: services.identities(),
            tables: tables.into_values().collect(),
            stopped_tables: stopped_tables.into_iter().map(|(table, error)| StoppedTable { table, error }).collect(),
            uncommitted: committing.into_iter().map(|(table, what)| format!("{table} {what}")).collect(),
            first_failure,
            ..Report::new(self.run_id)
        };
        let has_ended = !ended_early.is_empty();
        report.judge(&Circumstances {
            stopped,
            ended_early: has_ended,
            everything_due,
            refused,
            in_scope,
            exempt_skips,
        });
        for what in &report.uncommitted {
            warn!(what, "not committed within the time after the stop: the next run reads it again");
        }
        // A run without an end makes the next one look for orphan files.
        let lake_failed = ended_early.iter().any(|ended| matches!(ended.error, Error::Lake(_)));
        let recorded = async {
            if !aborted && !lake_failed {
                let finished_at = services.service_time().await.unwrap_or(started_at);
                self.ledger.end_run(command, started_at, finished_at, &report).await?;
            } else if let Err(error) = self.ledger.flush(&report.run_id).await {
                warn!(%error, "could not commit the ledger: the slices that finished last will be read again");
            }
            Ok::<_, Error>(())
        };
        tokio::select! {
            biased;
            recorded = recorded => recorded?,
            () = self.shutdown.end_overdue() => {
                warn!("could not record the end of the run in time: the slices that finished last may be read again");
            }
        }
        if let Some(StoreRequests { reads, writes, lists, deletes }) = self.lake.store_requests() {
            debug!(reads, writes, lists, deletes, "requests to the store");
        }
        // When every service ended early, the lake's own error says why, if there is one.
        ended_early.sort_by_key(|ended| !matches!(ended.error, Error::Lake(_)));
        if report.outcome == RunOutcome::Failed && has_ended {
            return Err(ended_early.swap_remove(0).error);
        }
        report.ended_early = ended_early;
        Ok(report)
    }
}
