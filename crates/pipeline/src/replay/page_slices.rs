//! Slices of Dataverse tables: their pages take the way of those that come from the service.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use copilot_lake_extractor::{Page, Selection, Slice};
use copilot_lake_tables::{Instant, Labels, SYSTEM_USER, Table, table};
use copilot_lake_writer::{ArchivedContent, EntryKind, MergeMode};
use futures::{StreamExt as _, stream};

use super::description::{PageLine, SliceFile};
use super::read_description::{ArchivedSlice, instant, place, unusable};
use super::replayer::{Replayer, partly};
use crate::dataverse::coverage::Coverage;
use crate::dataverse::deletes::{self, Deletion};
use crate::dataverse::ingest::Ingest;
use crate::dataverse::labels::LabelCache;
use crate::dataverse::people;
use crate::error::Error;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::ledger::windows::{CREATED, MODIFIED, TRACKING};
use crate::payloads::derived;
use crate::report::SliceStatus;
use crate::reread::reread;
use crate::settings::Deletes;
use crate::slice_error::SliceError;

/// Pages of a slice that are read and decompressed ahead.
const READ_AHEAD: usize = 2;

/// Replays a slice. What can be read of a damaged one is committed; only a whole one is recorded.
pub(super) async fn replay_slice(replayer: &Replayer, slice: &ArchivedSlice) -> Result<(), Error> {
    let (about, folder) = (&slice.about, &slice.archive.folder);
    let table = table(&about.table).filter(|table| table.entity_set().is_some());
    let table = table.ok_or_else(|| unusable(folder, &format!("there is no table `{}`", about.table)))?;
    let time_column = [CREATED, MODIFIED, TRACKING].into_iter().find(|column| *column == about.time_column);
    let of = Slice {
        table,
        scope: about.scope.clone(),
        time_column: time_column.ok_or_else(|| unusable(folder, "its time column is not known"))?,
        start: instant(&about.window_start)?,
        end: instant(&about.window_end)?,
    };
    let mut counts = SliceCounts {
        as_of: Some(instant(&about.as_of)?),
        requests: about.requests,
        throttled_seconds: about.throttled_seconds,
        ..SliceCounts::default()
    };
    if about.time_column == TRACKING {
        if !replayer.replays(table.name) {
            return remove_derived(replayer, table, about).await;
        }
        counts.pages = about.pages_read;
        apply_deletions(replayer, table, about).await?;
    } else {
        let failures = replay_pages(replayer, table, slice, &mut counts).await?;
        if !failures.is_empty() {
            replayer.run.reports.lock().await.table(table.name).rows_written += counts.rows_written;
            replayer.record_failure(about, partly(&failures, "pages")).await;
            return Ok(());
        }
    }
    let row = SliceRow {
        slice: of,
        selection: about.selection.clone(),
        status: SliceStatus::Done,
        reason: None,
        watermark: if about.counts { Watermark::OfWindows } else { Watermark::None },
        token: about.token.clone(),
        finished_at: instant(&about.finished_at)?,
        received: counts,
    };
    replayer.run.ledger.record_again(&about.run_id, &row).await?;
    replayer.run.report(row).await;
    Ok(())
}

/// The pages of a slice: what is known of each, and where it is.
pub(super) async fn pages(slice: &ArchivedSlice) -> Result<Vec<(PageLine, ArchivedContent)>, Error> {
    if slice.about.version == 1 {
        let page = |page: &super::description::PageTime| {
            let line = PageLine { number: page.number, extracted_at: page.extracted_at.clone(), ids: Vec::new() };
            (line, ArchivedContent::InFile(EntryKind::Page, page.number))
        };
        return Ok(slice.about.pages.iter().map(page).collect());
    }
    let mut pages = Vec::new();
    for entry in slice.archive.entries().await?.iter().filter(|entry| entry.slice == slice.number) {
        let line: Result<PageLine, _> = serde_json::from_str(&entry.about);
        let line = line.map_err(|error| {
            unusable(&slice.archive.folder, &format!("its index cannot be read, {}", place(&error)))
        })?;
        pages.extend(entry.content.clone().map(|content| (line, content)));
    }
    Ok(pages)
}

/// Writes the pages of a slice. Returns why some could not be read.
async fn replay_pages(
    replayer: &Replayer,
    table: &'static Table,
    slice: &ArchivedSlice,
    counts: &mut SliceCounts,
) -> Result<Vec<String>, Error> {
    let (about, run) = (&slice.about, &replayer.run);
    let mut labels = Labels::default();
    for (column, code, label) in &about.labels {
        labels.insert(column, *code, label);
    }
    let cache = LabelCache::new(None);
    cache.learn(table, labels).await;
    let only: Option<HashSet<String>> = if table.name == SYSTEM_USER.name {
        let mut only = reread(|| people::known_ids(&run.lake)).await?;
        only.extend(about.ids.iter().cloned());
        Some(only)
    } else {
        None
    };
    let selection = Selection::parse(&about.selection);
    // When a selection names no unknown property, the archive does not say whether the environment had any.
    let known = Selection::all(table);
    let selects_unknown = selection.wires().any(|wire| !known.names(wire));
    let ingest = Ingest {
        table,
        mode: MergeMode::UpsertReread,
        lake: &run.lake,
        run_id: &run.run_id,
        rejects: &run.rejects,
        labels: &cache,
        coverage: Coverage::new(table, &selection, selects_unknown),
        named: None,
        only: only.as_ref(),
        stop: &run.shutdown.subscribe(),
    };
    let failures = RefCell::new(Vec::new());
    let bodies = stream::iter(pages(slice).await?)
        .map(|(line, content)| {
            let body = replayer.ahead.clone().page(Arc::clone(&slice.archive), content);
            async move { (line, body.await) }
        })
        .buffered(READ_AHEAD);
    let pages = bodies.filter_map(|(line, body)| {
        let page = body.and_then(|body| {
            let at = Instant::parse(&line.extracted_at);
            let page = Page::read(line.number, body).ok().zip(at);
            page.ok_or_else(|| format!("{}: page {} is damaged", slice.archive.folder.path, line.number))
        });
        let page = page.map_err(|reason| failures.borrow_mut().push(reason)).ok().map(Ok::<_, SliceError>);
        std::future::ready(page)
    });
    let ready = ingest.read(pages, counts, |_, _| {}).await?;
    ready.commit(&run.run_id, counts).await?;
    Ok(failures.into_inner())
}

/// Removes what is derived from rows that were deleted at the service, in a shard that has not the rows themselves.
async fn remove_derived(replayer: &Replayer, table: &'static Table, about: &SliceFile) -> Result<(), Error> {
    let run = &replayer.run;
    if Deletes::parse(&about.deletes) != Some(Deletes::Remove) || about.deleted_keys.is_empty() {
        return Ok(());
    }
    derived::remove(&run.lake, &run.run_id, &run.rejects, table, &about.deleted_keys).await
}

/// Marks or removes rows that were deleted at the service.
async fn apply_deletions(replayer: &Replayer, table: &'static Table, about: &SliceFile) -> Result<(), Error> {
    let (run, as_of) = (&replayer.run, instant(&about.as_of)?);
    let deletes = Deletes::parse(&about.deletes).unwrap_or_default();
    let how = Deletion { deletes, as_of, seen_until: Some(as_of) };
    let rows = deletes::delete_rows(&run.lake, &run.run_id, &run.rejects, table, &about.deleted_keys, &how).await?;
    run.reports.lock().await.table(table.name).rows_deleted += rows;
    Ok(())
}
