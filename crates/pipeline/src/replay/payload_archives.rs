//! Archived payloads: read and decoded in batches, one ahead of the other, and committed as `extract` does.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use copilot_lake_decoder::{DecodedPayloads, RawPayload, SourceRow, decode_payloads};
use copilot_lake_tables::{Instant, Week};
use copilot_lake_writer::{ArchivedContent, EntryKind, Error as LakeError, MergeMode};
use futures::{StreamExt as _, stream};

use super::description::PayloadLine;
use super::read_description::{ArchivedSlice, IndexedArchive, damaged, instant, left_out, place, unusable};
use super::replayer::{REASONS, Replayer};
use crate::background::in_background;
use crate::cpu;
use crate::error::Error;
use crate::event::Event;
use crate::payloads::changes::PayloadChanges;
use crate::payloads::named_files::HeldPayloads;
use crate::payloads::{COMMITTED_AFTER_BYTES, DECODED_TOGETHER, DECODED_TOGETHER_BYTES};
use crate::reread::reread;

/// Batches that are read and decoded ahead.
const AHEAD: usize = 2;
/// The most bytes of payloads with a file each, not counting the last one, that are decoded together: their sizes are not
/// known before.
const FILES_BYTES: usize = 4 * DECODED_TOGETHER_BYTES;

/// A line of the index: a payload, and where its bytes are.
struct IndexedPayload {
    extracted_at: Instant,
    row: SourceRow,
    line: PayloadLine,
    content: Option<ArchivedContent>,
}

/// Payloads that are decoded together.
struct PayloadBatch {
    extracted_at: Instant,
    decoded: DecodedPayloads,
    /// Rows that no longer name a File.
    cleared: Vec<SourceRow>,
    /// How many payloads each table had.
    done: BTreeMap<&'static str, u64>,
    bytes: usize,
    failures: Vec<(&'static str, String)>,
    /// Those that did not fit.
    others: Range<usize>,
}

/// Replays the payloads of an archive. Those that cannot be read are reported.
pub(super) async fn replay_payloads(replayer: &Replayer, slice: &ArchivedSlice) -> Result<(), Error> {
    let run = &replayer.run;
    let mut payloads = indexed(slice).await?;
    payloads.retain(|payload| replayer.replays(&payload.row.id));
    drop_superseded(replayer, &mut payloads).await?;
    let payloads: Arc<[IndexedPayload]> = payloads.into();
    let batches = stream::iter(batch_ranges(&payloads)).map(|range| {
        let (archive, payloads) = (Arc::clone(&slice.archive), Arc::clone(&payloads));
        in_background(async move { decode_batch(&archive, &payloads, range).await })
    });
    let mut batches = std::pin::pin!(batches.buffered(AHEAD));
    let mut changes = PayloadChanges::new(&run.lake, MergeMode::UpsertReread);
    let (mut uncommitted, mut done) = (0, BTreeMap::new());
    loop {
        let batch = batches.next().await;
        if batch.is_none() || uncommitted >= COMMITTED_AFTER_BYTES {
            let committed = std::mem::replace(&mut changes, PayloadChanges::new(&run.lake, MergeMode::UpsertReread));
            committed.commit(&run.rejects, &run.run_id).await?;
            report(replayer, std::mem::take(&mut done)).await;
            uncommitted = 0;
        }
        let Some(batch) = batch else { return Ok(()) };
        if run.shutdown.is_requested() {
            return Err(unusable(&slice.archive.folder, "it was stopped"));
        }
        let mut batch = batch?;
        loop {
            changes.push(&run.rejects, &run.run_id, batch.decoded, batch.extracted_at).await?;
            changes.remove_cleared(&run.rejects, &batch.cleared).await?;
            uncommitted += batch.bytes;
            for (table, payloads) in batch.done {
                *done.entry(table).or_insert(0) += payloads;
            }
            report_failures(replayer, batch.failures).await;
            if batch.others.is_empty() {
                break;
            }
            batch = decode_batch(&slice.archive, &payloads, batch.others).await?;
        }
    }
}

async fn report_failures(replayer: &Replayer, failures: Vec<(&'static str, String)>) {
    let mut reports = replayer.run.reports.lock().await;
    for (table, reason) in failures {
        let report = reports.table(table);
        report.payloads_failed += 1;
        if report.reasons.len() < REASONS {
            report.reasons.push(left_out(&reason, "payload"));
        }
    }
}

async fn report(replayer: &Replayer, done: BTreeMap<&'static str, u64>) {
    let mut reports = replayer.run.reports.lock().await;
    for (table, payloads) in done {
        reports.table(table).payloads += payloads;
        (replayer.run.observe)(&Event::Payloads { table, payloads, failed: 0 });
    }
}

/// What an archive lists.
async fn indexed(slice: &ArchivedSlice) -> Result<Vec<IndexedPayload>, Error> {
    let folder = &slice.archive.folder;
    let parse = |about: &str, content: Option<ArchivedContent>| {
        let line: Result<PayloadLine, _> = serde_json::from_str(about);
        let line = line.map_err(|error| unusable(folder, &format!("its index cannot be read, {}", place(&error))))?;
        let row = line.row().ok_or_else(|| unusable(folder, "it names an unknown column"))?;
        let content = content.or(line.number.map(|number| ArchivedContent::InFile(EntryKind::Payload, number)));
        Ok(IndexedPayload { extracted_at: instant(&line.extracted_at)?, row, line, content })
    };
    if slice.about.version > 1 {
        let entries = slice.archive.entries().await?;
        return entries.iter().map(|entry| parse(&entry.about, entry.content.clone())).collect();
    }
    let index = folder.index().await.map_err(|error| damaged(&error))?;
    let payloads = index.lines().map(|line| parse(line, None)).collect::<Result<Vec<_>, Error>>()?;
    let numbers = || payloads.iter().filter_map(|payload| payload.line.number);
    let listed: BTreeSet<u32> = numbers().collect();
    if listed.len() < numbers().count() {
        return Err(unusable(folder, "its index lists a payload twice"));
    }
    if let Some(number) = folder.payload_files().find(|number| !listed.contains(number)) {
        return Err(unusable(folder, &format!("its index does not list payload {number}")));
    }
    Ok(payloads)
}

/// Drops payloads of which the lake has a later one, and failures where the lake has any.
async fn drop_superseded(replayer: &Replayer, payloads: &mut Vec<IndexedPayload>) -> Result<(), Error> {
    if !replayer.had_payloads {
        return Ok(());
    }
    let weeks: BTreeSet<Week> = payloads.iter().map(|payload| Week::of(payload.row.row_time)).collect();
    for week in weeks {
        let held = reread(|| HeldPayloads::read(&replayer.run.lake, week)).await?;
        payloads.retain(|IndexedPayload { extracted_at, row, line, .. }| {
            let later = |held: Instant| held > *extracted_at || line.is_failed();
            Week::of(row.row_time) != week || !held.extracted_at(row).is_some_and(later)
        });
    }
    Ok(())
}

/// The payloads of each batch: of one time, and bounded.
fn batch_ranges(payloads: &[IndexedPayload]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut held = 0;
    for (at, payload) in payloads.iter().enumerate() {
        let size = payload.content.as_ref().map_or(0, |content| usize::try_from(content.size()).unwrap_or(usize::MAX));
        let fits = held < DECODED_TOGETHER_BYTES;
        match ranges.last_mut() {
            Some(range)
                if fits
                    && range.len() < DECODED_TOGETHER
                    && payloads[range.start].extracted_at == payload.extracted_at =>
            {
                range.end = at + 1;
                held = held.saturating_add(size);
            }
            _ => {
                ranges.push(at..at + 1);
                held = size;
            }
        }
    }
    ranges
}

async fn decode_batch(
    archive: &IndexedArchive,
    payloads: &[IndexedPayload],
    range: Range<usize>,
) -> Result<PayloadBatch, Error> {
    let (read, end) = read_batch(archive, payloads, range.clone()).await;
    let (listed, mut read) = (&payloads[range.start..end], read.into_iter());
    let (mut payloads, mut cleared, mut failures) = (Vec::with_capacity(listed.len()), Vec::new(), Vec::new());
    let (mut done, mut bytes) = (BTreeMap::new(), 0);
    for payload in listed {
        let content = match payload.content.as_ref().and_then(|_| read.next()).transpose() {
            Ok(content) => content,
            Err(error) => {
                failures.push((payload.row.table, error.to_string()));
                continue;
            }
        };
        if payload.line.is_cleared() {
            cleared.push(payload.row.clone());
            continue;
        }
        bytes += content.as_ref().map_or(0, |content| content.len());
        *done.entry(payload.row.table).or_insert(0) += 1;
        payloads.push(RawPayload { row: payload.row.clone(), fetched: payload.line.fetched(content) });
    }
    let extracted_at = listed.first().map_or(Instant(0), |payload| payload.extracted_at);
    let decoded = cpu::run_on_rayon(move || decode_payloads(&payloads, extracted_at)).await?;
    Ok(PayloadBatch { extracted_at, decoded, cleared, done, bytes, failures, others: end..range.end })
}

/// Reads payloads, and returns which one is the first that was not read for lack of memory.
async fn read_batch(
    archive: &IndexedArchive,
    payloads: &[IndexedPayload],
    range: Range<usize>,
) -> (Vec<Result<Bytes, LakeError>>, usize) {
    let contents = || payloads[range.clone()].iter().map(|payload| payload.content.clone());
    if !contents().flatten().any(|content| matches!(content, ArchivedContent::InFile(..))) {
        return (archive.folder.read(&contents().flatten().collect::<Vec<_>>()).await, range.end);
    }
    let (mut read, mut held) = (Vec::new(), 0);
    for (at, content) in range.clone().zip(contents()) {
        if held >= FILES_BYTES {
            return (read, at);
        }
        let Some(content) = content else { continue };
        let mut one = archive.folder.read(&[content]).await;
        held += one.iter().flatten().map(Bytes::len).sum::<usize>();
        read.append(&mut one);
    }
    (read, range.end)
}
