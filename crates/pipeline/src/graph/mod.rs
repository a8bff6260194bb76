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
use self::scope::{Resolver, Scope, UserRows};
use self::window::{Frame, Task};
use crate::error::Error;
use crate::event::Event;
use crate::ingest::NotDone;
use crate::settings::GraphJob;
use crate::spine::Spine;

/// After a stop, what is being committed may take this long.
const GRACE: Duration = Duration::from_secs(18);
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
    /// Whether the last run did not end.
    pub(crate) after_kill: bool,
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
        let resolver =
            Resolver { service: self.service, job: self.job, known: Arc::clone(&known), now: self.started_at, rows };
        let (scope, rows) = resolver.resolve().await?;
        let written = match rows {
            Some(rows) => rows.commit().await?,
            None => 0,
        };
        let sought: HashMap<String, Option<Instant>> =
            scope.users.keys().map(|id| (id.clone(), known.get(id).copied())).collect();
        drop(known);
        let marks = marks::read(lake, &sought, self.continued).await?;
        let mut tasks = self.tasks(&scope, &marks, self.now);
        // Whoever reads everything again takes up what was stopped; when nothing of it is left, it begins anew.
        if self.full && tasks.is_empty() && self.is_last_ended {
            let mut marks = marks;
            marks.values_mut().for_each(|mark| mark.is_continued = false);
            tasks = self.tasks(&scope, &marks, self.started_at.floor_second());
        }
        let Scope { users, unknown, pages } = scope;
        Ok((Due { tasks, unknown, users: users.len() as u64, pages }, written))
    }

    fn tasks(&self, scope: &Scope, marks: &HashMap<String, Mark>, now: Instant) -> Vec<Task> {
        let app_classes = self.job.app_classes.iter().cloned().collect();
        let frame = Frame {
            now,
            overlap_seconds: self.job.overlap.as_secs() as i64,
            full: self.full,
            window: self.window,
            asked: Arc::new(Asked { since: self.job.since.floor_second(), app_classes }),
            after_kill: self.after_kill,
        };
        // Who was deleted is asked once more.
        let is_over = |mark: &Mark, deleted: Instant| !mark.failed && mark.window_end >= deleted;
        let task = |(user, deleted): (&String, &Option<Instant>)| {
            let mark = marks.get(user);
            let over = mark.zip(*deleted).is_some_and(|(mark, deleted)| is_over(mark, deleted));
            if over { None } else { window::task(user.clone(), mark, &frame) }
        };
        let mut tasks: Vec<Task> = scope.users.iter().filter_map(task).filter(|task| task.start < task.end).collect();
        tasks.sort_unstable_by(|a, b| (a.until, &a.user).cmp(&(b.until, &b.user)));
        tasks
    }
}

/// Reads what is due. Slices that fail or are skipped are in the ledger and the report.
pub(crate) async fn run(spine: &Spine, walk: &Walk<'_>) -> Result<(), Error> {
    spine.reports.lock().await.of(AI_INTERACTION.name);
    let rows = UserRows::new(&spine.lake, &spine.rejects, &spine.run_id);
    let (due, written) = walk.due(&spine.lake, Some(rows)).await?;
    {
        let mut reports = spine.reports.lock().await;
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
    let result = tokio::select! {
        result = collect(spine, heard, pending) => result,
        () = spine.halt.after(GRACE) => {
            let mut reports = spine.reports.lock().await;
            (reports.stopped, reports.dropped) = (true, true);
            Ok(())
        }
    };
    if let Some(Err(failed)) = reading.try_join_next()
        && failed.is_panic()
    {
        std::panic::resume_unwind(failed.into_panic());
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
) -> Result<(), Error> {
    let mut luck = Luck::default();
    let mut failure = None;
    let mut bundles = Box::pin(bundles(heard));
    while failure.is_none() && !luck.is_refused(REFUSED) {
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
    if luck.is_refused(1) {
        // It is the application that is refused, not the users.
        let mut refused = 0;
        for outcome in pending.outcomes_mut().iter_mut().filter(|outcome| outcome.forbidden) {
            outcome.status = "failed";
            refused += 1;
        }
        spine.reports.lock().await.refused += refused;
    }
    pending.commit().await?;
    pending.report_reasons().await;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// Whether reading gets anywhere.
#[derive(Default)]
struct Luck {
    done: usize,
    /// Users that were refused with 403.
    forbidden: usize,
    /// Slices that ended otherwise.
    others: usize,
    /// Slices that failed since one was done.
    failed_in_a_row: usize,
}

impl Luck {
    /// Whether at least so many users were refused, and nothing else happened.
    fn is_refused(&self, least: usize) -> bool {
        self.forbidden >= least && self.done + self.others == 0
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
                *(if forbidden { &mut self.forbidden } else { &mut self.others }) += 1;
                ("skipped", Some(error.to_string()))
            }
            Err(NotDone::Service(error @ ServiceError::PermissionMissing { .. })) => {
                (forbidden, self.forbidden) = (true, self.forbidden + 1);
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
}

/// Whether nobody else can be read either.
fn holds_for_everyone(error: &ServiceError) -> bool {
    // 412: the API takes no token of a person.
    let is_delegated = |error: &ServiceError| error.call().is_some_and(|call| call.status == Some(412));
    matches!(error, ServiceError::SignInRefused { .. } | ServiceError::Usage { .. }) || is_delegated(error)
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
        pages_before: None,
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
