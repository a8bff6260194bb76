//! Microsoft 365 Copilot: who is in scope, then the history of each, many users at a time, committed together.

mod asked;
mod bundle;
mod history;
mod marks;
mod pending;
mod scope;
mod window;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use copilot_lake_extractor::{Error as ServiceError, Graph};
use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Instant};
use copilot_lake_writer::Lake;
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use self::asked::Asked;
use self::bundle::bundles;
use self::history::{Ended, Heard, Reader};
use self::marks::Mark;
use self::pending::{Outcome, Pending};
use self::scope::{Member, Resolver, Scope, UserRows};
use self::window::{Frame, Of, Task};
use crate::error::Error;
use crate::event::Event;
use crate::ingest::NotDone;
use crate::settings::GraphJob;
use crate::spine::Spine;

/// After a stop, what is being committed may take this long.
const GRACE: Duration = Duration::from_secs(18);
const DAY: i64 = 86_400;
/// When so many users were refused and nobody was read, it is not about the users.
const REFUSED: usize = 100;
/// When so many slices failed one after the other, the service is not there.
const FAILED: usize = 100;

/// What a run, or a plan, goes by.
pub(crate) struct Walk<'a> {
    pub(crate) service: &'a Graph,
    pub(crate) job: &'a GraphJob,
    /// The start of the run, or of the one that it continues.
    pub(crate) now: Instant,
    pub(crate) started_at: Instant,
    pub(crate) full: bool,
    pub(crate) window: Option<(Option<Instant>, Instant)>,
    /// Runs that did not end and are continued.
    pub(crate) continued: &'a BTreeSet<String>,
    /// The run before, where it can be told.
    pub(crate) last_run: Option<&'a str>,
    /// Whether the runs that are continued ended, though before they were through.
    pub(crate) is_last_ended: bool,
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
        let week_ago = self.started_at.plus_seconds(-7 * DAY);
        let resolver = Resolver {
            service: self.service,
            job: self.job,
            known: Arc::clone(&known),
            now: self.started_at,
            // Runs since then asked whoever was deleted before; a slice that failed is tried for a week.
            deleted_since: marks::newest(lake).await?.map(|last| last.plus_seconds(-DAY).min(week_ago)),
            rows,
        };
        let (scope, rows) = resolver.resolve().await?;
        drop(known);
        let written = match rows {
            Some(rows) => rows.commit().await?,
            None => 0,
        };
        let Scope { users: mut members, unknown, pages } = scope;
        marks::read(lake, &mut members, self.continued, self.last_run).await?;
        let users = members.len() as u64;
        let mut now = self.now;
        // Whoever reads everything again takes up what was stopped; when nothing of it is left, it begins anew.
        if self.full && self.is_last_ended && !self.any_left(&members, now) {
            members.values_mut().filter_map(|member| member.mark.as_mut()).for_each(|mark| mark.is_continued = false);
            now = self.started_at.floor_second();
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
        }
    }

    fn tasks(&self, members: HashMap<String, Member>, now: Instant) -> Vec<Task> {
        let frame = self.frame(now);
        let mut tasks: Vec<Task> =
            members.into_iter().filter_map(|(user, member)| task(user, &member, &frame)).collect();
        if !tasks.iter().any(|task| task.is_expected) {
            tasks.iter_mut().for_each(|task| task.is_expected = true);
        }
        // Those of whom nothing is expected come last: what they answer says nothing about the others.
        let order = |task: &Task| (!task.is_expected, task.until);
        tasks.sort_unstable_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.user.cmp(&b.user)));
        tasks
    }
}

/// What is to be read of a member; `None`: nothing.
fn task(user: String, member: &Member, frame: &Frame) -> Option<Task> {
    // Who was deleted is asked once more.
    let is_over = |mark: &Mark, deleted: Instant| {
        mark.until.is_some_and(|until| until >= deleted) || (mark.skipped && mark.window_end >= deleted)
    };
    let mark = member.mark.as_ref();
    if mark.zip(member.deleted_at).is_some_and(|(mark, deleted)| is_over(mark, deleted)) {
        return None;
    }
    let of = Of { is_licensed: member.is_licensed, is_known: member.first_seen.is_some() };
    window::task(user, of, mark, frame).filter(|task| task.start < task.end)
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
    let mut pending = Pending::new(spine);
    for name in due.unknown {
        pending.ended(unknown(name, walk));
    }
    (spine.observe)(&Event::Planned { table, slices: due.tasks.len() });

    let (tell, heard) = mpsc::unbounded_channel();
    let reader = Arc::new(Reader::new(walk.service.clone(), walk.job.app_classes.clone(), Arc::clone(&spine.halt)));
    let mut reading = JoinSet::new();
    let rate = walk.job.connection.requests_per_second;
    reading.spawn({
        let reader = Arc::clone(&reader);
        async move { reader.read(due.tasks, rate, tell).await }
    });
    // Of a run that only takes up what is left, nothing can be told about everyone.
    let is_whole = walk.continued.is_empty();
    let result = tokio::select! {
        result = collect(spine, heard, pending, is_whole) => result,
        () = spine.halt.after(GRACE) => {
            let mut reports = spine.reports.lock().await;
            (reports.stopped, reports.dropped) = (true, true);
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
    result
}

/// Takes what is heard and commits it, by time and size.
async fn collect(
    spine: &Spine,
    heard: mpsc::UnboundedReceiver<Heard>,
    mut pending: Pending<'_>,
    is_whole: bool,
) -> Result<(), Error> {
    let mut luck = Luck::default();
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
        pending.rows(bundle).await?;
        for end in ended {
            match luck.outcome(end.settle()) {
                Ok(outcome) => outcome.into_iter().for_each(|outcome| pending.ended(outcome)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if pending.is_due() {
            pending.commit().await?;
        }
    }
    drop(bundles);
    if is_whole && !spine.halt.is_over() && luck.is_refused() {
        // It is the application that is refused, not the users.
        spine.reports.lock().await.refused += pending.fail_refused();
    }
    pending.settle_refused();
    pending.commit().await?;
    pending.report_reasons().await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Whether reading gets anywhere.
#[derive(Default)]
struct Luck {
    done: usize,
    /// Users who were refused with 403.
    forbidden: usize,
    /// Those of them of whom a history was expected.
    forbidden_unexpectedly: usize,
    /// Slices that ended otherwise.
    others: usize,
    /// Slices that failed since one was done.
    failed_in_a_row: usize,
}

impl Luck {
    /// Whether hardly anything else happened than that users were refused.
    fn is_refused(&self) -> bool {
        self.done == 0 && self.forbidden > self.others
    }

    /// Whether that is known before everyone was asked.
    fn is_hopeless(&self) -> bool {
        self.done == 0 && self.others == 0 && self.forbidden_unexpectedly >= REFUSED
    }

    /// The status and reason of a slice; an error where nobody else can be read either.
    fn outcome(&mut self, ended: Ended) -> Result<Option<Outcome>, ServiceError> {
        let Ended { task, counts, finished_at, unfiltered, result, .. } = ended;
        let mut forbidden = false;
        let (status, reason) = match result {
            Ok(()) => {
                self.done += 1;
                self.failed_in_a_row = 0;
                let said = "the tenant refuses the filter: everything was read, and what is in the window kept";
                ("done", unfiltered.then(|| said.to_owned()))
            }
            Err(NotDone::Stopped) => return Ok(None),
            Err(NotDone::Service(error)) if holds_for_everyone(&error) => return Err(error),
            Err(NotDone::Service(error @ ServiceError::UserRefused { .. })) => {
                forbidden = matches!(&error, ServiceError::UserRefused { status: 403, .. });
                self.skipped(&task, forbidden);
                ("skipped", Some(error.to_string()))
            }
            Err(NotDone::Service(error @ ServiceError::PermissionMissing { .. })) => {
                forbidden = true;
                self.skipped(&task, forbidden);
                ("skipped", Some(error.to_string()))
            }
            Err(error) => {
                self.others += 1;
                self.failed_in_a_row += 1;
                match error {
                    NotDone::Service(error @ ServiceError::Unreachable { .. }) if self.failed_in_a_row >= FAILED => {
                        return Err(error);
                    }
                    error => ("failed", Some(error.to_string())),
                }
            }
        };
        Ok(Some(Outcome { task, status, reason, forbidden, counts, finished_at }))
    }

    fn skipped(&mut self, task: &Task, forbidden: bool) {
        *(if forbidden { &mut self.forbidden } else { &mut self.others }) += 1;
        self.forbidden_unexpectedly += usize::from(forbidden && task.is_expected);
    }
}

/// Whether nobody else can be read either.
fn holds_for_everyone(error: &ServiceError) -> bool {
    matches!(error, ServiceError::SignInRefused { .. } | ServiceError::Usage { .. })
}

/// The slice of a name that the directory does not know.
fn unknown(name: String, walk: &Walk<'_>) -> Outcome {
    let asked = Arc::new(Asked { since: walk.job.since, app_classes: BTreeSet::new() });
    let task = Task {
        user: name,
        start: walk.job.since.min(walk.now),
        end: walk.now,
        until: None,
        asked,
        asked_before: None,
        reread_until: walk.now,
        pages_expected: 0,
        is_expected: false,
    };
    Outcome {
        task,
        status: "skipped",
        reason: Some("the directory has no such user".to_owned()),
        forbidden: false,
        counts: crate::ingest::Counts { as_of: Some(walk.now), ..Default::default() },
        finished_at: walk.now,
    }
}
