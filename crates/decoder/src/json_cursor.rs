//! A position in a JSON text, read forwards: what the fast paths are made of.
//!
//! Half as much work as a general parser, because the caller knows what mostly comes next, and strings are searched eight
//! bytes at a time. Whatever is accepted is valid JSON; `None` says nothing but that this reader does not go on, and
//! another one has to judge.

use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// A JSON text and how far it is read.
pub(crate) struct JsonCursor<'t> {
    text: &'t str,
    at: usize,
}

/// A string of a JSON text.
pub(crate) enum JsonString<'t> {
    /// Without escapes: the text between its quotes.
    Plain(&'t str),
    /// With escapes, undone.
    Unescaped,
}

impl<'t> JsonCursor<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next byte that is not white space; 0 at the end.
    pub(crate) fn peek(&mut self) -> u8 {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                next => return next.copied().unwrap_or_default(),
            }
        }
    }

    /// Takes the next byte that is not white space.
    pub(crate) fn next(&mut self) -> Option<u8> {
        let next = self.peek();
        self.at += 1;
        (next != 0).then_some(next)
    }

    pub(crate) fn take(&mut self, expected: u8) -> Option<()> {
        (self.peek() == expected).then(|| self.at += 1)
    }

    /// Whether nothing but white space follows.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.peek();
        self.at == self.text.len()
    }

    /// Takes exactly these bytes, which no white space precedes. `false`: something else follows.
    pub(crate) fn take_exactly(&mut self, token: &str) -> bool {
        let follows = self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(token.as_bytes()));
        self.at += if follows { token.len() } else { 0 };
        follows
    }

    /// A name without escapes, and its colon.
    pub(crate) fn name(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let from = self.at;
        self.at = plain_end(self.text.as_bytes(), from);
        let name = self.text.get(from..self.at)?;
        self.take_exactly("\"").then_some(())?;
        self.take(b':')?;
        Some(name)
    }

    /// A string; one with escapes is in `unescaped` then.
    pub(crate) fn string(&mut self, unescaped: &mut Vec<u8>) -> Option<JsonString<'t>> {
        self.take(b'"')?;
        let (bytes, from) = (self.text.as_bytes(), self.at);
        let end = plain_end(bytes, from);
        if bytes.get(end)? == &b'"' {
            self.at = end + 1;
            return Some(JsonString::Plain(self.text.get(from..end)?));
        }
        unescaped.clear();
        unescaped.extend_from_slice(bytes.get(from..end)?);
        self.at = end;
        loop {
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => {
                    let byte = match bytes.get(self.at + 1)? {
                        byte @ (b'"' | b'\\' | b'/') => *byte,
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'f' => 12,
                        b'u' => return self.string_with_code_units(from, unescaped),
                        _ => return None,
                    };
                    unescaped.push(byte);
                    self.at += 2;
                }
                _ => return None,
            }
            // Mostly few bytes lie between two escapes: eight are copied, and then as many taken back as are too many.
            loop {
                let Some(chunk) = bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) else {
                    let end = plain_end(bytes, self.at);
                    unescaped.extend_from_slice(&bytes[self.at..end]);
                    self.at = end;
                    break;
                };
                let plain = plain_bytes(*chunk);
                unescaped.extend_from_slice(chunk);
                unescaped.truncate(unescaped.len() - (8 - plain));
                self.at += plain;
                if plain < 8 {
                    break;
                }
            }
        }
        self.at += 1;
        Some(JsonString::Unescaped)
    }

    /// A string with `\u`, whose text begins at `from`.
    fn string_with_code_units(&mut self, from: usize, unescaped: &mut Vec<u8>) -> Option<JsonString<'t>> {
        let mut strings = serde_json::Deserializer::from_str(self.text.get(from - 1..)?).into_iter::<String>();
        // A half of a surrogate pair is an error.
        *unescaped = strings.next()?.ok()?.into_bytes();
        self.at = from - 1 + strings.byte_offset();
        Some(JsonString::Unescaped)
    }

    /// A whole number of 64 bits, written without fraction and exponent.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        self.peek();
        let bytes = self.text.as_bytes().get(self.at..)?;
        let sign = usize::from(bytes.first() == Some(&b'-'));
        let digits = bytes[sign..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = sign + digits;
        // A zero is alone; a negative one is no whole number.
        let is_zero = bytes.get(sign) == Some(&b'0');
        if digits == 0 || (is_zero && end > 1) || matches!(bytes.get(end), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        let value = if digits <= 18 {
            let value = bytes[sign..end].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
            if sign == 0 { value } else { -value }
        } else {
            self.text.get(self.at..self.at + end)?.parse().ok()?
        };
        self.at += end;
        Some(value)
    }

    /// Skips a string.
    fn skip_string(&mut self) -> Option<()> {
        let bytes = self.text.as_bytes();
        self.take(b'"')?;
        loop {
            self.at = plain_end(bytes, self.at);
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => match bytes.get(self.at + 1)? {
                    b'"' | b'\\' | b'/' | b'n' | b'r' | b't' | b'b' | b'f' => self.at += 2,
                    b'u' if bytes.get(self.at + 2..self.at + 6)?.iter().all(u8::is_ascii_hexdigit) => self.at += 6,
                    _ => return None,
                },
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Skips a value, whatever it is, and returns its text.
    pub(crate) fn raw_value(&mut self) -> Option<&'t str> {
        let first = self.peek();
        let from = self.at;
        match first {
            b'"' => self.skip_string()?,
            b'n' => self.take_exactly("null").then_some(())?,
            b't' => self.take_exactly("true").then_some(())?,
            b'f' => self.take_exactly("false").then_some(())?,
            _ => {
                let mut values = serde_json::Deserializer::from_str(self.text.get(from..)?).into_iter::<&RawValue>();
                values.next()?.ok()?;
                self.at += values.byte_offset();
            }
        }
        self.text.get(from..self.at)
    }

    /// Skips a value.
    pub(crate) fn skip_value(&mut self) -> Option<()> {
        if matches!(self.peek(), b'{' | b'[') {
            let mut values = serde_json::Deserializer::from_str(self.text.get(self.at..)?).into_iter::<IgnoredAny>();
            values.next()?.ok()?;
            self.at += values.byte_offset();
            return Some(());
        }
        self.raw_value().map(drop)
    }
}

/// The position of the first byte from `at` that is a quote, a backslash or a control character, or the end.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let plain = plain_bytes(*chunk);
        at += plain;
        if plain < 8 {
            return at;
        }
    }
    let is_plain = |byte: &&u8| !matches!(byte, 0..0x20 | b'"' | b'\\');
    at + bytes.get(at..).map_or(0, |rest| rest.iter().take_while(is_plain).count())
}

/// How many of eight bytes come before the first quote, backslash or control character.
fn plain_bytes(bytes: [u8; 8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(bytes);
    // The high bit of a byte is set if it is below `than`, which is exact up to the first one that is.
    let below = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & HIGH;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let stops = below(word, 0x20) | is(b'"') | is(b'\\');
    stops.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_end_a_string_are_found_wherever_they_are() {
        for stop in (0..=255_u8).filter(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
            for other in (0..=255_u8).filter(|byte| !matches!(byte, 0..0x20 | b'"' | b'\\')) {
                for at in 0..8 {
                    let mut bytes = [other; 8];
                    bytes[at..].fill(stop);
                    assert_eq!(plain_bytes(bytes), at, "{bytes:?}");
                    bytes[at..].fill(other);
                    bytes[at] = stop;
                    assert_eq!(plain_bytes(bytes), at, "{bytes:?}");
                }
                assert_eq!(plain_bytes([other; 8]), 8);
            }
        }
        for length in 0..40 {
            let text = "é".repeat(length);
            assert_eq!(plain_end(text.as_bytes(), 0), text.len());
            assert_eq!(plain_end(format!("{text}\"").as_bytes(), 0), text.len());
        }
    }

    /// What another parser makes of each text must be what this one makes of it, if it reads it at all.
    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        let pieces = [
            "a",
            "é",
            "😀",
            "01234567",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\b\\f\\r\\t",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\ud800",
            "\\x",
            "\u{1}",
            "\"",
            "\\",
            "\u{7f}",
        ];
        let (mut seed, mut plain, mut with_escapes, mut refused) = (1_u64, 0, 0, 0);
        for _ in 0..200_000 {
            let mut text = String::from("\"");
            for _ in 0..seed % 7 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push('"');
            let expected = serde_json::from_str::<String>(&text).ok();
            let (mut json, mut unescaped) = (JsonCursor::new(&text), Vec::new());
            let found = json.string(&mut unescaped).filter(|_| json.is_at_end());
            match &found {
                Some(JsonString::Plain(_)) => plain += 1,
                Some(JsonString::Unescaped) => with_escapes += 1,
                None => refused += 1,
            }
            let found = found.map(|string| match string {
                JsonString::Plain(text) => text.to_owned(),
                JsonString::Unescaped => String::from_utf8(unescaped).unwrap(),
            });
            assert_eq!(found, expected, "{text}");
            let mut json = JsonCursor::new(&text);
            let raw = json.raw_value().filter(|_| json.is_at_end());
            assert_eq!(raw, serde_json::from_str::<&RawValue>(&text).ok().map(RawValue::get), "{text}");
        }
        assert!(plain > 10_000 && with_escapes > 10_000 && refused > 10_000, "{plain} {with_escapes} {refused}");
    }

    #[test]
    fn numbers_and_other_values() {
        let all = [
            "0",
            "-0",
            "01",
            "-1",
            "12",
            "999999999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "1.0",
            "1e3",
        ];
        for text in all.into_iter().chain(["9223372036854775808", "-", "", "1x", "true", "null"]) {
            let mut json = JsonCursor::new(text);
            let found = json.integer().filter(|_| json.is_at_end());
            let expected = if text == "-0" { None } else { serde_json::from_str::<i64>(text).ok() };
            assert_eq!(found, expected, "{text}");
        }
        for text in
            ["null", "true", "false", " [1, {\"a\": \"]\"}] ", "{}", "-1.5e3", "nul", "[", "{\"a\"}", "truefalse"]
        {
            let mut json = JsonCursor::new(text);
            let skipped = json.skip_value().filter(|()| json.is_at_end());
            assert_eq!(skipped.is_some(), serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
        }
    }
}
