//! Pieces of JSON, appended to bytes.

use std::io::Write;

use copilot_lake_tables::Instant;

use crate::data::random::guid;

pub(crate) fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"null");
}

/// A string that needs no escapes.
pub(crate) fn quote(out: &mut Vec<u8>, plain: &[u8]) {
    out.push(b'"');
    out.extend_from_slice(plain);
    out.push(b'"');
}

pub(crate) fn quoted_guid(out: &mut Vec<u8>, seed: u64) {
    out.push(b'"');
    guid(out, seed);
    out.push(b'"');
}

/// Any text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    let _ = write!(out, "{value}");
}

pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { "true" } else { "false" }.as_bytes());
}

/// An instant, given in seconds since the Unix epoch.
pub(crate) fn instant(out: &mut Vec<u8>, seconds: i64) {
    let _ = write!(out, "\"{}\"", Instant::from_seconds(seconds));
}

/// Appends a JSON object property by property.
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> ObjectWriter<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { start: out.len(), out }
    }

    /// Appends a property; `raw` is its value as JSON.
    pub(crate) fn push(&mut self, name: &str, raw: &str) {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
        string(self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(raw.as_bytes());
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}
