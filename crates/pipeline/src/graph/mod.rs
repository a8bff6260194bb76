//! Microsoft 365 Copilot: who is in scope, then the history of each, many users at a time, committed together.

mod bundle;
mod circuit_breaker;
mod history;
mod pending;
mod scope;
mod selection;
mod watermarks;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use copilot_lake_extractor::Graph;
use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Instant};
use copilot_lake_writer::Lake;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::warn;

use self::bundle::bundles;
use self::circuit_breaker::{CircuitBreaker, EndedSlice};
use self::history::{HistoryEvent, HistoryReader};
use self::pending::PendingHistories;
use self::scope::{Resolver, Scope, ScopeMember, UserRows};
pub(crate) use self::scope::{excluded_names, names_of};
use self::selection::HistorySelection;
pub(crate) use self::window::LostHistories;
use self::window::{DirectoryState, HistoryTask, WindowInput};
use crate::dataverse::ingest::SliceCounts;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::Restart;
use crate::report::SliceStatus;
use crate::run::condition::graph_tables;
use crate::run::context::RunContext;
use crate::run::restart_barrier::RestartBarrier;
use crate::settings::GraphJob;

/// What a run, or a plan, goes by.
pub(crate) struct HistoryWalk<'a> {
    pub(crate) service: &'a Graph,
    pub(crate) job: &'a GraphJob,
    pub(crate) full: bool,
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// What the lake has lost of histories.
    pub(crate) lost: Option<LostHistories>,
    pub(crate) restart: &'a Restart,
    /// What services have left of what was stopped.
    pub(crate) restart_barrier: &'a RestartBarrier,
}

/// What is to be read.
pub(crate) struct WorkList {
    pub(crate) tasks: Vec<HistoryTask>,
    /// Names in the configuration that the directory does not know.
    pub(crate) unknown: Vec<String>,
    /// Everyone in scope.
    pub(crate) users: u64,
    /// Pages of users that were read to find them.
    pub(crate) pages: u64,
}

impl HistoryWalk<'_> {
    /// Finds out whose history is due, and for which window: who was read least recently comes first.
    pub(crate) async fn plan(&self, lake: &Lake, rows: Option<UserRows<'_>>) -> Result<(WorkList, u64), Error> {
        let known = Arc::new(scope::known_users(lake).await?);
        let started_at = self.restart.started_at;
        let resolver =
            Resolver { service: self.service, job: self.job, known: Arc::clone(&known), now: started_at, rows };
        let (scope, rows) = resolver.resolve().await?;
        drop(known);
        let written = match rows {
            Some(rows) => rows.commit().await?,
            None => 0,
        };
        let Scope { users: mut members, unknown, pages } = scope;
        let last = watermarks::newest_slice(lake).await?;
        let query = watermarks::StateQuery {
            resumed: &self.restart.runs,
            since_loss: self.lost.as_ref().map(|lost| &lost.read_by),
            // Runs since then asked whoever was deleted before.
            deleted_since: last.map(|last| {
                last.plus_seconds(-Instant::DAY_SECONDS).min(started_at.plus_seconds(-7 * Instant::DAY_SECONDS))
            }),
        };
        query.read_into(lake, &mut members).await?;
        members.retain(|_, member| self.lost.is_some() || !is_over(member));
        let users = members.len() as u64;
        let mut now = self.restart.now;
        if let Some(fresh) = self.restart.fresh(self.full) {
            self.restart_barrier.declare(AI_INTERACTION.source_name(), self.has_pending(&members, now));
            if self.restart_barrier.nothing_pending().await {
                members
                    .values_mut()
                    .filter_map(|member| member.state.as_mut())
                    .for_each(|state| state.is_resumed = false);
                now = fresh.now;
            }
        }
        let tasks = self.tasks(members, now);
        Ok((WorkList { tasks, unknown, users, pages }, written))
    }

    fn has_pending(&self, members: &HashMap<String, ScopeMember>, now: Instant) -> bool {
        let input = self.input(now);
        members.iter().any(|(user, member)| task(user.clone(), member, &input).is_some())
    }

    fn input(&self, now: Instant) -> WindowInput {
        let app_classes = self.job.app_classes.iter().cloned().collect();
        WindowInput {
            now,
            overlap_seconds: self.job.overlap.as_secs() as i64,
            full: self.full,
            window: self.window,
            asked: Arc::new(HistorySelection { since: self.job.since.floor_second(), app_classes }),
            lost: self.lost.clone(),
        }
    }

    fn tasks(&self, members: HashMap<String, ScopeMember>, now: Instant) -> Vec<HistoryTask> {
        let input = self.input(now);
        let mut tasks: Vec<HistoryTask> =
            members.into_iter().filter_map(|(user, member)| task(user, &member, &input)).collect();
        if !tasks.iter().any(|task| task.is_expected) {
            tasks.iter_mut().for_each(|task| task.is_expected = true);
        }
        // Who was deleted is gone soon. Those of whom nothing is expected come last: what they answer says nothing about
        // the others.
        let order = |task: &HistoryTask| (!task.is_deleted, !task.is_expected, task.until);
        tasks.sort_unstable_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.user.cmp(&b.user)));
        // Some who were read before come first of all: when all of them are refused, it is not about them.
        let mut some = 0;
        let (mut first, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| {
            let is_first = some < circuit_breaker::REFUSED && task.is_expected && task.until.is_some();
            some += usize::from(is_first);
            is_first
        });
        first.extend(others);
        first
    }
}

/// Whether it is somebody who was deleted and has been asked once more since.
fn is_over(member: &ScopeMember) -> bool {
    member.state.as_ref().zip(member.deleted_at).is_some_and(|(state, deleted)| {
        state.until.is_some_and(|until| until >= deleted)
            || (state.status == SliceStatus::Skipped && state.window_end >= deleted)
    })
}

/// What is to be read of a member; `None`: nothing.
fn task(user: String, member: &ScopeMember, input: &WindowInput) -> Option<HistoryTask> {
    let directory = DirectoryState { is_licensed: member.is_licensed, is_deleted: member.deleted_at.is_some() };
    window::task(user, directory, member.state.as_ref(), input).filter(|task| task.start < task.end)
}

/// Reads what is due. Slices that fail or are skipped are in the ledger and the report.
pub(crate) async fn read_histories(run: &RunContext, walk: &HistoryWalk<'_>) -> Result<(), Error> {
    run.reports.lock().await.table(AI_INTERACTION.name);
    let rows = UserRows::new(&run.lake, &run.rejects, &run.run_id);
    let (work, written) = tokio::select! {
        work = walk.plan(&run.lake, Some(rows)) => work?,
        // Nobody was asked for yet.
        () = run.shutdown.requested() => {
            run.note_stopped().await;
            return Ok(());
        }
    };
    {
        let mut reports = run.reports.lock().await;
        reports.in_scope = work.users + work.unknown.len() as u64;
        let report = reports.table(GRAPH_USER.name);
        (report.pages, report.rows_written) = (work.pages, written);
    }
    let table = AI_INTERACTION.name;
    let (mut pending, breaker) = (PendingHistories::new(run), CircuitBreaker::new(walk.window.is_some()));
    pending.ended(work.unknown.into_iter().map(|name| unknown(name, walk, &breaker)).collect());
    if work.users == 0 {
        warn!("nobody is in scope: no user is whom `graph.users` means, or `graph.exclude` leaves nobody");
    }
    (run.observe)(&Event::Planned { table, slices: work.tasks.len() });
    // Of a run that takes up what another left, nothing can be told about everyone.
    let covers_everyone = walk.restart.runs.is_empty() || work.tasks.len() as u64 == work.users;

    let (tell, heard) = mpsc::unbounded_channel();
    let reader =
        Arc::new(HistoryReader::new(walk.service.clone(), walk.job.app_classes.clone(), Arc::clone(&run.shutdown)));
    let mut reading = JoinSet::new();
    reading.spawn({
        let reader = Arc::clone(&reader);
        async move { reader.read(work.tasks, tell).await }
    });
    let result = tokio::select! {
        result = commit_histories(run, heard, pending, breaker, covers_everyone) => result,
        () = run.shutdown.grace_period_over() => {
            run.note_aborted().await;
            Ok(())
        }
    };
    reading.abort_all();
    while let Some(joined) = reading.join_next().await {
        if let Err(failed) = joined
            && failed.is_panic()
        {
            std::panic::resume_unwind(failed.into_panic());
        }
    }
    if reader.was_stopped() {
        run.note_stopped().await;
    }
    result?;
    let is_all_read = {
        let mut reports = run.reports.lock().await;
        let report = reports.table(table);
        // Who was skipped has not been read again: the note stays for them.
        !run.shutdown.is_requested() && report.slices_failed == 0 && report.slices_skipped == 0
    };
    if walk.window.is_none() && is_all_read {
        for table in graph_tables().filter(|table| run.lost.contains_key(table.name)) {
            run.lake.recovered(table).await?;
        }
    }
    Ok(())
}

/// Takes what is heard and commits it, by time and size.
async fn commit_histories(
    run: &RunContext,
    heard: mpsc::UnboundedReceiver<HistoryEvent>,
    mut pending: PendingHistories<'_>,
    mut breaker: CircuitBreaker,
    covers_everyone: bool,
) -> Result<(), Error> {
    let mut failure = None;
    let mut bundles = Box::pin(bundles(heard));
    while failure.is_none() && !breaker.is_hopeless() {
        let next = tokio::select! {
            next = bundles.next() => next,
            () = tokio::time::sleep_until(pending.due()) => {
                pending.commit().await?;
                continue;
            }
        };
        let Some(bundle) = next else { break };
        let mut bundle = bundle?;
        let ended = std::mem::take(&mut bundle.ended);
        if bundle.pages > 0 {
            breaker.answered();
        }
        pending.rows(bundle).await?;
        for end in ended {
            match breaker.take(end.settle()) {
                Ok(outcomes) => pending.ended(outcomes),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if pending.is_due() {
            pending.commit().await?;
        }
    }
    drop(bundles);
    let (outcomes, refused) = breaker.finish(covers_everyone && failure.is_none() && !run.shutdown.is_requested());
    run.reports.lock().await.refused += refused;
    pending.ended(outcomes);
    pending.commit().await?;
    pending.report_reasons().await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The slice of a name that the directory does not know.
fn unknown(name: String, walk: &HistoryWalk<'_>, breaker: &CircuitBreaker) -> EndedSlice {
    let input = walk.input(walk.restart.now);
    let (start, end) = (input.asked.since.min(input.now), input.now);
    let task = HistoryTask::unread(name, start..end, input.asked);
    let reason = Some("the directory has no such user".to_owned());
    let counts = SliceCounts { as_of: Some(end), ..SliceCounts::default() };
    breaker.said(&task, SliceStatus::Skipped, (reason.clone(), reason), end, counts)
}
