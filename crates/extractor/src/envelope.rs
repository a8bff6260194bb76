//! The envelope of a page: `{"@odata.context":"...","value":[rows],"@odata.nextLink":"..."}`.
//!
//! The rows are some 7 MB that the decoder parses anyway, so the fast path reads the response from both ends: the
//! members before `"value":[`, the last row, and the members after the last `]`. Anything unusual takes the slow path,
//! a full parse.

use std::ops::Range;

use memchr::{memmem, memrchr};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::json::{BYTE_ORDER_MARK, without_mark};

const ETAG: &[u8] = b"@odata.etag";
const NEXT: &[u8] = b"@odata.nextLink";
const DELTA: &[u8] = b"@odata.deltaLink";

/// Everything in a page besides its rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The range of the rows array, brackets included.
    pub(crate) rows: Range<usize>,
    /// The link to the next page, unescaped and otherwise verbatim; `None` at the end, where some services send `""`.
    pub(crate) next: Option<String>,
    /// The delta link, likewise.
    pub(crate) delta: Option<String>,
}

/// The links found in an envelope.
#[derive(Default)]
struct EnvelopeLinks {
    next: Option<String>,
    delta: Option<String>,
}

/// Locates the rows and links of a complete envelope; any other response is an error.
pub(crate) fn parse(body: &[u8]) -> Result<Envelope, &'static str> {
    let mut envelope = match fast_path(body) {
        Some(envelope) => envelope,
        None => slow_path(body)?,
    };
    // An empty link is none.
    for link in [&mut envelope.next, &mut envelope.delta] {
        link.take_if(|link| link.is_empty());
    }
    Ok(envelope)
}

/// The fast path; `None` for anything unusual.
///
/// Why a truncated response cannot pass for a complete one: the last `]` could belong to a string or to something
/// inside a row only if the rest of that row were missing. So the last row is found by the text with which every
/// Dataverse row begins and nothing inside a row does (an object and its `@odata.etag`; quotes inside strings are
/// escaped, so no string contains it), it must parse as one complete object, and the last `]` must follow it. Rows of
/// Graph begin like objects nested in them, with an `id`: they take the slow path.
fn fast_path(body: &[u8]) -> Option<Envelope> {
    let mut links = EnvelopeLinks::default();
    let mut head = EnvelopeReader { bytes: body, at: 0 };
    if body.starts_with(BYTE_ORDER_MARK) {
        head.at = BYTE_ORDER_MARK.len();
    }
    head.byte(b'{')?;
    loop {
        let name = head.name()?;
        if name == b"value" {
            break;
        }
        head.member(name, &mut links)?;
        head.byte(b',')?;
    }
    head.byte(b'[')?;
    let start = head.at - 1;
    let last = memrchr(b']', body)?;
    if last != head.after_space() {
        head.byte(b'{')?;
        let row = head.at - 1;
        if head.name()? != ETAG {
            return None;
        }
        let begin = body[row..head.at].strip_suffix(b":")?;
        let last_row = row + memmem::rfind(body.get(row..last)?, begin)?;
        let mut object = serde_json::Deserializer::from_slice(&body[last_row..last]).into_iter::<IgnoredAny>();
        object.next()?.ok()?;
        if object.next().is_some() {
            return None;
        }
    }
    let mut tail = EnvelopeReader { bytes: body, at: last + 1 };
    while tail.byte(b',').is_some() {
        let name = tail.name()?;
        tail.member(name, &mut links)?;
    }
    tail.byte(b'}')?;
    let EnvelopeLinks { next, delta } = links;
    (tail.after_space() == body.len()).then_some(Envelope { rows: start..last + 1, next, delta })
}

/// The slow path: one pass over the whole response.
fn slow_path(body: &[u8]) -> Result<Envelope, &'static str> {
    #[derive(Deserialize)]
    struct FullEnvelope<'a> {
        #[serde(borrow)]
        value: &'a RawValue,
        #[serde(rename = "@odata.nextLink")]
        next: Option<String>,
        #[serde(rename = "@odata.deltaLink")]
        delta: Option<String>,
        error: Option<IgnoredAny>,
    }
    let text = without_mark(body);
    if text.trim_ascii().is_empty() {
        return Err("the response is empty");
    }
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err("the response is not a JSON object");
    }
    let full: FullEnvelope<'_> = serde_json::from_slice(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => "the response ends before its JSON does",
        serde_json::error::Category::Data => "the response has no usable `value`",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "the response is not valid JSON",
    })?;
    if full.error.is_some() {
        return Err("the response ends with an error");
    }
    let rows = full.value.get();
    if !rows.starts_with('[') {
        return Err("`value` is not an array");
    }
    let start = rows.as_ptr().addr() - body.as_ptr().addr();
    Ok(Envelope { rows: start..start + rows.len(), next: full.next, delta: full.delta })
}

/// Reads names and scalars from a position onwards.
struct EnvelopeReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> EnvelopeReader<'a> {
    fn after_space(&mut self) -> usize {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
        self.at
    }

    fn byte(&mut self, expected: u8) -> Option<()> {
        let at = self.after_space();
        (self.bytes.get(at) == Some(&expected)).then(|| self.at += 1)
    }

    /// A string with its quotes, still escaped.
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.after_space();
        self.byte(b'"')?;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.bytes.get(start..self.at)
    }

    /// A name and its colon. An escaped name could be any name, so it is left to the slow path.
    fn name(&mut self) -> Option<&'a [u8]> {
        let quoted = self.string()?;
        let name = &quoted[1..quoted.len() - 1];
        self.byte(b':')?;
        (!name.contains(&b'\\') && name != b"error").then_some(name)
    }

    /// The scalar value of a member, kept if it is a link.
    fn member(&mut self, name: &[u8], links: &mut EnvelopeLinks) -> Option<()> {
        let link = match name {
            NEXT => Some(&mut links.next),
            DELTA => Some(&mut links.delta),
            _ => None,
        };
        let start = self.after_space();
        if self.bytes.get(start)? == &b'"' {
            let quoted = self.string()?;
            let Some(link) = link else { return Some(()) };
            return link.replace(serde_json::from_slice(quoted).ok()?).is_none().then_some(());
        }
        while matches!(self.bytes.get(self.at), Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        serde_json::from_slice::<IgnoredAny>(&self.bytes[start..self.at]).ok()?;
        link.is_none().then_some(())
    }
}

#[cfg(test)]
mod tests;
