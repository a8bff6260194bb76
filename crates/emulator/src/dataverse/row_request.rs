//! Single rows and single properties: the answers to addresses with a key.

use std::borrow::Cow;

use bytes::Bytes;
use copilot_lake_tables::{Instant, Type};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::data::json_fields::Fields;
use crate::data::payload::Payload;
use crate::data::table_rows::{Rows, key_number};
use crate::data::table_store::Store;
use crate::dataverse::privilege::{missing, secured};
use crate::dataverse::projection::Shape;
use crate::dataverse::query::{Preferences, Query};
use crate::http::response::{Answer, Refusal};
use crate::route::Key;
use crate::scenario::settings::Ranges;

/// The most that one answer with a part of a File has.
const PART: usize = 4 << 20;

/// What is encoded of a File's name.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How the bytes of a File are asked for.
pub(crate) struct FileWanted<'a> {
    /// The header `Range`.
    pub(crate) range: Option<&'a str>,
    pub(crate) ranges: Ranges,
    pub(crate) now: Instant,
}

/// A request about one row.
pub(crate) struct RowRequest<'a> {
    pub(crate) store: &'a Store,
    pub(crate) key: &'a Key,
    /// The query string as it was sent.
    pub(crate) query: &'a str,
    pub(crate) preferences: &'a Preferences,
    /// `http://host:port/api/data/v9.2/`.
    pub(crate) root: &'a str,
}

impl RowRequest<'_> {
    /// The key's parts in the table's order. A missing partition is the id, as the service has it.
    fn parts(&self) -> Result<Vec<String>, Refusal> {
        let table = self.store.table;
        let asked = url::form_urlencoded::parse(self.query.as_bytes()).find(|(name, _)| name == "partitionId");
        let mut parts: Vec<String> = Vec::new();
        for (number, name) in table.key.iter().enumerate() {
            let named = self.key.iter().find(|(of, _)| of.as_deref() == Some(name));
            let bare = self.key.iter().find(|(of, _)| number == 0 && of.is_none());
            let part = match (named.or(bare), &asked) {
                (Some((_, value)), _) => value.clone(),
                (None, Some((_, partition))) if *name == "partitionid" => partition.trim_matches('\'').to_owned(),
                (None, _) if number > 0 => parts.first().cloned().unwrap_or_default(),
                (None, _) => return Err(Refusal::bad_request("The key of the row is incomplete.")),
            };
            parts.push(part);
        }
        let strange = self.key.iter().filter_map(|(name, _)| name.as_deref()).find(|name| !table.key.contains(name));
        match strange {
            Some(name) => Err(Refusal::no_property(name, table.name)),
            None => Ok(parts),
        }
    }

    /// The newest row of that key.
    fn find(&self, rows: &Rows) -> Result<Bytes, Refusal> {
        let table = self.store.table;
        let parts = self.parts()?;
        let wires = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.wire);
        let wires: Vec<_> = wires.collect();
        let same = |json: &[u8]| {
            Fields::read(json).is_ok_and(|fields| {
                let equal = |(wire, part): (&&str, &String)| {
                    fields.text(wire).is_some_and(|value| value.eq_ignore_ascii_case(part))
                };
                wires.iter().zip(&parts).all(equal)
            })
        };
        let found = rows.with_key(key_number(parts.iter().map(String::as_str))).filter(|at| same(&rows.json(*at)));
        let newest = found.max_by_key(|at| rows.modified(*at)).map(|at| rows.json(at));
        if let (Some(own), Some(json)) = (self.store.own_rows(), &newest)
            && !Fields::read(json).is_ok_and(|fields| own.matches(&fields))
        {
            return Err(missing(table.name, self.store.type_code()));
        }
        newest.ok_or_else(|| match parts.as_slice() {
            [id] => Refusal::new(404, "0x80040217", &format!("{} With Id = {id} Does Not Exist", table.name)),
            _ => {
                let message = format!("A record with the specified key values does not exist in {} entity", table.name);
                Refusal::new(404, "0x80060891", &message)
            }
        })
    }

    /// Answers with the row.
    pub(crate) fn row(&self, rows: &Rows) -> Result<Answer, Refusal> {
        let json = self.find(rows)?;
        let view = self.store.view();
        let query = Query::parse(&self.query_without_partition(), &view)?;
        let mut body = Vec::new();
        match Shape::of(&query, &view, &self.preferences.annotations, &self.store.people) {
            Some(shape) => shape.write(&mut body, &json),
            None => body.extend_from_slice(&json),
        }
        let columns = if query.select.is_empty() { String::new() } else { format!("({})", query.select.join(",")) };
        let head =
            format!("{{\"@odata.context\":\"{}$metadata#{}{columns}/$entity\",", self.root, self.store.entity_set);
        let rest = Bytes::from(body);
        Ok(Answer::new(
            200,
            "application/json; odata.metadata=minimal",
            [Bytes::from(head), rest.slice(1.min(rest.len())..)],
        ))
    }

    fn query_without_partition(&self) -> String {
        let parts = self.query.split('&').filter(|part| !part.starts_with("partitionId="));
        parts.collect::<Vec<_>>().join("&")
    }

    /// Answers with one property: as JSON, or with its value alone. Says whether it is the bytes of a File.
    pub(crate) fn property(
        &self,
        rows: &Rows,
        name: &str,
        value: bool,
        wanted: &FileWanted<'_>,
    ) -> Result<(Answer, bool), Refusal> {
        let column = self.store.view().column(name).map_err(|_| Refusal::no_segment(name))?;
        if self.store.is_secured(column) {
            return Err(secured());
        }
        let json = self.find(rows)?;
        let fields = Fields::read(&json).map_err(|_| Refusal::new(500, "0x80040216", "The row cannot be read."))?;
        let context = format!("{}$metadata#{}/{name}", self.root, self.store.entity_set);
        if matches!(column.ty, Type::File) {
            let (name, bytes, size) = self.file(&fields, name, wanted.now)?;
            if value {
                return Ok((stream(&name, &bytes, size, wanted)?, true));
            }
            let body = serde_json::json!({
                "@odata.context": context,
                "value": base64_simd::STANDARD.encode_to_string(&bytes),
            });
            return Ok((Answer::json(200, body.to_string()), true));
        }
        let raw = fields.raw(column.wire).unwrap_or("null");
        if raw == "null" {
            return Ok((Answer::new(204, "text/plain", []), false));
        }
        if value {
            let text = fields.text(column.wire).map_or_else(|| raw.to_owned(), std::borrow::Cow::into_owned);
            return Ok((Answer::new(200, "text/plain", [Bytes::from(text)]), false));
        }
        let context = serde_json::Value::String(context);
        Ok((Answer::json(200, format!("{{\"@odata.context\":{context},\"value\":{raw}}}")), false))
    }

    /// Name, bytes and declared size of the File that a row names.
    fn file(&self, fields: &Fields<'_>, name: &str, now: Instant) -> Result<(String, Bytes, u64), Refusal> {
        let table = self.store.table;
        let key = table.key.first().and_then(|name| fields.text(name)).unwrap_or_default();
        let absent = || {
            let message = format!("No file attachment found for attribute: {name} EntityId: {key}.");
            Refusal::new(404, "0x80040217", &message)
        };
        let id = fields.text(name).ok_or_else(absent)?;
        let file_name = fields.text(&format!("{name}_name")).unwrap_or_else(|| format!("{name}.txt").into());
        let tells = table.column("msdyn_scenariotype").is_some();
        let scenario = fields.raw("msdyn_scenariotype").and_then(|code| code.parse().ok()).unwrap_or(0);
        let scenario = tells.then_some(scenario);
        let Payload { bytes, from, size } = self.store.payload(name, &id, scenario);
        let bytes = bytes.filter(|_| from.is_none_or(|from| from <= now)).ok_or_else(absent)?;
        let size = size.unwrap_or(bytes.len() as u64);
        Ok((file_name.into_owned(), bytes, size))
    }
}

/// The bytes of a File as the service streams them: no Content-Length, the size in a header of its own.
fn stream(name: &str, bytes: &Bytes, size: u64, wanted: &FileWanted<'_>) -> Result<Answer, Refusal> {
    let range = match (wanted.range, wanted.ranges) {
        (None, _) | (_, Ranges::Ignored) => None,
        (Some(_), Ranges::Refused) => {
            let message = "Downloading in multiple chunks is not supported for the files stored in the database.";
            return Err(Refusal::new(400, "0x80090017", message));
        }
        (Some(range), Ranges::Served) => {
            let behind = || Refusal::new(416, "", "The requested range is not satisfiable.");
            Some(part(range, bytes.len()).ok_or_else(behind)?)
        }
    };
    let (status, sent) = match &range {
        None => (200, bytes.clone()),
        Some(range) => (206, bytes.slice(range.clone())),
    };
    let length = sent.len();
    let mut answer = Answer::new(status, "application/octet-stream", [sent]);
    answer.length = false;
    let name = sent_name(name);
    answer.header("x-ms-file-size", &size.to_string());
    answer.header("x-ms-file-name", &name);
    answer.header("mimetype", "text/plain");
    answer.header("content-disposition", &format!("inline; filename=\"{name}\""));
    answer.header("access-control-expose-headers", "x-ms-file-size, x-ms-file-name, mimetype");
    if let Some(range) = range {
        answer.header("x-ms-chunk-size", &length.to_string());
        answer.header("content-range", &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    Ok(answer)
}

/// A File's name as a header has it: percent-encoded outside ASCII.
fn sent_name(name: &str) -> Cow<'_, str> {
    match name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%') {
        true => name.into(),
        false => utf8_percent_encode(name, ENCODED).into(),
    }
}

/// Reads `bytes=0-99`, of which at most 4 MiB are served; `None` for what is no single range inside the File.
fn part(range: &str, size: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last =
        if last.is_empty() { size.checked_sub(1)? } else { last.parse::<usize>().ok()?.min(size.checked_sub(1)?) };
    (first <= last).then_some(first..(last + 1).min(first + PART))
}
