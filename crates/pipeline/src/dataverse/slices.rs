//! The slices of a run: which ones are due, and what they leave in the ledger.

use std::ops::Range;

use copilot_lake_extractor::{Error as ServiceError, Selection, Slice};
use copilot_lake_tables::{Instant, Table};

use crate::dataverse::context::DataverseContext;
use crate::dataverse::plan::{self, PlanInput};
use crate::dataverse::recovery;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::runs::Restart;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::{BEGINNING, CREATED};
use crate::report::SliceStatus;
use crate::settings::DataverseJob;
use crate::slice_error::SliceError;

/// A slice to read.
#[derive(Debug)]
pub(crate) struct PlannedSlice {
    pub(crate) slice: Slice,
    /// An earlier run has found that it cannot be read.
    pub(crate) is_unreadable: bool,
}

/// Plans the slices that are due: first what changed, then the first pass from the newest week back, and last what could
/// not be read so far, first of it what may be readable in parts.
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
    let planned = |is_unreadable| move |slice| PlannedSlice { slice, is_unreadable };
    let readable = plan::in_order(changed, first_pass, |slice| context.run.ledger.last_failure(slice));
    Ok(readable.into_iter().map(planned(false)).chain(unreadable.into_iter().map(planned(true))).collect())
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
pub(super) async fn failure_status(context: &DataverseContext<'_>, error: SliceError) -> (SliceStatus, Option<String>) {
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

/// The watermark after a slice: a window that is read again moves none.
pub(super) fn watermark(context: &DataverseContext<'_>) -> Watermark {
    if context.run.window.is_none() { Watermark::OfWindows } else { Watermark::None }
}

/// Records a slice in the ledger and reports it.
pub(super) async fn record(
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
