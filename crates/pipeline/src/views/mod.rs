//! Materialized views: made anew, after the rows are in, for the weeks in which rows have changed.
//!
//! Knows which weeks are stale and what proves that they are not; what a view says comes from a [`ViewMaker`]. A view that
//! cannot be made makes a run partial and nothing else: the next run makes it.

pub(crate) mod recorded_views;
pub(crate) mod view_maker;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use copilot_lake_tables::{Table, Week, views};
use copilot_lake_writer::MergeMode;
use futures::{FutureExt as _, TryStreamExt as _};
use tracing::{debug, warn};

use self::recorded_views::{RecordedViews, StaleView, row};
use self::view_maker::{ViewBatch, ViewError, ViewMaker, ViewRows};
use crate::error::Error;
use crate::event::Event;
use crate::report::SliceStatus;
use crate::run::context::RunContext;

/// Attempts at a view while another tool replaces files that it reads.
const ATTEMPTS: usize = 5;

/// Makes every view anew where it is stale. Views that fail are reported.
pub(crate) async fn make_views(context: &RunContext, maker: &ViewMaker) {
    if context.shutdown.is_requested() {
        return;
    }
    tokio::select! {
        biased;
        () = make_stale(context, maker) => {}
        () = context.shutdown.grace_period_over() => context.note_aborted().await,
    }
}

async fn make_stale(context: &RunContext, maker: &ViewMaker) {
    let recorded = match RecordedViews::read(&context.lake).await {
        Ok(recorded) => recorded,
        Err(error) => {
            let views = views().collect::<Vec<_>>();
            for view in context.written(&views).await {
                report_failure(context, view, &error.to_string()).await;
            }
            return;
        }
    };
    for view in views() {
        // That a table is not written, or cannot be read, is reported with that table.
        if context.shutdown.is_requested() || context.is_any_table_stopped(tables_of(view)).await {
            continue;
        }
        for attempt in 1.. {
            // DataFusion may panic: that must not take the run with it.
            let made = AssertUnwindSafe(make_view(context, maker, view, &recorded)).catch_unwind().await;
            let reason = match made {
                Ok(Ok(())) => break,
                Ok(Err(reason)) => reason.to_string(),
                Err(_) => "computing it panicked".to_owned(),
            };
            if attempt == ATTEMPTS || !is_changed(context, view).await {
                report_failure(context, view, &reason).await;
                break;
            }
            debug!(view = view.name, reason, "another tool has changed what the view is made from: made again");
        }
    }
}

/// A view and the tables that it reads.
fn tables_of(view: &'static Table) -> impl Iterator<Item = &'static Table> {
    let sources = view.view_of().into_iter().flatten().filter_map(|name| copilot_lake_tables::table(name));
    sources.chain([view])
}

/// Whether another tool has changed a table of a view since its log was read.
async fn is_changed(context: &RunContext, view: &'static Table) -> bool {
    let mut changed = false;
    for table in tables_of(view) {
        changed |= context.lake.is_changed(table).await.unwrap_or(false);
    }
    changed
}

/// Makes a view anew where it is stale, and records that afterwards.
async fn make_view(
    context: &RunContext,
    maker: &ViewMaker,
    view: &'static Table,
    recorded: &RecordedViews,
) -> Result<(), ViewError> {
    let StaleView { changed, mut state } = recorded.stale(&context.lake, view).await?;
    if changed.is_empty() {
        return recovered(context, view).await;
    }
    let mut weeks: BTreeSet<Week> = changed.values().flatten().copied().collect();
    let ViewRows { weeks: fresh, mut batches } = maker.make(context.lake.clone(), view, changed).await?;
    weeks.extend(fresh);
    let mut rows = BTreeMap::<Week, u64>::new();
    let mut changes = context.lake.changes(view, MergeMode::Upsert);
    while let Some(ViewBatch { week, rows: batch, removed }) = batches.try_next().await? {
        if removed.num_rows() > 0 {
            changes.remove(&removed)?;
        }
        if batch.num_rows() > 0 {
            *rows.entry(week.unwrap_or(Week::UNKNOWN)).or_default() += batch.num_rows() as u64;
            changes.push(week, made_at(view, &batch, context.started_at.0)?).await?;
        }
    }
    let what = format!("{} weeks", weeks.len());
    let committed = context.commit(view.name, what, changes.commit(&context.run_id)).await?;
    debug!(view = view.name, weeks = weeks.len(), rows_written = committed.rows_written, "made");
    recorded_views::note_own(&context.lake, view, &mut state).await?;
    let row = |week: &Week| {
        let state = state.get(week).map(ToString::to_string).unwrap_or_default();
        row(view, *week, state, rows.get(week).copied().unwrap_or_default(), context.started_at)
    };
    let rows: Vec<_> = weeks.iter().map(row).collect();
    context.ledger.record_all(&context.run_id, rows.iter(), false).await?;
    recovered(context, view).await
}

/// Notes that nothing of a view is lost any more.
async fn recovered(context: &RunContext, view: &'static Table) -> Result<(), ViewError> {
    if context.lost.contains_key(view.name) {
        context.lake.recovered(view).await?;
    }
    Ok(())
}

/// The rows with the time at which they are made.
fn made_at(view: &'static Table, batch: &RecordBatch, micros: i64) -> Result<RecordBatch, Error> {
    let mut columns = batch.columns().to_vec();
    if let Some(at) = view.layout().position("extracted_at") {
        columns[at] = Arc::new(TimestampMicrosecondArray::from(vec![micros; batch.num_rows()]).with_timezone("UTC"));
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(Error::rows(view))
}

async fn report_failure(context: &RunContext, view: &'static Table, reason: &str) {
    warn!(view = view.name, reason, "the view could not be made: the next run makes it");
    let mut reports = context.reports.lock().await;
    let report = reports.table(view.name);
    report.slices_failed += 1;
    let reason = format!("not made from the rows that are in the lake: {reason}");
    report.reasons.push(reason.clone());
    let (table, window) = (view.name, "the view".to_owned());
    (context.observe)(&Event::SliceNotDone { table, window, status: SliceStatus::Failed, reason });
}
