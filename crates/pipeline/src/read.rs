//! Rows: which slices are to be read, and reading them several at a time.

use std::ops::Range;

use copilot_lake_extractor::{Error as ServiceError, Selection, Slice};
use copilot_lake_tables::{Instant, Table};
use futures::StreamExt as _;

use crate::error::Error;
use crate::event::Event;
use crate::ingest::{Counts, NotDone};
use crate::ledger::{Continued, SliceRow, Watermark};
use crate::plan::{self, Frame};
use crate::recovery;
use crate::report::Status;
use crate::settings::DataverseJob;
use crate::slice;
use crate::spine::DataverseSpine;

/// Slices in flight. Each holds a page or two, so this bounds memory; the service's own limits lie far above.
const SLICES_IN_FLIGHT: usize = 3;

/// What is to be read: first what changed, then the first pass from the newest week back.
pub(crate) async fn tasks(
    spine: &DataverseSpine<'_>,
    job: &DataverseJob,
    continued: &Continued,
) -> Result<Vec<Slice>, Error> {
    let (mut changed, mut first_pass) = (Vec::new(), Vec::new());
    for table in spine.written(&job.tables).await {
        spine.reports.lock().await.of(table.name);
        spine.schema.settle(&spine.service, table).await;
        let Some(selection) = spine.schema.selection(table) else {
            skip(spine, table, job.since.unwrap_or(plan::BEGINNING), continued.now).await?;
            continue;
        };
        let mut windows = spine.ledger.windows(table, &selection.text()).await;
        if spine.full {
            windows.retain(|window| continued.runs.contains(&window.run_id));
        }
        let lost = spine.lost.get(table.name);
        let (days, weeks) = if let Some((since, until)) = spine.window {
            let window = since.unwrap_or(plan::BEGINNING).floor_second()..until.ceil_second();
            let oldest = if since.is_none() { oldest(spine, table, window.clone()).await } else { Ok(None) };
            match oldest {
                Ok(oldest) => (vec![], plan::weekly(table, &[window], oldest)),
                Err(None) => continue,
                Err(Some(error)) => return Err(error),
            }
        } else {
            let frame = Frame::of(job, &spine.ledger, continued);
            let mut plan = plan::plan(&windows, &frame);
            if let Some(lost) = lost {
                plan.add_lost(lost, &windows, &frame);
            }
            let days = plan::daily(table, &plan.changed);
            let weeks = match plan.first_pass.last() {
                Some(first) if plan::needs_oldest(&plan) => match oldest(spine, table, first.clone()).await {
                    Ok(oldest) => plan::weekly(table, &plan.first_pass, oldest),
                    // What changed is read all the same.
                    Err(None) => vec![],
                    Err(Some(error)) => return Err(error),
                },
                _ => plan::weekly(table, &plan.first_pass, None),
            };
            (days, weeks)
        };
        (spine.observe)(&Event::Planned { table: table.name, slices: days.len() + weeks.len() });
        changed.extend(days);
        first_pass.extend(weeks);
    }
    // The newest week of every table first.
    first_pass.sort_by_key(|slice: &Slice| std::cmp::Reverse(slice.end));
    changed.append(&mut first_pass);
    Ok(changed)
}

/// Notes which tables have read again all that they had lost.
pub(crate) async fn settle_lost(
    spine: &DataverseSpine<'_>,
    job: &DataverseJob,
    continued: &Continued,
) -> Result<(), Error> {
    for table in spine.written(&job.tables).await {
        let Some(lost) = spine.lost.get(table.name) else { continue };
        let Some(selection) = spine.schema.selection(table) else { continue };
        let windows = spine.ledger.windows(table, &selection.text()).await;
        if recovery::is_recovered(lost, &windows, &Frame::of(job, &spine.ledger, continued), &spine.run_id) {
            spine.lake.recovered(table).await?;
        }
    }
    Ok(())
}

/// The time of a table's oldest row, for the first pass. When it cannot be told, the table's slice is noted as failed:
/// `Err`, with the error where nothing else can be read either.
async fn oldest(
    spine: &DataverseSpine<'_>,
    table: &'static Table,
    window: Range<Instant>,
) -> Result<Option<Instant>, Option<Error>> {
    let error = match spine.service.oldest(table, plan::CREATED).await {
        Ok(oldest) => return Ok(oldest),
        Err(error) if error.is_service_wide() => return Err(Some(error.into())),
        Err(error) => error,
    };
    let ended = ended(spine, error.into()).await;
    let slice = Slice { table, scope: String::new(), time_column: plan::CREATED, start: window.start, end: window.end };
    let counts = Counts { as_of: Some(window.end), ..Counts::default() };
    let selection = spine.schema.selection(table).unwrap_or_else(|| Selection::all(table));
    Err(note(spine, slice, &selection, ended, counts).await.err())
}

/// The status and reason of a slice that was not done.
async fn ended(spine: &DataverseSpine<'_>, error: NotDone) -> (Status, Option<String>) {
    match error {
        NotDone::Service(ServiceError::TableMissing { .. }) => (Status::Skipped, Some(error.to_string())),
        error => {
            if matches!(error, NotDone::Service(ServiceError::PermissionMissing { .. })) {
                spine.reports.lock().await.refused += 1;
            }
            (Status::Failed, Some(error.to_string()))
        }
    }
}

/// Notes that the environment does not have a table.
async fn skip(spine: &DataverseSpine<'_>, table: &'static Table, start: Instant, end: Instant) -> Result<(), Error> {
    let slice = Slice { table, scope: String::new(), time_column: plan::CREATED, start, end };
    let reason = Some("the environment has no such table".to_owned());
    let counts = Counts { as_of: Some(end), ..Counts::default() };
    note(spine, slice, &Selection::all(table), (Status::Skipped, reason), counts).await
}

/// Reads the slices, several at a time. One that fails holds nothing else up; when the lake or the sign-in fails, the
/// others are stopped and come to an end of their own.
pub(crate) async fn run(spine: &DataverseSpine<'_>, slices: Vec<Slice>) -> Result<(), Error> {
    let reading = futures::stream::iter(slices).map(|slice| one(spine, slice)).buffer_unordered(SLICES_IN_FLIGHT);
    let mut reading = std::pin::pin!(reading);
    let mut failure = Ok(());
    let mut grace = std::pin::pin!(spine.halt.grace_over());
    loop {
        let next = tokio::select! {
            next = reading.next() => next,
            () = &mut grace => {
                spine.dropped().await;
                return failure;
            }
        };
        match next {
            None => return failure,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                spine.halt.halt();
                failure = failure.and(Err(error));
            }
        }
    }
}

async fn one(spine: &DataverseSpine<'_>, slice: Slice) -> Result<(), Error> {
    if spine.halt.is_over() {
        spine.stopped().await;
        return Ok(());
    }
    if spine.is_any_stopped([slice.table]).await {
        return Ok(());
    }
    let mut counts = Counts::default();
    let (selection, result) = slice::run(&slice, spine, &mut counts).await;
    let ended = match result {
        Ok(()) => (Status::Done, None),
        Err(NotDone::Stopped) => {
            spine.stopped().await;
            return Ok(());
        }
        Err(NotDone::Lake(error)) if error.stops_table().is_some() => return spine.stop_table(error).await,
        Err(NotDone::Lake(error)) if !error.is_transient() => return Err(error.into()),
        Err(NotDone::Service(error)) if error.is_service_wide() => return Err(error.into()),
        Err(error) => ended(spine, error).await,
    };
    note(spine, slice, &selection, ended, counts).await
}

/// Writes a slice's ledger row and reports it.
async fn note(
    spine: &DataverseSpine<'_>,
    slice: Slice,
    selection: &Selection,
    (status, reason): (Status, Option<String>),
    received: Counts,
) -> Result<(), Error> {
    let now = spine.service.service_time().await;
    let finished_at = now.ok().or(received.as_of).unwrap_or(slice.end);
    let watermark = if spine.window.is_none() { Watermark::OfWindows } else { Watermark::None };
    let selection = selection.text();
    let row = SliceRow { slice, selection, status, reason, watermark, token: None, finished_at, received };
    // What is planned anew is skipped anew, and told once.
    if spine.ledger.record(&spine.run_id, &row).await? || row.status != Status::Skipped {
        spine.report(row).await;
    }
    Ok(())
}
