//! The people whom rows name: fetched once, and refreshed when they change at the service.

use std::collections::HashSet;

use arrow::array::AsArray;
use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, SYSTEM_USER, dataverse_tables};
use copilot_lake_writer::{Lake, MergeMode, Scan};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::dataverse::context::DataverseContext;
use crate::dataverse::ingest::Ingest;
use crate::error::Error;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::MODIFIED;
use crate::replay::archive::PageArchive;
use crate::report::SliceStatus;
use crate::reread::reread;
use crate::run::context::window_text;
use crate::slice_error::SliceError;

/// Reads the people whom rows name and the lake does not know, and those who changed. A failure is in the ledger and
/// the report: rows do not depend on it.
pub(crate) async fn read_people(context: &DataverseContext<'_>, now: Instant, overlap: i64) -> Result<(), Error> {
    context.schema.settle(&context.service, &SYSTEM_USER).await;
    let Some(selection) = context.schema.selection(&SYSTEM_USER) else { return Ok(()) };
    let last = context.run.ledger.last_window(SYSTEM_USER.name, MODIFIED).await;
    // The people whom a run in between named were not collected here.
    let is_next =
        last.as_ref().is_some_and(|last| context.run.ledger.runs().is_before(&last.run_id, &context.run.run_id));
    let mut named = context.named.drain();
    let is_lost = context.run.lost.contains_key(SYSTEM_USER.name);
    if !is_next || is_lost {
        named.extend(reread(|| all_named(context)).await?);
    }
    let known = reread(|| known_ids(&context.run.lake)).await?;
    let is_unknown = |id: &&String| is_lost || !known.contains(*id);
    let mut unknown: Vec<String> = named.iter().filter(is_unknown).cloned().collect();
    unknown.sort_unstable();
    let since = last.map_or(now, |last| last.end.plus_seconds(-overlap).min(now));
    let slice = Slice { table: &SYSTEM_USER, scope: String::new(), time_column: MODIFIED, start: since, end: now };

    let as_of = context.service.service_time().await?;
    let mut counts = SliceCounts { as_of: Some(as_of), ..SliceCounts::default() };
    let result = read_pages(context, &slice, &selection, (&known, &unknown), &mut counts).await;
    let (status, reason) = match result {
        Ok(()) => (SliceStatus::Done, None),
        Err(SliceError::Stopped) => {
            context.run.note_shutdown().await;
            return Ok(());
        }
        Err(SliceError::Lake(error)) if !error.is_transient() => return Err(error.into()),
        Err(SliceError::Service(error)) if error.is_service_wide() => return Err(error.into()),
        // Without this permission only names are missing.
        Err(SliceError::Service(error @ ServiceError::PermissionMissing { .. })) => {
            (SliceStatus::Skipped, Some(error.to_string()))
        }
        Err(error) => {
            if let SliceError::Service(error) = &error {
                context.run.note_failure(error).await;
            }
            (SliceStatus::Failed, Some(error.to_string()))
        }
    };
    let row = SliceRow {
        slice,
        selection: selection.text(),
        status,
        reason,
        watermark: Watermark::None,
        token: None,
        finished_at: context.service.service_time().await?,
        received: counts,
    };
    context.run.ledger.record(&context.run.run_id, &row).await?;
    let is_done = row.status == SliceStatus::Done;
    context.run.report(row).await;
    if is_lost && is_done {
        context.run.lake.recovered(&SYSTEM_USER).await?;
    }
    Ok(())
}

async fn read_pages(
    context: &DataverseContext<'_>,
    slice: &Slice,
    selection: &copilot_lake_extractor::Selection,
    (known, unknown): (&HashSet<String>, &[String]),
    counts: &mut SliceCounts,
) -> Result<(), SliceError> {
    let archive = PageArchive::begin(context.run, slice, selection, counts.as_of.unwrap_or(slice.end));
    let kept = archive.as_ref();
    let wanted: HashSet<String> = known.iter().chain(unknown).cloned().collect();
    let ingest = Ingest {
        table: &SYSTEM_USER,
        mode: MergeMode::Upsert,
        lake: &context.run.lake,
        run_id: &context.run.run_id,
        rejects: &context.run.rejects,
        labels: &context.labels,
        coverage: context.schema.coverage(&SYSTEM_USER, selection),
        named: Some(&context.named),
        only: Some(&wanted),
        stop: &context.run.shutdown.subscribe(),
    };
    let changed = (slice.start < slice.end && !known.is_empty()).then(|| context.service.pages(slice, selection));
    let changed = futures::stream::iter(changed).flatten();
    let new = context.service.rows_of(&SYSTEM_USER, unknown, selection);
    let mut number = 0;
    let pages = changed.chain(new).map_err(SliceError::from).and_then(move |page| {
        // Both streams number their pages from one.
        number += 1;
        async move {
            let extracted_at = context.service.service_time().await?;
            if let Some(archive) = kept {
                archive.push_page(number, &page.body, extracted_at).await?;
            }
            Ok((page, extracted_at))
        }
    });
    let ready = ingest.read(pages, counts, |_, _| {}).await?;
    if let Some(archive) = archive {
        archive.finish(context, &SYSTEM_USER, unknown, counts).await?;
    }
    let commit = ready.commit(&context.run.run_id, counts);
    context.run.commit(SYSTEM_USER.name, window_text(slice), commit).await
}

/// The ids of the people whom the lake has.
pub(crate) async fn known_ids(lake: &Lake) -> Result<HashSet<String>, Error> {
    let mut known = HashSet::new();
    let scan = Scan { columns: vec![SYSTEM_USER.key[0]], ..Scan::default() };
    let mut batches = std::pin::pin!(lake.scan(&SYSTEM_USER, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        known.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(known)
}

/// The people whom rows of the lake name.
async fn all_named(context: &DataverseContext<'_>) -> Result<HashSet<String>, Error> {
    // Of all tables: the window that this run records counts for the lake, whatever tables it reads.
    for table in context.run.written(&dataverse_tables().collect::<Vec<_>>()).await {
        let scan = Scan { columns: table.people().map(|column| column.name).collect(), ..Scan::default() };
        let mut batches = std::pin::pin!(context.run.lake.scan(table, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            context.named.collect(table, &batch);
        }
    }
    Ok(context.named.drain())
}
