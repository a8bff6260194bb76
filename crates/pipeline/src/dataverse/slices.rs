//! The slices of a run: which ones are due, and reading several at a time.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use copilot_lake_extractor::{Error as ServiceError, Selection, Slice};
use copilot_lake_tables::{Instant, Table};
use futures::StreamExt as _;

use crate::dataverse::context::DataverseContext;
use crate::dataverse::plan::{self, PlanInput};
use crate::dataverse::recovery;
use crate::dataverse::slice;
use crate::dataverse::table_breaker::{FAILED, TableBreaker, TableFailure};
use crate::error::Error;
use crate::event::Event;
use crate::halving::{Halving, PartFailure, is_about_page};
use crate::ledger::runs::Restart;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::{self, BEGINNING, CREATED};
use crate::report::SliceStatus;
use crate::settings::DataverseJob;
use crate::slice_error::SliceError;

/// Slices in flight. Each holds a page or two, so this bounds memory; the service's own limits are far higher.
const SLICES_IN_FLIGHT: usize = 3;

/// A slice to read.
#[derive(Debug)]
pub(crate) struct PlannedSlice {
    slice: Slice,
    /// An earlier run has found that it cannot be read.
    is_unreadable: bool,
}

/// Plans the slices that are due: first what changed, then the first pass from the newest week back, and last what could
/// not be read so far.
pub(crate) async fn plan_slices(
    context: &DataverseContext<'_>,
    job: &DataverseJob,
    restart: &Restart,
) -> Result<Vec<PlannedSlice>, Error> {
    let (mut changed, mut first_pass, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
    for table in context.run.written(&job.tables).await {
        context.run.reports.lock().await.table(table.name);
        context.schema.settle(&context.service, table).await;
        let Some(selection) = context.schema.selection(table) else {
            record_missing_table(context, table, job.since.unwrap_or(BEGINNING), restart.now).await?;
            continue;
        };
        let mut windows = context.run.ledger.windows(table, &selection.text()).await;
        if context.run.full {
            windows.retain(|window| restart.runs.contains(&window.run_id));
        }
        let lost = context.run.lost.get(table.name);
        let mut again = Vec::new();
        let (days, weeks) = if let Some((since, until)) = context.run.window {
            let window = since.unwrap_or(BEGINNING).floor_second()..until.ceil_second();
            let oldest = if since.is_none() { oldest_row(context, table, window.clone()).await } else { Ok(None) };
            match oldest {
                Ok(oldest) => (vec![], plan::weekly(table, &[window], oldest)),
                Err(None) => continue,
                Err(Some(error)) => return Err(error),
            }
        } else {
            let input = PlanInput::new(job, &context.run.ledger, restart);
            let mut plan = plan::plan(&windows, &input);
            if let Some(lost) = lost {
                plan.add_lost(lost, &windows, &input);
            }
            // A run with `--full` finds them by itself, and does not request again what the one that it resumes did.
            let known = match context.run.full {
                true => vec![],
                false => context.run.ledger.unreadable(table, &selection.text()).await,
            };
            plan.leave_out(&known);
            again = plan::unreadable(table, &known);
            let days = plan::daily(table, &plan.changed);
            let weeks = match plan.first_pass.last() {
                Some(first) if plan::needs_oldest(&plan) => match oldest_row(context, table, first.clone()).await {
                    Ok(oldest) => plan::weekly(table, &plan.first_pass, oldest),
                    // Changed rows are read nevertheless.
                    Err(None) => vec![],
                    Err(Some(error)) => return Err(error),
                },
                _ => plan::weekly(table, &plan.first_pass, None),
            };
            (days, weeks)
        };
        let slices = days.len() + weeks.len() + again.len();
        (context.run.observe)(&Event::Planned { table: table.name, slices });
        changed.extend(days);
        first_pass.extend(weeks);
        unreadable.extend(again);
    }
    // The newest week of every table comes first.
    first_pass.sort_by_key(|slice: &Slice| std::cmp::Reverse(slice.end));
    let planned = |is_unreadable| move |slice| PlannedSlice { slice, is_unreadable };
    let readable = changed.into_iter().chain(first_pass).map(planned(false));
    Ok(readable.chain(unreadable.into_iter().map(planned(true))).collect())
}

/// Marks tables as recovered that have read again everything they had lost.
pub(crate) async fn settle_lost(
    context: &DataverseContext<'_>,
    job: &DataverseJob,
    restart: &Restart,
) -> Result<(), Error> {
    for table in context.run.written(&job.tables).await {
        let Some(lost) = context.run.lost.get(table.name) else { continue };
        let Some(selection) = context.schema.selection(table) else { continue };
        let windows = context.run.ledger.windows(table, &selection.text()).await;
        let unreadable = context.run.ledger.unreadable(table, &selection.text()).await;
        let input = PlanInput::new(job, &context.run.ledger, restart);
        if recovery::is_recovered(lost, (&windows, &unreadable), &input, &context.run.run_id) {
            context.run.lake.recovered(table).await?;
        }
    }
    Ok(())
}

/// The time of a table's oldest row, for the first pass. When it cannot be had, the table's slice is recorded as
/// failed: `Err`, with an error where nothing else can be read either.
async fn oldest_row(
    context: &DataverseContext<'_>,
    table: &'static Table,
    window: Range<Instant>,
) -> Result<Option<Instant>, Option<Error>> {
    let error = match context.service.oldest(table, CREATED).await {
        Ok(oldest) => return Ok(oldest),
        Err(error) if error.is_service_wide() => return Err(Some(error.into())),
        Err(error) => error,
    };
    let ended = failure_status(context, error.into()).await;
    let slice = Slice { table, scope: String::new(), time_column: CREATED, start: window.start, end: window.end };
    let counts = SliceCounts { as_of: Some(window.end), ..SliceCounts::default() };
    let selection = context.schema.selection(table).unwrap_or_else(|| Selection::all(table));
    let watermark = watermark(context);
    Err(record(context, slice, &selection, (ended, watermark), counts).await.err())
}

/// The status and reason of a slice that was not done.
async fn failure_status(context: &DataverseContext<'_>, error: SliceError) -> (SliceStatus, Option<String>) {
    match error {
        SliceError::Service(ServiceError::TableMissing { .. }) => (SliceStatus::Skipped, Some(error.to_string())),
        error => {
            if let SliceError::Service(error) = &error {
                context.run.note_failure(error).await;
            }
            if matches!(error, SliceError::Service(ServiceError::PermissionMissing { .. })) {
                context.run.reports.lock().await.refused += 1;
            }
            (SliceStatus::Failed, Some(error.to_string()))
        }
    }
}

/// Records that the environment does not have a table.
async fn record_missing_table(
    context: &DataverseContext<'_>,
    table: &'static Table,
    start: Instant,
    end: Instant,
) -> Result<(), Error> {
    let slice = Slice { table, scope: String::new(), time_column: CREATED, start, end };
    let reason = Some("the environment has no such table".to_owned());
    let counts = SliceCounts { as_of: Some(end), ..SliceCounts::default() };
    let ended = ((SliceStatus::Skipped, reason), watermark(context));
    record(context, slice, &Selection::all(table), ended, counts).await
}

/// Reads slices, several at a time. A failed slice does not hold up the others; when the lake or the service fails, no
/// other is begun, and those under way finish on their own.
pub(crate) async fn read_slices(context: &DataverseContext<'_>, slices: Vec<PlannedSlice>) -> Result<(), Error> {
    let reader = SliceReader { context, breaker: RefCell::default(), is_given_up: Cell::new(false) };
    let reading =
        futures::stream::iter(slices).map(|slice| reader.read_and_record(slice)).buffer_unordered(SLICES_IN_FLIGHT);
    let mut reading = std::pin::pin!(reading);
    let mut failure = Ok(());
    let mut grace = std::pin::pin!(context.run.shutdown.grace_period_over());
    loop {
        let next = tokio::select! {
            next = reading.next() => next,
            () = &mut grace => {
                context.run.note_aborted().await;
                return failure;
            }
        };
        match next {
            None => return failure,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                reader.is_given_up.set(true);
                // Another service can still be read.
                if !matches!(error, Error::Service(_)) {
                    context.run.shutdown.request();
                }
                failure = failure.and(Err(error));
            }
        }
    }
}

/// Reads slices, and knows how those before have ended.
struct SliceReader<'a> {
    context: &'a DataverseContext<'a>,
    breaker: RefCell<TableBreaker>,
    /// Nothing more can be read or written.
    is_given_up: Cell<bool>,
}

impl SliceReader<'_> {
    /// Reads a slice, in parts if a page of it cannot be read, and records what was read and what cannot be.
    async fn read_and_record(&self, planned: PlannedSlice) -> Result<(), Error> {
        let context = self.context;
        let PlannedSlice { slice, is_unreadable } = planned;
        let table = slice.table;
        let window = slice.start..slice.end;
        let mut halving = match is_unreadable {
            true => Halving::new([], [window]),
            false => Halving::new([window], []),
        };
        let mut failure = None;
        while let Some(part) = halving.next() {
            if self.is_given_up.get() {
                return Ok(());
            }
            if context.run.shutdown.is_requested() {
                context.run.note_shutdown().await;
                return Ok(());
            }
            if context.run.is_any_table_stopped([table]).await {
                return Ok(());
            }
            let refused = self.breaker.borrow().failure(table.name).cloned();
            if let Some(refused) = refused {
                return self.record_unrequested(&slice, &halving, refused).await;
            }
            let part = Slice { start: part.start, end: part.end, ..slice.clone() };
            let mut counts = SliceCounts::default();
            let (selection, result) = slice::read_slice(&part, context, halving.has_failed_before(), &mut counts).await;
            match result {
                Ok(()) => {
                    self.breaker.borrow_mut().read(table.name);
                    halving.read();
                    let ended = ((SliceStatus::Done, None), watermark(context));
                    record(context, part, &selection, ended, counts).await?;
                }
                Err(SliceError::Stopped) => {
                    context.run.note_shutdown().await;
                    return Ok(());
                }
                Err(SliceError::Lake(error)) if error.stops_table().is_some() => {
                    return context.run.stop_table(error).await;
                }
                Err(SliceError::Lake(error)) if !error.is_transient() => return Err(error.into()),
                Err(SliceError::Service(error)) if error.is_service_wide() => return Err(error.into()),
                Err(error) => {
                    let is_about_page = matches!(&error, SliceError::Service(error) if is_about_page(error));
                    let goes_on = is_about_page && halving.failed() != PartFailure::GivenUp;
                    failure = Some((selection, error, counts));
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        let Some((selection, error, mut counts)) = failure else { return Ok(()) };
        for window in halving.unreadable() {
            let part = Slice { start: window.start, end: window.end, ..slice.clone() };
            self.record_unreadable(part, &selection, &error, counts).await?;
            counts = SliceCounts { as_of: counts.as_of, ..SliceCounts::default() };
        }
        let unread = halving.unread();
        if unread.is_empty() {
            return Ok(());
        }
        if let SliceError::Service(error) = &error {
            self.breaker.borrow_mut().failed(table.name, error);
        }
        let ended = failure_status(context, error).await;
        for window in unread {
            let part = Slice { start: window.start, end: window.end, ..slice.clone() };
            record(context, part, &selection, (ended.clone(), watermark(context)), counts).await?;
            counts = SliceCounts { as_of: counts.as_of, ..SliceCounts::default() };
        }
        Ok(())
    }

    /// Records a window that cannot be read, however small it is. A window that is read again by `--since` and `--until`
    /// is not remembered.
    async fn record_unreadable(
        &self,
        slice: Slice,
        selection: &Selection,
        error: &SliceError,
        counts: SliceCounts,
    ) -> Result<(), Error> {
        let context = self.context;
        let now = context.service.service_time().await.ok().or(counts.as_of).unwrap_or(slice.end);
        let known = context.run.ledger.unreadable(slice.table, &selection.text()).await;
        let is_part = |window: &&windows::UnreadableWindow| {
            window.time_column == slice.time_column && slice.start <= window.start && window.end <= slice.end
        };
        let failing_since = known.iter().filter(is_part).map(|window| window.failing_since).min();
        let failing_since = failing_since.or(counts.as_of).unwrap_or(now);
        let is_skipped = windows::is_skipped(failing_since, now);
        let status = if is_skipped { SliceStatus::Skipped } else { SliceStatus::Failed };
        let watermark = if context.run.window.is_none() { Watermark::PastUnreadable } else { Watermark::None };
        let counts = SliceCounts { as_of: Some(failing_since), ..counts };
        record(context, slice, selection, ((status, Some(error.to_string())), watermark), counts).await
    }

    /// Records as failed what is pending of a slice whose table is not worth a request.
    async fn record_unrequested(&self, slice: &Slice, pending: &Halving, refused: TableFailure) -> Result<(), Error> {
        let TableFailure { reason, is_refused } = refused;
        let as_of = self.context.service.service_time().await.ok();
        let selection = self.context.schema.selection(slice.table).unwrap_or_else(|| Selection::all(slice.table));
        let reason = format!("{reason}: not requested, because {FAILED} slices of the table failed in a row");
        for window in pending.unread() {
            if is_refused {
                self.context.run.reports.lock().await.refused += 1;
            }
            let part = Slice { start: window.start, end: window.end, ..slice.clone() };
            let ended = ((SliceStatus::Failed, Some(reason.clone())), watermark(self.context));
            record(self.context, part, &selection, ended, SliceCounts { as_of, ..SliceCounts::default() }).await?;
        }
        Ok(())
    }
}

/// The watermark after a slice: a window that is read again moves none.
fn watermark(context: &DataverseContext<'_>) -> Watermark {
    if context.run.window.is_none() { Watermark::OfWindows } else { Watermark::None }
}

/// Records a slice in the ledger and reports it.
async fn record(
    context: &DataverseContext<'_>,
    slice: Slice,
    selection: &Selection,
    ((status, reason), watermark): ((SliceStatus, Option<String>), Watermark),
    received: SliceCounts,
) -> Result<(), Error> {
    let now = context.service.service_time().await;
    let finished_at = now.ok().or(received.as_of).unwrap_or(slice.end);
    let selection = selection.text();
    let row = SliceRow { slice, selection, status, reason, watermark, token: None, finished_at, received };
    // A slice that is planned twice is skipped twice, and reported once.
    if context.run.ledger.record(&context.run.run_id, &row).await? || row.status != SliceStatus::Skipped {
        context.run.report(row).await;
    }
    Ok(())
}
