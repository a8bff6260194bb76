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
use self::circuit_breaker::{EndedSlice, Luck};
use self::history::{Heard, Reader};
use self::pending::Pending;
use self::scope::{Member, Resolver, Scope, UserRows};
pub(crate) use self::scope::{excluded, names_of};
use self::selection::Asked;
pub(crate) use self::window::Lost;
use self::window::{Frame, Standing, Task};
use crate::dataverse::ingest::Counts;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::Continued;
use crate::report::SliceStatus;
use crate::run::condition::tables_of_graph;
use crate::run::context::Spine;
use crate::run::restart_barrier::Left;
use crate::settings::GraphJob;

/// What a run, or a plan, goes by.
pub(crate) struct Walk<'a> {
    pub(crate) service: &'a Graph,
    pub(crate) job: &'a GraphJob,
    pub(crate) full: bool,
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// What the lake has lost of histories.
    pub(crate) lost: Option<Lost>,
    pub(crate) continued: &'a Continued,
    /// What services have left of what was stopped.
    pub(crate) left: &'a Left,
}

/// What is to be read.
pub(crate) struct Due {
    pub(crate) tasks: Vec<Task>,
    /// Names in the configuration that the directory does not know.
    pub(crate) unknown: Vec<String>,
    /// Everyone in scope.
    pub(crate) users: u64,
    /// Pages of users that were read to find them.
    pub(crate) pages: u64,
}

impl Walk<'_> {
    /// Finds out whose history is due, and for which window: who was read least recently comes first.
    pub(crate) async fn due(&self, lake: &Lake, rows: Option<UserRows<'_>>) -> Result<(Due, u64), Error> {
        let known = Arc::new(scope::known(lake).await?);
        let started_at = self.continued.started_at;
        let resolver =
            Resolver { service: self.service, job: self.job, known: Arc::clone(&known), now: started_at, rows };
        let (scope, rows) = resolver.resolve().await?;
        drop(known);
        let written = match rows {
            Some(rows) => rows.commit().await?,
            None => 0,
        };
        let Scope { users: mut members, unknown, pages } = scope;
        let last = watermarks::newest(lake).await?;
        let reading = watermarks::Reading {
            continued: &self.continued.runs,
            since_loss: self.lost.as_ref().map(|lost| &lost.read_by),
            // Runs since then asked whoever was deleted before.
            deleted_since: last.map(|last| {
                last.plus_seconds(-Instant::DAY_SECONDS).min(started_at.plus_seconds(-7 * Instant::DAY_SECONDS))
            }),
        };
        reading.of(lake, &mut members).await?;
        members.retain(|_, member| self.lost.is_some() || !is_over(member));
        let users = members.len() as u64;
        let mut now = self.continued.now;
        if let Some(anew) = self.continued.anew(self.full) {
            self.left.say(AI_INTERACTION.source_name(), self.any_left(&members, now));
            if self.left.is_nothing().await {
                members
                    .values_mut()
                    .filter_map(|member| member.mark.as_mut())
                    .for_each(|mark| mark.is_continued = false);
                now = anew.now;
            }
        }
        let tasks = self.tasks(members, now);
        Ok((Due { tasks, unknown, users, pages }, written))
    }

    fn any_left(&self, members: &HashMap<String, Member>, now: Instant) -> bool {
        let frame = self.frame(now);
        members.iter().any(|(user, member)| task(user.clone(), member, &frame).is_some())
    }

    fn frame(&self, now: Instant) -> Frame {
        let app_classes = self.job.app_classes.iter().cloned().collect();
        Frame {
            now,
            overlap_seconds: self.job.overlap.as_secs() as i64,
            full: self.full,
            window: self.window,
            asked: Arc::new(Asked { since: self.job.since.floor_second(), app_classes }),
            lost: self.lost.clone(),
        }
    }

    fn tasks(&self, members: HashMap<String, Member>, now: Instant) -> Vec<Task> {
        let frame = self.frame(now);
        let mut tasks: Vec<Task> =
            members.into_iter().filter_map(|(user, member)| task(user, &member, &frame)).collect();
        if !tasks.iter().any(|task| task.is_expected) {
            tasks.iter_mut().for_each(|task| task.is_expected = true);
        }
        // Who was deleted is gone soon. Those of whom nothing is expected come last: what they answer says nothing about
        // the others.
        let order = |task: &Task| (!task.is_deleted, !task.is_expected, task.until);
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
fn is_over(member: &Member) -> bool {
    member.mark.as_ref().zip(member.deleted_at).is_some_and(|(mark, deleted)| {
        mark.until.is_some_and(|until| until >= deleted)
            || (mark.status == SliceStatus::Skipped && mark.window_end >= deleted)
    })
}

/// What is to be read of a member; `None`: nothing.
fn task(user: String, member: &Member, frame: &Frame) -> Option<Task> {
    let of = Standing { is_licensed: member.is_licensed, is_deleted: member.deleted_at.is_some() };
    window::task(user, of, member.mark.as_ref(), frame).filter(|task| task.start < task.end)
}

/// Reads what is due. Slices that fail or are skipped are in the ledger and the report.
pub(crate) async fn run(spine: &Spine, walk: &Walk<'_>) -> Result<(), Error> {
    spine.reports.lock().await.of(AI_INTERACTION.name);
    let rows = UserRows::new(&spine.lake, &spine.rejects, &spine.run_id);
    let (due, written) = tokio::select! {
        due = walk.due(&spine.lake, Some(rows)) => due?,
        // Nobody was asked for yet.
        () = spine.halt.over() => {
            spine.stopped().await;
            return Ok(());
        }
    };
    {
        let mut reports = spine.reports.lock().await;
        reports.in_scope = due.users + due.unknown.len() as u64;
        let report = reports.of(GRAPH_USER.name);
        (report.pages, report.rows_written) = (due.pages, written);
    }
    let table = AI_INTERACTION.name;
    let (mut pending, luck) = (Pending::new(spine), Luck::new(walk.window.is_some()));
    pending.ended(due.unknown.into_iter().map(|name| unknown(name, walk, &luck)).collect());
    if due.users == 0 {
        warn!("nobody is in scope: no user is whom `graph.users` means, or `graph.exclude` leaves nobody");
    }
    (spine.observe)(&Event::Planned { table, slices: due.tasks.len() });
    // Of a run that takes up what another left, nothing can be told about everyone.
    let is_whole = walk.continued.runs.is_empty() || due.tasks.len() as u64 == due.users;

    let (tell, heard) = mpsc::unbounded_channel();
    let reader = Arc::new(Reader::new(walk.service.clone(), walk.job.app_classes.clone(), Arc::clone(&spine.halt)));
    let mut reading = JoinSet::new();
    reading.spawn({
        let reader = Arc::clone(&reader);
        async move { reader.read(due.tasks, tell).await }
    });
    let result = tokio::select! {
        result = collect(spine, heard, pending, luck, is_whole) => result,
        () = spine.halt.grace_over() => {
            spine.dropped().await;
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
        spine.stopped().await;
    }
    result?;
    let is_all_read = {
        let mut reports = spine.reports.lock().await;
        let report = reports.of(table);
        // Who was skipped has not been read again: the note stays for them.
        !spine.halt.is_over() && report.slices_failed == 0 && report.slices_skipped == 0
    };
    if walk.window.is_none() && is_all_read {
        for table in tables_of_graph().filter(|table| spine.lost.contains_key(table.name)) {
            spine.lake.recovered(table).await?;
        }
    }
    Ok(())
}

/// Takes what is heard and commits it, by time and size.
async fn collect(
    spine: &Spine,
    heard: mpsc::UnboundedReceiver<Heard>,
    mut pending: Pending<'_>,
    mut luck: Luck,
    is_whole: bool,
) -> Result<(), Error> {
    let mut failure = None;
    let mut bundles = Box::pin(bundles(heard));
    while failure.is_none() && !luck.is_hopeless() {
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
            luck.answered();
        }
        pending.rows(bundle).await?;
        for end in ended {
            match luck.take(end.settle()) {
                Ok(outcomes) => pending.ended(outcomes),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if pending.is_due() {
            pending.commit().await?;
        }
    }
    drop(bundles);
    let (outcomes, refused) = luck.finish(is_whole && failure.is_none() && !spine.halt.is_over());
    spine.reports.lock().await.refused += refused;
    pending.ended(outcomes);
    pending.commit().await?;
    pending.report_reasons().await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The slice of a name that the directory does not know.
fn unknown(name: String, walk: &Walk<'_>, luck: &Luck) -> EndedSlice {
    let frame = walk.frame(walk.continued.now);
    let (start, end) = (frame.asked.since.min(frame.now), frame.now);
    let task = Task::unread(name, start..end, frame.asked);
    let reason = Some("the directory has no such user".to_owned());
    let counts = Counts { as_of: Some(end), ..Counts::default() };
    luck.said(&task, SliceStatus::Skipped, (reason.clone(), reason), end, counts)
}
