//! Pieces of JSON, appended to bytes.

use crate::data::dates::Dates;
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

/// Any text as a JSON string. Runs without escapes are copied in one piece, because most of the data is text.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    let mut start = 0;
    out.push(b'"');
    for (at, c) in bytes.iter().copied().enumerate() {
        if c >= 0x20 && c != b'"' && c != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match c {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            0..0x20 => {
                let digits = [HEX[usize::from(c >> 4)], HEX[usize::from(c & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            quoted => out.extend_from_slice(&[b'\\', quoted]),
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

pub(crate) fn number(out: &mut Vec<u8>, value: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

pub(crate) fn instant(out: &mut Vec<u8>, dates: &mut Dates, seconds: i64) {
    out.push(b'"');
    dates.instant(out, seconds);
    out.push(b'"');
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

#[cfg(test)]
mod tests {
    #[test]
    fn strings_are_escaped_as_serde_does() {
        let all: String = (0..0x180_u32).filter_map(char::from_u32).collect();
        for text in ["", "plain", "\"", "a\\b\n", "Größe 🙂\r\n", all.as_str()] {
            let mut out = Vec::new();
            super::string(&mut out, text);
            assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(text).unwrap());
        }
    }
}
