//! A writer of JSON that escapes the controls that JSON allows and a terminal obeys.

use std::io::{Result, Write};

use crate::output::printable::escaped_json;

/// Escapes what is written through it. Bytes of a character that was cut in two wait for their rest.
pub(super) struct JsonEscapes<W> {
    inner: W,
    /// The beginning of a character: fewer than four bytes.
    waiting: Vec<u8>,
}

impl<W: Write> JsonEscapes<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, waiting: Vec::new() }
    }

    /// The writer that gets the JSON, once all of it was written.
    pub(super) fn into_inner(self) -> W {
        self.inner
    }
}

impl<W: Write> Write for JsonEscapes<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut all = std::mem::take(&mut self.waiting);
        all.extend_from_slice(bytes);
        let end = match std::str::from_utf8(&all) {
            Ok(json) => json.len(),
            // What is no UTF-8 at all is not JSON and goes out as it is.
            Err(error) => error.error_len().map_or(error.valid_up_to(), |_| all.len()),
        };
        match std::str::from_utf8(&all[..end]) {
            Ok(json) => self.inner.write_all(escaped_json(json).as_bytes())?,
            Err(_) => self.inner.write_all(&all[..end])?,
        }
        self.waiting.extend_from_slice(&all[end..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_not_matter_where_the_bytes_are_cut() {
        let json = "{\"a\":\"x\u{9b}é\u{202e}🙂\u{7f}\"}\n";
        for size in 1..=json.len() {
            let mut writer = JsonEscapes::new(Vec::new());
            for part in json.as_bytes().chunks(size) {
                writer.write_all(part).unwrap();
            }
            let written = String::from_utf8(writer.into_inner()).unwrap();
            assert_eq!(written, "{\"a\":\"x\\u009bé\\u202e🙂\\u007f\"}\n", "{size}");
        }
    }
}
