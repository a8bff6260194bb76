//! The response to a batch: HTTP responses in the parts of a `multipart/mixed` body.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/webapi/execute-batch-operations-using-web-api>

use std::ops::Range;

use memchr::memmem::Finder;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Reasons for rejecting a body.
pub(crate) const NOT_MULTIPART: &str = "the response to a batch is not multipart/mixed";
pub(crate) const INCOMPLETE: &str = "the response to a batch is incomplete";

/// An HTTP response in a part.
#[derive(Debug, PartialEq)]
pub(crate) struct PartResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Where its body is in the whole one.
    pub(crate) body: Range<usize>,
}

/// The responses of a body in their order; `None` for a part that holds none. Lines end in CRLF or in LF alone.
pub(crate) fn read(content_type: &str, body: &[u8]) -> Result<Vec<Option<PartResponse>>, &'static str> {
    let delimiter = format!("--{}", boundary(content_type).ok_or(NOT_MULTIPART)?);
    let (mut parts, mut start) = (Vec::new(), None);
    for found in Finder::new(&delimiter).find_iter(body) {
        if found > 0 && body[found - 1] != b'\n' {
            continue;
        }
        let after = found + delimiter.len();
        let is_last = body[after..].starts_with(b"--");
        // Blanks may stand behind a delimiter, and nothing else.
        let line = line_end(body, after).filter(|(end, _)| is_last || body[after..*end].trim_ascii().is_empty());
        if line.is_none() && !is_last {
            continue;
        }
        if let Some(start) = start {
            parts.push(response(body, start..without_line_break(body, found).max(start)));
        }
        if is_last {
            return Ok(parts);
        }
        start = line.map(|(_, next)| next);
    }
    Err(if start.is_none() && parts.is_empty() { NOT_MULTIPART } else { INCOMPLETE })
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (media_type, parameters) = content_type.split_once(';')?;
    if !media_type.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let named = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    });
    named.map(|boundary| boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

/// Where the line that holds this position ends, and where the next one begins.
fn line_end(body: &[u8], from: usize) -> Option<(usize, usize)> {
    let feed = from + memchr::memchr(b'\n', &body[from..])?;
    Some((without_line_break(body, feed + 1).max(from), feed + 1))
}

/// The position before the line break that ends at this one.
fn without_line_break(body: &[u8], end: usize) -> usize {
    let text = &body[..end];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text).len()
}

/// The response in a part: the part's headers, an empty line, then the status line, headers and body of the response.
fn response(body: &[u8], part: Range<usize>) -> Option<PartResponse> {
    let text = &body[..part.end];
    let (headers, inner) = headers(text, part.start);
    let content_type = headers.get("content-type")?.to_str().ok()?.split(';').next()?.trim().to_owned();
    if !content_type.eq_ignore_ascii_case("application/http") {
        return None;
    }
    let (end, next) = line_end(text, inner).unwrap_or((text.len(), text.len()));
    let mut words = std::str::from_utf8(&text[inner..end]).ok()?.split(' ');
    let status = words.next().filter(|version| version.starts_with("HTTP/")).and(words.next())?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    let (headers, inner) = self::headers(text, next);
    Some(PartResponse { status, headers, body: inner..part.end })
}

/// Headers up to an empty line or the end, and where what follows begins. Lines that are no headers are left out.
fn headers(text: &[u8], mut from: usize) -> (HeaderMap, usize) {
    let mut headers = HeaderMap::new();
    while let Some((end, next)) = line_end(text, from) {
        let line = &text[from..end];
        from = next;
        if line.is_empty() {
            return (headers, from);
        }
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, text.len())
}

#[cfg(test)]
mod tests;
