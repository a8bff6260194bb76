//! Materialized views: rebuilt, after the rows are in, for the weeks in which rows have changed.
//!
//! Knows which weeks are stale and what proves that they are not; what a view says comes from a [`ViewMaker`]. A view that
//! cannot be made makes a run partial and nothing else: the next run makes it. Of many weeks, some are made, committed and
//! recorded at a time: a run that ends in between has made these.

pub(crate) mod recorded_views;
pub(crate) mod view_maker;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use copilot_lake_tables::{Table, Week, views};
use copilot_lake_writer::{Changes, Error as LakeError, Lake, MergeMode, READ_ATTEMPTS};
use futures::{FutureExt as _, TryStreamExt as _};
use tracing::{debug, warn};

use self::recorded_views::{RecordedViews, StaleView, WeekStates, row};
use self::view_maker::{ViewBatch, ViewDefinition, ViewError, ViewMaker, ViewPart};
use crate::error::Error;
use crate::event::Event;
use crate::report::SliceStatus;
use crate::reread::{lake_error, reread};
use crate::run::context::RunContext;

/// Rebuilds every view where it is stale. Views that fail are reported, and that a stale one is left at a shutdown.
pub(crate) async fn make_views(context: &RunContext, maker: &ViewMaker) {
    tokio::select! {
        biased;
        () = make_stale(context, maker) => {}
        () = context.shutdown.grace_period_over() => context.note_aborted().await,
    }
}

async fn make_stale(context: &RunContext, maker: &ViewMaker) {
    let recorded = match reread(|| RecordedViews::read(&context.lake, maker.definition())).await {
        Ok(recorded) => recorded,
        Err(_) if context.shutdown.is_requested() => return context.note_shutdown().await,
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
        if context.is_any_table_stopped(tables_of(view)).await {
            continue;
        }
        let mut recorded_by_run = BTreeSet::new();
        for attempt in 1.. {
            // DataFusion may panic: that must not take the run with it.
            let making = make_view(context, maker, view, &recorded, &mut recorded_by_run);
            let made = AssertUnwindSafe(making).catch_unwind().await;
            let (reason, is_transient) = match made {
                Ok(Ok(())) => break,
                Ok(Err(error)) => (error.to_string(), is_interference(&*error)),
                Err(_) => ("computing it panicked".to_owned(), false),
            };
            if !is_transient {
                report_failure(context, view, &reason).await;
                break;
            }
            if attempt == READ_ATTEMPTS {
                // The rows are in: what is left to the next run is a copy of what they say.
                warn!(
                    view = view.name,
                    reason, "another tool replaces files while the view is made: the next run makes it"
                );
                break;
            }
            debug!(view = view.name, reason, "another tool has changed what the view is made from: made again");
            for table in tables_of(view) {
                // What cannot be read is said by the next attempt.
                let _ = context.lake.reload(table).await;
            }
        }
    }
}

/// Whether an error says that another tool replaced files meanwhile.
fn is_interference(error: &(dyn StdError + 'static)) -> bool {
    matches!(lake_error(error), Some(LakeError::Contended { .. } | LakeError::FileRemoved { .. }))
}

/// Whether any view is older than the rows that it is made from, or than its definition.
pub(crate) async fn is_any_stale(lake: &Lake, definition: ViewDefinition) -> Result<bool, LakeError> {
    let recorded = RecordedViews::read(lake, definition).await?;
    for view in views() {
        if recorded.stale_weeks(lake, view).await? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of these materialized views whose stored rows are what their definition gives now, by what the ledger has of every
/// week. A view is left out if its ledger rows or tables cannot be read: reading the tables themselves reports the error.
///
/// Reads the logs of the tables that the views are made from, of the ledger the rows of views, and then the logs of views
/// of which it has any.
pub async fn current_views(lake: &Lake, views: &[&'static Table], definition: ViewDefinition) -> Vec<&'static Table> {
    let mut current = Vec::new();
    if views.is_empty() {
        return current;
    }
    let recorded = match reread(|| RecordedViews::read(lake, definition)).await {
        Ok(recorded) => recorded,
        Err(error) => {
            debug!(%error, "whether views are stale cannot be told");
            return current;
        }
    };
    for &view in views {
        match is_current(lake, &recorded, view).await {
            Ok(true) => current.push(view),
            Ok(false) => debug!(view = view.name, "not made, or stale"),
            Err(error) => debug!(view = view.name, %error, "whether it is stale cannot be told"),
        }
    }
    current
}

async fn is_current(lake: &Lake, recorded: &RecordedViews, view: &'static Table) -> Result<bool, LakeError> {
    if !recorded.has_any(view) {
        return Ok(false);
    }
    // It may be somebody else's, who named it so.
    lake.check_writable(view).await?;
    Ok(recorded.stale_weeks(lake, view).await? == 0)
}

/// A view and the tables that it reads.
fn tables_of(view: &'static Table) -> impl Iterator<Item = &'static Table> {
    let sources = view.view_of().into_iter().flatten().filter_map(|name| copilot_lake_tables::table(name));
    sources.chain([view])
}

/// Rebuilds a view where it is stale, part by part. Only a commit goes on after a shutdown. `recorded_by_run`: the weeks
/// that this run has recorded.
async fn make_view(
    context: &RunContext,
    maker: &ViewMaker,
    view: &'static Table,
    recorded: &RecordedViews,
    recorded_by_run: &mut BTreeSet<Week>,
) -> Result<(), ViewError> {
    let StaleView { changed, state, version } = recorded.stale(&context.lake, view).await?;
    if changed.is_empty() {
        return recovered(context, view).await;
    }
    if context.shutdown.is_requested() {
        context.note_shutdown().await;
        return Ok(());
    }
    let all: BTreeSet<Week> = changed.values().flatten().copied().collect();
    let mut made = MadeView { context, view, state, version, recorded, recorded_by_run };
    let mut parts = tokio::select! {
        parts = maker.make(context.lake.clone(), view, changed) => parts?,
        () = context.shutdown.requested() => return made.give_up().await,
    };
    loop {
        let computed = async {
            let Some(ViewPart { weeks, is_last, mut batches }) = parts.try_next().await? else { return Ok(None) };
            let weeks = if view.is_partitioned() { weeks } else { all.clone() };
            let mut part = PendingPart::new(context, view, weeks, is_last);
            while let Some(batch) = batches.try_next().await? {
                part.push(batch).await?;
            }
            Ok::<_, ViewError>(Some(part))
        };
        let part = tokio::select! {
            part = computed => part?,
            () = context.shutdown.requested() => return made.give_up().await,
        };
        let Some(part) = part else { return recovered(context, view).await };
        made.commit(part).await?;
    }
}

/// Rows of some weeks of a view that are not committed yet.
struct PendingPart<'c> {
    context: &'c RunContext,
    view: &'static Table,
    weeks: BTreeSet<Week>,
    /// Whether no other part follows.
    is_last: bool,
    changes: Changes,
}

impl<'c> PendingPart<'c> {
    fn new(context: &'c RunContext, view: &'static Table, weeks: BTreeSet<Week>, is_last: bool) -> Self {
        let changes = context.lake.changes(view, MergeMode::Upsert);
        Self { context, view, weeks, is_last, changes }
    }

    async fn push(&mut self, ViewBatch { week, rows, removed }: ViewBatch) -> Result<(), ViewError> {
        if removed.num_rows() > 0 {
            self.changes.remove(&removed)?;
        }
        if rows.num_rows() > 0 {
            self.changes.push(week, made_at(self.view, &rows, self.context.started_at.0)?).await?;
        }
        Ok(())
    }
}

/// A view of which parts are made.
struct MadeView<'c> {
    context: &'c RunContext,
    view: &'static Table,
    /// What every week is now.
    state: WeekStates,
    /// The version of the view's table to which nobody else has added anything; `None`: another tool has, or there is none.
    version: Option<i64>,
    /// What earlier runs have recorded.
    recorded: &'c RecordedViews,
    /// The weeks that this run has recorded. One that is made once more, because another tool has changed files in the meantime,
    /// is stale to the next run.
    recorded_by_run: &'c mut BTreeSet<Week>,
}

impl MadeView<'_> {
    /// Commits a part, and records its weeks afterwards.
    async fn commit(&mut self, part: PendingPart<'_>) -> Result<(), ViewError> {
        let PendingPart { weeks, is_last, changes, .. } = part;
        let Self { context, view, recorded, .. } = *self;
        let what = format!("{} weeks", weeks.len());
        let committed = context.commit(view.name, what, changes.commit(&context.run_id)).await?;
        debug!(view = view.name, weeks = weeks.len(), rows_written = committed.rows_written, "made");
        let now = recorded_views::note_own(&context.lake, view, &mut self.state).await?;
        let own = self.version.map(|version| version + i64::from(committed.version.is_some()));
        self.version = now.filter(|now| Some(*now) == own);
        if self.version.is_none() {
            // Nobody has compared what another tool committed meanwhile with what the view answers.
            recorded_views::forget_own(view, &mut self.state);
        }
        let mut rows = BTreeMap::<Week, u64>::new();
        for file in context.lake.files(view).await? {
            *rows.entry(file.week.unwrap_or(Week::UNKNOWN)).or_default() += file.rows;
        }
        let at = recorded.next(context.started_at);
        let mut of_weeks = Vec::with_capacity(weeks.len());
        for week in weeks {
            let state = self.state.get(&week).cloned().unwrap_or_default();
            if !recorded.has(view, week, &state) && self.recorded_by_run.insert(week) {
                of_weeks.push(row(view, week, &state, rows.get(&week).copied().unwrap_or_default(), at));
            }
        }
        context.ledger.record_all(&context.run_id, of_weeks.iter(), false).await?;
        if !is_last {
            // A run that is killed while it computes the next part has made this one.
            context.ledger.flush(&context.run_id).await?;
        }
        Ok(())
    }

    /// Leaves the rest to the next run.
    async fn give_up(&self) -> Result<(), ViewError> {
        self.context.note_shutdown().await;
        Ok(())
    }
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
