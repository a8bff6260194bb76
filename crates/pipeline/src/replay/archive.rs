//! The archive that a run writes for replay: pages and payloads as they came, with a description.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use copilot_lake_decoder::{Fetched, RawPayload, SourceRow};
use copilot_lake_extractor::{Selection, Slice};
use copilot_lake_tables::{Instant, Labels, Table};
use copilot_lake_writer::{Archive, Error};
use serde::Serialize;

use super::description::{CLEARED, PAYLOADS, PageTime, PayloadLine, SliceFile, VERSION};
use crate::dataverse::context::DataverseContext;
use crate::ledger::slice_row::SliceCounts;
use crate::run::context::RunContext;

/// The archived pages of a slice that is being read.
pub(crate) struct PageArchive {
    archive: Archive,
    about: SliceFile,
    times: Mutex<Vec<PageTime>>,
}

impl PageArchive {
    /// `None` when nothing is archived.
    pub(crate) fn begin(run: &RunContext, slice: &Slice, selection: &Selection, as_of: Instant) -> Option<Self> {
        let about = describe(run, slice, &selection.text(), as_of)?;
        let name = format!("{}-{}-{}", slice.time_column, compact(slice.start), compact(slice.end));
        Some(Self { archive: run.lake.archive(slice.table.name, &run.run_id, &name), about, times: Mutex::default() })
    }

    /// Archives a page.
    pub(crate) async fn push_page(&self, number: u32, body: &Bytes, extracted_at: Instant) -> Result<(), Error> {
        self.archive.page(number, body.clone()).await?;
        let time = PageTime { number, extracted_at: extracted_at.to_string() };
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
        Ok(())
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
            pages: self.times.into_inner().unwrap_or_else(PoisonError::into_inner),
            labels: owned_labels(&labels),
            ids: ids.to_vec(),
            requests: counts.requests,
            throttled_seconds: counts.throttled_seconds,
            finished_at,
            ..self.about
        };
        self.archive.finish(json(&about), String::new()).await
    }
}

/// The description of a slice that is about to be read; `None` when nothing is archived.
fn describe(run: &RunContext, slice: &Slice, selection: &str, as_of: Instant) -> Option<SliceFile> {
    let identity = run.archive.clone()?;
    Some(SliceFile {
        version: VERSION,
        organization: identity.organization,
        tenant: identity.tenant,
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
        pages: vec![],
        pages_read: 0,
        requests: 0,
        throttled_seconds: 0.0,
        ids: vec![],
        labels: vec![],
        deleted_keys: vec![],
        deletes: String::new(),
        token: None,
    })
}

/// Archives which rows a tracking read found deleted, where a run archives anything.
pub(crate) async fn archive_deletions(
    run: &RunContext,
    slice: &Slice,
    (keys, deletes, token): (&[Vec<String>], &str, &str),
    counts: &SliceCounts,
) -> Result<(), Error> {
    let as_of = counts.as_of.unwrap_or(slice.end);
    let Some(mut about) = describe(run, slice, &slice.table.key.join(","), as_of) else { return Ok(()) };
    (about.deleted_keys, about.deletes, about.token) = (keys.to_vec(), deletes.to_owned(), Some(token.to_owned()));
    (about.counts, about.pages_read, about.requests) = (false, counts.pages, counts.requests);
    let name = format!("{}-{}", slice.time_column, compact(as_of));
    run.lake.archive(slice.table.name, &run.run_id, &name).finish(json(&about), String::new()).await
}

/// The archive of payloads that are committed together.
pub(crate) struct PayloadArchive {
    archive: Archive,
    about: SliceFile,
    index: String,
    next: u32,
}

impl PayloadArchive {
    /// `None` when nothing is archived. `part`: the number of the archive within the run.
    pub(crate) fn begin(run: &RunContext, slice: &Slice, part: u32, as_of: Instant) -> Option<Self> {
        let mut about = describe(run, slice, "", as_of)?;
        PAYLOADS.clone_into(&mut about.table);
        let archive = run.lake.archive(PAYLOADS, &run.run_id, &format!("part-{part:06}"));
        Some(Self { archive, about, index: String::new(), next: 1 })
    }

    /// Archives payloads.
    pub(crate) async fn push<B: AsRef<[u8]>>(
        &mut self,
        payloads: &[RawPayload<B>],
        extracted_at: Instant,
    ) -> Result<(), Error> {
        for payload in payloads {
            let mut line = PayloadLine::new(&payload.row, extracted_at);
            match &payload.fetched {
                Fetched::Bytes(bytes, name) | Fetched::SizeMismatch(bytes, name, _) => {
                    self.archive.payload(self.next, Bytes::copy_from_slice(bytes.as_ref())).await?;
                    (line.number, line.service_name) = (Some(self.next), name.clone());
                    if let Fetched::SizeMismatch(_, _, size) = &payload.fetched {
                        line.size = Some(*size);
                    }
                    self.next += 1;
                }
                Fetched::Missing => line.status = Some("missing".to_owned()),
                Fetched::TooLarge(size) => (line.status, line.size) = (Some("too_large".to_owned()), Some(*size)),
                // The next run tries it again.
                Fetched::Failed(why) => (line.status, line.reason) = (Some("failed".to_owned()), Some(why.clone())),
            }
            self.index.push_str(&json(&line));
            self.index.push('\n');
        }
        Ok(())
    }

    /// Archives which rows no longer name a File.
    pub(crate) fn push_cleared(&mut self, rows: &[SourceRow], extracted_at: Instant) {
        for row in rows {
            let line = PayloadLine { status: Some(CLEARED.to_owned()), ..PayloadLine::new(row, extracted_at) };
            self.index.push_str(&json(&line));
            self.index.push('\n');
        }
    }

    /// Completes the archive.
    pub(crate) async fn finish(self, finished_at: Instant) -> Result<(), Error> {
        let about = SliceFile { finished_at: finished_at.to_string(), ..self.about };
        self.archive.finish(json(&about), self.index).await
    }
}

fn owned_labels(labels: &Labels) -> Vec<(String, i32, String)> {
    labels.iter().map(|(column, code, label)| (column.to_owned(), code, label.to_owned())).collect()
}

/// An instant in letters and digits, for paths.
fn compact(at: Instant) -> String {
    at.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists can always be written as JSON.
    serde_json::to_string(value).unwrap_or_default()
}
