//! What was read and is not committed yet: rows of many users, and how their slices ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_decoder::{Reject, reject_batch};
use copilot_lake_extractor::Slice;
use copilot_lake_tables::{
    AI_INTERACTION, AI_INTERACTION_ATTACHMENT, AI_INTERACTION_CONTEXT, AI_INTERACTION_LINK, AI_INTERACTION_MENTION,
    Instant, REJECTED_RECORD, Table,
};
use copilot_lake_writer::{Changes, Find};
use futures::future::try_join_all;

use super::bundle::Bundle;
use super::window::Task;
use crate::error::Error;
use crate::event::Event;
use crate::ingest::Counts;
use crate::ledger::SliceRow;
use crate::spine::Spine;

/// The clock of the windows.
pub(crate) const CREATED: &str = "createdDateTime";

/// The tables of a history: children first, so that nobody sees a parent without them.
const TABLES: [&Table; 5] = [
    &AI_INTERACTION_ATTACHMENT,
    &AI_INTERACTION_CONTEXT,
    &AI_INTERACTION_LINK,
    &AI_INTERACTION_MENTION,
    &AI_INTERACTION,
];

/// The first commit of a run comes so soon, the others after twice the time each.
const FIRST_COMMIT: Duration = Duration::from_secs(1);
/// A run that is killed repeats no more than this.
const LAST_COMMIT: Duration = Duration::from_secs(5 * 60);
/// More rows are not kept uncommitted.
const ROWS: u64 = 500_000;
/// So many refused users wait until somebody is read.
const REFUSED_WAITING: usize = 10_000;
/// Reasons that a report tells one by one.
const REASONS: usize = 20;

/// A slice that is over.
pub(crate) struct Outcome {
    pub(crate) task: Task,
    /// `done`, `failed` or `skipped`.
    pub(crate) status: &'static str,
    pub(crate) reason: Option<String>,
    /// Whether it is the user who was refused.
    pub(crate) forbidden: bool,
    pub(crate) counts: Counts,
    pub(crate) finished_at: Instant,
}

/// What is to be committed together.
pub(crate) struct Pending<'s> {
    spine: &'s Spine,
    /// How rows are found that are there already.
    find: Find,
    /// Whether rows were taken that may be there.
    may_meet: bool,
    changes: Vec<Changes>,
    rejected: Changes,
    outcomes: Vec<Outcome>,
    /// Users who were refused before anybody was read: it may be the application that is refused.
    refused: Vec<Outcome>,
    read_somebody: bool,
    rows: u64,
    wait: Duration,
    due: tokio::time::Instant,
    /// How often each reason was given.
    reasons: BTreeMap<(&'static str, String), u64>,
}

impl<'s> Pending<'s> {
    pub(crate) fn new(spine: &'s Spine) -> Self {
        // A window that is read again may meet rows whose time was another.
        let find = if spine.full || spine.window.is_some() { Find::ByKey } else { Find::ByTime };
        Self {
            find,
            may_meet: false,
            changes: TABLES.iter().map(|table| spine.lake.changes(table, Find::New)).collect(),
            rejected: spine.lake.changes(&REJECTED_RECORD, Find::ByKey),
            outcomes: Vec::new(),
            refused: Vec::new(),
            read_somebody: false,
            rows: 0,
            wait: FIRST_COMMIT,
            due: tokio::time::Instant::now() + FIRST_COMMIT,
            reasons: BTreeMap::new(),
            spine,
        }
    }

    /// When the next commit is due.
    pub(crate) fn due(&self) -> tokio::time::Instant {
        self.due
    }

    /// Whether it is due now.
    pub(crate) fn is_due(&self) -> bool {
        self.rows >= ROWS || tokio::time::Instant::now() >= self.due
    }

    /// Takes rows that were decoded together.
    pub(crate) async fn rows(&mut self, bundle: Bundle) -> Result<(), Error> {
        let Bundle { decoded, extracted_at: at, reread_until, throttled_seconds, .. } = bundle;
        if decoded.differs {
            // What came first of these rows must be there before what belongs to it can go.
            self.commit().await?;
        }
        let may_be_there = |user: &str, time: Instant| {
            decoded.differs || reread_until.get(user).is_none_or(|reread_until| time < *reread_until)
        };
        let (rejects, run_id) = (&self.spine.rejects, &self.spine.run_id);
        let mut refused: BTreeMap<usize, Vec<Reject>> = BTreeMap::new();
        for (table, reject) in decoded.rejects {
            refused.entry(place(table)).or_default().push(reject);
        }
        for (place, refused) in refused {
            self.rejected.push(None, reject_batch(TABLES[place], &refused, run_id, at)?).await?;
            rejects.learn(TABLES[place], &refused, at);
        }
        for (table, week, batch) in decoded.batches {
            if let Some(keys) = rejects.of_rows(table, &batch, at, self.find)? {
                self.rejected.remove(&keys)?;
            }
            if table.name == AI_INTERACTION.name {
                self.rows += batch.num_rows() as u64;
                self.replace_children(&batch, &may_be_there)?;
            }
            self.changes[place(table)].push(Some(week), batch).await?;
        }
        if decoded.rows > 0 {
            let rows = decoded.rows;
            (self.spine.observe)(&Event::Page { table: AI_INTERACTION.name, rows, throttled_seconds });
        }
        Ok(())
    }

    /// Lets what belongs to rows go that the lake may have and that is not pushed again.
    fn replace_children(
        &mut self,
        batch: &RecordBatch,
        may_be_there: &dyn Fn(&str, Instant) -> bool,
    ) -> Result<(), Error> {
        let Some(time) = batch.column_by_name("row_time") else { return Ok(()) };
        let times = time.as_primitive::<TimestampMicrosecondType>().values();
        let users = batch.column(AI_INTERACTION.layout().key()[0]).as_string::<i32>();
        let met = (0..batch.num_rows()).map(|row| Some(may_be_there(users.value(row), Instant(times[row]))));
        let met: BooleanArray = met.collect();
        if !met.has_true() {
            return Ok(());
        }
        self.may_meet = true;
        let names = AI_INTERACTION.key.iter().copied().chain((self.find == Find::ByTime).then_some("row_time"));
        let columns = names.filter_map(|name| Some((name, Arc::clone(batch.column_by_name(name)?))));
        let keys = RecordBatch::try_from_iter(columns).and_then(|keys| filter_record_batch(&keys, &met));
        let keys = keys.map_err(Error::rows(&AI_INTERACTION))?;
        let parts: Vec<_> = (0..AI_INTERACTION.key.len()).map(|at| keys.column(at).as_string::<i32>()).collect();
        let parent = |row| parts.iter().map(|part| part.value(row)).collect::<Vec<_>>().join("/");
        let parents: Vec<String> = (0..keys.num_rows()).map(parent).collect();
        let children = TABLES.iter().zip(&mut self.changes).filter(|(table, _)| table.name != AI_INTERACTION.name);
        for (table, changes) in children {
            match self.find {
                Find::ByTime => changes.remove_within(&keys)?,
                _ => changes.remove(&keys)?,
            }
            if let Some(keys) = self.spine.rejects.below(table, &parents)? {
                self.rejected.remove(&keys)?;
            }
        }
        Ok(())
    }

    /// Takes a slice that is over.
    pub(crate) fn ended(&mut self, outcome: Outcome) {
        if outcome.forbidden && self.outcomes_may_wait() {
            self.refused.push(outcome);
            return;
        }
        if outcome.status == "done" {
            self.read_somebody = true;
            self.outcomes.append(&mut self.refused);
        }
        self.outcomes.push(outcome);
    }

    fn outcomes_may_wait(&self) -> bool {
        !self.read_somebody && self.refused.len() < REFUSED_WAITING
    }

    /// Says of the users who were refused that they failed: it is about the application. Returns how many there are.
    pub(crate) fn fail_refused(&mut self) -> u64 {
        self.refused.iter_mut().for_each(|outcome| outcome.status = "failed");
        self.refused.len() as u64
    }

    /// Lets the users who were refused go with the next commit.
    pub(crate) fn settle_refused(&mut self) {
        self.outcomes.append(&mut self.refused);
    }

    /// Commits rejects, then the rows, then the ledger.
    pub(crate) async fn commit(&mut self) -> Result<(), Error> {
        let (spine, run_id) = (self.spine, &self.spine.run_id);
        let fresh = |table| spine.lake.changes(table, Find::New);
        let mut changes = std::mem::replace(&mut self.changes, TABLES.map(fresh).into());
        if std::mem::take(&mut self.may_meet) {
            changes.iter_mut().for_each(|changes| changes.find_by(self.find));
        }
        let rejected = std::mem::replace(&mut self.rejected, spine.lake.changes(&REJECTED_RECORD, Find::ByKey));
        rejected.commit(run_id).await?;
        let mut changes: Vec<_> = TABLES.iter().zip(changes).collect();
        let parent = changes.pop();
        let children = changes
            .into_iter()
            .map(|(table, changes)| async move { changes.commit(run_id).await.map(|committed| (table, committed)) });
        let mut committed = try_join_all(children).await?;
        if let Some((table, changes)) = parent {
            committed.push((table, changes.commit(run_id).await?));
        }
        let outcomes = std::mem::take(&mut self.outcomes);
        self.record(&outcomes).await?;
        let written = committed.last().map_or(0, |(_, committed)| committed.rows_written);
        let mut reports = spine.reports.lock().await;
        for (table, committed) in committed {
            let report = reports.of(table.name);
            report.rows_written += committed.rows_written;
            report.files_added += committed.files_added as u64;
        }
        let report = reports.of(AI_INTERACTION.name);
        let of = |status| outcomes.iter().filter(|outcome| outcome.status == status).count() as u64;
        let (done, failed, skipped) = (of("done"), of("failed"), of("skipped"));
        report.slices_done += done;
        report.slices_failed += failed;
        report.slices_skipped += skipped;
        let mut received = 0;
        let mut not_done: BTreeMap<(&'static str, &str), u64> = BTreeMap::new();
        for outcome in &outcomes {
            report.pages += outcome.counts.pages;
            report.rejected += outcome.counts.rejected;
            received += outcome.counts.rows;
            if let Some(reason) = outcome.reason.as_deref().filter(|_| outcome.status != "done") {
                *not_done.entry((outcome.status, in_short(reason))).or_default() += 1;
            }
        }
        report.rows_received += received;
        drop(reports);
        let table = AI_INTERACTION.name;
        if !outcomes.is_empty() {
            let (rows_received, rows_written) = (received, written);
            (spine.observe)(&Event::SlicesEnded { table, done, failed, skipped, rows_received, rows_written });
        }
        for ((status, reason), slices) in not_done {
            let known = self.reasons.len();
            let count = self.reasons.entry((status, reason.to_owned())).or_default();
            if *count == 0 && known < REASONS {
                let reason = reason.to_owned();
                (spine.observe)(&Event::SlicesNotDone { table, status, reason, slices });
            }
            *count += slices;
        }
        self.rows = 0;
        self.wait = (self.wait * 2).min(LAST_COMMIT);
        self.due = tokio::time::Instant::now() + self.wait;
        Ok(())
    }

    async fn record(&self, outcomes: &[Outcome]) -> Result<(), Error> {
        let slices: Vec<(Slice, String, Option<Instant>)> =
            outcomes.iter().map(|outcome| self.slice(outcome)).collect();
        let mut rows = Vec::with_capacity(outcomes.len());
        for (outcome, (slice, selection, _)) in outcomes.iter().zip(&slices) {
            rows.push(SliceRow {
                slice,
                selection,
                status: outcome.status,
                reason: outcome.reason.clone(),
                counts: self.spine.window.is_none(),
                token: None,
                finished_at: outcome.finished_at,
                received: &outcome.counts,
            });
        }
        let rows: Vec<_> = rows.iter().zip(&slices).map(|(row, (.., done_until))| (row, *done_until)).collect();
        self.spine.ledger.record_all(&self.spine.run_id, &rows).await
    }

    /// The slice, what the watermark is about, and the watermark after it.
    fn slice(&self, outcome: &Outcome) -> (Slice, String, Option<Instant>) {
        let task = &outcome.task;
        let slice = Slice {
            table: &AI_INTERACTION,
            scope: task.user.clone(),
            clock: CREATED,
            start: task.start,
            end: task.end,
        };
        let moves = outcome.status == "done" && self.spine.window.is_none();
        if moves {
            // What was read before does not become unread.
            let until = task.until.filter(|_| task.asked_before.as_deref() == Some(&*task.asked));
            return (slice, task.asked.to_string(), Some(until.map_or(task.end, |until| until.max(task.end))));
        }
        let asked = task.asked_before.as_ref().filter(|_| task.until.is_some()).unwrap_or(&task.asked);
        (slice, asked.to_string(), task.until)
    }

    /// Says at the end why slices were not done.
    pub(crate) async fn report_reasons(self) {
        let mut reports = self.spine.reports.lock().await;
        let report = reports.of(AI_INTERACTION.name);
        let mut reasons: Vec<_> = self.reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let more = reasons.len().saturating_sub(REASONS);
        let line = |((status, reason), count): ((&str, String), u64)| match count {
            1 => format!("1 user {status}: {reason}"),
            _ => format!("{count} users {status}: {reason}"),
        };
        report.reasons.extend(reasons.into_iter().take(REASONS).map(line));
        if more > 0 {
            report.reasons.push(format!("{more} more reasons are in `extraction_slice`"));
        }
    }
}

/// The place of a table among [`TABLES`].
fn place(table: &Table) -> usize {
    TABLES.iter().position(|known| known.name == table.name).unwrap_or(TABLES.len() - 1)
}

/// The reason without the call that ended so: what many users have in common.
fn in_short(reason: &str) -> &str {
    reason.split_once(" (GET ").map_or(reason, |(short, _)| short)
}
