//! A run from its sign-in to its report: the table of the spine, as one function.

use std::collections::BTreeSet;
use std::sync::Arc;

use copilot_lake_tables::{AI_INTERACTION, Instant, SYSTEM_USER, Source, Table, table};
use copilot_lake_writer::Lake;
use tokio::sync::Mutex;
use tracing::warn;

use crate::archive::Kept;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::halt::Halt;
use crate::ingest::Named;
use crate::labels::LabelCache;
use crate::ledger::Ledger;
use crate::rejects::Rejects;
use crate::report::{Outcome, Report, TableReport};
use crate::schema::Schema;
use crate::services::{Services, SignedIn};
use crate::settings::{DataverseJob, Deletes, Settings, Stop};
use crate::spine::{DataverseSpine, Reports, Spine};
use crate::{deletes, graph, payloads, people, read};

/// Memory for rows of histories: their five tables have open files of many weeks, each with buffers of its own.
const HISTORIES: usize = 48 << 20;
/// A run that leaves out more of those in scope is not complete.
const SKIPPED: f64 = 0.05;

/// Extracts what is missing. Slices and payloads that fail are in the report; an error means that nothing could be
/// started, or that the lake itself could not be written.
pub async fn run(settings: Settings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let clock = std::time::Instant::now();
    let Settings { lake, mut lake_options, archive_raw, command, dataverse, graph, request } = settings;
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
    let SignedIn { started_at, instance, refused } = signed_in;
    let run_id = run_id(started_at);

    let _lock = lake.lock(&run_id).await?;
    lake.prepare(&instance, false).await?;
    let mut ledger = Ledger::read(&lake).await?;
    let last_run = ledger.last_run().map(str::to_owned);
    if ledger.has_unfinished() {
        lake.prepare(&instance, true).await?;
    }
    let command = request.command(command);
    let continued = ledger.continued(&command, started_at);
    let now = continued.iter().filter_map(|run| ledger.started().get(run)).min().copied().unwrap_or(started_at);
    let now = now.floor_second();
    let window = request.window(now)?;
    let rejects = Rejects::read(&lake).await?;
    let [dataverse_refused, graph_refused] = refused;
    let environment = match (&services.dataverse, &dataverse) {
        (Some(service), Some(job)) if dataverse_refused.is_none() => {
            let mut asked: Vec<&'static Table> = job.tables.clone();
            asked.push(&SYSTEM_USER);
            Some((service.clone(), service.environment(&asked).await?))
        }
        _ => None,
    };
    ledger.start_run(&run_id, &command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !continued.is_empty() });

    let kept = Kept { organization: instance.organization, tenant: instance.tenant };
    let spine = Spine {
        services,
        archive: archive_raw.then_some(kept),
        halt: Arc::new(Halt::new(stop, request.deadline)),
        full: request.full,
        reports: Mutex::default(),
        lake,
        ledger,
        rejects,
        run_id,
        started_at,
        observe,
        window,
    };
    // The services have limits of their own: neither waits for the other.
    let (of_dataverse, of_graph) = tokio::join!(
        spine.guarded(dataverse_refused, async {
            let (Some(job), Some((service, environment))) = (&dataverse, environment) else { return Ok(()) };
            let spine = DataverseSpine {
                spine: &spine,
                schema: Schema::new(environment),
                labels: LabelCache::new(Some(service.clone())),
                named: Named::default(),
                service,
            };
            spine.walk(job, now, &continued).await
        }),
        spine.guarded(graph_refused, async {
            let (Some(job), Some(service)) = (&graph, &spine.services.graph) else { return Ok(()) };
            let is_last_ended = spine.ledger.is_last_ended(&continued);
            let (full, continued, last_run) = (spine.full, &continued, last_run.as_deref());
            let walk = graph::Walk { service, job, now, started_at, full, window, continued, last_run, is_last_ended };
            graph::run(&spine, &walk).await
        }),
    );
    spine.finish((&command, continued.is_empty()), started_at, clock, [of_dataverse, of_graph]).await
}

impl DataverseSpine<'_> {
    /// Rows first, then what was deleted, the people whom rows name, and the payloads.
    async fn walk(&self, job: &DataverseJob, now: Instant, continued: &BTreeSet<String>) -> Result<(), Error> {
        // Deletions are about everything up to now: a run over a window, or over everything again, finds none.
        let deletes = if self.full || self.window.is_some() { Deletes::Ignore } else { job.deletes };
        if deletes != Deletes::Ignore {
            deletes::start(self, &job.tables).await?;
        }
        let mut tasks = read::tasks(self, job, now, continued).await?;
        // Whoever reads everything again takes up what was stopped; when nothing of it is left, it begins anew.
        let (mut now, none) = (now, BTreeSet::new());
        if self.full && tasks.is_empty() && self.ledger.is_last_ended(continued) {
            now = self.started_at.floor_second();
            tasks = read::tasks(self, job, now, &none).await?;
        }
        read::run(self, tasks).await?;
        if deletes != Deletes::Ignore {
            deletes::apply(self, &job.tables, deletes).await?;
        }
        if self.halt.is_over() {
            self.stopped().await;
            return Ok(());
        }
        people::run(self, now, job.overlap.as_secs() as i64).await?;
        if job.payloads { payloads::run(self, &job.tables).await } else { Ok(()) }
    }
}

impl Spine {
    /// One service's part of the run, unless it refused the sign-in. When the lake fails, the others stop too.
    async fn guarded(
        &self,
        refused: Option<Error>,
        part: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let result = match refused {
            Some(error) => Err(error),
            None => part.await,
        };
        if let Err(Error::Lake(_)) = &result {
            self.halt.halt();
        }
        result
    }

    /// Writes the run's end and makes its report. What ended the run early is in the report, or is the error when
    /// nothing was done before.
    async fn finish(
        self,
        (command, is_whole): (&str, bool),
        started_at: Instant,
        clock: std::time::Instant,
        walked: [Result<(), Error>; 2],
    ) -> Result<Report, Error> {
        let Reports { tables, stopped, dropped, refused, in_scope } = self.reports.into_inner();
        let lake_failed = walked.iter().any(|result| matches!(result, Err(Error::Lake(_))));
        let has_failed = walked.iter().any(Result::is_err);
        let meter = self.services.meter();
        let mut report = Report {
            run_id: self.run_id,
            outcome: Outcome::Complete,
            stopped,
            permission_missing: false,
            seconds: clock.elapsed().as_secs_f64(),
            requests: meter.requests,
            throttled_seconds: meter.throttled_seconds,
            tables: tables.into_values().collect(),
        };
        // Who rows name or is in scope is no reason to call a run without rows a success.
        let is_asked = |report: &&TableReport| {
            let asked =
                |table: &Table| matches!(table.source, Source::Dataverse { .. }) || *table.name == *AI_INTERACTION.name;
            table(report.table).is_some_and(asked)
        };
        let count = |of: fn(&TableReport) -> u64| report.tables.iter().filter(is_asked).map(of).sum::<u64>();
        let (done, failed) = (count(|table| table.slices_done), count(|table| table.slices_failed));
        // An environment without any of the tables is hardly the one that was meant.
        let mut asked = report.tables.iter().filter(is_asked).peekable();
        let skipped_all = is_whole && !stopped && asked.peek().is_some() && asked.all(|table| table.slices_skipped > 0);
        let many_skipped = report
            .tables
            .iter()
            .any(|table| table.table == AI_INTERACTION.name && table.slices_skipped as f64 > SKIPPED * in_scope as f64);
        if done == 0 && (failed > 0 || has_failed || skipped_all) {
            report.outcome = Outcome::Failed;
            report.permission_missing = failed > 0 && refused == failed;
        } else if report.total(|table| table.slices_failed) > 0
            || has_failed
            || stopped
            || many_skipped
            || report.total(|table| table.payloads_failed) > 0
        {
            report.outcome = Outcome::Partial;
        }
        // Without its end the next run looks for files that this one left.
        if !dropped && !lake_failed {
            let finished_at = self.services.service_time().await.ok().flatten().unwrap_or(started_at);
            self.ledger.end_run(command, started_at, finished_at, &report).await?;
        }
        // What ended both is told by the lake's own error, if it has one.
        let mut errors: Vec<_> =
            walked.into_iter().enumerate().filter_map(|(at, result)| Some((at, result.err()?))).collect();
        errors.sort_by_key(|(_, error)| !matches!(error, Error::Lake(_)));
        if report.outcome == Outcome::Failed && !errors.is_empty() {
            return Err(errors.swap_remove(0).1);
        }
        for (service, error) in errors {
            let is_of_graph = |table: &TableReport| table.table == AI_INTERACTION.name;
            let mut tables = report.tables.iter_mut();
            let table = if service == 0 {
                tables.rfind(|table| !is_of_graph(table))
            } else {
                tables.find(|table| is_of_graph(table))
            };
            let reason = format!("the run ended early: {error}");
            match table {
                Some(table) => table.reasons.push(reason),
                None => {
                    let table = if service == 0 { SYSTEM_USER.name } else { AI_INTERACTION.name };
                    report.tables.push(TableReport { table, reasons: vec![reason], ..TableReport::default() });
                }
            }
        }
        Ok(report)
    }
}

fn nothing_to_do(clock: std::time::Instant) -> Report {
    Report {
        run_id: String::new(),
        outcome: Outcome::Complete,
        stopped: false,
        permission_missing: false,
        seconds: clock.elapsed().as_secs_f64(),
        requests: 0,
        throttled_seconds: 0.0,
        tables: Vec::new(),
    }
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
