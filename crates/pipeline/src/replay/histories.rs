//! Archived histories: their pages are decoded together as they were, and what the ledger had of them is recorded again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use copilot_lake_decoder::HistoryWindow;
use copilot_lake_extractor::{Page, Slice, printable_id};
use copilot_lake_tables::{AI_INTERACTION, Instant};
use copilot_lake_writer::{ArchivedContent, MergeMode};
use futures::{StreamExt as _, stream};
use tokio::sync::oneshot;

use super::description::{HistoryLine, SliceFile};
use super::open_histories::{OpenHistories, OpenHistory};
use super::read_description::{ArchivedSlice, instant, place, read_all, unusable};
use super::replayer::{Replayer, partly};
use crate::background::in_background;
use crate::error::Error;
use crate::event::Event;
use crate::graph::bundle::{self, BYTES, Bundle};
use crate::graph::ended_slice::CREATED;
use crate::graph::history::{HistoryDecoding, HistoryPage};
use crate::graph::pending::PendingHistories;
use crate::ledger::slice_row::{SliceCounts, SliceRow, Watermark};
use crate::report::SliceStatus;

/// Bundles that are read and decoded ahead.
const AHEAD: usize = 2;

/// A page of a history, and where it is.
struct IndexedPage {
    line: HistoryLine,
    extracted_at: Instant,
    content: ArchivedContent,
    decoding: Arc<Mutex<HistoryDecoding>>,
}

/// Replays the histories that were committed together.
pub(super) async fn replay_histories(replayer: &Replayer, slice: &ArchivedSlice) -> Result<(), Error> {
    let (run, folder) = (&replayer.run, &slice.archive.folder);
    let mut open = replayer.histories.lock().await;
    if open.run_id != slice.about.run_id {
        *open = OpenHistories { run_id: slice.about.run_id.clone(), users: HashMap::new() };
    }
    let mut ended = read_all(folder).await?;
    ended.retain(|about| replayer.replays(&about.scope));
    let pages: Arc<[IndexedPage]> = indexed(replayer, slice, &mut open).await?.into();
    let mut before: Option<oneshot::Receiver<()>> = None;
    let bundles = stream::iter(bundle_ranges(&pages)).map(|range| {
        // Pages of a history are decoded in their order.
        let (is_decoded, next) = oneshot::channel();
        let before = before.replace(next);
        let (archive, pages) = (Arc::clone(&slice.archive), Arc::clone(&pages));
        in_background(async move {
            let contents: Vec<_> = pages[range.clone()].iter().map(|page| page.content.clone()).collect();
            let read = archive.folder.read(&contents).await;
            if let Some(before) = before {
                // An error says that it was given up.
                let _ = before.await;
            }
            let (mut received, mut failures) = (Vec::with_capacity(read.len()), Vec::new());
            for (page, body) in pages[range].iter().zip(read) {
                let damaged = |_| format!("{}: a page is damaged", archive.folder.path);
                let read = body.map_err(|error| error.to_string());
                match read.and_then(|body| Page::read(page.line.number, body).map_err(damaged)) {
                    Ok(read) => received.push(HistoryPage {
                        history: Arc::clone(&page.decoding),
                        page: read,
                        extracted_at: page.extracted_at,
                    }),
                    Err(reason) => failures.push((page.line.user.clone(), reason)),
                }
            }
            let decoded = bundle::decode(received, vec![], false).await;
            drop(is_decoded);
            (decoded, failures)
        })
    });
    let mut bundles = std::pin::pin!(bundles.buffered(AHEAD));
    let mut pending = PendingHistories::new(run, MergeMode::UpsertReread);
    while let Some((bundle, failures)) = bundles.next().await {
        if run.shutdown.is_requested() {
            return Err(unusable(folder, "it was stopped"));
        }
        for (user, reason) in failures {
            let scope = printable_id(&user).into_owned();
            if let Some(history) = open.users.get_mut(&scope) {
                history.is_damaged = true;
            }
            let about = SliceFile { scope, ..slice.about.clone() };
            replayer.record_failure(&about, partly(&[reason], "pages")).await;
        }
        let bundle: Bundle = bundle?;
        pending.push_bundle(bundle).await?;
        if pending.is_due() {
            pending.commit().await?;
        }
    }
    pending.commit().await?;
    record(replayer, &mut open, ended).await
}

/// The pages of an archive, in their order.
async fn indexed(
    replayer: &Replayer,
    slice: &ArchivedSlice,
    open: &mut OpenHistories,
) -> Result<Vec<IndexedPage>, Error> {
    let folder = &slice.archive.folder;
    let mut pages = Vec::new();
    for entry in slice.archive.entries().await? {
        let line: Result<HistoryLine, _> = serde_json::from_str(&entry.about);
        let line = line.map_err(|error| unusable(folder, &format!("its index cannot be read, {}", place(&error))))?;
        let Some(content) = entry.content.clone() else { continue };
        let scope = printable_id(&line.user).into_owned();
        if !replayer.replays(&scope) {
            continue;
        }
        let history = open.users.entry(scope).or_insert_with(|| OpenHistory {
            decoding: decoding(&line),
            keep: line.keep.clone(),
            pages: 0,
            is_damaged: false,
        });
        if history.keep != line.keep {
            // It was read once more, unfiltered.
            (history.decoding, history.keep) = (decoding(&line), line.keep.clone());
        }
        history.pages += 1;
        let decoding = Arc::clone(&history.decoding);
        pages.push(IndexedPage { extracted_at: instant(&line.extracted_at)?, line, content, decoding });
    }
    Ok(pages)
}

fn decoding(line: &HistoryLine) -> Arc<Mutex<HistoryDecoding>> {
    let window = line.keep.as_ref().and_then(|keep| {
        let window = Instant::parse(&keep.start)?..Instant::parse(&keep.end)?;
        Some(HistoryWindow { window, app_classes: keep.app_classes.clone() })
    });
    Arc::new(Mutex::new(HistoryDecoding::new(&line.user, window)))
}

/// The pages that are decoded together: those that were.
fn bundle_ranges(pages: &[IndexedPage]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, page) in pages.iter().enumerate() {
        match ranges.last_mut() {
            Some(range) if bytes < BYTES as u64 && pages[range.start].extracted_at == page.extracted_at => {
                range.end = at + 1;
                bytes += page.content.size();
            }
            _ => {
                ranges.push(at..at + 1);
                bytes = page.content.size();
            }
        }
    }
    ranges
}

/// Records the slices that have ended. One that is done needs all its pages.
async fn record(replayer: &Replayer, open: &mut OpenHistories, ended: Vec<SliceFile>) -> Result<(), Error> {
    let (run, table) = (&replayer.run, AI_INTERACTION.name);
    let (mut rows, mut rows_received, mut pages) = (Vec::new(), 0, 0);
    // The first line is about all pages.
    let ended: Vec<_> = ended.into_iter().filter(|about| !about.scope.is_empty()).collect();
    for about in &ended {
        let status = about.status.as_deref().map_or(Some(SliceStatus::Done), SliceStatus::parse);
        let status = status.ok_or_else(|| Error::Archive { what: "the status of a slice is not known".to_owned() })?;
        let history = open.users.get(&about.scope);
        if status == SliceStatus::Done {
            if history.is_some_and(|history| history.is_damaged) {
                continue;
            }
            let found = history.map_or(0, |history| history.pages);
            if found != about.pages_read {
                let reason = format!("{found} of its {} pages are in the archive", about.pages_read);
                replayer.record_failure(about, partly(&[reason], "pages")).await;
                continue;
            }
        }
        let mut received = SliceCounts {
            as_of: Some(instant(&about.as_of)?),
            pages: about.pages_read,
            requests: about.requests,
            throttled_seconds: about.throttled_seconds,
            ..SliceCounts::default()
        };
        if let Some(history) = history.filter(|_| about.pages_read > 0) {
            let decoding = history.decoding.lock().unwrap_or_else(PoisonError::into_inner);
            (received.rows, received.rejected) = (decoding.history.rows(), decoding.history.rejected());
        }
        (rows_received, pages) = (rows_received + received.rows, pages + received.pages);
        rows.push(SliceRow {
            slice: Slice {
                table: &AI_INTERACTION,
                scope: about.scope.clone(),
                time_column: CREATED,
                start: instant(&about.window_start)?,
                end: instant(&about.window_end)?,
            },
            selection: about.selection.clone(),
            status,
            reason: about.reason.clone(),
            watermark: Watermark::At(about.done_until.as_deref().map(instant).transpose()?),
            token: None,
            finished_at: instant(&about.finished_at)?,
            received,
        });
    }
    ended.iter().for_each(|about| drop(open.users.remove(&about.scope)));
    run.ledger.record_all(&open.run_id, rows.iter(), true).await?;
    let count = |status| rows.iter().filter(|row| row.status == status).count() as u64;
    let (done, failed, skipped) = (count(SliceStatus::Done), count(SliceStatus::Failed), count(SliceStatus::Skipped));
    {
        let mut reports = run.reports.lock().await;
        let report = reports.table(table);
        report.slices_done += done;
        report.slices_skipped += skipped;
        report.pages += pages;
        report.rows_received += rows_received;
        report.rejected += rows.iter().map(|row| row.received.rejected).sum::<u64>();
    }
    if !rows.is_empty() {
        (run.observe)(&Event::SlicesEnded { table, done, failed, skipped, rows_received, rows_written: 0 });
    }
    Ok(())
}
