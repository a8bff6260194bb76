//! Rows that were deleted at the service: found by change tracking, then marked or removed.
//!
//! A table's first tracking read comes before its first slice, so that no deletion of a row that is read afterwards is
//! missed. Later reads come after the rows. When a delta token has expired, a new one is started: what was deleted in
//! between is not found.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use copilot_lake_decoder::by_week;
use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::{Lake, MergeMode};

use crate::cells::instant;
use crate::dataverse::context::DataverseContext;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::rejects::Rejects;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::TRACKING;
use crate::payloads::derived;
use crate::replay::archive;
use crate::report::SliceStatus;
use crate::settings::Deletes;

/// Keys that are looked up together.
const TOGETHER: usize = 10_000;

/// Starts change tracking for tables without a delta token.
pub(crate) async fn start_tracking(context: &DataverseContext<'_>, tables: &[&'static Table]) -> Result<(), Error> {
    for table in tracked_tables(context, tables) {
        if context.run.shutdown.is_requested() {
            context.run.note_shutdown().await;
            return Ok(());
        }
        if context.run.ledger.last_window(table.name, TRACKING).await.and_then(|last| last.token).is_none() {
            track(context, table, None, Deletes::Ignore).await?;
        }
    }
    // Before the first row: a killed run must not lose the token.
    context.run.ledger.flush(&context.run.run_id).await
}

/// Marks or removes what was deleted since the last tracking read.
pub(crate) async fn apply_deletions(
    context: &DataverseContext<'_>,
    tables: &[&'static Table],
    deletes: Deletes,
) -> Result<(), Error> {
    for table in tracked_tables(context, tables) {
        if context.run.shutdown.is_requested() {
            context.run.note_shutdown().await;
            return Ok(());
        }
        let last = context.run.ledger.last_window(table.name, TRACKING).await;
        let Some(last) = last.filter(|last| last.run_id != context.run.run_id) else { continue };
        let Some(token) = last.token else { continue };
        track(context, table, Some((token, last.end)), deletes).await?;
    }
    Ok(())
}

fn tracked_tables<'t>(
    context: &'t DataverseContext<'_>,
    tables: &'t [&'static Table],
) -> impl Iterator<Item = &'static Table> + 't {
    let tracks =
        |table: &&&'static Table| context.schema.presence(table).is_some_and(|presence| presence.tracks_changes);
    tables.iter().filter(tracks).copied()
}

/// Makes one tracking read and applies it. A failure of the service is in the ledger and the report.
async fn track(
    context: &DataverseContext<'_>,
    table: &'static Table,
    since: Option<(String, Instant)>,
    deletes: Deletes,
) -> Result<(), Error> {
    let as_of = context.service.service_time().await?;
    let (token, start) = since.map_or((None, as_of), |(token, start)| (Some(token), start));
    let slice = Slice { table, scope: String::new(), time_column: TRACKING, start, end: as_of };
    let mut counts = SliceCounts { as_of: Some(as_of), ..SliceCounts::default() };
    if let Some(reason) = context.service.deletions_refused() {
        return record_untracked(context, slice, &reason, counts).await;
    }
    let mut expired = None;
    let tracking = match context.service.deleted(table, token.as_deref()).await {
        Err(error @ ServiceError::DeltaTokenExpired { .. }) => {
            tracing::warn!(
                table = table.name,
                "the change tracking token has expired: deletions since then are not found"
            );
            expired = Some(format!("{error}: a new token was started; deletions before it are not found"));
            context.service.deleted(table, None).await
        }
        other => other,
    };
    let tracking = match tracking {
        Ok(tracking) => tracking,
        Err(error) if context.service.concerns_deletions_alone(&error) => {
            return record_untracked(context, slice, &error.without_call(), counts).await;
        }
        Err(error) => return record_failure(context, slice, error, counts).await,
    };
    counts.pages = tracking.pages;
    counts.requests = tracking.requests;
    let deleted = if expired.is_some() { vec![] } else { tracking.deleted };
    let deleted_keys = match confirmed_deletions(context, table, deleted, deletes).await {
        Ok(deleted_keys) => deleted_keys,
        // The token stays: the next run finds the same deletions.
        Err(Error::Service(error)) => return record_failure(context, slice, error, counts).await,
        Err(error) => return Err(error),
    };
    archive::archive_deletions(context.run, &slice, (&deleted_keys, deletes.name(), &tracking.token), &counts).await?;
    let how = Deletion { deletes, as_of, seen_until: None };
    let delete = delete_rows(&context.run.lake, &context.run.run_id, &context.run.rejects, table, &deleted_keys, &how);
    let rows = context.run.commit(table.name, format!("{} deletions", deleted_keys.len()), delete).await?;
    record_tracking(context, slice, (SliceStatus::Done, expired), Some(tracking.token), counts).await?;
    let mut reports = context.run.reports.lock().await;
    reports.table(table.name).rows_deleted += rows;
    (context.run.observe)(&Event::Deleted { table: table.name, rows });
    Ok(())
}

/// Records a tracking read that failed. Fails when nothing else can be read either.
async fn record_failure(
    context: &DataverseContext<'_>,
    slice: Slice,
    error: ServiceError,
    counts: SliceCounts,
) -> Result<(), Error> {
    if error.is_service_wide() {
        return Err(error.into());
    }
    context.run.note_failure(&error).await;
    if matches!(error, ServiceError::PermissionMissing { .. }) {
        context.run.reports.lock().await.refused += 1;
    }
    let failed = (SliceStatus::Failed, Some(error.to_string()));
    let row = record_tracking(context, slice, failed, None, counts).await?;
    context.run.report(row).await;
    Ok(())
}

/// Records that deletions are not looked for in this run: the identity that reads them cannot, and others go on. It is a
/// failure, not to be overlooked: a later run finds them only by a token that is older than they are and has not expired.
async fn record_untracked(
    context: &DataverseContext<'_>,
    slice: Slice,
    reason: &str,
    counts: SliceCounts,
) -> Result<(), Error> {
    let reason = format!("deletions are not looked for: the first identity, which tracks them, is not used: {reason}");
    tracing::warn!(table = slice.table.name, "{reason}");
    let row = record_tracking(context, slice, (SliceStatus::Failed, Some(reason)), None, counts).await?;
    context.run.report(row).await;
    Ok(())
}

async fn record_tracking(
    context: &DataverseContext<'_>,
    slice: Slice,
    (status, reason): (SliceStatus, Option<String>),
    token: Option<String>,
    received: SliceCounts,
) -> Result<SliceRow, Error> {
    let selection = slice.table.key.join(",");
    let (watermark, finished_at) = (Watermark::None, context.service.service_time().await?);
    let row = SliceRow { slice, selection, status, reason, watermark, token, finished_at, received };
    context.run.ledger.record(&context.run.run_id, &row).await?;
    Ok(row)
}

/// The keys of rows of the lake that are among the deleted ones, and that the service confirms not to have.
async fn confirmed_deletions(
    context: &DataverseContext<'_>,
    table: &'static Table,
    deleted: Vec<String>,
    deletes: Deletes,
) -> Result<Vec<Vec<String>>, Error> {
    let ids: BTreeSet<String> = deleted.into_iter().map(|id| id.to_ascii_lowercase()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut deleted_keys = Vec::new();
    for ids in ids.chunks(TOGETHER) {
        let mut keys = Vec::new();
        for batch in context.run.lake.rows_of(table, &ids.iter().cloned().collect()).await? {
            let of_batch = derived::keys_of(table, &batch).into_iter().enumerate();
            keys.extend(of_batch.filter(|(row, _)| !is_marked_deleted(&batch, *row, deletes)).map(|(_, key)| key));
        }
        let found: BTreeSet<&String> = keys.iter().filter_map(|key| key.first()).collect();
        let found: Vec<String> = found.into_iter().cloned().collect();
        if !found.is_empty() {
            // A deletion names the id alone: another row may have the same id, and the row may be back.
            let existing = context.service.existing(table, &found).await?;
            deleted_keys.extend(keys.into_iter().filter(|key| !existing.contains(key)));
        }
    }
    Ok(deleted_keys)
}

/// Whether a row is marked as deleted already.
fn is_marked_deleted(batch: &RecordBatch, row: usize, deletes: Deletes) -> bool {
    deletes == Deletes::Mark && batch.column_by_name("deleted_at").is_some_and(|marks| marks.is_valid(row))
}

/// How deleted rows are treated.
pub(crate) struct Deletion {
    pub(crate) deletes: Deletes,
    /// When the deletion was found.
    pub(crate) as_of: Instant,
    /// Rows that were read after this stay.
    pub(crate) seen_until: Option<Instant>,
}

/// Marks or removes the rows with these keys. Returns how many there were.
pub(crate) async fn delete_rows(
    lake: &Lake,
    run_id: &str,
    rejects: &Rejects,
    table: &'static Table,
    deleted_keys: &[Vec<String>],
    how: &Deletion,
) -> Result<u64, Error> {
    let mut rows = 0;
    if how.deletes == Deletes::Ignore {
        return Ok(rows);
    }
    for keys in deleted_keys.chunks(TOGETHER) {
        let ids = keys.iter().filter_map(|key| key.first().cloned()).collect();
        let keys: HashSet<&Vec<String>> = keys.iter().collect();
        let (mut changes, mut removed) = (lake.changes(table, MergeMode::Upsert), Vec::new());
        for batch in lake.rows_of(table, &ids).await? {
            let is_deleted = derived::keys_of(table, &batch).into_iter().enumerate().map(|(row, key)| {
                let is_later = how.seen_until.is_some_and(|until| instant(&batch, "extracted_at", row) > until);
                Some(keys.contains(&key) && !is_later && !is_marked_deleted(&batch, row, how.deletes))
            });
            let is_deleted: BooleanArray = is_deleted.collect();
            let batch = filter_record_batch(&batch, &is_deleted).map_err(Error::rows(table))?;
            if batch.num_rows() == 0 {
                continue;
            }
            rows += batch.num_rows() as u64;
            if how.deletes == Deletes::Mark {
                for (week, batch) in by_week(table, mark_deleted(table, &batch, how.as_of)?)? {
                    changes.push(Some(week), batch).await?;
                }
            } else {
                removed.extend(derived::keys_of(table, &batch));
                changes.remove(&batch)?;
            }
        }
        if !removed.is_empty() {
            derived::remove(lake, run_id, rejects, table, &removed).await?;
        }
        changes.commit(run_id).await?;
    }
    Ok(rows)
}

/// The rows, marked as deleted at that time.
fn mark_deleted(table: &'static Table, batch: &RecordBatch, as_of: Instant) -> Result<RecordBatch, Error> {
    let at =
        || Arc::new(TimestampMicrosecondArray::from_value(as_of.0, batch.num_rows()).with_timezone("UTC")) as ArrayRef;
    let columns = batch.columns().iter().zip(table.layout().fields());
    let columns = columns.map(|(column, field)| match field.name.as_str() {
        "deleted_at" | "extracted_at" => at(),
        _ => Arc::clone(column),
    });
    RecordBatch::try_new(table.layout().schema().clone(), columns.collect()).map_err(Error::rows(table))
}
