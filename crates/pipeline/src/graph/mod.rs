//! Microsoft 365 Copilot: who is in scope, then the history of each user, many users at a time, committed together.
//!
//! Planned by [`work_list`], read by [`history`], decoded in [`bundle`]s and committed by [`pending`]. Knows nothing of
//! Dataverse, and nothing of how batches become files.

pub(crate) mod bundle;
mod check;
mod circuit_breaker;
pub(crate) mod ended_slice;
pub(crate) mod estimate;
pub(crate) mod history;
mod outcomes;
pub(crate) mod pending;
pub(crate) mod reader;
pub(crate) mod scope;
mod scope_state;
mod selection;
mod watermarks;
pub(crate) mod window;
mod work_list;
mod write_step;

use std::sync::Arc;

use copilot_lake_extractor::Error as ServiceError;
use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Instant, written_with};
use copilot_lake_writer::MergeMode;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use self::bundle::bundles;
use self::ended_slice::EndedSlice;
use self::history::{HistoryEvent, HistoryReader};
use self::outcomes::HistoryOutcomes;
use self::pending::PendingHistories;
use self::scope::UserRows;
use self::window::HistoryTask;
use self::work_list::{HistoryPlanner, WorkList};
use crate::error::Error;
use crate::event::Event;
use crate::ledger::slice_row::SliceCounts;
use crate::replay::graph_archive::UserArchive;
use crate::report::SliceStatus;
use crate::run::context::RunContext;
use crate::slice_error::SliceError;

/// The most pages, and ends of histories, that wait to be decoded: a page and an end of each user for some 40 s at the
/// documented rate, so that a commit does not hold up the requests. The extractor bounds how many bytes they take.
const QUEUED: usize = 2048;

/// Reads the histories that are due. Slices that fail or are skipped are in the ledger and the report.
pub(crate) async fn read_histories(run: &RunContext, planner: &HistoryPlanner<'_>) -> Result<(), Error> {
    let table = AI_INTERACTION.name;
    run.reports.lock().await.table(table);
    let work = tokio::select! {
        work = plan_work(run, planner) => work?,
        // No history was requested yet.
        () = run.shutdown.requested() => {
            run.note_shutdown().await;
            return Ok(());
        }
    };
    let moves_watermark = planner.window.is_none();
    let (mut pending, outcomes) =
        (PendingHistories::new(run, MergeMode::Upsert), HistoryOutcomes::new(moves_watermark));
    for (task, error) in work.unresolved {
        run.note_failure(&error).await;
        pending.add_ended(vec![unresolved_user(&task, &error, run.started_at, moves_watermark)]);
    }
    pending.add_ended(work.unknown.into_iter().map(|name| unknown_user(name, planner, moves_watermark)).collect());
    if work.users == 0 {
        warn!("nobody is in scope: `graph.users` matches no user, or `graph.exclude` excludes them all");
    }
    (run.observe)(&Event::Planned { table, slices: work.tasks.len() });
    // A run that resumes another one may know only those whom that one did not read.
    let covers_everyone = planner.restart.runs.is_empty() || work.tasks.len() as u64 == work.users;

    let (sender, events) = mpsc::channel(QUEUED);
    let app_classes = planner.job.app_classes.clone();
    let reader = Arc::new(HistoryReader::new(planner.service.clone(), app_classes, Arc::clone(&run.shutdown)));
    let mut reading = JoinSet::new();
    reading.spawn({
        let reader = Arc::clone(&reader);
        async move { reader.read(work.tasks, sender).await }
    });
    let result = commit_histories(run, events, pending, outcomes, covers_everyone).await;
    reading.abort_all();
    while let Some(joined) = reading.join_next().await {
        if let Err(failed) = joined
            && failed.is_panic()
        {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
    if reader.was_stopped() {
        run.note_shutdown().await;
    }
    result?;
    let is_all_read = {
        let mut reports = run.reports.lock().await;
        let report = reports.table(table);
        // Skipped users have not been read again: the note about what is lost stays for them.
        !run.shutdown.is_requested() && report.slices_failed == 0 && report.slices_skipped == 0
    };
    if moves_watermark && is_all_read {
        for table in written_with(&AI_INTERACTION).filter(|table| run.lost.contains_key(table.name)) {
            run.lake.recovered(table).await?;
        }
    }
    Ok(())
}

/// Commits who is in scope, then plans what is due.
async fn plan_work(run: &RunContext, planner: &HistoryPlanner<'_>) -> Result<WorkList, Error> {
    let mut rows = UserRows::new(run, MergeMode::Upsert, UserArchive::begin(run, planner.restart.started_at));
    let scope = planner.resolve(&run.lake, Some(&mut rows)).await?;
    let written = rows.commit().await?;
    let work = planner.plan(&run.lake, scope).await?;
    let mut reports = run.reports.lock().await;
    reports.in_scope = work.users + work.unknown.len() as u64;
    let report = reports.table(GRAPH_USER.name);
    (report.pages, report.rows_written) = (work.pages, written);
    Ok(work)
}

/// Decodes what comes and commits it, by time and size.
async fn commit_histories(
    run: &RunContext,
    events: mpsc::Receiver<HistoryEvent>,
    mut pending: PendingHistories<'_>,
    mut outcomes: HistoryOutcomes,
    covers_everyone: bool,
) -> Result<(), Error> {
    let mut failure = None;
    let mut bundles = Box::pin(bundles(events, run.archive.is_some()));
    while failure.is_none() && !outcomes.is_application_refused() {
        let next = tokio::select! {
            next = bundles.next() => next,
            () = tokio::time::sleep_until(pending.next_commit()) => {
                pending.commit().await?;
                continue;
            }
        };
        let Some(bundle) = next else { break };
        let mut bundle = bundle?;
        let ended = std::mem::take(&mut bundle.ended);
        if bundle.pages > 0 {
            outcomes.page_received();
        }
        pending.push_bundle(bundle).await?;
        for history in ended {
            let history = history.settle();
            if let Err(SliceError::Service(error)) = &history.result
                && !matches!(error, ServiceError::UserRefused { .. })
            {
                run.note_failure(error).await;
            }
            match outcomes.ended(history) {
                Ok(slices) => pending.add_ended(slices),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if pending.is_due() {
            pending.commit().await?;
        }
    }
    drop(bundles);
    let everyone_was_tried = covers_everyone && failure.is_none() && !run.shutdown.is_requested();
    let (slices, refused) = outcomes.finish(everyone_was_tried);
    run.reports.lock().await.refused += refused;
    pending.add_ended(slices);
    pending.commit().await?;
    pending.report_reasons().await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The slice of a name of which it could not be found out who is meant.
fn unresolved_user(task: &HistoryTask, error: &ServiceError, at: Instant, moves_watermark: bool) -> EndedSlice {
    let reasons = (Some(error.to_string()), Some(error.without_call()));
    let counts = SliceCounts { as_of: Some(at), ..SliceCounts::default() };
    EndedSlice::new(task, SliceStatus::Failed, reasons, (at, counts), moves_watermark)
}

/// The slice of a name that the directory does not know.
fn unknown_user(name: String, planner: &HistoryPlanner<'_>, moves_watermark: bool) -> EndedSlice {
    let input = planner.input(planner.restart.now);
    let (start, end) = (input.selection.since.min(input.now), input.now);
    let task = HistoryTask::unread(name, start..end, input.selection);
    let reason = Some("the directory has no such user".to_owned());
    let counts = SliceCounts { as_of: Some(end), ..SliceCounts::default() };
    EndedSlice::new(&task, SliceStatus::Skipped, (reason.clone(), reason), (end, counts), moves_watermark)
}
