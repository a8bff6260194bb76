//! The index of an archive: one line of JSON for every page and payload, with where its bytes are.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// What an entry of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// The body of a page.
    Page,
    /// The bytes of a payload.
    Payload,
}

/// Where an entry is: one zstd frame of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFrame {
    /// The number of the bundle.
    pub(super) bundle: u32,
    /// Where the frame begins.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) length: u64,
    /// Bytes of the entry.
    pub(super) size: u64,
    /// SHA-256 of the frame.
    pub(super) hash: [u8; 32],
    pub(super) kind: EntryKind,
}

impl EntryFrame {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// A line of the index.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct IndexLine<'a> {
    /// The slice, as a line of `slice.json`, from 0.
    pub(super) slice: u32,
    pub(super) kind: EntryKind,
    /// The bundle, the bytes of the frame in it, those of the content, and the SHA-256 of the frame; nothing when there
    /// is no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// What the entry is, as its archiver describes it.
    #[serde(borrow)]
    pub(super) about: &'a RawValue,
}

impl<'a> IndexLine<'a> {
    pub(super) fn new(slice: u32, kind: EntryKind, frame: Option<&EntryFrame>, about: &'a RawValue) -> Self {
        Self {
            slice,
            kind,
            bundle: frame.map(|frame| frame.bundle),
            offset: frame.map(|frame| frame.offset),
            length: frame.map(|frame| frame.length),
            size: frame.map(|frame| frame.size),
            sha256: frame.map(|frame| hex(&frame.hash)),
            about,
        }
    }

    /// Where the content is. `Err`: a part of that is missing or wrong.
    pub(super) fn frame(&self) -> Result<Option<EntryFrame>, &'static str> {
        let Some(bundle) = self.bundle else { return Ok(None) };
        let (Some(offset), Some(length), Some(size), Some(hash)) =
            (self.offset, self.length, self.size, self.sha256.as_deref().and_then(unhex))
        else {
            return Err("a line does not say where its entry is");
        };
        Ok(Some(EntryFrame { bundle, offset, length, size, hash, kind: self.kind }))
    }
}

/// The hash of a frame.
pub(super) fn hash(frame: &[u8]) -> [u8; 32] {
    Sha256::digest(frame).into()
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_was_written() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&hash(b"abc")), known);
        assert_eq!(unhex(known), Some(hash(b"abc")));
        for text in ["", "ba78", &known.replace('b', "g"), &format!("{known}00"), &"ä".repeat(32)] {
            assert_eq!(unhex(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_says_all_or_nothing_of_its_place() {
        let line = |text| serde_json::from_str::<IndexLine<'_>>(text).unwrap().frame();
        assert_eq!(line(r#"{"slice":0,"kind":"payload","about":{}}"#), Ok(None));
        assert!(line(r#"{"slice":0,"kind":"payload","bundle":1,"offset":0,"about":{}}"#).is_err());
        let frame =
            EntryFrame { bundle: 2, offset: 14, length: 3, size: 99, hash: hash(b"abc"), kind: EntryKind::Page };
        let about = serde_json::value::to_raw_value(&serde_json::json!({ "number": 7 })).unwrap();
        let text = serde_json::to_string(&IndexLine::new(5, EntryKind::Page, Some(&frame), &about)).unwrap();
        assert_eq!(line(&text), Ok(Some(frame)));
    }
}
