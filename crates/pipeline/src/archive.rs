//! What is kept for replay: pages and payloads as they came, and what a replay has to know beside them.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow};
use copilot_lake_extractor::{Selection, Slice};
use copilot_lake_tables::{Instant, Labels, Table};
use copilot_lake_writer::{Archive, Error};
use serde::{Deserialize, Serialize};

use crate::ingest::Counts;
use crate::spine::{DataverseSpine, Spine};

/// The folder of payloads, beside those of tables.
pub(crate) const PAYLOADS: &str = "payload";
/// The clock of a slice that says which rows were gone.
pub(crate) const TRACKING: &str = "tracking";

/// `slice.json`: what was read, when and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SliceFile {
    /// Of this description.
    pub(crate) version: u32,
    pub(crate) organization: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) run_id: String,
    /// When the run started.
    pub(crate) started_at: String,
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) scope: String,
    pub(crate) clock: String,
    pub(crate) window_start: String,
    pub(crate) window_end: String,
    pub(crate) as_of: String,
    pub(crate) finished_at: String,
    pub(crate) selection: String,
    /// Whether the window moves the watermark.
    pub(crate) counts: bool,
    /// When each page was received, in the order of their numbers.
    #[serde(default)]
    pub(crate) pages: Vec<PageTime>,
    /// Pages of a tracking read, which are not kept.
    #[serde(default)]
    pub(crate) pages_read: u64,
    /// Requests that it took, retries included.
    #[serde(default)]
    pub(crate) requests: u64,
    #[serde(default)]
    pub(crate) throttled_seconds: f64,
    /// Rows that were asked for by id; of a table that is kept in part.
    #[serde(default)]
    pub(crate) ids: Vec<String>,
    /// Labels that came from the service's metadata.
    #[serde(default)]
    pub(crate) labels: Vec<(String, i32, String)>,
    /// Keys of rows that the service does not have any more.
    #[serde(default)]
    pub(crate) gone: Vec<Vec<String>>,
    /// What to do with them: `mark` or `remove`.
    #[serde(default)]
    pub(crate) deletes: String,
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// When a page was received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PageTime {
    pub(crate) number: u32,
    pub(crate) extracted_at: String,
}

/// The status of a line about a row that names no File any more.
const GONE: &str = "gone";
/// The version of [`SliceFile`] and [`PayloadLine`].
pub(crate) const VERSION: u32 = 1;

/// A line of `index.jsonl`: a payload, and the row that names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PayloadLine {
    /// The number of its file; none where no bytes were got.
    pub(crate) number: Option<u32>,
    pub(crate) source_table: String,
    pub(crate) source_id: String,
    pub(crate) source_partitionid: String,
    pub(crate) column: String,
    pub(crate) file_id: String,
    /// The File's name, by the row.
    pub(crate) row_name: Option<String>,
    /// The same by the service.
    pub(crate) service_name: Option<String>,
    pub(crate) row_time: String,
    /// The charset that is documented for it: `utf-16le`, `utf-8` or nothing.
    pub(crate) documented: String,
    pub(crate) extracted_at: String,
    /// What there is instead of bytes: `missing`, `too_large`, `failed`; `gone` when the row names no File any more.
    pub(crate) status: Option<String>,
    /// The size that the service declares, where it is not that of the bytes.
    pub(crate) size: Option<u64>,
    pub(crate) reason: Option<String>,
}

/// The pages of a slice while it is read.
pub(crate) struct PageArchive {
    archive: Archive,
    about: SliceFile,
    times: Mutex<Vec<PageTime>>,
}

impl PageArchive {
    /// `None` when nothing is to be kept.
    pub(crate) fn begin(spine: &Spine, slice: &Slice, selection: &Selection, as_of: Instant) -> Option<Self> {
        let kept = spine.archive.as_ref()?;
        let name = format!("{}-{}-{}", slice.time_column, compact(slice.start), compact(slice.end));
        Some(Self {
            archive: spine.lake.archive(slice.table.name, &spine.run_id, &name),
            about: kept.slice_file(spine, slice, &selection.text(), as_of),
            times: Mutex::default(),
        })
    }

    /// Keeps a page.
    pub(crate) async fn page(&self, number: u32, body: &Bytes, extracted_at: Instant) -> Result<(), Error> {
        self.archive.page(number, body.clone()).await?;
        let time = PageTime { number, extracted_at: extracted_at.to_string() };
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
        Ok(())
    }

    /// Says that the slice is whole: without this nobody replays it.
    pub(crate) async fn finish(
        self,
        spine: &DataverseSpine<'_>,
        table: &'static Table,
        ids: &[String],
        counts: &Counts,
    ) -> Result<(), Error> {
        let labels = spine.labels.known(table).await;
        let about = SliceFile {
            pages: self.times.into_inner().unwrap_or_else(PoisonError::into_inner),
            labels: owned(&labels),
            ids: ids.to_vec(),
            requests: counts.requests,
            throttled_seconds: counts.throttled_seconds,
            finished_at: spine.now(&self.about.as_of).await,
            ..self.about
        };
        self.archive.finish(json(&about), String::new()).await
    }
}

/// What every description of a run's slices says.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) organization: Option<String>,
    pub(crate) tenant: Option<String>,
}

impl Kept {
    fn slice_file(&self, spine: &Spine, slice: &Slice, selection: &str, as_of: Instant) -> SliceFile {
        SliceFile {
            version: VERSION,
            organization: self.organization.clone(),
            tenant: self.tenant.clone(),
            run_id: spine.run_id.clone(),
            started_at: spine.started_at.to_string(),
            source: slice.table.source_name().to_owned(),
            table: slice.table.name.to_owned(),
            scope: slice.scope.clone(),
            clock: slice.time_column.to_owned(),
            window_start: slice.start.to_string(),
            window_end: slice.end.to_string(),
            as_of: as_of.to_string(),
            finished_at: as_of.to_string(),
            selection: selection.to_owned(),
            counts: spine.window.is_none(),
            pages: vec![],
            pages_read: 0,
            requests: 0,
            throttled_seconds: 0.0,
            ids: vec![],
            labels: vec![],
            gone: vec![],
            deletes: String::new(),
            token: None,
        }
    }

    /// Keeps which rows a tracking read found gone.
    pub(crate) async fn gone(
        &self,
        spine: &Spine,
        slice: &Slice,
        (keys, deletes, token): (&[Vec<String>], &str, &str),
        counts: &Counts,
    ) -> Result<(), Error> {
        let as_of = counts.as_of.unwrap_or(slice.end);
        let mut about = self.slice_file(spine, slice, &slice.table.key.join(","), as_of);
        (about.gone, about.deletes, about.token) = (keys.to_vec(), deletes.to_owned(), Some(token.to_owned()));
        (about.counts, about.pages_read, about.requests) = (false, counts.pages, counts.requests);
        let name = format!("{}-{}", slice.time_column, compact(as_of));
        spine.lake.archive(slice.table.name, &spine.run_id, &name).finish(json(&about), String::new()).await
    }
}

/// Payloads that are committed together.
pub(crate) struct PayloadArchive {
    archive: Archive,
    about: SliceFile,
    index: String,
    next: u32,
}

impl PayloadArchive {
    /// `None` when nothing is to be kept. `part`: of the run's walk over payloads.
    pub(crate) fn begin(spine: &Spine, slice: &Slice, part: u32, as_of: Instant) -> Option<Self> {
        let kept = spine.archive.as_ref()?;
        let mut about = kept.slice_file(spine, slice, "", as_of);
        PAYLOADS.clone_into(&mut about.table);
        let archive = spine.lake.archive(PAYLOADS, &spine.run_id, &format!("part-{part:06}"));
        Some(Self { archive, about, index: String::new(), next: 1 })
    }

    /// Keeps payloads.
    pub(crate) async fn keep<B: AsRef<[u8]>>(
        &mut self,
        payloads: &[RawPayload<B>],
        extracted_at: Instant,
    ) -> Result<(), Error> {
        for payload in payloads {
            let mut line = PayloadLine::of(&payload.row, extracted_at);
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

    /// Keeps which rows name no File any more.
    pub(crate) fn keep_gone(&mut self, rows: &[SourceRow], extracted_at: Instant) {
        for row in rows {
            let line = PayloadLine { status: Some(GONE.to_owned()), ..PayloadLine::of(row, extracted_at) };
            self.index.push_str(&json(&line));
            self.index.push('\n');
        }
    }

    /// Says that the part is whole.
    pub(crate) async fn finish(self, finished_at: Instant) -> Result<(), Error> {
        let about = SliceFile { finished_at: finished_at.to_string(), ..self.about };
        self.archive.finish(json(&about), self.index).await
    }
}

impl PayloadLine {
    fn of(row: &SourceRow, extracted_at: Instant) -> Self {
        Self {
            number: None,
            source_table: row.table.to_owned(),
            source_id: row.id.clone(),
            source_partitionid: row.partition_id.clone(),
            column: row.column.to_owned(),
            file_id: row.file_id.clone(),
            row_name: row.file_name.clone(),
            service_name: None,
            row_time: row.row_time.to_string(),
            documented: charset_name(row.documented).to_owned(),
            extracted_at: extracted_at.to_string(),
            status: None,
            size: None,
            reason: None,
        }
    }

    /// Whether the row names no File any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.status.as_deref() == Some(GONE)
    }

    /// Whether the File could not be fetched.
    pub(crate) fn is_failed(&self) -> bool {
        self.status.as_deref() == Some("failed")
    }

    /// What was fetched, with these bytes.
    pub(crate) fn fetched(&self, bytes: Option<Bytes>) -> Fetched<Bytes> {
        match (bytes, self.status.as_deref()) {
            (Some(bytes), _) => match self.size {
                Some(size) => Fetched::SizeMismatch(bytes, self.service_name.clone(), size),
                None => Fetched::Bytes(bytes, self.service_name.clone()),
            },
            (None, Some("too_large")) => Fetched::TooLarge(self.size.unwrap_or_default()),
            (None, Some("failed")) => Fetched::Failed(self.reason.clone().unwrap_or_default()),
            (None, _) => Fetched::Missing,
        }
    }

    /// The row that the line is about; `None` for what this program does not know.
    pub(crate) fn row(&self) -> Option<SourceRow> {
        let table = copilot_lake_tables::table(&self.source_table)?;
        let column = table.files().find(|column| column.name == self.column)?;
        Some(SourceRow {
            table: table.name,
            id: self.source_id.clone(),
            partition_id: self.source_partitionid.clone(),
            column: column.name,
            file_id: self.file_id.clone(),
            file_name: self.row_name.clone(),
            row_time: Instant::parse(&self.row_time)?,
            documented: charset(&self.documented),
        })
    }
}

const fn charset_name(charset: Charset) -> &'static str {
    match charset {
        Charset::Utf16Le => "utf-16le",
        Charset::Utf8 => "utf-8",
        Charset::Unknown => "",
    }
}

fn charset(name: &str) -> Charset {
    let known = [Charset::Utf16Le, Charset::Utf8];
    known.into_iter().find(|known| charset_name(*known) == name).unwrap_or(Charset::Unknown)
}

fn owned(labels: &Labels) -> Vec<(String, i32, String)> {
    labels.iter().map(|(column, code, label)| (column.to_owned(), code, label.to_owned())).collect()
}

/// An instant without signs that paths do not like.
fn compact(at: Instant) -> String {
    at.to_string().chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists: nothing that JSON cannot say.
    serde_json::to_string(value).unwrap_or_default()
}
