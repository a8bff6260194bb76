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

use self::condition::Condition;
use self::context::{DataverseSpine, Reports, Spine};
use self::restart_barrier::Left;
use self::services::{Services, SignedIn};
use self::shutdown::Halt;
use crate::dataverse::ingest::Named;
use crate::dataverse::labels::LabelCache;
use crate::dataverse::schema::Schema;
use crate::dataverse::{deletes, people, slices};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::Continued;
use crate::ledger::rejects::Rejects;
use crate::payloads::redecode;
use crate::replay::archive::Kept;
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
        return Ok(nothing_to_do(clock));
    };
    let SignedIn { started_at, instance, dataverse_refused, graph_refused } = signed_in;
    let run_id = run_id(started_at);

    let _lock = lake.lock(&run_id).await?;
    let repair = options.repair.then_some((run_id.as_str(), started_at));
    let Condition { mut ledger, stopped: tables_stopped, lost } = condition::open(&lake, &instance, repair).await?;
    let started_at = ledger.next_start(started_at);
    let command = options.command(command);
    let continued = ledger.continued(&command, started_at);
    let window = options.window(continued.now)?;
    let rejects = Rejects::of(&lake);
    let environment = match (&services.dataverse, &dataverse) {
        (Some(service), Some(job)) if dataverse_refused.is_none() => {
            let mut asked: Vec<&'static Table> = job.tables.clone();
            asked.push(&SYSTEM_USER);
            Some((service.clone(), service.environment(&asked).await?))
        }
        _ => None,
    };
    ledger.start_run(&run_id, &command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !continued.runs.is_empty() });

    let kept = Kept { organization: instance.organization, tenant: instance.tenant };
    let spine = Spine {
        services,
        archive: archive_raw.then_some(kept),
        halt: Arc::new(Halt::new(stop, options.deadline)),
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
        left: Left::of([SYSTEM_USER.source_name(), AI_INTERACTION.source_name()]),
    };
    for error in tables_stopped.into_values() {
        spine.stop_table(error).await?;
    }
    // The services have limits of their own: neither waits for the other.
    let parts = async {
        tokio::join!(
            spine.guarded(SYSTEM_USER.source_name(), dataverse_refused, async {
                let (Some(job), Some((service, environment))) = (&dataverse, environment) else { return Ok(()) };
                let spine = DataverseSpine {
                    spine: &spine,
                    schema: Schema::new(environment),
                    labels: LabelCache::new(Some(service.clone())),
                    named: Named::default(),
                    service,
                };
                spine.walk(job, &continued).await
            }),
            spine.guarded(AI_INTERACTION.source_name(), graph_refused, async {
                let (Some(job), Some(service)) = (&graph, &spine.services.graph) else { return Ok(()) };
                if spine.is_any_stopped(condition::tables_of_graph()).await {
                    return Ok(());
                }
                let lost = graph::Lost::of(&spine.lost, job, spine.ledger.started());
                let (full, continued) = (spine.full, &continued);
                let walk = graph::Walk { service, job, full, window, lost, continued, left: &spine.left };
                spine.stop_table_of(graph::run(&spine, &walk).await).await
            }),
        )
    };
    let (of_dataverse, of_graph) = spine.ledger.while_committing(&spine.run_id, parts).await;
    let ended_early = [of_dataverse, of_graph].into_iter().flatten().collect();
    spine.finish((&command, continued.runs.is_empty()), started_at, clock, ended_early).await
}

impl DataverseSpine<'_> {
    /// Rows first, then what was deleted, the people whom rows name, and the payloads.
    async fn walk(&self, job: &DataverseJob, continued: &Continued) -> Result<(), Error> {
        // Deletions are about everything up to now: a run over a window, or over everything again, finds none.
        let deletes = if self.full || self.window.is_some() { Deletes::Ignore } else { job.deletes };
        let written = self.written(&job.tables).await;
        if deletes != Deletes::Ignore {
            self.stop_table_of(deletes::start(self, &written).await).await?;
        }
        let mut tasks = slices::tasks(self, job, continued).await?;
        let mut anew = continued.anew(self.full);
        if anew.is_some() {
            self.left.say(SYSTEM_USER.source_name(), !tasks.is_empty());
            anew = anew.filter(|_| tasks.is_empty());
        }
        if let Some(begun) = &anew {
            match self.left.is_nothing().await {
                true => tasks = slices::tasks(self, job, begun).await?,
                false => anew = None,
            }
        }
        slices::run(self, tasks).await?;
        slices::settle_lost(self, job, continued).await?;
        if deletes != Deletes::Ignore {
            let written = self.written(&job.tables).await;
            self.stop_table_of(deletes::apply(self, &written, deletes).await).await?;
        }
        if self.halt.is_over() {
            self.stopped().await;
            return Ok(());
        }
        if !self.is_any_stopped([&SYSTEM_USER]).await {
            let now = anew.as_ref().unwrap_or(continued).now;
            self.stop_table_of(people::run(self, now, job.overlap.as_secs() as i64).await).await?;
        }
        if self.is_any_stopped(condition::TABLES_OF_PAYLOADS).await {
            return Ok(());
        }
        self.stop_table_of(redecode::run(self).await).await?;
        if !job.payloads {
            return Ok(());
        }
        let written = self.written(&job.tables).await;
        self.stop_table_of(payloads::run(self, &written).await).await
    }
}

impl Spine {
    /// A service's part of the run, unless it refused the sign-in. When the lake fails, the others stop too.
    async fn guarded(
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
        self.left.say(source, false);
        let error = result.err()?;
        if let Error::Lake(_) = &error {
            self.halt.halt();
        }
        Some(EndedEarly { source, error })
    }

    /// Writes the run's end and makes its report. What ended a service early is in it, or is the error when nothing was
    /// done.
    async fn finish(
        self,
        (command, is_whole): (&str, bool),
        started_at: Instant,
        clock: std::time::Instant,
        mut ended_early: Vec<EndedEarly>,
    ) -> Result<Report, Error> {
        let Reports { tables, stopped, dropped, refused, in_scope, tables_stopped } = self.reports.into_inner();
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
        report.judge(&Circumstances { stopped, ended_early: has_ended, is_whole, refused, in_scope });
        // Without its end the next run looks for files that this one left.
        let lake_failed = ended_early.iter().any(|ended| matches!(ended.error, Error::Lake(_)));
        if !dropped && !lake_failed {
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

fn nothing_to_do(clock: std::time::Instant) -> Report {
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
