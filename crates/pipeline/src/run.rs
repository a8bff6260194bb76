//! A run from its sign-in to its report: the table of the spine, as one function.

use std::collections::BTreeMap;
use std::time::Duration;

use copilot_lake_extractor::{Dataverse, Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::{Instance, Lake};
use futures::StreamExt as _;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::{Ledger, SliceRow};
use crate::payloads;
use crate::plan::{self, Frame};
use crate::report::{Outcome, Report, TableReport};
use crate::settings::{DataverseJob, Request, Settings, Stop};
use crate::slice::{self, NotDone};

/// Slices in flight. Each holds a page or two, so this bounds memory; the service's own limits lie far above.
const SLICES_IN_FLIGHT: usize = 3;
/// After a stop, what is being committed may take this long.
const GRACE: Duration = Duration::from_secs(20);

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
    if ledger.has_unfinished() {
        lake.prepare(&instance, true).await?;
    }
    let continued = if request.full { Default::default() } else { ledger.continued(started_at) };
    let now = continued.iter().filter_map(|run| ledger.started().get(run)).min().copied().unwrap_or(started_at);
    ledger.start_run(&run_id, command, started_at).await?;
    observe(&Event::Started { run_id: run_id.clone(), continued: !continued.is_empty() });

    let spine = Spine { service, lake, ledger, run_id, observe, stop, request, reports: Mutex::default() };
    let now = now.floor_second();
    let slices = spine.slices(&job, now, &continued).await?;
    spine.read(slices).await?;
    let payloads = if job.payloads { spine.payloads(&job.tables).await } else { Ok(()) };
    spine.finish(command, started_at, clock, payloads).await
}

/// What every part of a run needs.
struct Spine {
    service: Dataverse,
    lake: Lake,
    ledger: Ledger,
    run_id: String,
    observe: Observer,
    stop: Stop,
    request: Request,
    reports: Mutex<Reports>,
}

#[derive(Default)]
struct Reports {
    tables: BTreeMap<&'static str, TableReport>,
    stopped: bool,
    /// Slices that failed because a permission is missing.
    refused: u64,
}

impl Spine {
    /// What is to be read: first what changed, then the first pass from the newest week back.
    async fn slices(
        &self,
        job: &DataverseJob,
        now: Instant,
        continued: &std::collections::BTreeSet<String>,
    ) -> Result<Vec<Slice>, Error> {
        let (mut changed, mut first_pass) = (Vec::new(), Vec::new());
        for table in &job.tables {
            self.reports
                .lock()
                .await
                .tables
                .insert(table.name, TableReport { table: table.name, ..Default::default() });
            let mut slices = if let Some((since, until)) = self.window(now)? {
                let since = match since {
                    Some(since) => since,
                    None => self.service.oldest(table, plan::CREATED).await?.unwrap_or(until),
                };
                plan::weekly(table, &[since.floor_second()..until.ceil_second()], None)
            } else {
                let selection = Dataverse::selection(table);
                let windows = if self.request.full { Vec::new() } else { self.ledger.windows(table, &selection).await };
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
                changed.extend(plan::daily(table, &plan.changed));
                plan::weekly(table, &plan.first_pass, oldest)
            };
            let count = slices.len() + changed.iter().filter(|slice: &&Slice| slice.table.name == table.name).count();
            (self.observe)(&Event::Planned { table: table.name, slices: count });
            first_pass.append(&mut slices);
        }
        changed.append(&mut first_pass);
        Ok(changed)
    }

    /// The window that the request names.
    fn window(&self, now: Instant) -> Result<Option<(Option<Instant>, Instant)>, Error> {
        let Request { since, until, .. } = self.request;
        if since.is_none() && until.is_none() {
            return Ok(None);
        }
        let until = until.unwrap_or(now);
        match since {
            Some(since) if since >= until => Err(Error::EmptyWindow { since, until }),
            _ => Ok(Some((since, until))),
        }
    }

    fn is_over(&self) -> bool {
        *self.stop.borrow() || self.request.deadline.is_some_and(|deadline| std::time::Instant::now() >= deadline)
    }

    /// Reads the slices, several at a time. One that fails holds nothing else up.
    async fn read(&self, slices: Vec<Slice>) -> Result<(), Error> {
        let mut reading = std::pin::pin!(
            futures::stream::iter(slices).map(|slice| self.read_one(slice)).buffer_unordered(SLICES_IN_FLIGHT)
        );
        let mut stop = self.stop.clone();
        let read_all = async {
            while let Some(done) = reading.next().await {
                done?;
            }
            Ok(())
        };
        tokio::select! {
            result = read_all => result,
            () = async {
                if stop.wait_for(|stop| *stop).await.is_err() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(GRACE).await;
            } => {
                self.reports.lock().await.stopped = true;
                Ok(())
            }
        }
    }

    async fn read_one(&self, slice: Slice) -> Result<(), Error> {
        if self.is_over() {
            self.reports.lock().await.stopped = true;
            return Ok(());
        }
        let mut counts = slice::Counts::default();
        let result =
            slice::run(&slice, &self.service, &self.lake, &self.run_id, &self.observe, &self.stop, &mut counts).await;
        let (status, reason) = match result {
            Ok(()) => ("done", None),
            Err(NotDone::Stopped) => {
                self.reports.lock().await.stopped = true;
                return Ok(());
            }
            // The lake's own failure is no slice's: there is nothing left to write to.
            Err(NotDone::Lake(error)) => return Err(error.into()),
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
        let selection = Dataverse::selection(slice.table);
        let row = SliceRow {
            slice: &slice,
            selection: &selection,
            as_of: counts.as_of,
            status,
            reason: reason.clone(),
            counts: self.request.since.is_none() && self.request.until.is_none(),
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
                report.slices_failed += 1
            } else {
                report.slices_skipped += 1
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
            if self.is_over() {
                self.reports.lock().await.stopped = true;
                return Ok(());
            }
            let counts =
                payloads::run(table, &self.service, &self.lake, &self.run_id, &self.observe, &self.stop).await?;
            let mut reports = self.reports.lock().await;
            reports.stopped |= counts.stopped;
            let report = reports.tables.entry(table.name).or_default();
            report.payloads += counts.payloads;
            report.payloads_failed += counts.failed;
        }
        Ok(())
    }

    /// Writes the run's end and makes its report.
    async fn finish(
        self,
        command: &str,
        started_at: Instant,
        clock: std::time::Instant,
        payloads: Result<(), Error>,
    ) -> Result<Report, Error> {
        let Reports { tables, stopped, refused } = self.reports.into_inner();
        let mut tables: Vec<_> = tables.into_values().collect();
        let payloads_refused = match payloads {
            Err(Error::Service(error)) => {
                if let Some(report) = tables.first_mut() {
                    report.reasons.push(format!("payloads: {error}"));
                }
                true
            }
            Err(error) => return Err(error),
            Ok(()) => false,
        };
        let meter = self.service.meter();
        let mut report = Report {
            run_id: self.run_id,
            outcome: Outcome::Complete,
            stopped,
            permission_missing: false,
            seconds: clock.elapsed().as_secs_f64(),
            requests: meter.requests,
            throttled_seconds: meter.throttled_seconds,
            tables,
        };
        let failed = report.total(|table| table.slices_failed);
        let payloads_failed = report.total(|table| table.payloads_failed);
        if failed > 0 && report.total(|table| table.slices_done) == 0 {
            report.outcome = Outcome::Failed;
            report.permission_missing = refused == failed;
        } else if failed > 0 || payloads_failed > 0 || payloads_refused || stopped {
            report.outcome = Outcome::Partial;
        }
        let finished_at = self.service.service_time().await.unwrap_or(started_at);
        self.ledger.end_run(command, started_at, finished_at, &report).await?;
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

/// A name that sorts by the run's start and is no other run's.
fn run_id(started_at: Instant) -> String {
    let start: String = started_at.floor_second().to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{start}-{}", &random[..8])
}
