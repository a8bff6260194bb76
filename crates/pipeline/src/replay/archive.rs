//! The archive that a run writes for replay: pages and payloads as they came, with a description.

use bytes::Bytes;
use copilot_lake_decoder::{Fetched, RawPayload, SourceRow};
use copilot_lake_extractor::{Selection, Slice};
use copilot_lake_tables::{Instant, Labels, PAYLOAD, Table};
use copilot_lake_writer::{Archive, ArchiveEntry, EntryKind, Error, RunArchive};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::description::{CLEARED, PageLine, PayloadLine, SliceFile, VERSION};
use crate::dataverse::context::DataverseContext;
use crate::ledger::slice_row::SliceCounts;
use crate::run::context::RunContext;

/// The archived pages of a slice that is being read.
pub(crate) struct PageArchive {
    run_archive: RunArchive,
    archive: Archive,
    about: SliceFile,
}

impl PageArchive {
    /// `None` when nothing is archived.
    pub(crate) fn begin(run: &RunContext, slice: &Slice, selection: &Selection, as_of: Instant) -> Option<Self> {
        let (run_archive, about) = describe(run, slice, &selection.text(), as_of)?;
        let name = format!("{}-{}-{}", slice.time_column, compact(slice.start), compact(slice.end));
        Some(Self { archive: run_archive.begin(slice.table.name, &name), run_archive, about })
    }

    /// Archives a page.
    pub(crate) async fn push_page(&self, number: u32, body: &Bytes, extracted_at: Instant) -> Result<(), Error> {
        let line = PageLine::new(number, extracted_at);
        self.archive.push(vec![entry(EntryKind::Page, &line, Some(body.clone()))]).await
    }

    /// Completes the slice: without this it is not replayed.
    pub(crate) async fn finish(
        self,
        context: &DataverseContext<'_>,
        table: &'static Table,
        ids: &[String],
        counts: &SliceCounts,
    ) -> Result<(), Error> {
        let labels = context.labels.known(table).await;
        let finished_at = context.service.service_time().await.map_or(self.about.as_of.clone(), |now| now.to_string());
        let about = SliceFile {
            labels: owned_labels(&labels),
            ids: ids.to_vec(),
            requests: counts.requests,
            throttled_seconds: counts.throttled_seconds,
            finished_at,
            ..self.about
        };
        self.run_archive.finish(table.name, self.archive, json(&about)).await
    }
}

/// The description of a slice that is about to be read; `None` when nothing is archived.
pub(crate) fn describe(
    run: &RunContext,
    slice: &Slice,
    selection: &str,
    as_of: Instant,
) -> Option<(RunArchive, SliceFile)> {
    let target = run.archive.as_ref()?;
    let about = SliceFile {
        version: VERSION,
        organization: target.organization.clone(),
        tenant: target.tenant.clone(),
        run_id: run.run_id.clone(),
        started_at: run.started_at.to_string(),
        source: slice.table.source_name().to_owned(),
        table: slice.table.name.to_owned(),
        scope: slice.scope.clone(),
        time_column: slice.time_column.to_owned(),
        window_start: slice.start.to_string(),
        window_end: slice.end.to_string(),
        as_of: as_of.to_string(),
        finished_at: as_of.to_string(),
        selection: selection.to_owned(),
        counts: run.window.is_none(),
        ..SliceFile::default()
    };
    Some((target.run_archive.clone(), about))
}

/// Archives which rows a tracking read found deleted, where a run archives anything.
pub(crate) async fn archive_deletions(
    run: &RunContext,
    slice: &Slice,
    (keys, deletes, token): (&[Vec<String>], &str, &str),
    counts: &SliceCounts,
) -> Result<(), Error> {
    let as_of = counts.as_of.unwrap_or(slice.end);
    let described = describe(run, slice, &slice.table.key.join(","), as_of);
    let Some((run_archive, mut about)) = described else { return Ok(()) };
    (about.deleted_keys, about.deletes, about.token) = (keys.to_vec(), deletes.to_owned(), Some(token.to_owned()));
    (about.counts, about.pages_read, about.requests) = (false, counts.pages, counts.requests);
    let archive = run_archive.begin(slice.table.name, &format!("{}-{}", slice.time_column, compact(as_of)));
    run_archive.finish(slice.table.name, archive, json(&about)).await
}

/// The archive of payloads that are committed together.
pub(crate) struct PayloadArchive {
    run_archive: RunArchive,
    archive: Archive,
    about: SliceFile,
}

impl PayloadArchive {
    /// `None` when nothing is archived.
    pub(crate) fn begin(run: &RunContext, slice: &Slice, as_of: Instant) -> Option<Self> {
        let (run_archive, about) = describe(run, slice, "", as_of)?;
        Some(Self { archive: run_archive.begin(PAYLOAD.name, &compact(as_of)), run_archive, about })
    }

    /// Archives payloads.
    pub(crate) async fn push<B: AsRef<[u8]>>(
        &self,
        payloads: &[RawPayload<B>],
        extracted_at: Instant,
    ) -> Result<(), Error> {
        let mut entries = Vec::with_capacity(payloads.len());
        for payload in payloads {
            let mut line = PayloadLine::new(&payload.row, extracted_at);
            let mut content = None;
            match &payload.fetched {
                Fetched::Bytes(bytes, name) | Fetched::SizeMismatch(bytes, name, _) => {
                    content = Some(Bytes::copy_from_slice(bytes.as_ref()));
                    line.service_name = name.clone();
                    if let Fetched::SizeMismatch(_, _, size) = &payload.fetched {
                        line.size = Some(*size);
                    }
                }
                Fetched::Missing => line.status = Some("missing".to_owned()),
                Fetched::TooLarge(size) => (line.status, line.size) = (Some("too_large".to_owned()), Some(*size)),
                // The next run tries it again.
                Fetched::Failed(why) => (line.status, line.reason) = (Some("failed".to_owned()), Some(why.clone())),
            }
            entries.push(entry(EntryKind::Payload, &line, content));
        }
        self.archive.push(entries).await
    }

    /// Archives which rows no longer name a File.
    pub(crate) async fn push_cleared(&self, rows: &[SourceRow], extracted_at: Instant) -> Result<(), Error> {
        let entries = rows.iter().map(|row| {
            let line = PayloadLine { status: Some(CLEARED.to_owned()), ..PayloadLine::new(row, extracted_at) };
            entry(EntryKind::Payload, &line, None)
        });
        self.archive.push(entries.collect()).await
    }

    /// Completes the archive.
    pub(crate) async fn finish(self, finished_at: Instant) -> Result<(), Error> {
        let about = SliceFile { finished_at: finished_at.to_string(), ..self.about };
        self.run_archive.finish(PAYLOAD.name, self.archive, json(&about)).await
    }
}

/// Merges the small archives of a table once they make up a bundle. Before that they can be replayed as well.
pub(crate) async fn merge_when_due(run: &RunContext, table: &'static Table) {
    let Some(target) = run.archive.as_ref().filter(|target| target.run_archive.is_merge_due(table.name)) else {
        return;
    };
    if let Err(error) = target.run_archive.merge(table.name).await {
        tracing::warn!(table = table.name, %error, "small archives stay as they are");
    }
}

/// Merges all small archives at the end of a run, unless it has to stop.
pub(crate) async fn merge_all(run: &RunContext) {
    let Some(target) = run.archive.as_ref().filter(|_| !run.shutdown.is_requested()) else { return };
    if let Err(error) = target.run_archive.merge_all().await {
        tracing::warn!(%error, "small archives stay as they are");
    }
}

/// An entry of the first slice of an archive.
pub(crate) fn entry(kind: EntryKind, about: &impl Serialize, content: Option<Bytes>) -> ArchiveEntry {
    // Strings, numbers and lists can always be written as JSON.
    let about = to_raw_value(about).unwrap_or_else(|_| RawValue::NULL.to_owned());
    ArchiveEntry { slice: 0, kind, about, content }
}

fn owned_labels(labels: &Labels) -> Vec<(String, i32, String)> {
    labels.iter().map(|(column, code, label)| (column.to_owned(), code, label.to_owned())).collect()
}

/// An instant in letters and digits, for paths.
pub(crate) fn compact(at: Instant) -> String {
    at.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

/// A description as a line of JSON.
pub(crate) fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists can always be written as JSON.
    serde_json::to_string(value).unwrap_or_default()
}
