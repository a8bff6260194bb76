//! Response bodies, read into one contiguous buffer with each byte copied once.

use bytes::Bytes;
use copilot_lake_tables::MAX_PAGE_BYTES;
use reqwest::Response;
use reqwest::header::HeaderMap;
use tokio::time::{Instant, timeout_at};

use super::attempt_error::Transient;
use super::body_buffer::{BodyBuffer, OutOfMemory};
use super::transfer_limit::TransferLimit;

/// Why a larger page is rejected.
pub(crate) const PAGE_TOO_LARGE: &str = "it is larger than 64 MiB";

/// Assumed size of a page if the service declares none and recent ones were smaller.
const ASSUMED_PAGE: usize = 64 << 10;

/// The most that is read of an error response.
const MAX_ERROR_BODY: usize = 64 << 10;

/// Assumed size of a file if the service declares none.
const ASSUMED_FILE: u64 = 1 << 20;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum BodyError {
    Transient(Transient),
    /// The file is larger than accepted: this many bytes or more.
    FileTooLarge(u64),
    /// The page is larger than accepted.
    PageTooLarge,
    /// It outgrew its memory reservation.
    OutOfMemory {
        /// The bytes that it had or would have had.
        length: usize,
    },
}

/// What a body holds, which decides what it means if it is too long.
#[derive(Debug, Clone, Copy)]
enum BodyKind {
    Page,
    File,
    /// A part of a file.
    Range,
}

/// The size of a body, as far as it is known before its first byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodySize {
    kind: BodyKind,
    /// The declared size, or a guess.
    pub(crate) expected: usize,
    /// The most that is accepted.
    pub(crate) limit: u64,
}

impl BodySize {
    /// A page. `typical` is the size of recent pages, so that the buffer rarely grows.
    pub(crate) fn of_page(response: &Response, typical: usize) -> Result<Self, BodyError> {
        let expected = match response.content_length() {
            Some(declared) if declared > MAX_PAGE_BYTES => return Err(BodyError::PageTooLarge),
            Some(declared) => declared as usize,
            None => typical.max(ASSUMED_PAGE),
        };
        Ok(Self { kind: BodyKind::Page, expected, limit: MAX_PAGE_BYTES })
    }

    /// A file of at most `limit` bytes.
    pub(crate) fn of_file(response: &Response, limit: u64) -> Result<Self, BodyError> {
        let size = declared(response.headers()).or(response.content_length());
        match size.filter(|size| *size > limit) {
            Some(size) => Err(BodyError::FileTooLarge(size)),
            None => {
                Ok(Self { kind: BodyKind::File, expected: size.unwrap_or(ASSUMED_FILE).min(limit) as usize, limit })
            }
        }
    }

    /// Several files of together at most `limit` bytes, and about `expected`; 0: unknown.
    pub(crate) fn of_batch(response: &Response, expected: usize, limit: u64) -> Result<Self, BodyError> {
        let expected = Some(expected as u64).filter(|expected| *expected > 0);
        match response.content_length() {
            Some(declared) if declared > limit => Err(BodyError::FileTooLarge(declared)),
            declared => {
                let expected = declared.or(expected).unwrap_or(ASSUMED_FILE).min(limit) as usize;
                Ok(Self { kind: BodyKind::File, expected, limit })
            }
        }
    }

    /// A part of a file, of at most `limit` bytes.
    pub(crate) fn of_part(limit: u64) -> Self {
        Self { kind: BodyKind::Range, expected: limit as usize, limit }
    }

    fn exceeded_by(self, length: u64) -> BodyError {
        match self.kind {
            BodyKind::File => BodyError::FileTooLarge(length),
            BodyKind::Page => BodyError::PageTooLarge,
            BodyKind::Range => {
                let cause = "the part is longer than requested".to_owned();
                BodyError::Transient(Transient { cause, ..Transient::default() })
            }
        }
    }
}

/// Reads a body to its end, or until it is too slow.
pub(crate) async fn read(
    mut response: Response,
    size: BodySize,
    mut buffer: BodyBuffer,
    limit: &TransferLimit,
) -> Result<BodyBuffer, BodyError> {
    let begun = Instant::now();
    while let Some(chunk) =
        next(&mut response, begun + limit.allowed(buffer.len() as u64)).await.map_err(BodyError::Transient)?
    {
        let length = (buffer.len() + chunk.len()) as u64;
        if length > size.limit {
            return Err(size.exceeded_by(length));
        }
        buffer.extend(&chunk).map_err(|OutOfMemory| BodyError::OutOfMemory { length: length as usize })?;
    }
    Ok(buffer)
}

/// The next bytes of a body, if they arrive in time; `None` at its end.
async fn next(response: &mut Response, deadline: Instant) -> Result<Option<Bytes>, Transient> {
    match timeout_at(deadline, response.chunk()).await {
        Ok(chunk) => chunk.map_err(|error| Transient::from(&error)),
        Err(_) => {
            let cause = "the response arrives too slowly".to_owned();
            Err(Transient { cause, ..Transient::default() })
        }
    }
}

/// Reads the beginning of an error response; whatever cannot be read in time counts as empty.
pub(crate) async fn error_body(mut response: Response, limit: &TransferLimit) -> Vec<u8> {
    let begun = Instant::now();
    let mut body = Vec::new();
    while let Ok(Some(part)) = next(&mut response, begun + limit.allowed(body.len() as u64)).await {
        body.extend_from_slice(&part);
        if body.len() > MAX_ERROR_BODY {
            break;
        }
    }
    body
}

/// The file size that the service declares.
pub(crate) fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get("x-ms-file-size")?.to_str().ok()?.trim().parse().ok()
}
