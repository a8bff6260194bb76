//! `msdyn_copilotsummary`: plain text, Markdown or a JSON object.

use copilot_lake_tables::{CONVERSATION_INSIGHT, Instant, Labels};
use serde_json::json;

use super::{ID, int, text};
use crate::{Decoded, decode_page};

pub(super) fn decode_summary(summary: &str) -> Decoded {
    let rows = json!([{ "msdyn_conversationinsightid": ID, "msdyn_copilotsummary": summary }]).to_string();
    decode_page(&CONVERSATION_INSIGHT, rows.as_bytes(), Instant(0), &Labels::default()).unwrap()
}

/// `summary_text`, `summary_status_code` and the columns with rejects.
fn read(summary: &str) -> (Option<String>, Option<i32>, Vec<&'static str>) {
    let decoded = decode_summary(summary);
    let batch = &decoded.batches[0].1;
    assert_eq!(text(batch, "msdyn_copilotsummary", 0), Some(summary), "the text stays as sent");
    let rejects = decoded.rejects.iter().map(|reject| reject.column_name).collect();
    (text(batch, "summary_text", 0).map(str::to_owned), int(batch, "summary_status_code"), rejects)
}

fn same(text: &str) -> (Option<String>, Option<i32>, Vec<&'static str>) {
    (Some(text.to_owned()), None, vec![])
}

#[test]
fn an_object_with_a_known_key_is_read() {
    let summary = |text: &str, code| (Some(text.to_owned()), code, vec![]);
    let published = r#"{"status":{"code":20000,"message":"Successfully fetched summary from insights"},"summary":"Issue: \nOutcome: open"}"#;
    assert_eq!(read(published), summary("Issue: \nOutcome: open", Some(20_000)));
    assert_eq!(read("\r\n {\"other\":[1],\"summary\":\"short\"} "), summary("short", None));
    assert_eq!(read(r#"{"status":{"code":50000},"summary":null}"#), (None, Some(50_000), vec![]));
    assert_eq!(read(r#"{"summary":null}"#), (None, None, vec![]));
    assert_eq!(read(r#"{"summary":["a"],"status":{"code":1}}"#), (None, Some(1), vec!["summary_text"]));
}

#[test]
fn any_other_text_is_the_summary() {
    for text in [
        "Issue: the brew valve.",
        "## Summary\n- *one*\n- [two](https://example.com)",
        r#"{"summary":"cut in the mid"#,
        r#"{"status":{"code":20000},"summary":"a"} and more"#,
        r#"{"summary":"a","summary":"b"}"#,
        r#"["summary"]"#,
        r#""summary""#,
        "{}",
        r#"{"status":{"message":"m"},"other":{"summary":"deeper"}}"#,
        "{customer} asked",
        " ",
    ] {
        assert_eq!(read(text), same(text), "{text}");
    }
    assert_eq!(read(""), (None, None, vec![]));
}

#[test]
fn rows_keep_their_own_summaries() {
    let broken = r#"{"status":{"code":1},"summary":"x"}}"#;
    let whole = r#"{"summary":"y","status":{"code":2}}"#;
    let summaries = [json!("plain"), json!(broken), json!(null), json!(whole), json!({"summary": "nested"})];
    let rows: Vec<_> = summaries
        .iter()
        .enumerate()
        .map(|(n, summary)| json!({ "msdyn_conversationinsightid": n.to_string(), "msdyn_copilotsummary": summary }))
        .collect();
    let rows = serde_json::to_vec(&rows).unwrap();
    let decoded = decode_page(&CONVERSATION_INSIGHT, &rows, Instant(0), &Labels::default()).unwrap();
    let batch = &decoded.batches[0].1;
    let texts: Vec<_> = (0..5).map(|row| text(batch, "summary_text", row)).collect();
    assert_eq!(texts, [Some("plain"), Some(broken), None, Some("y"), Some("nested")]);
    assert!(decoded.rejects.is_empty());
}
