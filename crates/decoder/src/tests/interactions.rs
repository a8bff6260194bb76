//! Interactions of Microsoft 365 Copilot: every value has a place, and texts read as a person would expect.

use std::collections::BTreeMap;

use copilot_lake_tables::{Instant, Week};
use serde_json::{Value, json};

use super::of_batch;
use crate::{DecodedInteractions, History, HistoryWindow, Interactions, Revision, decode_interactions};

const USER: &str = "4DB02E4B-D144-400E-B194-53253A34C5BE";
pub(super) const CARD: &str = "application/vnd.microsoft.card.adaptive";

fn decode(rows: &Value) -> DecodedInteractions {
    decode_interactions(USER, rows.to_string().as_bytes(), Instant::parse("2025-11-05T12:00:00Z").unwrap()).unwrap()
}

/// The rows of a table, as text by column, without nulls.
fn rows(decoded: &DecodedInteractions, table: &str) -> Vec<BTreeMap<String, String>> {
    let of_table = decoded.batches.iter().filter(|(of, ..)| of.name == table);
    of_table.flat_map(|(_, _, batch)| of_batch(batch)).collect()
}

pub(super) fn text_of(content_type: &str, content: &str, attachments: &Value) -> String {
    let row =
        json!([{ "id": "1", "body": { "contentType": content_type, "content": content }, "attachments": attachments }]);
    rows(&decode(&row), "ai_interaction")[0]["text"].clone()
}

fn card(blocks: &Value) -> Value {
    json!([{ "attachmentId": "a", "contentType": CARD, "content": json!({ "type": "AdaptiveCard", "body": blocks }).to_string() }])
}

#[test]
fn every_value_of_an_interaction_arrives() {
    let decoded = decode(&json!([{
        "@odata.type": "#microsoft.graph.aiInteraction",
        "id": "1731701801008",
        "sessionId": "19:a@thread.v2",
        "requestId": "7336770C-fb25-48ac-8303-4493ad11ed71",
        "appClass": "IPM.SkypeTeams.Message.Copilot.Teams",
        "interactionType": "aiResponse",
        "conversationType": "appchat",
        "etag": "1731701801008",
        "createdDateTime": "2024-11-15T20:16:41.008Z",
        "locale": "en-us",
        "newThing": { "a": 1 },
        "contexts": [{ "contextReference": "https://a", "displayName": "Meeting", "contextType": "TeamsMeeting", "more": 2 }],
        "from": {
            "@odata.type": "#microsoft.graph.chatMessageFromIdentitySet",
            "device": null,
            "user": null,
            "application": { "id": "fb8d", "displayName": "Copilot in Teams", "applicationIdentityType": "bot", "odd": true },
        },
        "body": { "contentType": "text", "content": "Hello.<attachment id=\"m\"></attachment>", "extra": "x" },
        "attachments": [{ "attachmentId": "m", "contentType": "reference", "contentUrl": "https://m", "content": null, "name": "M" }],
        "links": [{ "linkUrl": "https://l", "linkType": "File", "displayName": "L" }, { "linkUrl": "https://k" }],
        "mentions": [{
            "mentionId": 0,
            "mentionText": "Ann",
            "mentioned": { "user": { "id": "u", "displayName": "Ann", "userIdentityType": "aadUser" }, "tag": null },
        }],
    }]));
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    let row = &rows(&decoded, "ai_interaction")[0];
    let expected = [
        ("user_id", "4db02e4b-d144-400e-b194-53253a34c5be"),
        ("session_id", "19:a@thread.v2"),
        ("interaction_id", "1731701801008"),
        ("request_id", "7336770c-fb25-48ac-8303-4493ad11ed71"),
        ("created_at", "2024-11-15T20:16:41.008000Z"),
        ("row_time", "2024-11-15T20:16:41.008000Z"),
        ("interaction_type", "aiResponse"),
        ("conversation_type", "appchat"),
        ("app_class", "IPM.SkypeTeams.Message.Copilot.Teams"),
        ("app", "Teams"),
        ("locale", "en-us"),
        ("etag", "1731701801008"),
        ("from_kind", "application"),
        ("from_id", "fb8d"),
        ("from_display_name", "Copilot in Teams"),
        ("from_identity_type", "bot"),
        ("body_content_type", "text"),
        ("attachment_count", "1"),
        ("context_count", "1"),
        ("link_count", "2"),
        ("mention_count", "1"),
        ("text", "Hello."),
        ("body_content", "Hello.<attachment id=\"m\"></attachment>"),
        ("extracted_at", "2025-11-05T12:00:00Z"),
        ("extra_json", r#"{"newThing":{"a":1},"from.application.odd":true,"body.extra":"x"}"#),
    ];
    let mut left = row.clone();
    for (column, value) in expected {
        let found = left.remove(column);
        if column == "extra_json" {
            let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
            assert_eq!(found.map(|text| parse(&text)), Some(parse(value)));
        } else {
            assert_eq!(found.as_deref(), Some(value), "{column}");
        }
    }
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(rows(&decoded, "ai_interaction_attachment")[0]["content_url"], "https://m");
    assert_eq!(rows(&decoded, "ai_interaction_context")[0]["extra_json"], r#"{"more":2}"#);
    let links = rows(&decoded, "ai_interaction_link");
    assert_eq!((links[0]["position"].as_str(), links[1]["link_url"].as_str()), ("0", "https://k"));
    let mention = &rows(&decoded, "ai_interaction_mention")[0];
    let of_mention = ["mention_id", "mention_text", "mentioned_kind", "mentioned_id", "mentioned_display_name"];
    assert_eq!(of_mention.map(|column| mention[column].as_str()), ["0", "Ann", "user", "u", "Ann"]);
    assert_eq!(mention["extra_json"], r#"{"mentioned.user.userIdentityType":"aadUser"}"#);
    assert!(decoded.batches.iter().all(|(_, week, _)| week.to_string() == "2024-11-10"));
    assert_eq!(decoded.batches.last().unwrap().0.name, "ai_interaction", "children come first");
}

#[test]
fn what_does_not_fit_is_rejected_and_the_row_stays() {
    let decoded = decode(&json!([
        { "id": "1", "sessionId": "s", "createdDateTime": "soon", "from": "somebody", "links": {}, "mentions": [7], "locale": 3 },
        { "id": "2", "from": { "device": "a phone", "user": { "id": "u" } } },
        { "createdDateTime": "2025-01-01T00:00:00Z", "id": 5 },
        "no row",
    ]));
    assert_eq!(decoded.rows, 4);
    let found = rows(&decoded, "ai_interaction");
    assert_eq!(found.len(), 4);
    let mut refused: Vec<_> = decoded
        .rejects
        .iter()
        .map(|(table, reject)| (table.name, reject.column_name, reject.raw_json.as_str()))
        .collect();
    refused.sort_unstable();
    let expected = [
        ("ai_interaction", "", "\"no row\""),
        ("ai_interaction", "created_at", "\"soon\""),
        ("ai_interaction", "from_kind", "\"somebody\""),
        ("ai_interaction", "interaction_id", "5"),
        ("ai_interaction", "link_count", "{}"),
        ("ai_interaction", "locale", "3"),
        ("ai_interaction_mention", "", "7"),
    ];
    assert_eq!(refused, expected);
    let by_id = |id: &str| found.iter().find(|row| row["interaction_id"] == id).unwrap();
    assert_eq!(by_id("1")["row_time"], Week::UNKNOWN.start().to_string());
    // The first identity that is filled counts, the other ones stay as they came.
    assert_eq!((by_id("2")["from_kind"].as_str(), by_id("2")["from_display_name"].as_str()), ("device", "a phone"));
    assert_eq!(by_id("2")["extra_json"], r#"{"from.user":{"id":"u"}}"#);
    assert_eq!(found.iter().filter(|row| row["interaction_id"].starts_with("sha256:")).count(), 2);
    assert!(
        decode_interactions(USER, b"{}", Instant(0)).is_err()
            && decode_interactions(USER, b"\xff", Instant(0)).is_err()
    );
}

#[test]
fn placeholders_become_their_cards_once() {
    let blocks = json!([
        { "type": "TextBlock", "text": "See **[the plan](https://p)** for more[1](https://p).\n\nAnything else today?" },
        { "type": "TextBlock", "id": "MessageTextField", "text": "See **the plan[2]** for more[^1^].\n\nAnything else today?" },
    ]);
    let answer = "See **[the plan](https://p)** for more[1](https://p).\n\nAnything else today?";
    for body in ["<attachment id=\"a\"></attachment>", "&lt;attachment id=\"a\"&gt;&lt;/attachment&gt;", ""] {
        for content_type in ["text", "html"] {
            assert_eq!(text_of(content_type, body, &card(&blocks)), answer, "{content_type}: {body}");
        }
    }
    let text = text_of(
        "text",
        "Before <attachment id=\"a\"></attachment> after<attachment id=\"b\"></attachment>",
        &card(&blocks),
    );
    assert_eq!(text, format!("Before {answer} after"));
    let nested = json!([{ "type": "Container", "items": [
        { "type": "ColumnSet", "columns": [{ "type": "Column", "items": [{ "type": "TextBlock", "text": "left" }] }] },
        { "type": "FactSet", "facts": [{ "title": "Due", "value": "Friday" }] },
        { "type": "RichTextBlock", "inlines": ["rich ", { "type": "TextRun", "text": "text" }] },
        { "type": "TextBlock", "id": "MessageTextField", "text": "only here" },
    ] }]);
    assert_eq!(
        text_of("html", "<attachment id=\"a\"></attachment>", &card(&nested)),
        "left\n\nDue: Friday\n\nrich text\n\nonly here"
    );
    let broken = json!([{ "attachmentId": "a", "contentType": CARD, "content": "{" }]);
    assert_eq!(text_of("text", "x<attachment id=\"a\"></attachment>", &broken), "x");
    assert_eq!(text_of("text", "1 < 2 &amp; <b>", &json!([])), "1 < 2 &amp; <b>", "text is no HTML");
}

#[test]
fn cards_are_read_whole_whether_text_or_object() {
    let shown = json!({
        "type": "AdaptiveCard",
        "fallbackText": "shown by nobody",
        "body": [
            { "type": "Image", "url": "https://i", "altText": "A chart of sales" },
            { "type": "ImageSet", "images": [{ "type": "Image", "altText": "A boat" }, { "url": "https://j" }] },
            { "type": "TextBlock", "text": "Sales rose." },
            { "type": "Image", "altText": "Sales rose." },
            { "type": "Image", "altText": "A boat" },
            { "type": "CodeBlock", "codeSnippet": "fn main() {}\n", "language": "Rust" },
            { "type": "Table", "rows": [{ "type": "TableRow", "cells": [{ "type": "TableCell", "items": [
                { "type": "RichTextBlock", "inlines": ["rich ", { "type": "TextRun", "text": "text" }] },
            ] }] }] },
            { "type": "Carousel", "pages": [{ "items": [{ "type": "Badge", "text": "New" }] }] },
            { "type": "Media", "altText": "A film", "sources": [] },
            { "type": "Input.Toggle", "id": "t", "title": "I agree" },
        ],
    });
    let text = "A chart of sales\n\nA boat\n\nSales rose.\n\nfn main() {}\n\nrich text\n\nNew\n\nA film\n\nI agree";
    let silent = json!({ "body": [{ "type": "Container" }], "fallbackText": " Please look ", "speak": "x" });
    for (card, text) in [(shown, text), (silent, "Please look")] {
        for content in [json!(card.to_string()), card.clone()] {
            let row = json!([{ "id": "1", "body": { "contentType": "html", "content": "<attachment id=\"a\"></attachment>" },
                "attachments": [{ "attachmentId": "a", "contentType": CARD, "content": content }] }]);
            let decoded = decode(&row);
            assert_eq!(rows(&decoded, "ai_interaction")[0]["text"], text);
            assert_eq!(rows(&decoded, "ai_interaction_attachment")[0]["content"], card.to_string(), "kept as it came");
            assert!(decoded.rejects.is_empty());
        }
    }
    let cut = json!([{ "attachmentId": "a", "contentType": CARD, "content":
        r#"{"body":[{"type":"CodeBlock","codeSnippet":"one"},{"type":"Image","altText":"two"},{"type":"TextBl"# }]);
    assert_eq!(text_of("text", "", &cut), "one\n\ntwo");
}

#[test]
fn what_spoils_the_json_is_refused_wherever_it_is() {
    let page = r#"[{"id":"1","sessionId":"s","new":"\ud800","half \udc00":1,"same":1,"same":2,
        "from":{"user":{"id":"u","odd":"\ud800"}},"body":{"content":"x","big":1e999,"\ud83d\ud83d\u0041":true},
        "links":[{"linkUrl":"l","new":["\ud83d"]},{"linkUrl":"m","new":"\ud83d\ude42"}]}]"#;
    let decoded = decode_interactions(USER, page.as_bytes(), Instant(0)).unwrap();
    let row = &rows(&decoded, "ai_interaction")[0];
    assert_eq!((row["extra_json"].as_str(), row["from_id"].as_str()), (r#"{"same":2}"#, "u"));
    let links = rows(&decoded, "ai_interaction_link");
    assert_eq!((links[0].get("extra_json"), links[1]["extra_json"].as_str()), (None, r#"{"new":"\ud83d\ude42"}"#));
    let refused: Vec<_> = decoded
        .rejects
        .iter()
        .map(|(table, reject)| (table.name, reject.column_name, reject.raw_json.as_str()))
        .collect();
    let of_row =
        r#"{"half \udc00":1,"new":"\ud800","from.user.odd":"\ud800","body.big":1e999,"body.\ud83d\ud83dA":true}"#;
    let expected =
        [("ai_interaction_link", "extra_json", r#"{"new":["\ud83d"]}"#), ("ai_interaction", "extra_json", of_row)];
    assert_eq!(refused, expected);
}

#[test]
fn html_reads_as_text() {
    let html = "<h2>Plan</h2><p>First &amp; <b>second</b>.</p><ul><li>one</li><li>two</li></ul>\
                <table><tr><th>Who</th><th>What</th></tr><tr><td>Ann</td><td>Budget</td></tr></table>";
    let text = text_of("html", html, &json!([]));
    for part in ["Plan", "First & second.", "one", "two", "Ann", "Budget"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('<') && text.lines().all(|line| line.len() < 200), "{text}");
}

fn parts_of(history: &mut History, pages: &[Value], at: Instant) -> Vec<DecodedInteractions> {
    let mut interactions = Interactions::default();
    pages.iter().for_each(|rows| interactions.add(history, rows.to_string().as_bytes()).unwrap());
    interactions.finish(at).unwrap()
}

fn page_of(history: &mut History, rows: &Value, at: Instant) -> DecodedInteractions {
    let mut parts = parts_of(history, std::slice::from_ref(rows), at);
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

#[test]
fn a_row_that_comes_again_is_taken_once_and_one_in_other_words_is_told() {
    let row = |session: &str, text: &str| json!({ "id": "1", "sessionId": session, "body": { "content": text } });
    let at = Instant::parse("2025-11-05T12:00:00Z").unwrap();
    let mut history = History::new(USER, None);
    let mut page = |rows: Value| page_of(&mut history, &rows, at);
    let first = page(json!([row("a", "x"), row("b", "x"), row("a", "x")]));
    assert_eq!((rows(&first, "ai_interaction").len(), first.rows, first.revision != Revision::First), (2, 3, false));
    assert_eq!(first.omitted, 1);
    let second = page(json!([row("b", "x"), row("c", "x")]));
    assert_eq!((rows(&second, "ai_interaction").len(), second.rows, second.revision != Revision::First), (1, 2, false));
    let third = parts_of(&mut history, &[json!([row("b", "y")])], at);
    let rows =
        third.iter().map(|part| (rows(part, "ai_interaction").len(), part.rows, part.revision != Revision::First));
    assert_eq!(rows.collect::<Vec<_>>(), [(0, 1, false), (1, 0, true)]);
    assert_eq!(third.iter().map(|part| part.omitted).sum::<u64>(), 0);
}

#[test]
fn versions_of_a_row_that_are_decoded_together_follow_one_another() {
    let row = |id: &str, links: Value| json!({ "id": id, "sessionId": "s", "links": links, "locale": 7 });
    let at = Instant::parse("2025-11-05T12:00:00Z").unwrap();
    let mut history = History::new(USER, None);
    let pages = [
        json!([row("1", json!([{}, {}])), row("2", json!([{}]))]),
        json!([row("2", json!([{}])), row("1", json!([{}])), row("3", json!([]))]),
        json!([row("1", json!([])), row("2", json!([]))]),
    ];
    let parts = parts_of(&mut history, &pages, at);
    let sizes = parts.iter().map(|part| {
        let children = rows(part, "ai_interaction_link").len();
        (rows(part, "ai_interaction").len(), children, part.rejects.len(), part.rows, part.revision != Revision::First)
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [(3, 3, 3, 7, false), (2, 1, 2, 0, true), (1, 0, 1, 0, true)]);
    assert_eq!((history.rows(), history.rejected()), (7, 6));
}

#[test]
fn what_was_read_without_a_filter_is_kept_within_the_window() {
    let at = |text: &str| Instant::parse(text).unwrap();
    let keep = HistoryWindow { window: at("2025-11-01")..at("2025-11-02"), app_classes: vec!["A".to_owned()] };
    let mut history = History::new(USER, Some(keep));
    let row = |id: &str, class: &str, time: Value| json!({ "id": id, "appClass": class, "createdDateTime": time, "contexts": [{}], "locale": 7 });
    let page = json!([
        row("before", "A", json!("2025-10-31T23:59:59.999Z")),
        row("first", "A", json!("2025-11-01T00:00:00Z")),
        row("other", "B", json!("2025-11-01T00:00:00Z")),
        row("end", "A", json!("2025-11-02T00:00:00Z")),
        row("never", "A", json!("soon")),
    ]);
    let decoded = page_of(&mut history, &page, at("2025-11-05"));
    let mut ids: Vec<_> = rows(&decoded, "ai_interaction").iter().map(|row| row["interaction_id"].clone()).collect();
    ids.sort();
    assert_eq!(ids, ["first", "never"]);
    assert_eq!((decoded.rows, decoded.omitted), (5, 3));
    assert_eq!(rows(&decoded, "ai_interaction_context").len(), 2);
    assert!(decoded.rejects.iter().all(|(_, reject)| !reject.record_key.contains("before")), "{:?}", decoded.rejects);
}
