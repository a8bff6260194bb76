//! Batches of files: the contents of several File columns in one response, each as the base64 in a JSON object.
//!
//! The base64 is that of the transport: what comes out are the bytes that a request for one file gives.

use std::borrow::Cow;
use std::ops::Range;

use base64_simd::STANDARD;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;
use url::{Position, Url};

use super::batch_size::{BatchCost, MAX_BATCH_BYTES};
use super::file_address::FileAddress;
use super::multipart::{self, PartResponse};
use super::request;
use crate::error::Error;
use crate::http::client::{Client, ServiceResponse};
use crate::http::request::{FilePortion, Request, ResourceKind};
use crate::json;

/// What divides the requests of a batch: no URL has it in it.
const BOUNDARY: &str = "batch_files";

/// The content type of a batch.
pub(crate) const BATCH_CONTENT_TYPE: &str = "multipart/mixed; boundary=\"batch_files\"";

/// What a batch brought of a file.
#[derive(Debug)]
pub(crate) enum FilePart {
    /// The file's bytes.
    Bytes(Bytes),
    /// A response that is no success.
    Response { status: StatusCode, headers: HeaderMap, body: Bytes },
    /// Nothing, or something that is not this file.
    Unusable,
}

/// Requests files in one batch; the parts are in their order.
///
/// [`Error::FileTooLarge`]: together they are larger than a batch may be.
pub(crate) async fn fetch(
    client: &Client,
    api: &Url,
    files: &[FileAddress],
    expected: usize,
) -> Result<(Vec<FilePart>, BatchCost), Error> {
    let request = batch_request(api, files, expected)?;
    let accept = |response: ServiceResponse| {
        let bytes = response.body.len();
        read(response, files).map(|parts| (parts, bytes))
    };
    let ((parts, bytes), cost) = client.get(&request, accept).await?;
    let (elapsed, attempts) = (cost.last_attempt, cost.requests);
    Ok((parts, BatchCost { files: files.len(), bytes, elapsed, attempts, identity: cost.identity }))
}

fn batch_request(api: &Url, files: &[FileAddress], expected: usize) -> Result<Request, Error> {
    let url =
        api.join("$batch").map_err(|error| Error::Usage { what: format!("the address cannot be used: {error}") })?;
    let mut body = String::new();
    for file in files {
        let url = request::file_url(api, file)?;
        // Without the host: the parts of a batch go where the batch goes.
        let target = url[Position::BeforePath..].trim_end_matches("/$value").to_owned();
        body += &format!(
            "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             GET {target} HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        );
    }
    body += &format!("--{BOUNDARY}--\r\n");
    let kind = ResourceKind::Batch { expected };
    let mut request = match files.first() {
        Some(file) => Request::of_table(url, file.table, kind),
        None => Request { kind, ..Request::json(url) },
    };
    request.portion = FilePortion::Whole { limit: MAX_BATCH_BYTES as u64 };
    request.body = Some(body.into());
    request.prefer("odata.continue-on-error");
    Ok(request)
}

/// Reads the response to a batch. The bytes of all files are in one buffer, whose memory stays reserved until the last of
/// them is dropped.
fn read(response: ServiceResponse, files: &[FileAddress]) -> Result<Vec<FilePart>, &'static str> {
    let content_type = response.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut body = response.body;
    let parts = multipart::read(content_type.unwrap_or_default(), body.as_ref())?;
    let is_complete = parts.len() == files.len();
    let mut parts = parts.into_iter();
    let mut located = Vec::with_capacity(files.len());
    for file in files {
        located.push(LocatedPart::locate(parts.next().flatten(), body.as_ref(), file, is_complete));
    }
    for part in &mut located {
        if let LocatedPart::Base64(range) = part {
            // Decoded where it is: the bytes are fewer than their base64.
            *part = match STANDARD.decode_inplace(&mut body.as_mut()[range.clone()]) {
                Ok(bytes) => LocatedPart::Bytes(range.start..range.start + bytes.len()),
                Err(_) => LocatedPart::Unusable,
            };
        }
    }
    let body = body.freeze();
    Ok(located.into_iter().map(|part| part.of_body(&body)).collect())
}

/// A part of a batch, by where it is in the body.
enum LocatedPart {
    Base64(Range<usize>),
    Bytes(Range<usize>),
    Response(PartResponse),
    Unusable,
}

impl LocatedPart {
    /// `is_complete`: there are as many parts as requests, so that one whose context names no row is for this file.
    fn locate(part: Option<PartResponse>, body: &[u8], file: &FileAddress, is_complete: bool) -> Self {
        match part {
            Some(part) if part.status == StatusCode::OK => match base64_in(body, part.body, file, is_complete) {
                Some(range) => Self::Base64(range),
                None => Self::Unusable,
            },
            Some(part) if is_complete => Self::Response(part),
            _ => Self::Unusable,
        }
    }

    fn of_body(self, body: &Bytes) -> FilePart {
        match self {
            Self::Bytes(range) => FilePart::Bytes(body.slice(range)),
            Self::Response(PartResponse { status, headers, body: range }) => {
                FilePart::Response { status, headers, body: body.slice(range) }
            }
            Self::Base64(_) | Self::Unusable => FilePart::Unusable,
        }
    }
}

/// Where the base64 of a file is, in the object in this range.
fn base64_in(body: &[u8], range: Range<usize>, file: &FileAddress, is_complete: bool) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Property<'a> {
        #[serde(rename = "@odata.context", default)]
        context: String,
        /// Borrowed unless it is written with escapes, which base64 does not need.
        #[serde(borrow)]
        value: Cow<'a, str>,
    }
    let object: Property<'_> = json::from_slice(&body[range]).ok()?;
    let is_meant = named_row(&object.context).map_or(is_complete, |row| file.key.first() == Some(&row));
    let Cow::Borrowed(value) = object.value else { return None };
    let start = (value.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    is_meant.then_some(start..start + value.len())
}

/// The id of the row that a context names: `...$metadata#accounts(<guid>)/name`.
fn named_row(context: &str) -> Option<String> {
    const GUID: usize = 36;
    let (_, key) = context.split_once('#')?.1.split_once('(')?;
    let mut words = key.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
    words.find(|word| word.len() == GUID).map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests;
