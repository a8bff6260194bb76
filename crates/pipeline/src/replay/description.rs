//! The descriptions in the archive: the lines of `slice.json`, and what its index says of pages and payloads.

use std::collections::BTreeSet;

use bytes::Bytes;
use copilot_lake_decoder::{Charset, Fetched, SourceRow};
use copilot_lake_tables::Instant;
use serde::{Deserialize, Serialize};

/// A line of `slice.json`: what was read, when and how.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct SliceFile {
    /// The version of this description.
    pub(crate) version: u32,
    pub(crate) organization: Option<String>,
    pub(crate) tenant: Option<String>,
    pub(crate) run_id: String,
    /// When the run started.
    pub(crate) started_at: String,
    pub(crate) source: String,
    pub(crate) table: String,
    pub(crate) scope: String,
    #[serde(rename = "clock")]
    pub(crate) time_column: String,
    pub(crate) window_start: String,
    pub(crate) window_end: String,
    pub(crate) as_of: String,
    pub(crate) finished_at: String,
    pub(crate) selection: String,
    /// Whether the window moves the watermark.
    pub(crate) counts: bool,
    /// How the slice ended if it is not done; of histories alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The watermark of its scope; of histories alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done_until: Option<String>,
    /// In the first version, when each page was received, in the order of their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pages: Vec<PageTime>,
    /// Pages of a tracking read, which are not archived, or of a history.
    #[serde(default)]
    pub(crate) pages_read: u64,
    /// Requests, retries included.
    #[serde(default)]
    pub(crate) requests: u64,
    #[serde(default)]
    pub(crate) throttled_seconds: f64,
    /// Rows that were requested by id, of a table that is stored in part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ids: Vec<String>,
    /// Labels that came from the service's metadata.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) labels: Vec<(String, i32, String)>,
    /// Keys of rows that were deleted at the service.
    #[serde(default, rename = "gone", skip_serializing_if = "Vec::is_empty")]
    pub(crate) deleted_keys: Vec<Vec<String>>,
    /// What to do with them: `mark` or `remove`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) deletes: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

impl SliceFile {
    /// A field that is no name, id or time: such texts go to the ledger and into messages; or the pages, if one is listed
    /// twice: it would be decoded as often. Nothing that the program wrote has such a field, but an archive may come from
    /// elsewhere.
    pub(crate) fn invalid_field(&self) -> Option<&'static str> {
        let optional = |id: &Option<String>| id.clone().unwrap_or_default();
        let fields = [
            ("organization", optional(&self.organization)),
            ("tenant", optional(&self.tenant)),
            ("run_id", self.run_id.clone()),
            ("started_at", self.started_at.clone()),
            ("source", self.source.clone()),
            ("table", self.table.clone()),
            ("scope", self.scope.clone()),
            ("clock", self.time_column.clone()),
            ("window_start", self.window_start.clone()),
            ("window_end", self.window_end.clone()),
            ("as_of", self.as_of.clone()),
            ("finished_at", self.finished_at.clone()),
            ("deletes", self.deletes.clone()),
            ("status", optional(&self.status)),
            ("done_until", optional(&self.done_until)),
        ];
        let is_plain = |text: &str| text.len() <= 256 && text.bytes().all(|c| c.is_ascii_graphic());
        let pages: BTreeSet<u32> = self.pages.iter().map(|page| page.number).collect();
        let repeated = (pages.len() < self.pages.len()).then_some("pages");
        let reason = self.reason.as_ref().filter(|reason| !is_printable(reason)).map(|_| "reason");
        fields.into_iter().find(|(_, text)| !is_plain(text)).map(|(name, _)| name).or(repeated).or(reason)
    }
}

/// Whether a sentence can be shown as it is.
fn is_printable(text: &str) -> bool {
    text.len() <= 4096 && text.chars().all(|c| !c.is_control() && !matches!(c, '\u{200e}'..='\u{202e}'))
}

/// In the first version, when a page was received.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PageTime {
    pub(crate) number: u32,
    pub(crate) extracted_at: String,
}

/// The status of a row that no longer names a File.
pub(crate) const CLEARED: &str = "gone";
/// The version of these descriptions. The first one had a file for each page and payload.
pub(crate) const VERSION: u32 = 2;

/// What the index says of a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PageLine {
    /// Its position in the slice, from 1.
    pub(crate) number: u32,
    pub(crate) extracted_at: String,
    /// Of a page of users, those in scope: nothing is stored of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ids: Vec<String>,
}

impl PageLine {
    pub(crate) fn new(number: u32, extracted_at: Instant) -> Self {
        Self { number, extracted_at: extracted_at.to_string(), ids: Vec::new() }
    }
}

/// What the index says of a page of a history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HistoryLine {
    pub(crate) user: String,
    /// Its position in the history, from 1.
    pub(crate) number: u32,
    pub(crate) extracted_at: String,
    /// What is kept of a history that was read unfiltered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<KeptRows>,
}

/// The rows to keep of a history that was read unfiltered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRows {
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) app_classes: Vec<String>,
}

/// What the index says of a payload: the row that names it, and how it was fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PayloadLine {
    /// In the first version, the number of its file, if it has bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) number: Option<u32>,
    pub(crate) source_table: String,
    pub(crate) source_id: String,
    pub(crate) source_partitionid: String,
    pub(crate) column: String,
    pub(crate) file_id: String,
    /// The File's name according to the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) row_name: Option<String>,
    /// The File's name according to the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) service_name: Option<String>,
    pub(crate) row_time: String,
    /// The documented charset: `utf-16le`, `utf-8` or nothing.
    pub(crate) documented: String,
    pub(crate) extracted_at: String,
    /// Why there are no bytes: `missing`, `too_large`, `failed`; `gone` when the row no longer names a File.
    pub(crate) status: Option<String>,
    /// The size that the service declares, where it differs from that of the bytes.
    pub(crate) size: Option<u64>,
    pub(crate) reason: Option<String>,
}

impl PayloadLine {
    pub(crate) fn new(row: &SourceRow, extracted_at: Instant) -> Self {
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

    /// The row of the line, and how its File was fetched; `None` when this program does not know its table or column.
    pub(crate) fn into_parts(self) -> Option<(SourceRow, ArchivedOutcome)> {
        let table = copilot_lake_tables::table(&self.source_table)?;
        let column = table.files().find(|column| column.name == self.column)?;
        let row = SourceRow {
            table: table.name,
            id: self.source_id,
            partition_id: self.source_partitionid,
            column: column.name,
            file_id: self.file_id,
            file_name: self.row_name,
            row_time: Instant::parse(&self.row_time)?,
            documented: charset(&self.documented),
        };
        let outcome = ArchivedOutcome {
            service_name: self.service_name,
            status: self.status,
            size: self.size,
            reason: self.reason,
        };
        Some((row, outcome))
    }
}

/// How an archived payload was fetched; the fields are those of its line.
#[derive(Debug)]
pub(crate) struct ArchivedOutcome {
    service_name: Option<String>,
    status: Option<String>,
    size: Option<u64>,
    reason: Option<String>,
}

impl ArchivedOutcome {
    /// Whether the row no longer names a File.
    pub(crate) fn is_cleared(&self) -> bool {
        self.status.as_deref() == Some(CLEARED)
    }

    /// Whether the File could not be fetched.
    pub(crate) fn is_failed(&self) -> bool {
        self.status.as_deref() == Some("failed")
    }

    /// The fetched payload, with these bytes.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn slice() -> serde_json::Value {
        serde_json::json!({
            "version": 1, "organization": "o-1", "tenant": null, "run_id": "20251105T120000Z-1a", "source": "dataverse",
            "started_at": "2025-11-05T12:00:00Z", "table": "msdyn_copilotevent", "scope": "", "clock": "createdon",
            "window_start": "2025-11-02T00:00:00Z", "window_end": "2025-11-03T00:00:00Z", "as_of": "2025-11-05T12:00:00Z",
            "finished_at": "2025-11-05T12:00:01Z", "selection": "", "counts": true,
        })
    }

    #[test]
    fn depth_needs_no_stack() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            let deep = open.repeat(1_000_000) + "1" + &close.repeat(1_000_000);
            let mut text = slice().to_string();
            assert!(serde_json::from_str::<SliceFile>(&deep).is_err());
            assert!(serde_json::from_str::<PayloadLine>(&deep).is_err());
            text.insert_str(1, &format!(r#""new":{deep},"#));
            assert!(serde_json::from_str::<SliceFile>(&text).is_ok(), "an unknown field is skipped");
        }
    }

    #[test]
    fn a_description_lists_a_page_once() {
        let mut slice = slice();
        let page = |number| serde_json::json!({ "number": number, "extracted_at": "2025-11-05T12:00:00Z" });
        for (pages, expected) in [(vec![page(1), page(2)], None), (vec![page(1), page(2), page(1)], Some("pages"))] {
            slice["pages"] = pages.into();
            assert_eq!(serde_json::from_value::<SliceFile>(slice.clone()).unwrap().invalid_field(), expected);
        }
    }

    #[test]
    fn a_description_from_elsewhere_cannot_forge_lines() {
        let invalid = |slice| serde_json::from_value::<SliceFile>(slice).unwrap().invalid_field();
        assert_eq!(invalid(slice()), None);
        for field in ["organization", "tenant", "run_id", "table", "scope", "clock", "window_start", "as_of", "deletes"]
        {
            for text in ["x\nerror: forged", "x\u{1b}[31m", "x\u{9b}31m", "x\u{202e}y", "x y", &"x".repeat(257)] {
                let mut slice = slice();
                slice[field] = text.into();
                assert_eq!(invalid(slice), Some(field), "{text:?}");
            }
        }
    }
}
