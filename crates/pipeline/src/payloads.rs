//! The second walk: whatever the lake's rows name and `payload` does not hold, newest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use copilot_lake_decoder::{Fetched, RawPayload, SourceRow, assemble, decode_payloads, reject_batch};
use copilot_lake_extractor::{Dataverse, Error as ServiceError, File, FileAddress, Slice};
use copilot_lake_tables::{PAYLOAD, REJECTED_RECORD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table};
use copilot_lake_writer::{Changes, Find, Lake};
use futures::TryStreamExt as _;
use tokio::task::{JoinError, JoinSet};

use crate::archive::PayloadArchive;
use crate::cpu;
use crate::derived;
use crate::error::Error;
use crate::event::Event;
use crate::named_files::{self, Gone, Unit};
use crate::plan::CREATED;
use crate::rejects::Rejects;
use crate::spine::Spine;

/// Payloads fetched at the same time; the extractor's own limits lie below.
const FETCHED_AT_ONCE: usize = 48;
/// Payloads that are decoded together, by number and by bytes.
pub(crate) const DECODED_TOGETHER: usize = 512;
pub(crate) const DECODED_TOGETHER_BYTES: usize = 8 << 20;
/// What a crash may cost: payloads are committed after this time or this many bytes.
const COMMITTED_AFTER: Duration = Duration::from_secs(60);
const COMMITTED_AFTER_BYTES: usize = 64 << 20;

/// Fetches, decodes and commits the payloads of the tables' File columns. What was got before an error is committed.
pub(crate) async fn run(spine: &Spine, tables: &[&'static Table]) -> Result<(), Error> {
    let mut walk = Walk {
        spine,
        refused: Refused::default(),
        part: Part::new(&spine.lake),
        archive: None,
        parts: 0,
        since_commit: Clock::now(),
        bytes: 0,
        uncommitted: BTreeMap::new(),
    };
    let walked = walk.walk(tables).await;
    if matches!(walked, Err(Error::Lake(_) | Error::Decode(_))) {
        // What was taken is not whole: a payload that is committed is not asked for again.
        return walked;
    }
    let committed = walk.commit().await;
    walked.and(committed)
}

struct Walk<'a> {
    spine: &'a Spine,
    refused: Refused,
    part: Part,
    archive: Option<PayloadArchive>,
    parts: u32,
    since_commit: Clock,
    bytes: usize,
    uncommitted: BTreeMap<&'static str, Counts>,
}

/// What was got of a table.
#[derive(Debug, Default)]
struct Counts {
    payloads: u64,
    failed: u64,
}

impl Walk<'_> {
    async fn walk(&mut self, tables: &[&'static Table]) -> Result<(), Error> {
        let (spine, refused) = (self.spine, self.refused.clone());
        let gone = Gone::default();
        let units = units(&spine.lake, tables).await?;
        let missing = futures::stream::iter(units.into_iter().map(Ok)).and_then(|unit| {
            let gone = gone.clone();
            async move { named_files::missing(&spine.lake, unit, &gone).await }
        });
        // One stream over all weeks: a File that is tried again and again holds up no other.
        let fetched = missing.try_flatten().map_ok(|row| {
            // A task of its own, so that fetches go on while others are decoded and committed.
            let mut task = JoinSet::new();
            task.spawn(fetch(spine.service.clone(), row, refused.clone()));
            async move {
                let joined = task.join_next().await;
                joined.unwrap_or_else(|| unreachable!("one task was spawned")).unwrap_or_else(resume)
            }
        });
        let mut fetched = std::pin::pin!(fetched.try_buffer_unordered(FETCHED_AT_ONCE));
        let mut over = std::pin::pin!(spine.halt.over());
        let mut together: Vec<RawPayload<FetchedFile>> = Vec::new();
        let mut together_bytes = 0;
        let result = loop {
            let due = self.since_commit + COMMITTED_AFTER;
            let next = tokio::select! {
                next = fetched.try_next() => match next {
                    Ok(Some(payload)) => payload,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                },
                () = tokio::time::sleep_until(due.into()) => None,
                () = &mut over => {
                    spine.stopped().await;
                    break Ok(());
                }
            };
            if let Some(payload) = next {
                together_bytes += size(&payload);
                together.push(payload);
            }
            if together.len() >= DECODED_TOGETHER || together_bytes >= DECODED_TOGETHER_BYTES || Clock::now() >= due {
                self.decode(std::mem::take(&mut together), std::mem::take(&mut together_bytes)).await?;
                self.part.forget(&spine.rejects, &gone.take())?;
            }
        };
        self.decode(together, together_bytes).await?;
        self.part.forget(&spine.rejects, &gone.take())?;
        self.refused.report(spine).await;
        result
    }

    async fn decode(&mut self, payloads: Vec<RawPayload<FetchedFile>>, bytes: usize) -> Result<(), Error> {
        if !payloads.is_empty() {
            let extracted_at = self.spine.service.service_time().await?;
            for payload in &payloads {
                let counts = self.uncommitted.entry(payload.row.table).or_default();
                counts.payloads += 1;
                counts.failed += u64::from(matches!(payload.fetched, Fetched::Failed(_)));
            }
            if self.archive.is_none() {
                let (start, end) = (extracted_at, extracted_at);
                let slice = Slice { table: &PAYLOAD, scope: String::new(), clock: CREATED, start, end };
                self.parts += 1;
                self.archive = PayloadArchive::begin(self.spine, &slice, self.parts, extracted_at);
            }
            if let Some(archive) = &mut self.archive {
                archive.keep(&payloads, extracted_at).await?;
            }
            // The bytes are let go as soon as they are decoded: their budget is what bounds the fetches.
            let decoded = cpu::run(move || decode_payloads(&payloads, extracted_at)).await?;
            self.part.push(&self.spine.rejects, &self.spine.run_id, decoded, extracted_at).await?;
            self.bytes += bytes;
        }
        if self.since_commit.elapsed() >= COMMITTED_AFTER || self.bytes >= COMMITTED_AFTER_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        // Before the commit: what the lake has can be replayed.
        if let Some(archive) = self.archive.take() {
            archive.finish(self.spine.service.service_time().await?).await?;
        }
        let part = std::mem::replace(&mut self.part, Part::new(&self.spine.lake));
        part.commit(&self.spine.run_id).await?;
        let mut reports = self.spine.reports.lock().await;
        for (table, Counts { payloads, failed }) in std::mem::take(&mut self.uncommitted) {
            let report = reports.of(table);
            report.payloads += payloads;
            report.payloads_failed += failed;
            (self.spine.observe)(&Event::Payloads { table, payloads, failed });
        }
        self.bytes = 0;
        self.since_commit = Clock::now();
        Ok(())
    }
}

/// File columns by week, newest first.
async fn units(lake: &Lake, tables: &[&'static Table]) -> Result<Vec<Unit>, Error> {
    let mut units = Vec::new();
    for table in tables {
        for week in lake.weeks(table).await? {
            units.extend(table.files().map(|column| Unit { table, column, week }));
        }
    }
    units.sort_by_key(|unit| std::cmp::Reverse(unit.week));
    Ok(units)
}

/// Payloads that are committed together, with what is made from them.
pub(crate) struct Part {
    payloads: Changes,
    messages: Changes,
    sources: Changes,
    rejects: Changes,
}

impl Part {
    pub(crate) fn new(lake: &Lake) -> Self {
        Self {
            payloads: lake.changes(&PAYLOAD, Find::ByKey),
            messages: lake.changes(&TRANSCRIPT_MESSAGE, Find::ByKey),
            sources: lake.changes(&TRANSCRIPT_SOURCE, Find::ByKey),
            rejects: lake.changes(&REJECTED_RECORD, Find::ByKey),
        }
    }

    /// Takes decoded payloads: older messages of their transcripts go.
    pub(crate) async fn push(
        &mut self,
        rejects: &Rejects,
        run_id: &str,
        decoded: copilot_lake_decoder::DecodedPayloads,
        extracted_at: copilot_lake_tables::Instant,
    ) -> Result<(), Error> {
        self.replace(rejects, &decoded.transcripts)?;
        for (table, reject) in &decoded.rejects {
            let batch = reject_batch(table, std::slice::from_ref(reject), run_id, extracted_at)?;
            self.rejects.push(None, batch).await?;
            rejects.learn(table, std::slice::from_ref(reject));
        }
        for (week, batch) in decoded.messages {
            self.messages.push(Some(week), batch).await?;
        }
        for (week, batch) in decoded.sources {
            self.sources.push(Some(week), batch).await?;
        }
        for (week, batch) in decoded.payloads {
            self.payloads.push(Some(week), batch).await?;
        }
        Ok(())
    }

    fn replace(&mut self, rejects: &Rejects, transcripts: &[String]) -> Result<(), Error> {
        derived::replace_messages(&mut self.messages, &mut self.sources, transcripts)?;
        for table in [&TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE] {
            if let Some(keys) = rejects.below(table, transcripts)? {
                self.rejects.remove(&keys)?;
            }
        }
        Ok(())
    }

    /// Takes rows that name no File any more: their payloads go.
    fn forget(&mut self, rejects: &Rejects, gone: &[SourceRow]) -> Result<(), Error> {
        if gone.is_empty() {
            return Ok(());
        }
        self.payloads.remove(&keys(gone)?)?;
        let transcript = |row: &&SourceRow| {
            let table = copilot_lake_tables::table(row.table);
            table.and_then(|table| table.column(row.column)).is_some_and(|column| column.transcript)
        };
        let transcripts: Vec<String> = gone.iter().filter(transcript).map(|row| row.id.clone()).collect();
        self.replace(rejects, &transcripts)
    }

    /// Commits what is made from payloads before them: a payload proves that its messages are there.
    pub(crate) async fn commit(self, run_id: &str) -> Result<(), Error> {
        for changes in [self.sources, self.messages, self.rejects, self.payloads] {
            changes.commit(run_id).await?;
        }
        Ok(())
    }
}

/// The keys of rows of `payload` whose row names no File any more.
fn keys(gone: &[SourceRow]) -> Result<RecordBatch, Error> {
    let each =
        |part: fn(&SourceRow) -> &str| Arc::new(StringArray::from_iter_values(gone.iter().map(part))) as ArrayRef;
    let keys = vec![
        ("source_table", each(|row| row.table)),
        ("source_id", each(|row| &row.id)),
        ("source_partitionid", each(|row| &row.partition_id)),
        ("column_name", each(|row| row.column)),
    ];
    Ok(assemble(&PAYLOAD, keys)?)
}

/// The bytes of a fetched file; its permit in the extractor's budget is given back when it is dropped.
struct FetchedFile(File);

impl AsRef<[u8]> for FetchedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

fn size(payload: &RawPayload<FetchedFile>) -> usize {
    match &payload.fetched {
        Fetched::Bytes(file, _) => file.0.bytes.len(),
        Fetched::Missing | Fetched::TooLarge(_) | Fetched::Failed(_) => 0,
    }
}

/// File columns that may not be read, with the refusal. Clones are the same list.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<BTreeMap<(&'static str, &'static str), String>>>);

impl Refused {
    fn contains(&self, row: &SourceRow) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&(row.table, row.column))
    }

    fn add(&self, row: &SourceRow, error: &ServiceError) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.entry((row.table, row.column)).or_insert_with(|| error.to_string());
    }

    /// A column that may not be read is a failure of its table, told once.
    async fn report(&self, spine: &Spine) {
        let refused = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut reports = spine.reports.lock().await;
        let tables: BTreeSet<_> = refused.keys().map(|(table, _)| *table).collect();
        for table in tables {
            reports.of(table).payloads_failed += 1;
        }
        for ((table, column), reason) in refused {
            reports.of(table).reasons.push(format!("payloads of {column}: {reason}"));
        }
    }
}

/// Fetches a File; `None` when its column may not be read.
async fn fetch(service: Dataverse, row: SourceRow, refused: Refused) -> Result<Option<RawPayload<FetchedFile>>, Error> {
    let Some(table) = copilot_lake_tables::table(row.table).filter(|_| !refused.contains(&row)) else {
        return Ok(None);
    };
    let mut key = vec![row.id.clone()];
    if table.key.len() > 1 {
        key.push(row.partition_id.clone());
    }
    let address = FileAddress { table, key, column: row.column };
    let fetched = match service.file(&address).await {
        Ok(file) => {
            let name = file.name.clone();
            Fetched::Bytes(FetchedFile(file), name)
        }
        Err(ServiceError::FileMissing { .. }) => Fetched::Missing,
        Err(ServiceError::FileTooLarge { size, .. }) => Fetched::TooLarge(size),
        // Nothing else will be got either.
        Err(error @ ServiceError::SignInRefused { .. }) => return Err(error.into()),
        // Nothing else of this column will be got.
        Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
            refused.add(&row, &error);
            return Ok(None);
        }
        Err(error) => Fetched::Failed(without_call(&error)),
    };
    Ok(Some(RawPayload { row, fetched }))
}

/// The error without tries, times and request ids: the same failure must read the same in the next run.
fn without_call(error: &ServiceError) -> String {
    let text = error.to_string();
    let call = error.call().map(|call| format!(" ({call})")).unwrap_or_default();
    text.strip_suffix(&call).unwrap_or(&text).to_owned()
}

/// A panic of the task is a panic here; it is cancelled only together with this one.
fn resume<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("{error}"),
    }
}
