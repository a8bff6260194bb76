//! Public corpora, read from next to the repository if present: never a panic, always a row.
#![expect(clippy::print_stderr, reason = "a test says when it has nothing to read")]

use std::fs;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use copilot_lake_tables::{COPILOT_EVENT, Instant, Labels, Week};
use serde_json::{Value, json};

use super::summaries::decode_summary;
use super::transcripts::transcript_of;
use super::{ID, PARTITION, decode, text};
use crate::payload::charset::{Base64, decode_base64};
use crate::{Fetched, decode_page, decode_payloads};

fn corpus(path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpora").join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: no {}", path.display());
    None
}

/// Name and bytes of every file of JSONTestSuite; `None` if it is missing.
fn json_files() -> Vec<(String, Vec<u8>)> {
    let folders = ["test_parsing", "test_transform"];
    let folders = folders.iter().filter_map(|folder| corpus(&format!("jsontestsuite/{folder}")));
    let mut files: Vec<_> = folders
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(files.is_empty() || files.len() > 300, "the corpus is not whole");
    files
}

fn rows(batches: &[(Week, RecordBatch)]) -> usize {
    batches.iter().map(|(_, batch)| batch.num_rows()).sum()
}

/// Whether a file must parse as an object, as another value, must not parse, or may.
#[derive(PartialEq)]
enum Kind {
    Object,
    Value,
    Broken,
    Either,
}

fn kind(name: &str, bytes: &[u8]) -> Kind {
    match name.as_bytes() {
        [b'y', b'_', ..] if bytes.trim_ascii_start().starts_with(b"{") => Kind::Object,
        [b'y', b'_', ..] => Kind::Value,
        [b'n', b'_', ..] => Kind::Broken,
        _ => Kind::Either,
    }
}

#[test]
fn json_files_as_pages() {
    for (name, bytes) in json_files() {
        let page = |text: &[u8]| decode_page(&COPILOT_EVENT, text, Instant(0), &Labels::default());
        // The file as the whole answer: an array is a page, of rows that may all be rejects.
        let whole = page(&bytes);
        let kind = kind(&name, &bytes);
        if kind == Kind::Value && bytes.trim_ascii_start().starts_with(b"[") {
            let values: Vec<Value> = serde_json::from_slice(&bytes).unwrap_or_default();
            let decoded = whole.unwrap();
            assert_eq!((decoded.rows, rows(&decoded.batches)), (values.len() as u64, values.len()), "{name}");
        } else if kind != Kind::Either {
            assert!(whole.is_err(), "{name}");
        }
        // The file as one row among others.
        let wrapped = page(&[&b"[{},"[..], &bytes, b",{}]"].concat());
        match kind {
            Kind::Object => {
                let decoded = wrapped.unwrap();
                assert_eq!((decoded.rows, rows(&decoded.batches), decoded.rejects.len()), (3, 3, 0), "{name}");
            }
            Kind::Value => {
                let decoded = wrapped.unwrap();
                assert_eq!((decoded.rows, rows(&decoded.batches), decoded.rejects.len()), (3, 3, 1), "{name}");
            }
            // Broken alone and whole between others, such as `1,` and an empty text, is still no panic.
            Kind::Broken | Kind::Either => drop(wrapped),
        }
    }
}

#[test]
fn json_files_as_unknown_properties() {
    for (name, bytes) in json_files() {
        let members = [&br#","new":"#[..], &bytes, br#","sure":[1]"#].concat();
        let page = |rows: &[u8]| decode_page(&COPILOT_EVENT, rows, Instant(0), &Labels::default());
        let Ok(members) = String::from_utf8(members) else { continue };
        let Ok(decoded) = page(format!("[{}]", super::row(&members)).as_bytes()) else {
            assert!(kind(&name, &bytes) != Kind::Object && kind(&name, &bytes) != Kind::Value, "{name}");
            continue;
        };
        let batch = &decoded.batches[0].1;
        // Whatever it is: the row is there, and what is said of it is JSON.
        let extra: Value = serde_json::from_str(text(batch, "extra_json", 0).unwrap()).unwrap();
        assert_eq!((decoded.rows, &extra["sure"]), (1, &json!([1])), "{name}");
        let raw = str::from_utf8(&bytes).unwrap();
        match serde_json::from_str::<Value>(raw) {
            Ok(value) => assert_eq!((&extra["new"], decoded.rejects.len()), (&value, 0), "{name}"),
            Err(_) if kind(&name, &bytes) == Kind::Either => {
                let columns: Vec<_> = decoded.rejects.iter().map(|reject| reject.column_name).collect();
                assert_eq!((columns.as_slice(), extra.get("new")), (&["extra_json"][..], None), "{name}");
                assert!(decoded.rejects[0].raw_json.contains(raw.trim()), "{name}");
            }
            // Broken alone, and more than one property here.
            Err(_) => {}
        }
    }
}

#[test]
fn json_files_as_contexts() {
    for (name, bytes) in json_files() {
        let Ok(context) = str::from_utf8(&bytes) else { continue };
        let row =
            json!([{ "msdyn_copiloteventid": ID, "partitionid": PARTITION, "msdyn_interactioncontext": context }]);
        let decoded = decode(&row.to_string());
        let batch = &decoded.batches[0].1;
        assert_eq!((decoded.rows, batch.num_rows()), (1, 1), "{name}");
        assert_eq!(text(batch, "msdyn_interactioncontext", 0), Some(context), "{name}: the text stays as sent");
        let columns: Vec<_> = decoded.rejects.iter().map(|reject| reject.column_name).collect();
        match kind(&name, &bytes) {
            Kind::Object => assert_eq!(columns, [""; 0], "{name}"),
            Kind::Value | Kind::Broken => assert_eq!(columns, ["msdyn_interactioncontext"], "{name}"),
            Kind::Either => {}
        }
    }
}

#[test]
fn json_files_as_summaries() {
    for (name, bytes) in json_files() {
        let Ok(summary) = str::from_utf8(&bytes) else { continue };
        let decoded = decode_summary(summary);
        let batch = &decoded.batches[0].1;
        assert_eq!((decoded.rows, batch.num_rows(), decoded.rejects.len()), (1, 1, 0), "{name}");
        // None of them has a known key: each is plain text.
        assert_eq!(text(batch, "summary_text", 0), Some(summary).filter(|text| !text.is_empty()), "{name}");
    }
}

#[test]
fn json_files_as_transcripts() {
    for (name, bytes) in json_files() {
        let inside = |before: &str, after: &str| [before.as_bytes(), &bytes, after.as_bytes()].concat();
        let texts = [
            bytes.clone(),
            inside(r#"{"messages":[{"id":"a"},"#, r#",{"id":"b"}]}"#),
            inside(r#"{"messages":[{"id":"a","new":"#, r#"},{"id":"b"}]}"#),
            inside(r#"{"messages":[{"id":"a","message":"#, r#"},{"id":"b"}]}"#),
            inside(r#"{"context":"#, r#","messages":[{"id":"a"},{"id":"b"}]}"#),
            inside(r#"{"messages":[{"id":"a","sources":["#, r#"]},{"id":"b"}]}"#),
        ];
        for (at, text) in texts.into_iter().enumerate() {
            let decoded = decode_payloads(&[transcript_of(ID, Fetched::Bytes(text, None))], Instant(0)).unwrap();
            assert_eq!((rows(&decoded.payloads), decoded.transcripts.len()), (1, 1), "{name} {at}");
            let (payload, messages) = (&decoded.payloads[0].1, rows(&decoded.messages));
            let is_transcript =
                super::text(payload, "status", 0) == Some("decoded") && super::text(payload, "reason", 0).is_none();
            match kind(&name, &bytes) {
                // Where it takes the place of a message, an object is one.
                Kind::Object if at == 1 => assert!(is_transcript && messages == 3, "{name} {at}: {messages}"),
                Kind::Object | Kind::Value if at > 0 => assert!(is_transcript && messages == 2, "{name} {at}"),
                // Nothing of what is broken is taken for a message. Some are whole where they are inside.
                _ if at == 0 => assert!(!is_transcript && messages == 0, "{name}"),
                _ => assert!(is_transcript || messages == 0, "{name} {at}"),
            }
        }
    }
}

#[test]
fn base64_vectors_of_the_web() {
    let Some(path) = corpus("wpt/base64.json") else { return };
    let vectors: Vec<(String, Option<Vec<u8>>)> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    assert!(vectors.len() > 50);
    // All of them are shorter than what is taken for base64 without more evidence; behind 32 characters of it they
    // say the same. The web ignores white space anywhere; here a space among the first 32 characters means words.
    let lead = "a lead of 24 bytes, yes.";
    let mut words = Vec::new();
    for (input, expected) in vectors {
        let long = base64_simd::STANDARD.encode_to_string(lead) + &input;
        let decoded = match decode_base64(long.as_bytes(), &mut words) {
            Base64::Decoded(length) => Some(bytemuck::cast_slice(&words)[..length].to_vec()),
            Base64::Broken(_) | Base64::Not => None,
        };
        let expected = expected.map(|bytes| [lead.as_bytes(), &bytes].concat());
        assert_eq!(decoded, expected, "{input:?}");
    }
}
