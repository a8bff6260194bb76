//! The work list of a run: whose history is due, and for which window.

use std::collections::HashMap;
use std::sync::Arc;

use copilot_lake_extractor::Graph;
use copilot_lake_tables::{Instant, Service};
use copilot_lake_writer::Lake;

use super::circuit_breaker::REFUSED;
use super::scope::{self, Resolver, Scope, UserRows};
use super::scope_state::ScopeMember;
use super::selection::HistorySelection;
use super::watermarks;
use super::window::{self, DirectoryState, HistoryTask, LostHistories, WindowInput};
use crate::error::Error;
use crate::ledger::runs::Restart;
use crate::report::SliceStatus;
use crate::run::restart_barrier::RestartBarrier;
use crate::settings::GraphJob;

/// Plans which histories are read.
pub(crate) struct HistoryPlanner<'a> {
    pub(crate) service: &'a Graph,
    pub(crate) job: &'a GraphJob,
    pub(crate) full: bool,
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// What the lake has lost of histories.
    pub(crate) lost: Option<LostHistories>,
    pub(crate) restart: &'a Restart,
    /// Where a run with `--full` waits before it reads everything afresh.
    pub(crate) restart_barrier: &'a RestartBarrier,
}

/// The histories that are due.
pub(crate) struct WorkList {
    pub(crate) tasks: Vec<HistoryTask>,
    /// Names in the configuration that the directory does not know.
    pub(crate) unknown: Vec<String>,
    /// Everyone in scope.
    pub(crate) users: u64,
    /// Pages of users that were read to find them.
    pub(crate) pages: u64,
}

impl HistoryPlanner<'_> {
    /// Asks the directory who is in scope. The rows of these users are the caller's to commit, before anything is planned.
    pub(crate) async fn resolve(&self, lake: &Lake, rows: Option<&mut UserRows<'_>>) -> Result<Scope, Error> {
        let known = Arc::new(scope::known_users(lake).await?);
        let resolver = Resolver { service: self.service, job: self.job, known, now: self.restart.started_at, rows };
        Ok(resolver.resolve().await?)
    }

    /// Plans whose history is due, and for which window: users who were read least recently come first.
    pub(crate) async fn plan(&self, lake: &Lake, scope: Scope) -> Result<WorkList, Error> {
        let started_at = self.restart.started_at;
        let Scope { users: mut members, unknown, pages } = scope;
        let last = watermarks::newest_slice(lake).await?;
        let query = watermarks::StateQuery {
            resumed: &self.restart.runs,
            since_loss: self.lost.as_ref().map(|lost| &lost.read_by),
            // Runs since then have tried users who were deleted before.
            deleted_since: last.map(|last| {
                last.plus_seconds(-Instant::DAY_SECONDS).min(started_at.plus_seconds(-7 * Instant::DAY_SECONDS))
            }),
        };
        query.read_into(lake, &mut members).await?;
        members.retain(|_, member| self.lost.is_some() || !is_over(member));
        let users = members.len() as u64;
        let mut now = self.restart.now;
        if let Some(fresh) = self.restart.fresh(self.full) {
            self.restart_barrier.declare(Service::Graph, self.has_pending(&members, now));
            if self.restart_barrier.nothing_pending().await {
                members
                    .values_mut()
                    .filter_map(|member| member.state.as_mut())
                    .for_each(|state| state.is_resumed = false);
                now = fresh.now;
            }
        }
        let tasks = self.tasks(members, now);
        Ok(WorkList { tasks, unknown, users, pages })
    }

    fn has_pending(&self, members: &HashMap<String, ScopeMember>, now: Instant) -> bool {
        let input = self.input(now);
        members.iter().any(|(user, member)| task(user.clone(), member, &input).is_some())
    }

    pub(crate) fn input(&self, now: Instant) -> WindowInput {
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
            let is_first = some < REFUSED && task.is_expected && task.until.is_some();
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
