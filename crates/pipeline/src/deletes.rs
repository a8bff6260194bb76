//! Rows that the service does not have any more: found by change tracking, marked or removed.
//!
//! A table's first tracking read comes before its first slice, so that whatever is read afterwards and then deleted is
//! told. Later reads come after the rows. A token that has expired only starts a new one: what was deleted in between is
//! not found.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use copilot_lake_decoder::by_week;
use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, Table};
use copilot_lake_writer::{Lake, MergeMode};

use crate::archive::TRACKING;
use crate::derived;
use crate::error::Error;
use crate::event::Event;
use crate::ingest::Counts;
use crate::ledger::{SliceRow, Watermark, instant};
use crate::rejects::Rejects;
use crate::report::Status;
use crate::settings::Deletes;
use crate::spine::DataverseSpine;

/// Rows that are looked at together.
const TOGETHER: usize = 10_000;

/// Starts tracking where it has not started yet.
pub(crate) async fn start(spine: &DataverseSpine<'_>, tables: &[&'static Table]) -> Result<(), Error> {
    for table in tracked(spine, tables) {
        if spine.halt.is_over() {
            spine.stopped().await;
            return Ok(());
        }
        if spine.ledger.mark(table.name, TRACKING).await.and_then(|mark| mark.token).is_none() {
            read(spine, table, None, Deletes::Ignore).await?;
        }
    }
    // Before the first row: what is read and then deleted must be told after a kill, too.
    spine.ledger.flush(&spine.run_id).await
}

/// Marks or removes what was deleted since the last read.
pub(crate) async fn apply(
    spine: &DataverseSpine<'_>,
    tables: &[&'static Table],
    deletes: Deletes,
) -> Result<(), Error> {
    for table in tracked(spine, tables) {
        if spine.halt.is_over() {
            spine.stopped().await;
            return Ok(());
        }
        let mark = spine.ledger.mark(table.name, TRACKING).await;
        let Some(mark) = mark.filter(|mark| mark.run_id != spine.run_id) else { continue };
        let Some(token) = mark.token else { continue };
        read(spine, table, Some((token, mark.end)), deletes).await?;
    }
    Ok(())
}

fn tracked<'t>(
    spine: &'t DataverseSpine<'_>,
    tables: &'t [&'static Table],
) -> impl Iterator<Item = &'static Table> + 't {
    let tracks = |table: &&&'static Table| spine.schema.presence(table).is_some_and(|presence| presence.tracks_changes);
    tables.iter().filter(tracks).copied()
}

/// One tracking read with what follows from it; a failure of the service is in the ledger and the report.
async fn read(
    spine: &DataverseSpine<'_>,
    table: &'static Table,
    since: Option<(String, Instant)>,
    deletes: Deletes,
) -> Result<(), Error> {
    let as_of = spine.service.service_time().await?;
    let (token, start) = since.map_or((None, as_of), |(token, start)| (Some(token), start));
    let slice = Slice { table, scope: String::new(), time_column: TRACKING, start, end: as_of };
    let mut counts = Counts { as_of: Some(as_of), ..Counts::default() };
    let mut expired = None;
    let tracking = match spine.service.deleted(table, token.as_deref()).await {
        Err(error @ ServiceError::TokenExpired { .. }) => {
            tracing::warn!(
                table = table.name,
                "the change tracking token has expired: deletions since then are not found"
            );
            expired = Some(format!("{error}: a new token was started, deletions before it are not found"));
            spine.service.deleted(table, None).await
        }
        other => other,
    };
    let tracking = match tracking {
        Ok(tracking) => tracking,
        Err(error) if error.is_service_wide() => return Err(error.into()),
        Err(error) => {
            if matches!(error, ServiceError::PermissionMissing { .. }) {
                spine.reports.lock().await.refused += 1;
            }
            let failed = (Status::Failed, Some(error.to_string()));
            let row = record(spine, slice, failed, None, counts).await?;
            spine.report(row).await;
            return Ok(());
        }
    };
    counts.pages = tracking.pages;
    counts.requests = tracking.requests;
    let deleted = if expired.is_some() { vec![] } else { tracking.deleted };
    let gone = gone(spine, table, deleted, deletes).await?;
    if let Some(kept) = &spine.archive {
        kept.gone(spine, &slice, (&gone, deletes.name(), &tracking.token), &counts).await?;
    }
    let how = Forget { deletes, as_of, seen_until: None };
    let rows = forget(&spine.lake, &spine.run_id, &spine.rejects, table, &gone, &how).await?;
    record(spine, slice, (Status::Done, expired), Some(tracking.token), counts).await?;
    let mut reports = spine.reports.lock().await;
    reports.of(table.name).rows_deleted += rows;
    (spine.observe)(&Event::Deleted { table: table.name, rows });
    Ok(())
}

async fn record(
    spine: &DataverseSpine<'_>,
    slice: Slice,
    (status, reason): (Status, Option<String>),
    token: Option<String>,
    received: Counts,
) -> Result<SliceRow, Error> {
    let selection = slice.table.key.join(",");
    let (watermark, finished_at) = (Watermark::None, spine.service.service_time().await?);
    let row = SliceRow { slice, selection, status, reason, watermark, token, finished_at, received };
    spine.ledger.record(&spine.run_id, &row).await?;
    Ok(row)
}

/// The keys of the lake's rows that the service says are deleted and, asked again, does not have.
async fn gone(
    spine: &DataverseSpine<'_>,
    table: &'static Table,
    deleted: Vec<String>,
    deletes: Deletes,
) -> Result<Vec<Vec<String>>, Error> {
    let ids: BTreeSet<String> = deleted.into_iter().map(|id| id.to_ascii_lowercase()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let mut gone = Vec::new();
    for ids in ids.chunks(TOGETHER) {
        let mut keys = Vec::new();
        for batch in spine.lake.rows_of(table, &ids.iter().cloned().collect()).await? {
            let of_batch = derived::keys_of(table, &batch).into_iter().enumerate();
            keys.extend(of_batch.filter(|(row, _)| !is_marked(&batch, *row, deletes)).map(|(_, key)| key));
        }
        let found: BTreeSet<&String> = keys.iter().filter_map(|key| key.first()).collect();
        let found: Vec<String> = found.into_iter().cloned().collect();
        if !found.is_empty() {
            // A deleted entry names the id alone: another row may have it, and a row may have come back.
            let existing = spine.service.existing(table, &found).await?;
            gone.extend(keys.into_iter().filter(|key| !existing.contains(key)));
        }
    }
    Ok(gone)
}

/// Whether a row has its mark already.
fn is_marked(batch: &RecordBatch, row: usize, deletes: Deletes) -> bool {
    deletes == Deletes::Mark && batch.column_by_name("deleted_at").is_some_and(|marks| marks.is_valid(row))
}

/// How rows are forgotten that the service does not have any more.
pub(crate) struct Forget {
    pub(crate) deletes: Deletes,
    /// When they were found to be gone.
    pub(crate) as_of: Instant,
    /// Rows that were read later stay.
    pub(crate) seen_until: Option<Instant>,
}

/// Marks or removes the rows of these keys; says how many.
pub(crate) async fn forget(
    lake: &Lake,
    run_id: &str,
    rejects: &Rejects,
    table: &'static Table,
    gone: &[Vec<String>],
    how: &Forget,
) -> Result<u64, Error> {
    let mut rows = 0;
    if how.deletes == Deletes::Ignore {
        return Ok(rows);
    }
    for keys in gone.chunks(TOGETHER) {
        let ids = keys.iter().filter_map(|key| key.first().cloned()).collect();
        let keys: HashSet<&Vec<String>> = keys.iter().collect();
        let (mut changes, mut removed) = (lake.changes(table, MergeMode::Upsert), Vec::new());
        for batch in lake.rows_of(table, &ids).await? {
            let is_gone = derived::keys_of(table, &batch).into_iter().enumerate().map(|(row, key)| {
                let is_later = how.seen_until.is_some_and(|until| instant(&batch, "extracted_at", row) > until);
                Some(keys.contains(&key) && !is_later && !is_marked(&batch, row, how.deletes))
            });
            let is_gone: BooleanArray = is_gone.collect();
            let batch = filter_record_batch(&batch, &is_gone).map_err(Error::rows(table))?;
            if batch.num_rows() == 0 {
                continue;
            }
            rows += batch.num_rows() as u64;
            if how.deletes == Deletes::Mark {
                for (week, batch) in by_week(table, marked(table, &batch, how.as_of)?)? {
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

/// The rows with the time at which they were found to be gone.
fn marked(table: &'static Table, batch: &RecordBatch, as_of: Instant) -> Result<RecordBatch, Error> {
    let at =
        || Arc::new(TimestampMicrosecondArray::from_value(as_of.0, batch.num_rows()).with_timezone("UTC")) as ArrayRef;
    let columns = batch.columns().iter().zip(table.layout().fields());
    let columns = columns.map(|(column, field)| match field.name.as_str() {
        "deleted_at" | "extracted_at" => at(),
        _ => Arc::clone(column),
    });
    RecordBatch::try_new(table.layout().schema().clone(), columns.collect()).map_err(Error::rows(table))
}
