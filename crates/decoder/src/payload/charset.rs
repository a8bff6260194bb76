//! Charset detection: whether the bytes of a File are base64, UTF-16LE or UTF-8, and in which nesting.
//!
//! The services document a charset for some scenarios and nothing about the transport, so the bytes decide: a JSON
//! envelope, then base64 (up to twice), then a byte-order mark or the NUL pattern of UTF-16LE, otherwise UTF-8. If both
//! are possible, the documented charset breaks the tie. No character is ever replaced.

use copilot_lake_tables::Column;
use encoding_rs::mem::{convert_utf16_to_str, utf16_valid_up_to};
use memchr::memmem;
use serde::Deserialize;

/// The charset that the service documents for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Documented for questions, suggested responses and mail.
    Utf16Le,
    /// Documented for case and conversation summaries.
    Utf8,
    /// Nothing is documented.
    Unknown,
}

impl Charset {
    /// The charset documented for a File column, by the scenario of its row ("Download Copilot transcripts and
    /// interaction data").
    pub fn documented_for(column: &Column, scenario: Option<i32>) -> Self {
        match scenario {
            // A transcript is the text of an "ask a question" scenario.
            _ if column.transcript => Self::Utf16Le,
            Some(100_230_201 | 100_230_202 | 100_230_203 | 100_230_211) => Self::Utf16Le,
            Some(100_230_205 | 100_230_206) => Self::Utf8,
            _ => Self::Unknown,
        }
    }
}

/// The outcome of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextStatus {
    /// The bytes are text.
    Decoded,
    /// There are no bytes.
    Empty,
    /// The bytes are not text in any known encoding.
    Undecodable,
}

/// A decoded payload.
#[derive(Debug, PartialEq, Eq)]
pub struct DecodedText<'a> {
    /// The outcome.
    pub status: TextStatus,
    /// The encodings removed, outermost first, such as `base64+utf-16le`.
    pub encoding: &'a str,
    /// The text without its byte-order mark, if decoded.
    pub text: Option<&'a str>,
    /// Why it could not be decoded.
    pub reason: Option<&'static str>,
}

/// Decodes payloads one after another, reusing its buffers.
#[derive(Default)]
pub struct TextDecoder {
    /// The bytes inside base64, aligned for UTF-16.
    words: Vec<u16>,
    /// The same for base64 within base64.
    inner: Vec<u16>,
    utf8: String,
    envelope: String,
    encoding: String,
}

/// Below this length a word such as `Done` could be base64 by accident.
const MIN_BASE64_LENGTH: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ODataValue<'a> {
    #[serde(rename = "@odata.context")]
    context: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    value: Option<std::borrow::Cow<'a, str>>,
}

impl TextDecoder {
    /// Detects the encoding of a File's bytes and decodes them.
    pub fn decode<'a>(&'a mut self, bytes: &'a [u8], documented: Charset) -> DecodedText<'a> {
        self.encoding.clear();
        let Self { words, inner, utf8, envelope, encoding } = self;
        let mut outer = bytes;
        // An envelope may have a byte-order mark.
        if let Some(found) = unwrap_odata_value(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes), words) {
            encoding.push_str("json+");
            *envelope = found;
            outer = envelope.as_bytes();
        }
        if outer.is_empty() {
            return DecodedText { status: TextStatus::Empty, encoding: "", text: None, reason: None };
        }
        // The number of decoded bytes; there may be base64 within base64.
        let first = match decode_base64(outer, words) {
            Base64::Decoded(length) => Some(length),
            Base64::Broken(reason) => return undecodable(encoding, reason),
            Base64::Not => None,
        };
        let Some(length) = first else {
            return finish_plain(words, outer, documented, utf8, encoding);
        };
        let accident = outer.len() < MIN_BASE64_LENGTH && !(outer.ends_with(b"=") && documented != Charset::Unknown);
        let mut decoded = length;
        let mut layers = 1;
        if length >= MIN_BASE64_LENGTH
            && let Base64::Decoded(second) = decode_base64(&bytemuck::cast_slice(words.as_slice())[..length], inner)
            && detect(&bytemuck::cast_slice(inner.as_slice())[..second], documented).is_ok()
        {
            std::mem::swap(words, inner);
            decoded = second;
            layers = 2;
        }
        let found = detect(&bytemuck::cast_slice(words.as_slice())[..decoded], documented);
        if accident && (!outer.len().is_multiple_of(4) || !found.is_ok_and(|form| form.certain)) {
            return finish_plain(words, outer, documented, utf8, encoding);
        }
        for _ in 0..layers {
            encoding.push_str("base64+");
        }
        finish(words, decoded, documented, utf8, encoding)
    }
}

/// The value of `{"@odata.context": ..., "value": "..."}`. Without the context it is an envelope only if the value is
/// base64.
fn unwrap_odata_value(bytes: &[u8], scratch: &mut Vec<u16>) -> Option<String> {
    if bytes.first() != Some(&b'{') || memmem::find(&bytes[..bytes.len().min(512)], b"\"value\"").is_none() {
        return None;
    }
    let envelope: ODataValue<'_> = serde_json::from_slice(bytes).ok()?;
    let value = envelope.value.unwrap_or_default();
    let certain = envelope.context.is_some() || matches!(decode_base64(value.as_bytes(), scratch), Base64::Decoded(_));
    certain.then(|| value.into_owned())
}

pub(crate) enum Base64 {
    /// This many bytes are in the buffer.
    Decoded(usize),
    /// Meant as base64, but damaged.
    Broken(&'static str),
    /// Not base64.
    Not,
}

pub(crate) fn decode_base64(text: &[u8], words: &mut Vec<u16>) -> Base64 {
    // The first bytes usually tell text from base64.
    if text.iter().take(32).any(|c| *c == b' ') || foreign_bytes(&text[..text.len().min(32)]) > 1 {
        return Base64::Not;
    }
    grow(words, text.len() / 4 * 3 + 3);
    let into: &mut [u8] = bytemuck::cast_slice_mut(words.as_mut_slice());
    if let Ok(decoded) = base64_simd::STANDARD.decode(text, base64_simd::Out::from_slice(into)) {
        return Base64::Decoded(decoded.len());
    }
    // With line breaks, or without padding.
    if let Ok(decoded) = base64_simd::forgiving_decode_to_vec(text) {
        fill(words, &decoded);
        return Base64::Decoded(decoded.len());
    }
    let foreign_bytes = foreign_bytes(text);
    if text.len() < MIN_BASE64_LENGTH || text.contains(&b' ') || foreign_bytes > text.len() / 64 + 1 {
        return Base64::Not;
    }
    Base64::Broken(if foreign_bytes == 0 {
        "bad base64: wrong length or padding"
    } else {
        "bad base64: a character outside its alphabet"
    })
}

/// Counts characters outside the base64 alphabet, line breaks and padding.
fn foreign_bytes(text: &[u8]) -> usize {
    text.iter().filter(|c| !in_alphabet(**c) && !matches!(c, b'\r' | b'\n' | b'=')).count()
}

fn in_alphabet(c: u8) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/')
}

/// Makes room for this many bytes; existing content is not preserved.
fn grow(words: &mut Vec<u16>, bytes: usize) {
    if words.len() * 2 < bytes {
        words.resize(bytes.div_ceil(2), 0);
    }
}

fn fill(words: &mut Vec<u16>, bytes: &[u8]) {
    grow(words, bytes.len());
    bytemuck::cast_slice_mut(words.as_mut_slice())[..bytes.len()].copy_from_slice(bytes);
}

/// The detected encoding of some bytes.
#[derive(Clone, Copy)]
struct DetectedForm {
    charset: DetectedCharset,
    /// Length in bytes of a leading byte-order mark.
    bom_length: usize,
    /// Not decided by the tie-break or a guess.
    certain: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum DetectedCharset {
    Utf16Le,
    Utf16Be,
    Utf8,
}

/// Detects the encoding. Whether UTF-16 is valid shows when it is converted.
fn detect(bytes: &[u8], documented: Charset) -> Result<DetectedForm, &'static str> {
    let sure = |charset, bom_length| Ok(DetectedForm { charset, bom_length, certain: true });
    match bytes {
        [0xff, 0xfe, ..] => return sure(DetectedCharset::Utf16Le, 2),
        [0xfe, 0xff, ..] => return sure(DetectedCharset::Utf16Be, 2),
        [0xef, 0xbb, 0xbf, rest @ ..] => {
            simdutf8::basic::from_utf8(rest).map_err(|_| "not UTF-8 behind its byte-order mark")?;
            return sure(DetectedCharset::Utf8, 3);
        }
        _ => {}
    }
    let head = &bytes[..bytes.len().min(1024)];
    let zeros = |from: usize| head.iter().skip(from).step_by(2).filter(|c| **c == 0).count();
    let high = zeros(1);
    // A few zeros may be characters of UTF-8.
    if high > zeros(0) && (high * 8 >= head.len() || simdutf8::basic::from_utf8(bytes).is_err()) {
        return sure(DetectedCharset::Utf16Le, 0);
    }
    let guess = |charset| Ok(DetectedForm { charset, bom_length: 0, certain: false });
    if simdutf8::basic::from_utf8(bytes).is_ok() {
        if documented == Charset::Utf16Le
            && bytes.len().is_multiple_of(2)
            && !reads_as_text(bytes)
            && is_likely_utf16(bytes)
        {
            return guess(DetectedCharset::Utf16Le);
        }
        let certain = !bytes.iter().any(|c| c.is_ascii_control() && !c.is_ascii_whitespace());
        return Ok(DetectedForm { charset: DetectedCharset::Utf8, bom_length: 0, certain });
    }
    if documented != Charset::Utf8 && bytes.len().is_multiple_of(2) && is_likely_utf16(bytes) {
        return guess(DetectedCharset::Utf16Le);
    }
    Err("neither UTF-16LE nor UTF-8")
}

/// Words separated by spaces, or JSON: never UTF-16.
fn reads_as_text(bytes: &[u8]) -> bool {
    let spaces = bytes.iter().filter(|c| c.is_ascii_whitespace()).count();
    let json = matches!((bytes.first(), bytes.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')));
    json || spaces * 24 >= bytes.len()
}

/// Whether every code unit is a plausible character: no controls, no private use, surrogates paired.
fn is_likely_utf16(bytes: &[u8]) -> bool {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).all(|c| {
        c.is_ok_and(|c| {
            !matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{f0000}'..)
                && (!c.is_control() || c.is_whitespace())
        })
    })
}

/// Converts bytes that are not base64. The documented charset is the one inside base64, so plain ASCII is never
/// doubted.
fn finish_plain<'a>(
    words: &'a mut Vec<u16>,
    bytes: &[u8],
    documented: Charset,
    utf8: &'a mut String,
    encoding: &'a mut String,
) -> DecodedText<'a> {
    fill(words, bytes);
    let documented = if bytes.is_ascii() { Charset::Unknown } else { documented };
    finish(words, bytes.len(), documented, utf8, encoding)
}

/// Converts the bytes in `words` by their detected encoding.
fn finish<'a>(
    words: &'a mut [u16],
    length: usize,
    documented: Charset,
    utf8: &'a mut String,
    encoding: &'a mut String,
) -> DecodedText<'a> {
    if length == 0 {
        return DecodedText { status: TextStatus::Empty, encoding, text: None, reason: None };
    }
    let found = match detect(&bytemuck::cast_slice(words)[..length], documented) {
        Ok(found) => found,
        // The documented charset is trusted as far as the bytes allow.
        Err(_) if documented == Charset::Utf16Le && length.is_multiple_of(2) => {
            DetectedForm { charset: DetectedCharset::Utf16Le, bom_length: 0, certain: false }
        }
        Err(reason) => return undecodable(encoding, reason),
    };
    if found.charset == DetectedCharset::Utf8 {
        encoding.push_str("utf-8");
        let bytes: &[u8] = &bytemuck::cast_slice(words)[found.bom_length..length];
        return match simdutf8::basic::from_utf8(bytes) {
            Ok("") => DecodedText { status: TextStatus::Empty, encoding, text: None, reason: None },
            Ok(text) => DecodedText { status: TextStatus::Decoded, encoding, text: Some(text), reason: None },
            Err(_) => undecodable(encoding, "not UTF-8"),
        };
    }
    encoding.push_str(if found.charset == DetectedCharset::Utf16Le { "utf-16le" } else { "utf-16be" });
    if length % 2 == 1 {
        return undecodable(encoding, "odd-length UTF-16");
    }
    let units = &mut words[found.bom_length / 2..length / 2];
    for unit in units.iter_mut() {
        *unit = if found.charset == DetectedCharset::Utf16Le { u16::from_le(*unit) } else { u16::from_be(*unit) };
    }
    if utf16_valid_up_to(units) < units.len() {
        return undecodable(encoding, "half a surrogate pair in UTF-16");
    }
    // A code unit takes at most three bytes in UTF-8.
    if utf8.len() < units.len() * 3 {
        *utf8 = "\0".repeat(units.len() * 3);
    }
    let written = convert_utf16_to_str(units, utf8.as_mut_str());
    match &utf8[..written] {
        "" => DecodedText { status: TextStatus::Empty, encoding, text: None, reason: None },
        text => DecodedText { status: TextStatus::Decoded, encoding, text: Some(text), reason: None },
    }
}

fn undecodable<'a>(encoding: &'a mut String, reason: &'static str) -> DecodedText<'a> {
    if encoding.ends_with('+') {
        encoding.pop();
    }
    DecodedText { status: TextStatus::Undecodable, encoding, text: None, reason: Some(reason) }
}
