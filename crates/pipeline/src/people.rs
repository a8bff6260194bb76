//! The people whom rows name: fetched once, refreshed when the service says that they changed.

use std::collections::HashSet;

use arrow::array::AsArray;
use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, SYSTEM_USER, dataverse_tables};
use copilot_lake_writer::{Lake, MergeMode, Scan};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::archive::PageArchive;
use crate::error::Error;
use crate::ingest::{Counts, Ingest, NotDone};
use crate::ledger::{SliceRow, Watermark};
use crate::plan::MODIFIED;
use crate::report::Status;
use crate::spine::DataverseSpine;

/// Reads whom rows name and the lake does not know, and who changed. What fails is in the ledger and the report: rows do
/// not depend on it.
pub(crate) async fn run(spine: &DataverseSpine<'_>, now: Instant, overlap: i64) -> Result<(), Error> {
    spine.schema.settle(&spine.service, &SYSTEM_USER).await;
    let Some(selection) = spine.schema.selection(&SYSTEM_USER) else { return Ok(()) };
    let mark = spine.ledger.mark(SYSTEM_USER.name, MODIFIED).await;
    // When another run came in between, what it named was not collected here.
    let is_next = mark.as_ref().is_some_and(|mark| spine.ledger.is_before(&mark.run_id, &spine.run_id));
    let mut named = spine.named.take();
    let is_lost = spine.lost.contains_key(SYSTEM_USER.name);
    if !is_next || is_lost {
        named.extend(all_named(spine).await?);
    }
    let known = known(&spine.lake).await?;
    let is_unknown = |id: &&String| is_lost || !known.contains(*id);
    let mut unknown: Vec<String> = named.iter().filter(is_unknown).cloned().collect();
    unknown.sort_unstable();
    let since = mark.map_or(now, |mark| mark.end.plus_seconds(-overlap).min(now));
    let slice = Slice { table: &SYSTEM_USER, scope: String::new(), time_column: MODIFIED, start: since, end: now };

    let as_of = spine.service.service_time().await?;
    let mut counts = Counts { as_of: Some(as_of), ..Counts::default() };
    let result = read(spine, &slice, &selection, (&known, &unknown), &mut counts).await;
    let (status, reason) = match result {
        Ok(()) => (Status::Done, None),
        Err(NotDone::Stopped) => {
            spine.stopped().await;
            return Ok(());
        }
        Err(NotDone::Lake(error)) if !error.is_transient() => return Err(error.into()),
        Err(NotDone::Service(error)) if error.is_service_wide() => return Err(error.into()),
        // Names are a comfort: without the permission everything else is complete.
        Err(NotDone::Service(error @ ServiceError::PermissionMissing { .. })) => {
            (Status::Skipped, Some(error.to_string()))
        }
        Err(error) => (Status::Failed, Some(error.to_string())),
    };
    let row = SliceRow {
        slice,
        selection: selection.text(),
        status,
        reason,
        watermark: Watermark::None,
        token: None,
        finished_at: spine.service.service_time().await?,
        received: counts,
    };
    spine.ledger.record(&spine.run_id, &row).await?;
    let is_done = row.status == Status::Done;
    spine.report(row).await;
    if is_lost && is_done {
        spine.lake.recovered(&SYSTEM_USER).await?;
    }
    Ok(())
}

async fn read(
    spine: &DataverseSpine<'_>,
    slice: &Slice,
    selection: &copilot_lake_extractor::Selection,
    (known, unknown): (&HashSet<String>, &[String]),
    counts: &mut Counts,
) -> Result<(), NotDone> {
    let archive = PageArchive::begin(spine, slice, selection, counts.as_of.unwrap_or(slice.end));
    let kept = archive.as_ref();
    let wanted: HashSet<String> = known.iter().chain(unknown).cloned().collect();
    let ingest = Ingest {
        table: &SYSTEM_USER,
        find: MergeMode::Upsert,
        lake: &spine.lake,
        run_id: &spine.run_id,
        rejects: &spine.rejects,
        labels: &spine.labels,
        coverage: spine.schema.coverage(&SYSTEM_USER, selection),
        named: &spine.named,
        only: Some(&wanted),
        stop: &spine.halt.stop(),
    };
    let changed = (slice.start < slice.end && !known.is_empty()).then(|| spine.service.pages(slice, selection));
    let changed = futures::stream::iter(changed).flatten();
    let new = spine.service.rows_of(&SYSTEM_USER, unknown, selection);
    let mut number = 0;
    let pages = changed.chain(new).map_err(NotDone::Service).and_then(move |page| {
        // Both walks count from one.
        number += 1;
        async move {
            let extracted_at = spine.service.service_time().await?;
            if let Some(archive) = kept {
                archive.page(number, &page.body, extracted_at).await?;
            }
            Ok((page, extracted_at))
        }
    });
    let ready = ingest.read(pages, counts, |_, _| {}).await?;
    if let Some(archive) = archive {
        archive.finish(spine, &SYSTEM_USER, unknown, counts).await?;
    }
    ready.commit(&spine.run_id, counts).await
}

/// The ids that the lake has.
pub(crate) async fn known(lake: &Lake) -> Result<HashSet<String>, Error> {
    let mut known = HashSet::new();
    let scan = Scan { columns: vec![SYSTEM_USER.key[0]], ..Scan::default() };
    let mut batches = std::pin::pin!(lake.scan(&SYSTEM_USER, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        known.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    Ok(known)
}

/// Whom the lake's rows name.
async fn all_named(spine: &DataverseSpine<'_>) -> Result<HashSet<String>, Error> {
    // Of all tables: the mark that is left counts for the whole lake, whatever this run reads.
    for table in spine.written(&dataverse_tables().collect::<Vec<_>>()).await {
        let scan = Scan { columns: table.people().map(|column| column.name).collect(), ..Scan::default() };
        let mut batches = std::pin::pin!(spine.lake.scan(table, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            spine.named.take_in(table, &batch);
        }
    }
    Ok(spine.named.take())
}
