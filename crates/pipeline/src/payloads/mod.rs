//! Payloads: the Files that rows of the lake name and the table `payload` does not have, newest first.
//!
//! Knows Dataverse as the only service with Files. Rows are in the lake by the time their Files are fetched.

pub(crate) mod changes;
pub(crate) mod complete_weeks;
pub(crate) mod derived;
pub(crate) mod named_files;
pub(crate) mod redecode;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant as MachineInstant};

use copilot_lake_decoder::{Fetched, RawPayload, SourceRow, decode_payloads};
use copilot_lake_extractor::{Dataverse, Error as ServiceError, FileAddress, FileContent, Slice};
use copilot_lake_tables::{Instant, PAYLOAD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table, Week};
use copilot_lake_writer::MergeMode;
use futures::TryStreamExt as _;
use tokio::task::{JoinError, JoinSet};

use self::changes::PayloadChanges;
use self::complete_weeks::CompleteWeeks;
use self::named_files::{ClearedFiles, NamedFile, RetryMissing};
use crate::cpu;
use crate::dataverse::context::DataverseContext;
use crate::dataverse::schema::FileVisibility;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::windows::CREATED;
use crate::replay::archive::PayloadArchive;

/// The tables that payloads are written to.
pub(crate) const PAYLOAD_TABLES: [&Table; 3] = [&PAYLOAD, &TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE];

/// Payloads that are fetched at the same time; the extractor's own limits are lower.
const FETCHED_AT_ONCE: usize = 48;
/// The most payloads that are decoded together, by number and by bytes.
pub(crate) const DECODED_TOGETHER: usize = 512;
pub(crate) const DECODED_TOGETHER_BYTES: usize = 8 << 20;
/// Payloads are committed after this time or this many bytes: a killed run fetches no more than that again.
const COMMITTED_AFTER: Duration = Duration::from_secs(60);
const COMMITTED_AFTER_BYTES: usize = 64 << 20;

/// Fetches, decodes and commits the payloads of the tables' File columns. What was fetched before an error is
/// committed.
pub(crate) async fn fetch_payloads(context: &DataverseContext<'_>, tables: &[&'static Table]) -> Result<(), Error> {
    let tables: Vec<_> = tables.iter().copied().filter(|table| table.files().next().is_some()).collect();
    let mut walk = PayloadWalk {
        context,
        unreadable: UnreadableColumns::default(),
        changes: PayloadChanges::new(&context.run.lake, MergeMode::Upsert),
        archive: None,
        archives: 0,
        since_commit: MachineInstant::now(),
        bytes: 0,
        uncommitted: BTreeMap::new(),
        incomplete: BTreeSet::new(),
        complete: CompleteWeeks::read(&context.run.lake, &tables).await?,
    };
    let walked = walk.fetch_all(&tables).await;
    if matches!(walked, Err(Error::Lake(_) | Error::Decode(_))) {
        // What is pending may be incomplete, and a payload that is committed is not fetched again.
        return walked.map(drop);
    }
    let committed = walk.commit().await;
    let refused = walk.unreadable.report(context).await;
    committed?;
    if walked? {
        let noted: Vec<_> = tables.into_iter().filter(|table| !refused.contains(table.name)).collect();
        // Without the note, the next run searches these weeks once more.
        if let Err(error) = walk.complete.note(&context.run.lake, &noted, &walk.incomplete).await {
            tracing::warn!(%error, "could not note which weeks have all their payloads");
        }
    }
    Ok(())
}

struct PayloadWalk<'a> {
    context: &'a DataverseContext<'a>,
    unreadable: UnreadableColumns,
    changes: PayloadChanges,
    archive: Option<PayloadArchive>,
    archives: u32,
    since_commit: MachineInstant,
    bytes: usize,
    uncommitted: BTreeMap<&'static str, FetchCounts>,
    /// Weeks that lack a payload.
    incomplete: BTreeSet<(&'static str, Week)>,
    /// Weeks that had all their payloads before.
    complete: CompleteWeeks,
}

/// Payloads of a table.
#[derive(Debug, Default)]
struct FetchCounts {
    payloads: u64,
    failed: u64,
}

impl PayloadWalk<'_> {
    /// Returns `false` when it was stopped before its end.
    async fn fetch_all(&mut self, tables: &[&'static Table]) -> Result<bool, Error> {
        let (context, unreadable) = (self.context, self.unreadable.clone());
        let cleared = ClearedFiles::default();
        let nothing = CompleteWeeks::default();
        let complete = if context.run.full { &nothing } else { &self.complete };
        let retry = RetryMissing { full: context.run.full, now: context.service.service_time().await? };
        let files = named_files::files_to_fetch(&context.run.lake, tables, complete, &cleared, retry).await?;
        // One stream over all weeks: a File with many retries does not hold up the others.
        let fetched = files.map_ok(|NamedFile { row, may_come }| {
            // A task of its own, so that fetches go on while other payloads are decoded and committed.
            let mut task = JoinSet::new();
            task.spawn(fetch_file(context.service.clone(), row, unreadable.clone()));
            async move {
                let joined = task.join_next().await;
                let fetched = joined.unwrap_or_else(|| unreachable!("one task was spawned")).unwrap_or_else(resume);
                fetched.map(|payload| payload.map(|payload| (payload, may_come)))
            }
        });
        let mut fetched = std::pin::pin!(fetched.try_buffer_unordered(FETCHED_AT_ONCE));
        let mut shutdown = std::pin::pin!(context.run.shutdown.requested());
        let mut together: Vec<RawPayload<FetchedFile>> = Vec::new();
        let mut together_bytes = 0;
        let result = loop {
            let due = self.since_commit + COMMITTED_AFTER;
            let next = tokio::select! {
                next = fetched.try_next() => match next {
                    Ok(Some(payload)) => payload,
                    // Files whose request was stopped are not among what was fetched.
                    Ok(None) if context.run.shutdown.is_requested() => {
                        context.run.note_shutdown().await;
                        break Ok(false);
                    }
                    Ok(None) => break Ok(true),
                    Err(error) => break Err(error),
                },
                () = tokio::time::sleep_until(due.into()) => None,
                () = &mut shutdown => {
                    context.run.note_shutdown().await;
                    break Ok(false);
                }
            };
            if let Some((payload, may_come)) = next {
                if may_come && matches!(payload.fetched, Fetched::Missing) {
                    self.incomplete.insert((payload.row.table, Week::of(payload.row.row_time)));
                }
                together_bytes += size(&payload);
                together.push(payload);
            }
            if together.len() >= DECODED_TOGETHER
                || together_bytes >= DECODED_TOGETHER_BYTES
                || MachineInstant::now() >= due
            {
                self.decode(std::mem::take(&mut together), std::mem::take(&mut together_bytes)).await?;
                self.remove_cleared(cleared.drain()).await?;
            }
        };
        self.decode(together, together_bytes).await?;
        self.remove_cleared(cleared.drain()).await?;
        result
    }

    /// Removes the payloads of rows that no longer name a File.
    async fn remove_cleared(&mut self, rows: Vec<SourceRow>) -> Result<(), Error> {
        let mut cleared = Vec::with_capacity(rows.len());
        for row in rows {
            match self.is_file_deleted(&row).await? {
                Some(true) => cleared.push(row),
                Some(false) => {}
                None => drop(self.incomplete.insert((row.table, Week::of(row.row_time)))),
            }
        }
        if cleared.is_empty() {
            return Ok(());
        }
        let extracted_at = self.context.service.service_time().await?;
        if let Some(archive) = self.archive(extracted_at) {
            archive.push_cleared(&cleared, extracted_at);
        }
        self.changes.remove_cleared(&self.context.run.rejects, &cleared).await
    }

    /// Whether the File that a row no longer names was deleted; `None` when that is not known now. Payloads of a
    /// hidden column stay: its rows are read again once it is shown.
    async fn is_file_deleted(&mut self, row: &SourceRow) -> Result<Option<bool>, Error> {
        let Some(table) = copilot_lake_tables::table(row.table) else { return Ok(Some(false)) };
        match self.context.schema.shows_files(table, row.column) {
            FileVisibility::Everything => return Ok(Some(true)),
            FileVisibility::Nothing => return Ok(Some(false)),
            FileVisibility::Perhaps if self.unreadable.contains(row, false) => return Ok(Some(false)),
            FileVisibility::Perhaps if self.context.run.shutdown.is_requested() => return Ok(None),
            FileVisibility::Perhaps => {}
        }
        // Not by fetching it: files that were fetched meanwhile may hold all memory, and wait for this to end.
        match self.context.service.has_file(&address(table, row)).await {
            Ok(false) => Ok(Some(true)),
            Err(error) if error.is_service_wide() => Err(error.into()),
            Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
                self.unreadable.insert(row, &error, false);
                Ok(Some(false))
            }
            _ => Ok(None),
        }
    }

    /// The archive of what is not committed yet; `None` when nothing is archived.
    fn archive(&mut self, extracted_at: Instant) -> Option<&mut PayloadArchive> {
        if self.archive.is_none() {
            let (start, end) = (extracted_at, extracted_at);
            let slice = Slice { table: &PAYLOAD, scope: String::new(), time_column: CREATED, start, end };
            self.archives += 1;
            self.archive = PayloadArchive::begin(self.context.run, &slice, self.archives, extracted_at);
        }
        self.archive.as_mut()
    }

    async fn decode(&mut self, payloads: Vec<RawPayload<FetchedFile>>, bytes: usize) -> Result<(), Error> {
        if !payloads.is_empty() {
            let extracted_at = self.context.service.service_time().await?;
            for payload in &payloads {
                let counts = self.uncommitted.entry(payload.row.table).or_default();
                counts.payloads += 1;
                if matches!(payload.fetched, Fetched::Failed(_)) {
                    counts.failed += 1;
                    self.incomplete.insert((payload.row.table, Week::of(payload.row.row_time)));
                }
            }
            if let Some(archive) = self.archive(extracted_at) {
                archive.push(&payloads, extracted_at).await?;
            }
            // The bytes are freed as soon as they are decoded: their budget bounds the fetches.
            let decoded = cpu::run_on_rayon(move || decode_payloads(&payloads, extracted_at)).await?;
            self.changes.push(&self.context.run.rejects, &self.context.run.run_id, decoded, extracted_at).await?;
            self.bytes += bytes;
        }
        if self.since_commit.elapsed() >= COMMITTED_AFTER || self.bytes >= COMMITTED_AFTER_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        // Before the commit: whatever is in the lake can be replayed.
        if let Some(archive) = self.archive.take() {
            archive.finish(self.context.service.service_time().await?).await?;
        }
        let changes =
            std::mem::replace(&mut self.changes, PayloadChanges::new(&self.context.run.lake, MergeMode::Upsert));
        let payloads: u64 = self.uncommitted.values().map(|counts| counts.payloads).sum();
        let what = if payloads == 1 { "1 File".to_owned() } else { format!("{payloads} Files") };
        let commit = changes.commit(&self.context.run.rejects, &self.context.run.run_id);
        self.context.run.commit(PAYLOAD.name, what, commit).await?;
        let mut reports = self.context.run.reports.lock().await;
        for (table, FetchCounts { payloads, failed }) in std::mem::take(&mut self.uncommitted) {
            let report = reports.table(table);
            report.payloads += payloads;
            report.payloads_failed += failed;
            (self.context.run.observe)(&Event::Payloads { table, payloads, failed });
        }
        self.bytes = 0;
        self.since_commit = MachineInstant::now();
        Ok(())
    }
}

/// A fetched file. Dropping it returns its bytes to the extractor's budget.
struct FetchedFile(FileContent);

impl AsRef<[u8]> for FetchedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

fn size(payload: &RawPayload<FetchedFile>) -> usize {
    payload.fetched.bytes().map_or(0, |file| file.0.bytes.len())
}

/// File columns that may not be read, each with the refusal and whether one of its payloads was wanted. Clones share
/// the list.
#[derive(Clone, Default)]
struct UnreadableColumns(Arc<Mutex<RefusedColumns>>);

type RefusedColumns = BTreeMap<(&'static str, &'static str), (String, bool)>;

impl UnreadableColumns {
    fn columns(&self) -> MutexGuard<'_, RefusedColumns> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the column of a row is known to be unreadable. `wanted`: notes that a payload of it is wanted.
    fn contains(&self, row: &SourceRow, wanted: bool) -> bool {
        let mut columns = self.columns();
        let known = columns.get_mut(&(row.table, row.column));
        known.map(|(_, was_wanted)| *was_wanted |= wanted).is_some()
    }

    /// Adds the column of a row.
    fn insert(&self, row: &SourceRow, error: &ServiceError, wanted: bool) {
        let mut columns = self.columns();
        columns.entry((row.table, row.column)).or_insert_with(|| (error.to_string(), false)).1 |= wanted;
    }

    /// Reports every column whose payloads were wanted as one failure of its table. Returns these tables.
    async fn report(&self, context: &DataverseContext<'_>) -> BTreeSet<&'static str> {
        let columns = std::mem::take(&mut *self.columns());
        let refused: Vec<_> = columns.into_iter().filter(|(_, (_, wanted))| *wanted).collect();
        let mut reports = context.run.reports.lock().await;
        let tables: BTreeSet<_> = refused.iter().map(|((table, _), _)| *table).collect();
        for table in &tables {
            reports.table(table).payloads_failed += 1;
        }
        for ((table, column), (reason, _)) in refused {
            reports.table(table).reasons.push(format!("payloads of {column}: {reason}"));
        }
        tables
    }
}

/// Fetches a File; `None` when its column may not be read.
async fn fetch_file(
    service: Dataverse,
    row: SourceRow,
    unreadable: UnreadableColumns,
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
        // The run ends: nothing is known of this File.
        Err(ServiceError::Stopped) => return Ok(None),
        // No other File can be fetched either.
        Err(error) if error.is_service_wide() => return Err(error.into()),
        // No other File of this column can be fetched.
        Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
            unreadable.insert(&row, &error, true);
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

/// Resumes the panic of a task. A task is cancelled only together with its caller.
fn resume<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("{error}"),
    }
}
