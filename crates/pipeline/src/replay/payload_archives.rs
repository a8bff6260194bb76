//! Archived payloads: read and decoded in batches, one ahead of the other, and committed as `extract` does, while further
//! ones are decoded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use copilot_lake_decoder::{DecodedPayloads, RawPayload, SourceRow};
use copilot_lake_tables::Instant;
use copilot_lake_writer::{ArchivedContent, Error as LakeError, MergeMode};
use futures::{StreamExt as _, stream};

use super::indexed_payloads::{IndexedPayload, drop_failures_of, drop_superseded, indexed};
use super::read_description::{ArchivedSlice, IndexedArchive, left_out};
use super::replayer::{REASONS, Replayer};
use super::seen_keys::SeenKeys;
use crate::background::{BackgroundWork, in_background};
use crate::error::Error;
use crate::event::Event;
use crate::payloads::changes::PayloadChanges;
use crate::payloads::decode::decode_checked;
use crate::payloads::{COMMITTED_AFTER_BYTES, DECODED_TOGETHER, DECODED_TOGETHER_BYTES};

/// Archives whose index is in memory: the one that is replayed, and the next one.
const INDEXES: usize = 2;
/// Batches that are read and decoded ahead.
const AHEAD: usize = 3;
/// The most bytes of payloads with a file each, not counting the last one, that are decoded together: their sizes are not
/// known before.
const FILES_BYTES: usize = 4 * DECODED_TOGETHER_BYTES;

/// The payloads of an archive that are to be replayed.
#[derive(Clone)]
struct ListedPayloads {
    archive: Arc<IndexedArchive>,
    payloads: Arc<[IndexedPayload]>,
}

/// Payloads that are decoded together.
struct PayloadBatch {
    of: ListedPayloads,
    extracted_at: Instant,
    decoded: DecodedPayloads,
    /// Rows that no longer name a File.
    cleared: Vec<SourceRow>,
    /// How many payloads each table had.
    done: DonePayloads,
    bytes: usize,
    failures: Vec<(&'static str, String)>,
    /// Those that did not fit.
    others: Range<usize>,
}

/// How many payloads were replayed, by table.
type DonePayloads = BTreeMap<&'static str, u64>;

/// Replays the payloads of archives of one run, one after the other. Those that cannot be read are reported.
pub(super) async fn replay_payloads(replayer: &Replayer, archives: Vec<ArchivedSlice>) -> Result<(), Error> {
    let mut commits = PayloadCommits::new(replayer);
    let replayed = push_all(replayer, archives, &mut commits).await;
    // What is being committed is committed, whatever became of the rest.
    let committed = commits.finish().await;
    replayed.and(committed)
}

async fn push_all(
    replayer: &Replayer,
    archives: Vec<ArchivedSlice>,
    commits: &mut PayloadCommits<'_>,
) -> Result<(), Error> {
    let indexes = stream::iter(archives).map(|slice| in_background(read_index(slice))).buffered(INDEXES);
    // In an empty lake a later outcome of a run replaces an earlier one, as it did when it was extracted.
    let mut decoded = replayer.had_payloads.then(SeenKeys::default);
    let indexes = indexes.map(move |(slice, mut payloads)| {
        if let (Some(decoded), Ok(payloads)) = (&mut decoded, &mut payloads) {
            drop_failures_of(decoded, payloads);
        }
        (slice, payloads)
    });
    let listed = indexes.filter_map(|(slice, payloads)| listed(replayer, slice, payloads));
    let ranges = listed.flat_map(|listed| stream::iter(ranges_of(listed)));
    let batches = ranges.map(|range| {
        in_background(async move {
            let (listed, range) = range?;
            decode_batch(listed, range).await
        })
    });
    let mut batches = std::pin::pin!(batches.buffered(AHEAD));
    while let Some(batch) = batches.next().await {
        if replayer.run.shutdown.is_requested() {
            return Ok(());
        }
        let mut batch = batch?;
        while !batch.others.is_empty() {
            let others = decode_batch(batch.of.clone(), batch.others.clone()).await?;
            commits.push(std::mem::replace(&mut batch, others)).await?;
        }
        commits.push(batch).await?;
    }
    commits.begin().await
}

/// Collects payloads and commits many together. A commit goes on while further payloads are collected; the next one waits
/// for its end.
struct PayloadCommits<'a> {
    replayer: &'a Replayer,
    changes: PayloadChanges,
    /// The transcripts among them. One that comes again replaces all messages of the earlier one, which have to be in the
    /// lake for that.
    transcripts: SeenKeys,
    uncommitted: usize,
    done: DonePayloads,
    under_way: Option<(BackgroundWork<Result<(), Error>>, DonePayloads)>,
}

impl<'a> PayloadCommits<'a> {
    fn new(replayer: &'a Replayer) -> Self {
        let changes = PayloadChanges::new(&replayer.run.lake, MergeMode::UpsertReread);
        let (transcripts, done) = (SeenKeys::default(), DonePayloads::new());
        Self { replayer, changes, transcripts, uncommitted: 0, done, under_way: None }
    }

    async fn push(&mut self, batch: PayloadBatch) -> Result<(), Error> {
        let comes_again = batch.decoded.transcripts.iter().any(|transcript| self.transcripts.contains(transcript));
        // In one commit, a payload that was decoded would stay although its row was cleared later.
        let clears_pushed = !batch.cleared.is_empty() && !self.done.is_empty();
        if self.uncommitted >= COMMITTED_AFTER_BYTES || comes_again || clears_pushed {
            self.begin().await?;
        }
        for transcript in &batch.decoded.transcripts {
            self.transcripts.insert(transcript);
        }
        let run = &self.replayer.run;
        self.changes.push(&run.rejects, &run.run_id, batch.decoded, batch.extracted_at).await?;
        self.changes.remove_cleared(&run.rejects, &batch.cleared).await?;
        self.uncommitted += batch.bytes;
        for (table, payloads) in batch.done {
            *self.done.entry(table).or_insert(0) += payloads;
        }
        report_failures(self.replayer, batch.failures).await;
        Ok(())
    }

    /// Begins to commit what was collected. Its rows are encoded when this returns.
    async fn begin(&mut self) -> Result<(), Error> {
        let run = &self.replayer.run;
        let empty = PayloadChanges::new(&run.lake, MergeMode::UpsertReread);
        let (changes, done) = (std::mem::replace(&mut self.changes, empty), std::mem::take(&mut self.done));
        self.transcripts = SeenKeys::default();
        self.uncommitted = 0;
        let mut sorted = changes.sort().await?;
        self.finish().await?;
        sorted.remove_replaced_rejects(&run.rejects).await?;
        let run_id = run.run_id.clone();
        let commit = BackgroundWork::begin(async move { sorted.commit(&run_id).await });
        self.under_way = Some((commit, done));
        Ok(())
    }

    /// Waits for the commit that is under way.
    async fn finish(&mut self) -> Result<(), Error> {
        let Some((commit, done)) = self.under_way.take() else { return Ok(()) };
        commit.finish().await?;
        report(self.replayer, done).await;
        Ok(())
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

async fn report(replayer: &Replayer, done: DonePayloads) {
    let mut reports = replayer.run.reports.lock().await;
    for (table, payloads) in done {
        reports.table(table).payloads += payloads;
        (replayer.run.observe)(&Event::Payloads { table, payloads, failed: 0 });
    }
}

async fn read_index(slice: ArchivedSlice) -> (ArchivedSlice, Result<Vec<IndexedPayload>, Error>) {
    let payloads = indexed(&slice).await;
    (slice, payloads)
}

/// The payloads of an archive that are to be replayed; `None` when it cannot be read, which is reported.
async fn listed(
    replayer: &Replayer,
    slice: ArchivedSlice,
    payloads: Result<Vec<IndexedPayload>, Error>,
) -> Option<Result<ListedPayloads, Error>> {
    let mut payloads = match payloads {
        Ok(payloads) => payloads,
        Err(Error::Archive { what }) => {
            replayer.record_failure(&slice.about, left_out(&what, "slice")).await;
            return None;
        }
        Err(error) => return Some(Err(error)),
    };
    payloads.retain(|payload| replayer.replays(&payload.row.id));
    let superseded = drop_superseded(replayer, &mut payloads).await;
    Some(superseded.map(|()| ListedPayloads { archive: slice.archive, payloads: payloads.into() }))
}

/// What is decoded together, as tasks.
fn ranges_of(listed: Result<ListedPayloads, Error>) -> Vec<Result<(ListedPayloads, Range<usize>), Error>> {
    match listed {
        Ok(listed) => batch_ranges(&listed.payloads).into_iter().map(|range| Ok((listed.clone(), range))).collect(),
        Err(error) => vec![Err(error)],
    }
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

async fn decode_batch(of: ListedPayloads, range: Range<usize>) -> Result<PayloadBatch, Error> {
    let (read, end) = read_batch(&of.archive, &of.payloads, range.clone()).await;
    let (listed, mut read) = (&of.payloads[range.start..end], read.into_iter());
    let (mut payloads, mut cleared, mut failures) = (Vec::with_capacity(listed.len()), Vec::new(), Vec::new());
    let (mut done, mut bytes) = (DonePayloads::new(), 0);
    for payload in listed {
        let content = match payload.content.as_ref().and_then(|_| read.next()).transpose() {
            Ok(content) => content,
            Err(error) => {
                failures.push((payload.row.table, error.to_string()));
                continue;
            }
        };
        if payload.outcome.is_cleared() {
            cleared.push(payload.row.clone());
            continue;
        }
        bytes += content.as_ref().map_or(0, |content| content.len());
        *done.entry(payload.row.table).or_insert(0) += 1;
        payloads.push(RawPayload { row: payload.row.clone(), fetched: payload.outcome.fetched(content) });
    }
    let extracted_at = listed.first().map_or(Instant(0), |payload| payload.extracted_at);
    let decoded = decode_checked(payloads, extracted_at).await?;
    Ok(PayloadBatch { of, extracted_at, decoded, cleared, done, bytes, failures, others: end..range.end })
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
