//! Response bodies, read into one contiguous buffer with each byte copied once.

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::HeaderMap;

use super::attempt_error::Transient;
use super::body_buffer::{BodyBuffer, OutOfMemory};

/// The largest response accepted as a page; more is a mistake or an attack.
const MAX_PAGE: u64 = 512 << 20;

/// Assumed size of a page if the service declares none and recent ones were smaller.
const ASSUMED_PAGE: usize = 64 << 10;

/// The most that is read of an error response.
const MAX_ERROR_BODY: usize = 64 << 10;

/// The largest file a File column holds (MaxSizeInKB 32768).
pub(crate) const MAX_FILE: u64 = 32 << 20;

/// Assumed size of a file if the service declares none.
const ASSUMED_FILE: u64 = 1 << 20;

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum BodyError {
    Transient(Transient),
    /// The file is larger than accepted: this many bytes or more.
    FileTooLarge(u64),
    /// It outgrew its memory reservation.
    OutOfMemory,
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
    pub(crate) fn of_page(response: &Response, typical: usize) -> Self {
        let declared = response.content_length().map(|length| length.min(MAX_PAGE) as usize);
        let expected = declared.unwrap_or_else(|| typical.max(ASSUMED_PAGE));
        Self { kind: BodyKind::Page, expected, limit: MAX_PAGE }
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

    /// A part of a file, of at most `limit` bytes.
    pub(crate) fn of_part(limit: u64) -> Self {
        Self { kind: BodyKind::Range, expected: limit as usize, limit }
    }

    fn exceeded_by(self, length: u64) -> BodyError {
        let cause = match self.kind {
            BodyKind::File => return BodyError::FileTooLarge(length),
            BodyKind::Page => "the response is larger than any page may be",
            BodyKind::Range => "the part is longer than requested",
        };
        BodyError::Transient(Transient { cause: cause.to_owned(), ..Transient::default() })
    }
}

/// Reads a body to its end.
pub(crate) async fn read(mut response: Response, size: BodySize, mut buffer: BodyBuffer) -> Result<Bytes, BodyError> {
    while let Some(chunk) = response.chunk().await.map_err(|error| BodyError::Transient(Transient::from(&error)))? {
        let length = (buffer.len() + chunk.len()) as u64;
        if length > size.limit {
            return Err(size.exceeded_by(length));
        }
        buffer.extend(&chunk).map_err(|OutOfMemory| BodyError::OutOfMemory)?;
    }
    Ok(buffer.freeze())
}

/// Reads the beginning of an error response; whatever cannot be read counts as empty.
pub(crate) async fn error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(part)) = response.chunk().await {
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
