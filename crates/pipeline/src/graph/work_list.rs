//! The work list of a run: whose history is due, and for which window.

use std::collections::HashMap;
use std::sync::Arc;

use copilot_lake_extractor::{Error as ServiceError, Graph};
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
use crate::reread::reread;
use crate::run::restart_barrier::RestartBarrier;
use crate::settings::GraphJob;
use crate::slice_error::SliceError;

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
    /// Histories that are due and cannot be requested: who is meant by a name in the configuration could not be found
    /// out.
    pub(crate) unresolved: Vec<(HistoryTask, ServiceError)>,
    /// Users in scope.
    pub(crate) users: u64,
    /// Pages of users that were read to find them.
    pub(crate) pages: u64,
}

impl HistoryPlanner<'_> {
    /// Finds out who is in scope. Committing the rows of these users is up to the caller, before anything is planned.
    pub(crate) async fn resolve(&self, lake: &Lake, rows: Option<&mut UserRows<'_>>) -> Result<Scope, Error> {
        let known = Arc::new(reread(|| scope::known_users(lake)).await?);
        let resolver = Resolver { service: self.service, job: self.job, known, now: self.restart.started_at, rows };
        resolver.resolve().await.map_err(|error| match error {
            SliceError::Stopped => Error::Service(ServiceError::Stopped),
            error => error.into(),
        })
    }

    /// Plans whose history is due, and for which window. Users who were read least recently come first.
    pub(crate) async fn plan(&self, lake: &Lake, scope: Scope) -> Result<WorkList, Error> {
        let started_at = self.restart.started_at;
        let Scope { users: in_scope, unknown, unresolved, pages } = scope;
        let last = watermarks::newest_slice(lake).await?;
        let query = watermarks::StateQuery {
            resumed: &self.restart.runs,
            since_loss: self.lost.as_ref().map(|lost| &lost.read_by),
            // Runs since then have tried users who were deleted before.
            deleted_since: last.map(|last| {
                last.plus_seconds(-Instant::DAY_SECONDS).min(started_at.plus_seconds(-7 * Instant::DAY_SECONDS))
            }),
        };
        let read = || async {
            let mut members = in_scope.clone();
            query.read_into(lake, &mut members).await.map(|()| members)
        };
        let mut members = reread(read).await?;
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
        let (tasks, unresolved) = without_unresolved(self.tasks(members, now), unresolved);
        Ok(WorkList { tasks, unknown, unresolved, users, pages })
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
            selection: Arc::new(HistorySelection { since: self.job.since.floor_second(), app_classes }),
            lost: self.lost.clone(),
        }
    }

    fn tasks(&self, members: HashMap<String, ScopeMember>, now: Instant) -> Vec<HistoryTask> {
        let input = self.input(now);
        in_order(members.into_iter().filter_map(|(user, member)| task(user, &member, &input)).collect())
    }
}

/// Takes out the histories of names of which it could not be found out who is meant.
fn without_unresolved(
    tasks: Vec<HistoryTask>,
    mut unresolved: HashMap<String, ServiceError>,
) -> (Vec<HistoryTask>, Vec<(HistoryTask, ServiceError)>) {
    let (mut known, mut others) = (Vec::with_capacity(tasks.len()), Vec::new());
    for task in tasks {
        match unresolved.remove(&task.user) {
            Some(error) => others.push((task, error)),
            None => known.push(task),
        }
    }
    (known, others)
}

/// Puts histories into the order in which they are read.
fn in_order(mut tasks: Vec<HistoryTask>) -> Vec<HistoryTask> {
    if !tasks.iter().any(|task| task.is_expected) {
        tasks.iter_mut().for_each(|task| task.is_expected = true);
    }
    // Deleted users can soon no longer be read. Users without an expected history come last: their refusals say
    // nothing about the others.
    let order = |task: &HistoryTask| (!task.is_deleted, !task.is_expected, task.until);
    tasks.sort_unstable_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.user.cmp(&b.user)));
    // Some users who were read before come first of all: when all of them are refused, the application is.
    let mut some = 0;
    let (mut first, others): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|task| {
        let is_first = some < REFUSED && task.is_expected && task.until.is_some();
        some += usize::from(is_first);
        is_first
    });
    first.extend(others);
    first
}

/// Whether a deleted user has been tried once more since.
fn is_over(member: &ScopeMember) -> bool {
    member.state.as_ref().zip(member.deleted_at).is_some_and(|(state, deleted)| {
        state.until.is_some_and(|until| until >= deleted)
            || (state.status == SliceStatus::Skipped && state.window_end >= deleted)
    })
}

/// Plans the window of a member to read; `None` when there is nothing to read.
fn task(user: String, member: &ScopeMember, input: &WindowInput) -> Option<HistoryTask> {
    let directory = DirectoryState { is_licensed: member.is_licensed, is_deleted: member.deleted_at.is_some() };
    window::task(user, directory, member.state.as_ref(), input).filter(|task| task.start < task.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Instant {
        Instant::from_seconds(1_760_000_000 + day * Instant::DAY_SECONDS)
    }

    fn history(user: &str, until: Option<i64>, is_expected: bool, is_deleted: bool) -> HistoryTask {
        let selection = HistorySelection { since: at(0), app_classes: std::collections::BTreeSet::new() };
        let unread = HistoryTask::unread(user.to_owned(), at(0)..at(10), Arc::new(selection));
        HistoryTask { until: until.map(at), is_expected, is_deleted, ..unread }
    }

    fn users(tasks: Vec<HistoryTask>) -> Vec<String> {
        in_order(tasks).into_iter().map(|task| task.user).collect()
    }

    #[test]
    fn expected_histories_come_before_others_and_new_users_after_known_ones() {
        let tasks = vec![
            history("unlicensed", None, false, false),
            history("new", None, true, false),
            history("read-lately", Some(9), true, false),
            history("read-long-ago", Some(1), true, false),
            history("refused-before", Some(0), false, false),
            history("deleted", Some(5), false, true),
        ];
        let expected = ["read-long-ago", "read-lately", "deleted", "new", "unlicensed", "refused-before"];
        assert_eq!(users(tasks), expected);
    }

    #[test]
    fn without_any_expected_history_all_are() {
        let tasks = in_order(vec![history("b", None, false, false), history("a", Some(1), false, false)]);
        assert!(tasks.iter().all(|task| task.is_expected));
        assert_eq!(tasks[0].user, "a");
    }

    #[test]
    fn only_so_many_known_users_go_first_as_prove_a_refusal() {
        let known = (0..REFUSED + 20).map(|user| history(&format!("known{user:03}"), Some(1), true, false));
        let tasks = known.chain([history("deleted", None, true, true)]).collect();
        let users = users(tasks);
        assert_eq!(users.iter().position(|user| user == "deleted"), Some(REFUSED));
    }

    #[test]
    fn a_deleted_user_is_over_once_tried_after_the_deletion() {
        let state = |until: Option<i64>, status, window_end| super::super::scope_state::ScopeState {
            until: until.map(at),
            selection: None,
            window_start: at(0),
            window_end: at(window_end),
            status,
            is_resumed: false,
            is_after_loss: false,
            pages: 1,
            finished_at: 0,
            is_without_history: false,
            run_id: String::new(),
            unreadable: Vec::new(),
        };
        let is_over = |state| {
            let (deleted_at, state) = (Some(at(5)), Some(state));
            is_over(&ScopeMember { is_licensed: true, deleted_at, first_seen: None, state })
        };
        assert!(!is_over(state(Some(4), SliceStatus::Done, 4)));
        assert!(is_over(state(Some(6), SliceStatus::Done, 6)));
        assert!(is_over(state(None, SliceStatus::Skipped, 6)));
        assert!(!is_over(state(None, SliceStatus::Failed, 6)));
    }
}
