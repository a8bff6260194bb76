//! JSON that is nested a million times, wherever it may stand: no stack overflows, and every row is there.
//!
//! What reads JSON here either skips it without recursion (`RawValue`, `IgnoredAny`, our own scanners) or stops at a
//! limit: 128 levels where a value is parsed, 100 in `extra_json`.

use copilot_lake_tables::{CONVERSATION_INSIGHT, COPILOT_EVENT, COPILOT_TRANSCRIPT, Instant, Labels, Table};
use serde_json::json;

use super::interactions::CARD;
use super::transcripts::transcript_of;
use super::{ID, text};
use crate::{Charset, Fetched, RawPayload, SourceRow, decode_interactions, decode_page, decode_payloads, decode_users};

const DEPTH: usize = 1_000_000;

/// How arrays, objects, and both in turn begin and end.
const KINDS: [(&str, &str); 3] = [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":"#, "}]")];

fn nested() -> [String; 3] {
    KINDS.map(|(open, close)| {
        let inside = if open == "[" { "" } else { "1" };
        open.repeat(DEPTH) + inside + &close.repeat(DEPTH)
    })
}

/// The same, and what is cut off at its deepest.
fn nested_or_cut() -> Vec<String> {
    KINDS.map(|(open, _)| open.repeat(DEPTH)).into_iter().chain(nested()).collect()
}

#[test]
fn pages() {
    for deep in nested() {
        for (at, member) in [
            "new",
            "createdon",
            "versionnumber",
            "msdyn_verbatim",
            "msdyn_interactioncontext",
            "x@y.z",
            "msdyn_scenariotype",
        ]
        .into_iter()
        .enumerate()
        {
            let decoded = super::decode(&format!("[{},{{}}]", super::row(&format!(r#","{member}":{deep}"#))));
            let rows: usize = decoded.batches.iter().map(|(_, batch)| batch.num_rows()).sum();
            assert_eq!((decoded.rows, rows), (2, 2), "{member}");
            let of_row: Vec<_> = decoded.rejects.iter().filter(|reject| reject.record_key.starts_with(ID)).collect();
            let is_object = deep.starts_with('{');
            match member {
                "x@y.z" => assert!(of_row.is_empty(), "an annotation"),
                "new" => {
                    assert_eq!((of_row[0].column_name, of_row[0].reason.as_str()), ("extra_json", "nested too deep"));
                }
                // An object is the context itself: it has no known property.
                "msdyn_interactioncontext" if is_object => assert!(of_row.is_empty()),
                _ => assert_eq!((of_row.len(), of_row[0].raw_json.len()), (1, deep.len()), "{at} {member}"),
            }
        }
        // As a row, and as the page.
        assert_eq!(super::decode(&format!("[{deep}]")).rows, 1);
        let page = decode_page(&COPILOT_EVENT, deep.as_bytes(), Instant(0), &Labels::default());
        assert_eq!(page.is_ok(), deep.starts_with('['));
    }
    for cut in nested_or_cut().into_iter().take(3) {
        let page = |table: &'static Table| decode_page(table, cut.as_bytes(), Instant(0), &Labels::default());
        assert!(page(&COPILOT_EVENT).is_err() && page(&COPILOT_TRANSCRIPT).is_err());
    }
}

#[test]
fn contexts_and_summaries() {
    for deep in nested_or_cut() {
        for context in [
            deep.clone(),
            format!(r#"{{"new":{deep}}}"#),
            format!(r#"{{"IsEmbed":{deep}}}"#),
            format!(r#"{{"Transcript":{deep}}}"#),
            format!(r#"{{"Transcript":{{"Id":{deep}}}}}"#),
            format!(r#"{{"\u0001":{deep}}}"#),
        ] {
            let row = json!([{ "msdyn_copiloteventid": ID, "partitionid": "p", "msdyn_interactioncontext": context }]);
            let decoded = super::decode(&row.to_string());
            assert_eq!(text(&decoded.batches[0].1, "msdyn_interactioncontext", 0), Some(&*context), "the text stays");
            assert!(decoded.rejects.len() <= 1);
            let row = json!([{ "msdyn_conversationinsightid": ID, "msdyn_copilotsummary": context }]);
            let rows = row.to_string();
            let decoded = decode_page(&CONVERSATION_INSIGHT, rows.as_bytes(), Instant(0), &Labels::default()).unwrap();
            assert_eq!(text(&decoded.batches[0].1, "msdyn_copilotsummary", 0), Some(&*context), "the text stays");
        }
    }
}

#[test]
fn transcripts() {
    for deep in nested() {
        for transcript in [
            deep.clone(),
            format!(r#"{{"messages":{deep}}}"#),
            format!(r#"{{"messages":[{{"id":"a"}},{deep}]}}"#),
            format!(r#"{{"new":{deep},"messages":[{{"id":"a"}}]}}"#),
            format!(r#"{{"context":{deep},"messages":[{{"id":"a"}}]}}"#),
            format!(r#"{{"messages":[{{"id":{deep}}}]}}"#),
            format!(r#"{{"messages":[{{"id":"a","new":{deep}}}]}}"#),
            format!(r#"{{"messages":[{{"id":"a","timestamp":{deep}}}]}}"#),
            format!(r#"{{"messages":[{{"id":"a","context":{{"new":{deep}}}}}]}}"#),
            format!(r#"{{"messages":[{{"id":"a","sources":{deep}}}]}}"#),
            format!(r#"{{"messages":[{{"id":"a","sources":[{deep}]}}]}}"#),
            format!(r#"{{"messages":[{{"id":"a","sources":[{{"id":{deep}}}]}}]}}"#),
        ] {
            let payload = transcript_of(ID, Fetched::Bytes(transcript.clone().into_bytes(), None));
            let decoded = decode_payloads(&[payload], Instant(0)).unwrap();
            let payload = &decoded.payloads[0].1;
            assert_eq!(text(payload, "text", 0), Some(&*transcript), "the text stays");
            // An object is a message, even without an id.
            let has_messages = transcript.contains(r#""id""#) || transcript.starts_with(r#"{"messages":[{"a""#);
            assert_eq!(!decoded.messages.is_empty(), has_messages, "{transcript:.60}");
            assert!(has_messages || text(payload, "reason", 0).is_some() || transcript.contains(r#""messages":[["#));
        }
    }
}

#[test]
fn payloads() {
    for deep in nested_or_cut() {
        for content in [deep.clone(), format!(r#"{{"@odata.context":{deep},"value":"dGV4dCB0aGF0IGlzIGxvbmc="}}"#)] {
            let row = SourceRow {
                table: "msdyn_copilotevent",
                id: "id".to_owned(),
                partition_id: "p".to_owned(),
                column: "msdyn_interactiondata",
                file_id: "f".to_owned(),
                file_name: None,
                row_time: Instant(0),
                documented: Charset::Unknown,
            };
            let payload = RawPayload { row, fetched: Fetched::Bytes(content.into_bytes(), None) };
            let decoded = decode_payloads(&[payload], Instant(0)).unwrap();
            assert_eq!(text(&decoded.payloads[0].1, "status", 0), Some("decoded"));
        }
    }
}

#[test]
fn interactions() {
    for deep in nested() {
        for (row, columns) in [
            (deep.clone(), None),
            (format!(r#"{{"id":"1","new":{deep}}}"#), Some("extra_json")),
            (format!(r#"{{"id":{deep}}}"#), Some("interaction_id")),
            (format!(r#"{{"id":"1","body":{{"content":{deep}}}}}"#), Some("body_content")),
            (format!(r#"{{"id":"1","from":{{"user":{{"id":{deep}}}}}}}"#), Some("from_id")),
            (format!(r#"{{"id":"1","from":{{"new":{deep}}}}}"#), Some("extra_json")),
            (format!(r#"{{"id":"1","links":[{{"linkUrl":{deep}}}]}}"#), Some("link_url")),
            (format!(r#"{{"id":"1","mentions":[{{"mentioned":{{"user":{{"id":{deep}}}}}}}]}}"#), Some("mentioned_id")),
        ] {
            let decoded = decode_interactions("u", format!("[{row}]").as_bytes(), Instant(0)).unwrap();
            assert_eq!(decoded.rows, 1);
            assert_eq!(decoded.batches.last().unwrap().2.num_rows(), 1, "the row is there");
            let found =
                decoded.rejects.iter().find(|(_, reject)| columns.is_none_or(|column| reject.column_name == column));
            assert!(found.is_some() || columns.is_none(), "{row:.60}");
        }
        // An array that holds itself is an array of one.
        for name in ["from", "body", "attachments", "contexts", "links", "mentions"] {
            let row = format!(r#"[{{"id":"1","{name}":{deep}}}]"#);
            let decoded = decode_interactions("u", row.as_bytes(), Instant(0)).unwrap();
            assert_eq!(decoded.batches.last().unwrap().2.num_rows(), 1, "{name}");
            assert!(!decoded.rejects.is_empty(), "{name}");
        }
    }
}

#[test]
fn cards() {
    for deep in nested_or_cut() {
        for card in [deep.clone(), format!(r#"{{"body":[{deep},{{"type":"TextBlock","text":"said"}}]}}"#)] {
            let attachments = json!([{ "attachmentId": "a", "contentType": CARD, "content": card }]);
            let shown = super::interactions::text_of("html", "before <attachment id=\"a\"></attachment>", &attachments);
            let expected = if card.contains("said") { "before said" } else { "before" };
            assert_eq!(shown, expected);
        }
    }
}

#[test]
fn users() {
    for deep in nested() {
        for row in [
            format!(r#"{{"id":"u","assignedPlans":{deep}}}"#),
            format!(r#"{{"id":"u","assignedPlans":[{deep}]}}"#),
            format!(r#"{{"id":"u","assignedPlans":[{{"servicePlanId":{deep}}}]}}"#),
            format!(r#"{{"id":"u","displayName":{deep}}}"#),
            format!(r#"{{"id":"u","deletedDateTime":{deep}}}"#),
            format!(r#"{{"id":"u","new":{deep}}}"#),
            format!(r#"{{"id":{deep}}}"#),
            deep.clone(),
        ] {
            let decoded = decode_users(format!("[{row}]").as_bytes(), Instant(0), |_| Instant(0)).unwrap();
            assert_eq!((decoded.rows, decoded.rejects.is_empty()), (1, false), "{row:.60}");
        }
    }
}
