//! Payloads: the Files that rows of the lake name and the table `payload` does not have, newest first.
//!
//! Knows Dataverse as the only service with Files. Rows are in the lake by the time their Files are fetched.

pub(crate) mod changes;
mod column_failures;
pub(crate) mod complete_weeks;
pub(crate) mod decode;
pub(crate) mod derived;
mod file_fetches;
pub(crate) mod named_files;
pub(crate) mod redecode;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant as MachineInstant};

use copilot_lake_decoder::{Fetched, RawPayload, SourceRow};
use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{Instant, PAYLOAD, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE, Table, Week};
use copilot_lake_writer::MergeMode;

use self::changes::PayloadChanges;
use self::column_failures::ColumnFailures;
use self::complete_weeks::{CompleteWeeks, RecordedWeeks, remove_older};
use self::decode::decode_checked;
use self::file_fetches::{FetchedFile, FetchedPayload, FileFetches, address};
use self::named_files::{ClearedFiles, RetryMissing};
use crate::dataverse::context::DataverseContext;
use crate::dataverse::schema::FileVisibility;
use crate::error::Error;
use crate::event::Event;
use crate::ledger::windows::CREATED;
use crate::replay::archive::{self, PayloadArchive};
use crate::reread::reread;

/// The tables that payloads are written to.
pub(crate) const PAYLOAD_TABLES: [&Table; 3] = [&PAYLOAD, &TRANSCRIPT_MESSAGE, &TRANSCRIPT_SOURCE];

/// The most payloads that are decoded together, by number and by bytes.
pub(crate) const DECODED_TOGETHER: usize = 512;
pub(crate) const DECODED_TOGETHER_BYTES: usize = 8 << 20;
/// Payloads are committed after this time or this many bytes: a killed run fetches no more than that again.
const COMMITTED_AFTER: Duration = Duration::from_secs(60);
pub(crate) const COMMITTED_AFTER_BYTES: usize = 64 << 20;

/// Fetches, decodes and commits the payloads of the tables' File columns. What was fetched before an error is
/// committed.
pub(crate) async fn fetch_payloads(context: &DataverseContext<'_>, tables: &[&'static Table]) -> Result<(), Error> {
    let tables: Vec<_> = tables.iter().copied().filter(|table| table.files().next().is_some()).collect();
    let recorded = reread(|| RecordedWeeks::read(&context.run.lake)).await?;
    let mut walk = PayloadWalk {
        context,
        failures: ColumnFailures::default(),
        changes: PayloadChanges::new(&context.run.lake, MergeMode::Upsert),
        archive: None,
        since_commit: MachineInstant::now(),
        bytes: 0,
        uncommitted: BTreeMap::new(),
        incomplete: BTreeSet::new(),
        complete: CompleteWeeks::read(&context.run.lake, &recorded, &tables).await?,
    };
    let walked = walk.fetch_all(&tables).await;
    if matches!(walked, Err(Error::Lake(_) | Error::Decode(_))) {
        // What is pending may be incomplete, and a payload that is committed is not fetched again.
        return walked.map(drop);
    }
    let committed = walk.commit().await;
    let refused = walk.failures.report(context).await;
    committed?;
    if walked? {
        let complete: Vec<_> = tables.into_iter().filter(|table| !refused.contains(table.name)).collect();
        // Without the record, the next run searches these weeks once more.
        if let Err(error) = walk.record_complete(&recorded, &complete).await {
            tracing::warn!(%error, "could not record which weeks have all their payloads");
        }
    }
    Ok(())
}

struct PayloadWalk<'a> {
    context: &'a DataverseContext<'a>,
    failures: ColumnFailures,
    changes: PayloadChanges,
    archive: Option<PayloadArchive>,
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
        let (context, failures) = (self.context, self.failures.clone());
        let cleared = ClearedFiles::default();
        let nothing = CompleteWeeks::default();
        let complete = if context.run.full { &nothing } else { &self.complete };
        let retry = RetryMissing { full: context.run.full, now: context.service.service_time().await? };
        let files = named_files::files_to_fetch(&context.run.lake, tables, complete, &cleared, retry).await?;
        // One stream over all weeks: a File with many retries does not hold up the others.
        let mut fetches = FileFetches::new(context.service.clone(), failures, files);
        let mut shutdown = std::pin::pin!(context.run.shutdown.requested());
        let mut together: Vec<RawPayload<FetchedFile>> = Vec::new();
        let mut together_bytes = 0;
        let result = loop {
            let due = self.since_commit + COMMITTED_AFTER;
            let next = tokio::select! {
                next = fetches.next() => match next {
                    Ok(Some(payload)) => Some(payload),
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
            if let Some(FetchedPayload { payload, may_come }) = next {
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

    /// Records which weeks of these tables have all their payloads.
    async fn record_complete(&self, recorded: &RecordedWeeks, tables: &[&'static Table]) -> Result<(), Error> {
        let (run, at) = (self.context.run, self.context.service.service_time().await?);
        let rows = self.complete.changed_since(&run.lake, recorded, tables, &self.incomplete, at).await?;
        run.ledger.record_all(&run.run_id, rows.iter(), false).await?;
        Ok(remove_older(&run.lake, recorded).await?)
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
            archive.push_cleared(&cleared, extracted_at).await?;
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
            FileVisibility::Perhaps if self.failures.is_unreadable(row, false) => return Ok(Some(false)),
            FileVisibility::Perhaps if self.context.run.shutdown.is_requested() => return Ok(None),
            FileVisibility::Perhaps => {}
        }
        // Not by fetching it: files that were fetched meanwhile may hold all memory, and wait for this to end.
        match self.context.service.has_file(&address(table, row)).await {
            Ok(false) => Ok(Some(true)),
            Err(error) if error.is_service_wide() => Err(error.into()),
            Err(error @ (ServiceError::PermissionMissing { .. } | ServiceError::ColumnSecured { .. })) => {
                self.failures.refused(row, &error, false);
                Ok(Some(false))
            }
            _ => Ok(None),
        }
    }

    /// The archive of what is not committed yet; `None` when nothing is archived.
    fn archive(&mut self, extracted_at: Instant) -> Option<&PayloadArchive> {
        if self.archive.is_none() {
            let (start, end) = (extracted_at, extracted_at);
            let slice = Slice { table: &PAYLOAD, scope: String::new(), time_column: CREATED, start, end };
            self.archive = PayloadArchive::begin(self.context.run, &slice, extracted_at);
        }
        self.archive.as_ref()
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
            // Their budget of bytes bounds the fetches.
            let decoded = decode_checked(payloads, extracted_at).await?;
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
        archive::merge_when_due(self.context.run, &PAYLOAD).await;
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

fn size(payload: &RawPayload<FetchedFile>) -> usize {
    payload.fetched.bytes().map_or(0, |file| file.0.bytes.len())
}
