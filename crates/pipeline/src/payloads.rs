//! The second walk: whatever the lake's rows name and `payload` does not hold, newest first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as Clock};

use copilot_lake_decoder::{Fetched, RawPayload, SourceRow, decode_payloads};
use copilot_lake_extractor::{Dataverse, Error as ServiceError, FileAddress, FileContent, Slice};
use copilot_lake_tables::{Instant, PAYLOAD, Table, Week};
use copilot_lake_writer::MergeMode;
use futures::TryStreamExt as _;
use tokio::task::{JoinError, JoinSet};

use crate::archive::PayloadArchive;
use crate::cpu;
use crate::error::Error;
use crate::event::Event;
use crate::named_files::{self, Gone, NamedFile, RetryMissing};
use crate::part::Part;
use crate::plan::CREATED;
use crate::schema::Shows;
use crate::spine::DataverseSpine;
use crate::whole::Whole;

/// Payloads fetched at the same time; the extractor's own limits lie below.
const FETCHED_AT_ONCE: usize = 48;
/// Payloads that are decoded together, by number and by bytes.
pub(crate) const DECODED_TOGETHER: usize = 512;
pub(crate) const DECODED_TOGETHER_BYTES: usize = 8 << 20;
/// What a crash may cost: payloads are committed after this time or this many bytes.
const COMMITTED_AFTER: Duration = Duration::from_secs(60);
const COMMITTED_AFTER_BYTES: usize = 64 << 20;

/// Fetches, decodes and commits the payloads of the tables' File columns. What was got before an error is committed.
pub(crate) async fn run(spine: &DataverseSpine<'_>, tables: &[&'static Table]) -> Result<(), Error> {
    let tables: Vec<_> = tables.iter().copied().filter(|table| table.files().next().is_some()).collect();
    let mut walk = Walk {
        spine,
        unreadable: Unreadable::default(),
        part: Part::new(&spine.lake, MergeMode::Upsert),
        archive: None,
        parts: 0,
        since_commit: Clock::now(),
        bytes: 0,
        uncommitted: BTreeMap::new(),
        lacking: BTreeSet::new(),
        whole: Whole::read(&spine.lake, &tables).await?,
    };
    let walked = walk.walk(&tables).await;
    if matches!(walked, Err(Error::Lake(_) | Error::Decode(_))) {
        // What was taken is not whole: a payload that is committed is not asked for again.
        return walked.map(drop);
    }
    let committed = walk.commit().await;
    let refused = walk.unreadable.report(spine).await;
    committed?;
    if walked? {
        let noted: Vec<_> = tables.into_iter().filter(|table| !refused.contains(table.name)).collect();
        // Without the note the next run looks at these weeks once more.
        if let Err(error) = walk.whole.note(&spine.lake, &noted, &walk.lacking).await {
            tracing::warn!(%error, "which weeks have all their payloads could not be noted");
        }
    }
    Ok(())
}

struct Walk<'a> {
    spine: &'a DataverseSpine<'a>,
    unreadable: Unreadable,
    part: Part,
    archive: Option<PayloadArchive>,
    parts: u32,
    since_commit: Clock,
    bytes: usize,
    uncommitted: BTreeMap<&'static str, Got>,
    /// Weeks with a payload that was not got.
    lacking: BTreeSet<(&'static str, Week)>,
    /// Weeks that had all their payloads before.
    whole: Whole,
}

/// What was got of a table.
#[derive(Debug, Default)]
struct Got {
    payloads: u64,
    failed: u64,
}

impl Walk<'_> {
    /// `false`: it was stopped before its end.
    async fn walk(&mut self, tables: &[&'static Table]) -> Result<bool, Error> {
        let (spine, unreadable) = (self.spine, self.unreadable.clone());
        let gone = Gone::default();
        let nothing = Whole::default();
        let whole = if spine.full { &nothing } else { &self.whole };
        let again = RetryMissing { full: spine.full, now: spine.service.service_time().await? };
        let missing = named_files::missing(&spine.lake, tables, whole, &gone, again).await?;
        // One stream over all weeks: a File that is tried again and again holds up no other.
        let fetched = missing.map_ok(|NamedFile { row, may_come }| {
            // A task of its own, so that fetches go on while others are decoded and committed.
            let mut task = JoinSet::new();
            task.spawn(fetch(spine.service.clone(), row, unreadable.clone()));
            async move {
                let joined = task.join_next().await;
                let fetched = joined.unwrap_or_else(|| unreachable!("one task was spawned")).unwrap_or_else(resume);
                fetched.map(|payload| payload.map(|payload| (payload, may_come)))
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
                    Ok(None) => break Ok(true),
                    Err(error) => break Err(error),
                },
                () = tokio::time::sleep_until(due.into()) => None,
                () = &mut over => {
                    spine.stopped().await;
                    break Ok(false);
                }
            };
            if let Some((payload, may_come)) = next {
                if may_come && matches!(payload.fetched, Fetched::Missing) {
                    self.lacking.insert((payload.row.table, Week::of(payload.row.row_time)));
                }
                together_bytes += size(&payload);
                together.push(payload);
            }
            if together.len() >= DECODED_TOGETHER || together_bytes >= DECODED_TOGETHER_BYTES || Clock::now() >= due {
                self.decode(std::mem::take(&mut together), std::mem::take(&mut together_bytes)).await?;
                self.forget(gone.take()).await?;
            }
        };
        self.decode(together, together_bytes).await?;
        self.forget(gone.take()).await?;
        result
    }

    /// Lets the payloads of rows go that name no File any more.
    async fn forget(&mut self, rows: Vec<SourceRow>) -> Result<(), Error> {
        let mut gone = Vec::with_capacity(rows.len());
        for row in rows {
            match self.is_gone(&row).await? {
                Some(true) => gone.push(row),
                Some(false) => {}
                None => drop(self.lacking.insert((row.table, Week::of(row.row_time)))),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let extracted_at = self.spine.service.service_time().await?;
        if let Some(archive) = self.archive(extracted_at) {
            archive.keep_gone(&gone, extracted_at);
        }
        self.part.forget(&self.spine.rejects, &gone).await
    }

    /// Whether a File is gone that its row does not name; `None` when that cannot be told now. Of a column that is hidden
    /// what was fetched stays: its rows are read again once it is shown.
    async fn is_gone(&mut self, row: &SourceRow) -> Result<Option<bool>, Error> {
        let Some(table) = copilot_lake_tables::table(row.table) else { return Ok(Some(false)) };
        match self.spine.schema.shows_files(table, row.column) {
            Shows::Everything => return Ok(Some(true)),
            Shows::Nothing => return Ok(Some(false)),
            Shows::Perhaps if self.unreadable.contains(row, false) => return Ok(Some(false)),
            Shows::Perhaps if self.spine.halt.is_over() => return Ok(None),
            Shows::Perhaps => {}
        }
        match self.spine.service.file(&address(table, row)).await {
            Err(ServiceError::FileMissing { .. }) => Ok(Some(true)),
            Err(error) if error.is_service_wide() => Err(error.into()),
            Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
                self.unreadable.note(row, &error, false);
                Ok(Some(false))
            }
            _ => Ok(None),
        }
    }

    /// The archive of what is not committed yet; `None` when nothing is kept.
    fn archive(&mut self, extracted_at: Instant) -> Option<&mut PayloadArchive> {
        if self.archive.is_none() {
            let (start, end) = (extracted_at, extracted_at);
            let slice = Slice { table: &PAYLOAD, scope: String::new(), time_column: CREATED, start, end };
            self.parts += 1;
            self.archive = PayloadArchive::begin(self.spine, &slice, self.parts, extracted_at);
        }
        self.archive.as_mut()
    }

    async fn decode(&mut self, payloads: Vec<RawPayload<FetchedFile>>, bytes: usize) -> Result<(), Error> {
        if !payloads.is_empty() {
            let extracted_at = self.spine.service.service_time().await?;
            for payload in &payloads {
                let counts = self.uncommitted.entry(payload.row.table).or_default();
                counts.payloads += 1;
                if matches!(payload.fetched, Fetched::Failed(_)) {
                    counts.failed += 1;
                    self.lacking.insert((payload.row.table, Week::of(payload.row.row_time)));
                }
            }
            if let Some(archive) = self.archive(extracted_at) {
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
        let part = std::mem::replace(&mut self.part, Part::new(&self.spine.lake, MergeMode::Upsert));
        part.commit(&self.spine.rejects, &self.spine.run_id).await?;
        let mut reports = self.spine.reports.lock().await;
        for (table, Got { payloads, failed }) in std::mem::take(&mut self.uncommitted) {
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

/// The bytes of a fetched file; its permit in the extractor's budget is given back when it is dropped.
struct FetchedFile(FileContent);

impl AsRef<[u8]> for FetchedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

fn size(payload: &RawPayload<FetchedFile>) -> usize {
    payload.fetched.bytes().map_or(0, |file| file.0.bytes.len())
}

/// File columns that may not be read, each with the refusal, and whether a payload of it was wanted. Clones are the same
/// list.
#[derive(Clone, Default)]
struct Unreadable(Arc<Mutex<UnreadableColumns>>);

type UnreadableColumns = BTreeMap<(&'static str, &'static str), (String, bool)>;

impl Unreadable {
    fn columns(&self) -> MutexGuard<'_, UnreadableColumns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a row's column may not be read, as is known; and whether its payload is wanted.
    fn contains(&self, row: &SourceRow, wanted: bool) -> bool {
        let mut columns = self.columns();
        let known = columns.get_mut(&(row.table, row.column));
        known.map(|(_, was_wanted)| *was_wanted |= wanted).is_some()
    }

    /// Takes in that a row's column may not be read.
    fn note(&self, row: &SourceRow, error: &ServiceError, wanted: bool) {
        let mut columns = self.columns();
        columns.entry((row.table, row.column)).or_insert_with(|| (error.to_string(), false)).1 |= wanted;
    }

    /// A column whose payloads were wanted is a failure of its table, told once. Returns these tables.
    async fn report(&self, spine: &DataverseSpine<'_>) -> BTreeSet<&'static str> {
        let columns = std::mem::take(&mut *self.columns());
        let refused: Vec<_> = columns.into_iter().filter(|(_, (_, wanted))| *wanted).collect();
        let mut reports = spine.reports.lock().await;
        let tables: BTreeSet<_> = refused.iter().map(|((table, _), _)| *table).collect();
        for table in &tables {
            reports.of(table).payloads_failed += 1;
        }
        for ((table, column), (reason, _)) in refused {
            reports.of(table).reasons.push(format!("payloads of {column}: {reason}"));
        }
        tables
    }
}

/// Fetches a File; `None` when its column may not be read.
async fn fetch(
    service: Dataverse,
    row: SourceRow,
    unreadable: Unreadable,
) -> Result<Option<RawPayload<FetchedFile>>, Error> {
    let Some(table) = copilot_lake_tables::table(row.table).filter(|_| !unreadable.contains(&row, true)) else {
        return Ok(None);
    };
    let fetched = match service.file(&address(table, &row)).await {
        Ok(file) => {
            let name = file.name.clone();
            match file.declared_size {
                Some(size) => Fetched::SizeMismatch(FetchedFile(file), name, size),
                None => Fetched::Bytes(FetchedFile(file), name),
            }
        }
        Err(ServiceError::FileMissing { .. }) => Fetched::Missing,
        Err(ServiceError::FileTooLarge { size, .. }) => Fetched::TooLarge(size),
        // Nothing else will be got either.
        Err(error) if error.is_service_wide() => return Err(error.into()),
        // Nothing else of this column will be got.
        Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
            unreadable.note(&row, &error, true);
            return Ok(None);
        }
        Err(error) => Fetched::Failed(error.without_call()),
    };
    Ok(Some(RawPayload { row, fetched }))
}

fn address(table: &'static Table, row: &SourceRow) -> FileAddress {
    let mut key = vec![row.id.clone()];
    if table.key.len() > 1 {
        key.push(row.partition_id.clone());
    }
    FileAddress { table, key, column: row.column }
}

/// A panic of the task is a panic here; it is cancelled only together with this one.
fn resume<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("{error}"),
    }
}
