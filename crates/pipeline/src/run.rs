//! A run from its sign-in to its report: the table of the spine, as one function.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use copilot_lake_extractor::{Dataverse, Error as ServiceError, Selection, Slice};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::{Instance, Lake};
use futures::StreamExt as _;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::halt::Halt;
use crate::ledger::{Ledger, SliceRow};
use crate::payloads;
use crate::plan::{self, Frame};
use crate::rejects::Rejects;
use crate::report::{Outcome, Report, TableReport};
use crate::settings::{DataverseJob, Settings, Stop};
use crate::slice::{self, NotDone, Surroundings, Task};

/// Slices in flight. Each holds a page or two, so this bounds memory; the service's own limits lie far above.
const SLICES_IN_FLIGHT: usize = 3;
/// After a stop, what is being committed may take this long; the run's end and report must fit into 20 s too.
const GRACE: Duration = Duration::from_secs(18);

/// Extracts what is missing. Slices and payloads that fail are in the report; an error means that nothing could be
/// started, or that the lake itself could not be written.
pub async fn run(settings: Settings, observe: Observer, stop: Stop) -> Result<Report, Error> {
    let clock = std::time::Instant::now();
    let Settings { lake, lake_options, command, dataverse, request } = settings;
    let lake = Lake::open(&lake, lake_options).await?;
    let Some(job) = dataverse else { return Ok(nothing_to_do(clock)) };
    let service = Dataverse::new(job.connection.clone())?;
    let who = service.who_am_i().await?;
    let started_at = who.service_time;
    let run_id = run_id(started_at);

    let _lock = lake.lock(&run_id).await?;
    let instance = Instance { organization: Some(who.organization_id.clone()), tenant: Some(job.tenant_id.clone()) };
    lake.prepare(&instance, false).await?;
    let mut ledger = Ledger::read(&lake).await?;
    if ledger.last_is_unfinished() {
        lake.prepare(&instance, true).await?;
    }
    let continued = if request.full { BTreeSet::new() } else { ledger.continued(started_at) };
    let now = continued.iter().filter_map(|run| ledger.started().get(run)).min().copied().unwrap_or(started_at);
    let now = now.floor_second();
    let window = request.window(now)?;
    let rejects = Rejects::read(&lake).await?;
    ledger.start_run(&run_id, command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !continued.is_empty() });

    let halt = Halt::new(stop, request.deadline);
    let (full, reports) = (request.full, Mutex::default());
    let spine = Spine { service, lake, ledger, rejects, run_id, observe, halt, full, window, reports };
    let walked = spine.walk(&job, now, &continued).await;
    spine.finish(command, started_at, clock, walked).await
}

/// What every part of a run needs.
struct Spine {
    service: Dataverse,
    lake: Lake,
    ledger: Ledger,
    rejects: Rejects,
    run_id: String,
    observe: Observer,
    halt: Halt,
    /// Read everything again.
    full: bool,
    /// Read this window again; without a start from the oldest row.
    window: Option<(Option<Instant>, Instant)>,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    tables: BTreeMap<&'static str, TableReport>,
    stopped: bool,
    /// Something was dropped in the middle: the next run has to look for what it left.
    dropped: bool,
    /// Slices that failed because a permission is missing.
    refused: u64,
}

impl Spine {
    /// Rows first, then the payloads that they name.
    async fn walk(&self, job: &DataverseJob, now: Instant, continued: &BTreeSet<String>) -> Result<(), Error> {
        let tasks = self.tasks(job, now, continued).await?;
        self.read(tasks).await?;
        if job.payloads { self.payloads(&job.tables).await } else { Ok(()) }
    }

    /// What is to be read: first what changed, then the first pass from the newest week back.
    async fn tasks(&self, job: &DataverseJob, now: Instant, continued: &BTreeSet<String>) -> Result<Vec<Task>, Error> {
        let (mut changed, mut first_pass) = (Vec::new(), Vec::new());
        for table in &job.tables {
            let report = TableReport { table: table.name, ..TableReport::default() };
            self.reports.lock().await.tables.insert(table.name, report);
            let selection = Selection::of(table).text();
            let (windows, others) =
                if self.full { (vec![], true) } else { self.ledger.windows(table, &selection).await };
            let (days, weeks) = if let Some((since, until)) = self.window {
                let since = match since {
                    Some(since) => since,
                    None => self.service.oldest(table, plan::CREATED).await?.unwrap_or(until),
                };
                (vec![], plan::weekly(table, &[since.floor_second()..until.ceil_second()], None))
            } else {
                let frame = Frame {
                    now,
                    continued,
                    started: self.ledger.started(),
                    since: job.since,
                    overlap_seconds: job.overlap.as_secs() as i64,
                };
                let plan = plan::plan(&windows, &frame);
                let oldest = if plan::needs_oldest(&plan) {
                    match self.service.oldest(table, plan::CREATED).await {
                        Ok(oldest) => oldest,
                        // The table's slices will tell.
                        Err(ServiceError::TableMissing { .. } | ServiceError::PermissionMissing { .. }) => None,
                        Err(error) => return Err(error.into()),
                    }
                } else {
                    None
                };
                (plan::daily(table, &plan.changed), plan::weekly(table, &plan.first_pass, oldest))
            };
            (self.observe)(&Event::Planned { table: table.name, slices: days.len() + weeks.len() });
            let is_new = !others && self.window.is_none();
            changed.extend(days.into_iter().map(|slice| Task { slice, is_new: false }));
            first_pass.extend(weeks.into_iter().map(|slice| Task { slice, is_new }));
        }
        changed.append(&mut first_pass);
        Ok(changed)
    }

    /// Reads the slices, several at a time. One that fails holds nothing else up; when the lake or the sign-in fails, the
    /// others are stopped and come to an end of their own.
    async fn read(&self, tasks: Vec<Task>) -> Result<(), Error> {
        let reading = futures::stream::iter(tasks).map(|task| self.read_one(task)).buffer_unordered(SLICES_IN_FLIGHT);
        let mut reading = std::pin::pin!(reading);
        let mut failure = Ok(());
        let mut grace = std::pin::pin!(self.halt.after(GRACE));
        loop {
            let next = tokio::select! {
                next = reading.next() => next,
                () = &mut grace => {
                    let mut reports = self.reports.lock().await;
                    (reports.stopped, reports.dropped) = (true, true);
                    return failure;
                }
            };
            match next {
                None => return failure,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    self.halt.halt();
                    failure = failure.and(Err(error));
                }
            }
        }
    }

    async fn read_one(&self, task: Task) -> Result<(), Error> {
        if self.halt.is_over() {
            self.reports.lock().await.stopped = true;
            return Ok(());
        }
        let around = Surroundings {
            service: &self.service,
            lake: &self.lake,
            run_id: &self.run_id,
            rejects: &self.rejects,
            observe: &self.observe,
            stop: &self.halt.stop(),
        };
        let mut counts = slice::Counts::default();
        let result = slice::run(&task, around, &mut counts).await;
        let slice = task.slice;
        let (status, reason) = match result {
            Ok(()) => ("done", None),
            Err(NotDone::Stopped) => {
                self.reports.lock().await.stopped = true;
                return Ok(());
            }
            Err(NotDone::Lake(error)) if !error.is_passing() => return Err(error.into()),
            Err(error @ NotDone::Service(ServiceError::TableMissing { .. })) => ("skipped", Some(error.to_string())),
            Err(NotDone::Service(error @ ServiceError::SignInRefused { .. })) => return Err(error.into()),
            Err(error) => {
                if matches!(error, NotDone::Service(ServiceError::PermissionMissing { .. })) {
                    self.reports.lock().await.refused += 1;
                }
                ("failed", Some(error.to_string()))
            }
        };
        let finished_at = self.service.service_time().await.or(counts.as_of.ok_or(())).unwrap_or(slice.end);
        let selection = Selection::of(slice.table).text();
        let row = SliceRow {
            slice: &slice,
            selection: &selection,
            as_of: counts.as_of,
            status,
            reason: reason.clone(),
            counts: self.window.is_none(),
            pages: counts.pages,
            rows: counts.rows,
            rejected: counts.rejected,
            requests: counts.requests,
            throttled_seconds: counts.throttled_seconds,
            finished_at,
        };
        self.ledger.record(&self.run_id, &row).await?;
        self.report(&slice, status, reason, &counts).await;
        Ok(())
    }

    async fn report(&self, slice: &Slice, status: &'static str, reason: Option<String>, counts: &slice::Counts) {
        let table = slice.table.name;
        let window = format!("{} {} to {}", slice.clock, slice.start, slice.end);
        let mut reports = self.reports.lock().await;
        let report = reports.tables.entry(table).or_default();
        report.pages += counts.pages;
        report.rows_received += counts.rows;
        report.rejected += counts.rejected;
        if let Some(reason) = reason {
            if status == "failed" {
                report.slices_failed += 1;
            } else {
                report.slices_skipped += 1;
            }
            report.reasons.push(format!("{window}: {reason}"));
            (self.observe)(&Event::SliceNotDone { table, window, status, reason });
        } else {
            report.slices_done += 1;
            report.rows_written += counts.rows_written;
            report.files_added += counts.files_added;
            let (rows_received, rows_written) = (counts.rows, counts.rows_written);
            (self.observe)(&Event::SliceDone { table, window, rows_received, rows_written });
        }
    }

    /// The second walk, table by table.
    async fn payloads(&self, tables: &[&'static Table]) -> Result<(), Error> {
        for table in tables.iter().filter(|table| table.files().next().is_some()) {
            if self.halt.is_over() {
                self.reports.lock().await.stopped = true;
                return Ok(());
            }
            let (counts, walked) =
                payloads::run(table, &self.service, &self.lake, &self.run_id, &self.observe, &self.halt).await;
            let mut reports = self.reports.lock().await;
            reports.stopped |= counts.stopped;
            let report = reports.tables.entry(table.name).or_default();
            report.payloads += counts.payloads;
            report.payloads_failed += counts.failed;
            walked?;
        }
        Ok(())
    }

    /// Writes the run's end and makes its report. What ended the run early is in the report, or is the error when
    /// nothing was done before.
    async fn finish(
        self,
        command: &str,
        started_at: Instant,
        clock: std::time::Instant,
        walked: Result<(), Error>,
    ) -> Result<Report, Error> {
        let Reports { tables, stopped, dropped, refused } = self.reports.into_inner();
        let meter = self.service.meter();
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
        let done = report.total(|table| table.slices_done);
        let failed = report.total(|table| table.slices_failed);
        if done == 0 && (failed > 0 || walked.is_err()) {
            report.outcome = Outcome::Failed;
            report.permission_missing = failed > 0 && refused == failed;
        } else if failed > 0 || walked.is_err() || stopped || report.total(|table| table.payloads_failed) > 0 {
            report.outcome = Outcome::Partial;
        }
        // Without its end the next run looks for files that this one left.
        let lake_failed = matches!(walked, Err(Error::Lake(_)));
        if !dropped && !lake_failed {
            let finished_at = self.service.service_time().await.unwrap_or(started_at);
            self.ledger.end_run(command, started_at, finished_at, &report).await?;
        }
        match walked {
            Err(error) if report.outcome == Outcome::Failed => Err(error),
            Err(error) => {
                if let Some(table) = report.tables.last_mut() {
                    table.reasons.push(format!("the run ended early: {error}"));
                }
                Ok(report)
            }
            Ok(()) => Ok(report),
        }
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

/// A name that sorts by the run's start and is no other run's.
fn run_id(started_at: Instant) -> String {
    let start: String = started_at.floor_second().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{start}-{}", &random[..8])
}
