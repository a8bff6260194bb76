//! The bytes of a File column of one row.

use std::borrow::Cow;

use base64_simd::STANDARD;
use bytes::Bytes;
use copilot_lake_tables::{Instant, Type};
use percent_encoding::utf8_percent_encode;
use serde_json::json;

use crate::data::file_content::Payload;
use crate::data::json_fields::JsonFields;
use crate::data::row_snapshot::key_number;
use crate::data::table_store::TableStore;
use crate::dataverse::dataverse_route::FileForm;
use crate::dataverse::privilege::{missing_privilege, own_rows, secured};
use crate::http::odata::{KeyParts, RESERVED};
use crate::http::response::{HttpResponse, ServiceError};
use crate::scenario::service_settings::Ranges;

/// The most bytes of a File in one partial response.
const PART: usize = 4 << 20;

/// A request for the bytes of a File.
pub(crate) struct FileRequest<'a> {
    pub(crate) store: &'a TableStore,
    pub(crate) key: &'a KeyParts,
    pub(crate) column: &'a str,
    pub(crate) form: &'a FileForm,
    /// Where the Web API is.
    pub(crate) root: &'a str,
    /// The header `Range`.
    pub(crate) range: Option<&'a str>,
    pub(crate) ranges: Ranges,
    pub(crate) now: Instant,
}

impl FileRequest<'_> {
    /// Answers with the bytes as the service streams them, without Content-Length and the size in a header of its own; or
    /// with an object that holds their base64, and neither size nor name.
    pub(crate) fn answer(&self) -> Result<HttpResponse, ServiceError> {
        let no_segment = || ServiceError::no_segment(self.column);
        let column = self.store.view().columns.find(self.column).ok_or_else(no_segment)?;
        if !matches!(column.ty, Type::File) {
            return Err(ServiceError::unsupported("the value of a column that holds no File"));
        }
        if self.store.is_secured(column) {
            return Err(secured());
        }
        let row = self.row()?;
        let fields =
            JsonFields::read(&row).map_err(|_| ServiceError::new(500, "0x80040216", "The row cannot be read."))?;
        let (name, bytes, size) = self.file(&fields)?;
        let FileForm::Json { row } = self.form else { return self.stream(&name, &bytes, size) };
        let context = format!("{}$metadata#{row}/{}", self.root, self.column);
        let body = json!({ "@odata.context": context, "value": STANDARD.encode_to_string(&bytes) });
        Ok(HttpResponse::json(200, body.to_string()))
    }

    /// The key's parts in the table's order.
    fn key_parts(&self) -> Result<Vec<String>, ServiceError> {
        let table = self.store.table;
        let named = |(number, name): (usize, &&str)| {
            let mut parts = self.key.iter();
            let found = parts.find(|(of, _)| of.as_deref().map_or(number == 0, |of| of == *name));
            found.map(|(_, value)| value.clone())
        };
        let parts: Option<Vec<_>> = table.key.iter().enumerate().map(named).collect();
        parts
            .filter(|parts| parts.len() == self.key.len())
            .ok_or_else(|| ServiceError::bad_request("The key of the row is not that of the table."))
    }

    /// The newest row of that key.
    fn row(&self) -> Result<Bytes, ServiceError> {
        let (table, rows) = (self.store.table, self.store.rows());
        let parts = self.key_parts()?;
        let wires: Vec<_> = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.wire).collect();
        let same = |json: &[u8]| {
            JsonFields::read(json).is_ok_and(|fields| {
                let equal = |(wire, part): (&&str, &String)| {
                    fields.text(wire).is_some_and(|value| value.eq_ignore_ascii_case(part))
                };
                wires.iter().zip(&parts).all(equal)
            })
        };
        let found = rows.with_key(key_number(parts.iter().map(String::as_str))).filter(|at| same(&rows.json(*at)));
        let newest = found.max_by_key(|at| rows.modified(*at)).map(|at| rows.json(at));
        if let (Some(own), Some(json)) = (own_rows(self.store), &newest)
            && !JsonFields::read(json).is_ok_and(|fields| own.matches(&fields))
        {
            return Err(missing_privilege(table.name, self.store.type_code()));
        }
        newest.ok_or_else(|| match parts.as_slice() {
            [id] => ServiceError::new(404, "0x80040217", &format!("{} With Id = {id} Does Not Exist", table.name)),
            _ => {
                let message = format!("A record with the specified key values does not exist in {} entity", table.name);
                ServiceError::new(404, "0x80060891", &message)
            }
        })
    }

    /// Name, bytes and declared size of the File that a row names.
    fn file(&self, row: &JsonFields<'_>) -> Result<(String, Bytes, u64), ServiceError> {
        let (table, column) = (self.store.table, self.column);
        let key = table.key.first().and_then(|name| row.text(name)).unwrap_or_default();
        let absent = || {
            let message = format!("No file attachment found for attribute: {column} EntityId: {key}.");
            ServiceError::new(404, "0x80040217", &message)
        };
        let id = row.text(column).ok_or_else(absent)?;
        let name = row.text(&format!("{column}_name")).unwrap_or_else(|| format!("{column}.txt").into());
        let tells = table.column("msdyn_scenariotype").is_some();
        let scenario = row.raw("msdyn_scenariotype").and_then(|code| code.parse().ok()).unwrap_or(0);
        let Payload { bytes, from, size } = self.store.payload(column, &id, tells.then_some(scenario));
        let bytes = bytes.filter(|_| from.is_none_or(|from| from <= self.now)).ok_or_else(absent)?;
        let size = size.unwrap_or(bytes.len() as u64);
        Ok((name.into_owned(), bytes, size))
    }

    fn stream(&self, name: &str, bytes: &Bytes, size: u64) -> Result<HttpResponse, ServiceError> {
        let range = match (self.range, self.ranges) {
            (None, _) | (_, Ranges::Ignored) => None,
            (Some(_), Ranges::Refused) => {
                let message = "Downloading in multiple chunks is not supported for the files stored in the database.";
                return Err(ServiceError::new(400, "0x80090017", message));
            }
            (Some(range), Ranges::Served) => {
                let behind = || ServiceError::new(416, "", "The requested range is not satisfiable.");
                Some(part(range, bytes.len()).ok_or_else(behind)?)
            }
        };
        let (status, sent) = match &range {
            None => (200, bytes.clone()),
            Some(range) => (206, bytes.slice(range.clone())),
        };
        let length = sent.len();
        let mut answer = HttpResponse::new(status, "application/octet-stream", [sent]);
        answer.length = false;
        let name = header_name(name);
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
}

/// A File's name as a header has it: percent-encoded outside ASCII.
fn header_name(name: &str) -> Cow<'_, str> {
    match name.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%') {
        true => name.into(),
        false => utf8_percent_encode(name, RESERVED).into(),
    }
}

/// Parses `bytes=0-99` and caps it at 4 MiB; `None` unless it is a single range that begins inside the File.
fn part(range: &str, size: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    let last = last.min(size.checked_sub(1)?);
    (first <= last).then_some(first..(last + 1).min(first + PART))
}
