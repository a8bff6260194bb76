//! Files: the contents of a File column, in one response or in parts.

use std::cell::Cell;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use copilot_lake_tables::MAX_FILE_BYTES;
use percent_encoding::percent_decode;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use url::Url;

use super::file_address::FileAddress;
use super::request;
use crate::error::Error;
use crate::http::body;
use crate::http::body_buffer::{BodyBuffer, OutOfMemory};
use crate::http::client::{Client, ServiceResponse};
use crate::http::request::FilePortion;

/// The largest file read from a single response if the service serves parts.
///
/// <https://learn.microsoft.com/power-apps/developer/data-platform/file-attributes>
const MAX_SINGLE_RESPONSE: u64 = 16 << 20;

/// Size of a part: the most that the service serves at once.
const PART_SIZE: u64 = 4 << 20;

/// Reasons for rejecting a response.
const WRONG_SIZE: &str = "the size of the file is not the one that the service declares";
const WRONG_PART: &str = "the response is not the part of the file that was requested";

/// The contents of a file. They count against the 64 MiB that files may take in memory until the last clone or slice of
/// the bytes is dropped.
///
/// A caller who waits for a file may hold 28 MiB of others, so that there is room for the largest. Take files as they
/// complete: in a fixed order, more than that may have to be held.
pub struct FileContent {
    /// The bytes as sent.
    pub bytes: Bytes,
    /// The stored file name.
    pub name: Option<String>,
    /// The size that the service declares, if the bytes differ from it: the service sent the same bytes twice.
    pub declared_size: Option<u64>,
}

impl fmt::Debug for FileContent {
    /// Omits the bytes: they are user content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("bytes", &self.bytes.len()).field("name", &self.name).finish_non_exhaustive()
    }
}

impl FileContent {
    fn new(bytes: Bytes, headers: &HeaderMap) -> Self {
        let declared_size = body::declared(headers).filter(|size| *size != bytes.len() as u64);
        Self { bytes, name: name(headers), declared_size }
    }
}

/// Fetches a file from the service whose Web API is at `api`.
pub(crate) async fn fetch(client: &Client, api: &Url, file: &FileAddress) -> Result<FileContent, Error> {
    let request = request::file_request(api, file, FilePortion::Whole { limit: MAX_SINGLE_RESPONSE })?;
    match client.get(&request, accept_whole()).await {
        Ok((file, _)) => Ok(file),
        Err(Error::FileTooLarge { size, .. }) if size <= MAX_FILE_BYTES => fetch_large(client, api, file, size).await,
        // The service may reject a file as too large for one response.
        Err(refused @ Error::Refused { status: 400 | 413, .. }) => {
            match fetch_in_parts(client, api, file, MAX_FILE_BYTES).await {
                Ok(Some(file)) => Ok(file),
                Ok(None) | Err(Error::Refused { .. }) => Err(refused),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(as_file_error(error)),
    }
}

/// A file too large for one response: in parts if the service serves them, otherwise whole.
async fn fetch_large(client: &Client, api: &Url, file: &FileAddress, size: u64) -> Result<FileContent, Error> {
    match fetch_in_parts(client, api, file, size).await? {
        Some(file) => Ok(file),
        None => {
            let request = request::file_request(api, file, FilePortion::Whole { limit: MAX_FILE_BYTES })?;
            client.get(&request, accept_whole()).await.map(|(file, _)| file).map_err(as_file_error)
        }
    }
}

/// Accepts a whole file of the declared size, or of another size if the same bytes are received twice: two truncated
/// bodies are hardly ever the same.
fn accept_whole() -> impl Fn(ServiceResponse) -> Result<FileContent, &'static str> {
    let before = Cell::new(None);
    move |response| {
        let file = FileContent::new(response.body.freeze(), &response.headers);
        let received = file.declared_size.map(|size| (size, hash(&file.bytes)));
        match received.is_none() || before.replace(received) == received {
            true => Ok(file),
            false => Err(WRONG_SIZE),
        }
    }
}

fn hash(bytes: &[u8]) -> (usize, u64) {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    (bytes.len(), hasher.finish())
}

/// Whether there is a file; its bytes are not read, and no memory is waited for.
pub(crate) async fn exists(client: &Client, api: &Url, file: &FileAddress) -> Result<bool, Error> {
    let request = request::file_request(api, file, FilePortion::HeadersOnly)?;
    match client.get(&request, |_| Ok(())).await {
        Ok(_) => Ok(true),
        Err(Error::FileMissing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Memory for a file of this size that is read in parts, and for the part that is being read.
async fn reserve_for_parts(client: &Client, size: u64) -> BodyBuffer {
    BodyBuffer::new(Some(client.bodies.budget.reserve((size + PART_SIZE) as usize).await), 0)
}

/// Fetches a file part by part, `size` bytes as far as is known; `None` if the service serves no parts of it. Memory
/// for all of it is reserved first, so that no part waits.
async fn fetch_in_parts(
    client: &Client,
    api: &Url,
    file: &FileAddress,
    size: u64,
) -> Result<Option<FileContent>, Error> {
    let mut buffer = reserve_for_parts(client, size).await;
    let mut total = None;
    let mut first: Option<HeaderMap> = None;
    loop {
        let start = buffer.len() as u64;
        let request = request::file_request(api, file, FilePortion::Range(start..start + PART_SIZE))?;
        let response = match client.get(&request, accept_part(start, total)).await {
            Ok((response, _)) => response,
            // The service serves no parts of files kept in its database.
            Err(Error::Refused { .. }) if first.is_none() => return Ok(None),
            // Past the end, which comes before the declared one.
            Err(Error::Refused { status: 416, .. }) => break,
            Err(error) => return Err(as_file_error(error)),
        };
        let FileResponse { status, headers, body } = response;
        if status == StatusCode::OK {
            // It ignores ranges and sends the whole file.
            if buffer.replace(body).is_ok() {
                return Ok(Some(FileContent::new(buffer.freeze(), &headers)));
            }
            drop(buffer);
            buffer = reserve_for_parts(client, MAX_FILE_BYTES).await;
            continue;
        }
        if first.is_none() {
            total = total_of(&headers);
            first = Some(headers);
        }
        let length = total.unwrap_or(start + body.len() as u64);
        if length > MAX_FILE_BYTES {
            return Err(Error::FileTooLarge { size: length, call: request.call_after(1) });
        }
        let room = buffer.make_room(length as usize, PART_SIZE as usize);
        if room.and_then(|()| buffer.extend(&body)) == Err(OutOfMemory) {
            // The file is larger than was known. It is read afresh, with memory for the largest.
            drop((buffer, body));
            buffer = reserve_for_parts(client, MAX_FILE_BYTES).await;
            (total, first) = (None, None);
            continue;
        }
        let is_last = match total {
            Some(total) => buffer.len() as u64 >= total,
            None => (body.len() as u64) < PART_SIZE,
        };
        if is_last || body.is_empty() {
            break;
        }
    }
    Ok(first.map(|headers| FileContent::new(buffer.freeze(), &headers)))
}

/// A part of a file, or all of it.
struct FileResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Accepts the part at `start` of a file of `total` bytes; an empty part only when it comes twice; at the start also a
/// whole file, from a service that ignores ranges.
fn accept_part(start: u64, total: Option<u64>) -> impl Fn(ServiceResponse) -> Result<FileResponse, &'static str> {
    let was_empty = Cell::new(false);
    let whole = accept_whole();
    move |response| {
        if response.status == StatusCode::OK {
            if start > 0 {
                return Err(WRONG_PART);
            }
            let (status, headers) = (response.status, response.headers.clone());
            let body = whole(response)?.bytes;
            return Ok(FileResponse { status, headers, body });
        }
        let starts = content_range(&response.headers).is_none_or(|(first, _)| first == start);
        let same = total.is_none_or(|total| total_of(&response.headers).is_none_or(|now| now == total));
        match (starts && same, response.body.is_empty()) {
            (false, _) => Err(WRONG_PART),
            (true, true) if !was_empty.replace(true) => Err(WRONG_SIZE),
            (true, _) => {
                let ServiceResponse { status, headers, body } = response;
                Ok(FileResponse { status, headers, body: body.freeze() })
            }
        }
    }
}

/// The total size of a file, from the response to a part.
fn total_of(headers: &HeaderMap) -> Option<u64> {
    body::declared(headers).or_else(|| content_range(headers)?.1)
}

/// Start and total of `bytes 0-4194303/17825792`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    Some((range.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

/// Rewords an error about a page for a file.
fn as_file_error(error: Error) -> Error {
    match error {
        Error::BadPage { reason: cause, call } => Error::Unreachable { cause, call },
        error => error,
    }
}

/// The file name; names outside ASCII are percent-encoded.
fn name(headers: &HeaderMap) -> Option<String> {
    let sent = headers.get("x-ms-file-name")?.as_bytes();
    let name = percent_decode(sent).decode_utf8().unwrap_or_else(|_| String::from_utf8_lossy(sent));
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
