//! Transcripts: messages, sources, and what does not fit.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use copilot_lake_tables::{COPILOT_TRANSCRIPT_DATA, Instant, TRANSCRIPT_MESSAGE, TRANSCRIPT_SOURCE};
use serde_json::json;

use super::{ID, base64, text, utf16};
use crate::{Charset, DecodedPayloads, Fetched, RawPayload, SourceRow, decode_payloads};

/// A payload of the transcript column; its row is dated 2024-03-21.
pub(super) fn transcript_of(id: &str, fetched: Fetched<Vec<u8>>) -> RawPayload<Vec<u8>> {
    let column = COPILOT_TRANSCRIPT_DATA.column("msdyn_transcriptdata").unwrap();
    let row = SourceRow {
        table: COPILOT_TRANSCRIPT_DATA.name,
        id: id.to_owned(),
        partition_id: String::new(),
        column: column.name,
        file_id: "f".to_owned(),
        file_name: None,
        row_time: Instant::parse("2024-03-21T20:26:00Z").unwrap(),
        documented: Charset::documented_for(column, None),
    };
    RawPayload { row, fetched }
}

fn decode(text: &str) -> DecodedPayloads {
    let payload = transcript_of(ID, Fetched::Bytes(base64(&utf16(text)).into_bytes(), None));
    decode_payloads(&[payload], Instant(7)).unwrap()
}

fn message(text: &str) -> RecordBatch {
    decode(text).messages.remove(0).1
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Vec<Option<&'b str>> {
    (0..batch.num_rows()).map(|row| text(batch, name, row)).collect()
}

fn ints(batch: &RecordBatch, name: &str) -> Vec<Option<i32>> {
    batch.column_by_name(name).unwrap().as_primitive::<Int32Type>().iter().collect()
}

fn instants(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let instants = batch.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>();
    instants.iter().map(|micros| micros.map(|micros| Instant(micros).to_string())).collect()
}

/// Table, key, column, reason and raw text of each reject.
fn rejects(decoded: &DecodedPayloads) -> Vec<(&'static str, &str, &'static str, &str, &str)> {
    let rejects = decoded.rejects.iter().map(|(table, reject)| {
        let key = &reject.record_key[ID.len() + 1..];
        (table.name, key, reject.column_name, reject.reason.as_str(), reject.raw_json.as_str())
    });
    rejects.collect()
}

/// The shape of the published sample: key order varies, and sources exist only if the bot cites some.
const PUBLISHED: &str = r#"{"messages":[
    {"id":"283C2269-b131-dac2-3aed-847bd99402e7","requestId":"93893746-e203-e9b6-18b9-887d68d18daf","message":"How can I book a trip?",
     "sequence":0,"user":"user","timestamp":1711052758750,"isActivityError":false,"context":{}},
    {"id":"eba9e9d5-71e2-9502-0bca-9387246fb094","requestId":"93893746-e203-e9b6-18b9-887d68d18daf",
     "message":"Follow these steps:\n\n```json\n{\n    \"id\": \"1\"\n}\n```\n","sequence":1,"user":"bot","timestamp":1711052776968,
     "isActivityError":false,"sources":[{"id":"11BB11bb-cc22-dd33-ee44-55ff55ff55ff","title":"Booking Travel","source":"internal_kb"},
     {"title":"Other"}],"context":{"customerIntent":"How to book a trip?"}}],
    "context":{"chatId":"21b27e83-299d-a639-3e4a-8dcd6332e184","sessionId":"session-id-2",
    "entityId":"11bb11bb-cc22-dd33-ee44-55ff55ff55ff","entityName":"knowledgearticle"}}"#;

#[test]
fn messages_and_sources_become_rows() {
    let decoded = decode(PUBLISHED);
    assert_eq!(decoded.transcripts, [ID]);
    assert_eq!(rejects(&decoded), []);
    let payload = &decoded.payloads[0].1;
    assert_eq!((text(payload, "status", 0), text(payload, "reason", 0)), (Some("decoded"), None));
    assert_eq!(text(payload, "text", 0), Some(PUBLISHED));
    let (week, messages) = &decoded.messages[0];
    assert_eq!(week.to_string(), "2024-03-17");
    assert_eq!(messages.schema(), *TRANSCRIPT_MESSAGE.layout().schema());
    assert_eq!(column(messages, "transcript_data_id"), [Some(ID); 2]);
    let ids = ["283c2269-b131-dac2-3aed-847bd99402e7", "eba9e9d5-71e2-9502-0bca-9387246fb094"].map(Some);
    assert_eq!(column(messages, "message_id"), ids, "GUIDs are lower case");
    assert_eq!(column(messages, "role"), [Some("user"), Some("bot")]);
    assert_eq!(column(messages, "customer_intent"), [None, Some("How to book a trip?")]);
    assert_eq!(text(messages, "message", 1), Some("Follow these steps:\n\n```json\n{\n    \"id\": \"1\"\n}\n```\n"));
    assert_eq!(column(messages, "session_id"), [Some("session-id-2"); 2]);
    assert_eq!(column(messages, "chat_id"), [Some("21b27e83-299d-a639-3e4a-8dcd6332e184"); 2]);
    assert_eq!(column(messages, "entity_name"), [Some("knowledgearticle"); 2]);
    assert_eq!(ints(messages, "sequence"), [Some(0), Some(1)]);
    assert_eq!(ints(messages, "source_count"), [Some(0), Some(2)]);
    let sent = ["2024-03-21T20:25:58.750000Z", "2024-03-21T20:26:16.968000Z"].map(|text| Some(text.to_owned()));
    assert_eq!(instants(messages, "sent_at"), sent);
    assert_eq!(instants(messages, "row_time"), vec![Some("2024-03-21T20:26:00Z".to_owned()); 2]);
    assert!(!messages.column_by_name("is_activity_error").unwrap().as_boolean().value(0));
    assert_eq!(column(messages, "extra_json"), [None; 2]);
    let (_, sources) = &decoded.sources[0];
    assert_eq!(sources.schema(), *TRANSCRIPT_SOURCE.layout().schema());
    assert_eq!(column(sources, "message_id"), [ids[1]; 2]);
    assert_eq!(ints(sources, "position"), [Some(0), Some(1)]);
    assert_eq!(column(sources, "source_id"), [Some("11bb11bb-cc22-dd33-ee44-55ff55ff55ff"), None]);
    assert_eq!(column(sources, "title"), [Some("Booking Travel"), Some("Other")]);
    assert_eq!(column(sources, "source"), [Some("internal_kb"), None]);
}

#[test]
fn a_message_without_an_id_of_its_own_is_named_by_its_place() {
    let messages = json!([
        { "id": "A" }, { "id": "A" }, {}, { "id": null }, { "id": "" }, { "id": "a" }, { "id": "#1" }, { "id": "#x" },
        { "id": "C49DC43B-9804-F011-BAE2-6045BD014292" }, { "id": "c49dc43b-9804-f011-bae2-6045bd014292" },
    ]);
    let batch = message(&json!({ "messages": messages }).to_string());
    let ids: Vec<_> = column(&batch, "message_id").into_iter().flatten().collect();
    assert_eq!(ids, ["A", "#1", "#2", "#3", "#4", "a", "#6", "#x", ID, "#9"]);
}

#[test]
fn what_does_not_fit_is_null_and_kept_apart() {
    let decoded = decode(
        r#"{"context":{"chatId":5,"entityName":"incident"},"messages":[
        {"id":"a","sequence":"0","user":7,"timestamp":"soon","isActivityError":"no","message":"half \ud800 pair","requestId":["r"],
         "context":{"customerIntent":1.5,"other":2},"sources":{"id":"s"}},
        17, null,
        {"id":{"x":1},"message":"fine \ud83d\ude42","sequence":2.0,"timestamp":1e30,"context":[],
         "sources":[{"id":1,"title":"t","new":true},"a source",{"title":"u"}]}]}"#,
    );
    let message = "transcript_message";
    let expected = [
        (message, "a", "chat_id", "not text", "5"),
        (message, "a", "request_id", "a nested value", r#"["r"]"#),
        (message, "a", "message", "half a surrogate pair", r#""half \ud800 pair""#),
        (message, "a", "sequence", "not a whole number", r#""0""#),
        (message, "a", "role", "not text", "7"),
        (message, "a", "sent_at", "not an instant", r#""soon""#),
        (message, "a", "is_activity_error", "not true or false", r#""no""#),
        (message, "a", "customer_intent", "not text", "1.5"),
        (message, "a", "source_count", "not an array", r#"{"id":"s"}"#),
        (message, "#1", "", "not a JSON object", "17"),
        (message, "#2", "", "not a JSON object", "null"),
        (message, "#3", "message_id", "a nested value", r#"{"x":1}"#),
        (message, "#3", "sent_at", "not an instant", "1e30"),
        (message, "#3", "customer_intent", "not a JSON object", "[]"),
        ("transcript_source", "#3/0", "source_id", "not text", "1"),
        ("transcript_source", "#3/1", "", "not a JSON object", r#""a source""#),
    ];
    assert_eq!(rejects(&decoded), expected);
    let messages = &decoded.messages[0].1;
    assert_eq!(column(messages, "message_id"), [Some("a"), Some("#3")], "the others stay");
    assert_eq!(column(messages, "message"), [None, Some("fine 🙂")]);
    assert_eq!(ints(messages, "sequence"), [None, Some(2)]);
    assert_eq!(ints(messages, "source_count"), [None, Some(2)]);
    assert_eq!(column(messages, "entity_name"), [Some("incident"); 2]);
    assert_eq!(column(messages, "extra_json"), [Some(r#"{"context.other":2}"#), None]);
    let sources = &decoded.sources[0].1;
    assert_eq!(ints(sources, "position"), [Some(0), Some(2)]);
    assert_eq!(column(sources, "extra_json"), [Some(r#"{"new":true}"#), None]);
    assert_eq!(text(&decoded.payloads[0].1, "reason", 0), None);
}

#[test]
fn unknown_properties_are_kept_with_their_path() {
    let text = r#"{"version":2,"messages":[{"id":"a","new":[1, 2],"x@odata.type":"t","context":{"foo":{"b":1},"customerIntent":"i"},
        "sources":[{"url":"u"}]}]}"#;
    let fast = decode(text);
    let slow = decode(&text.replace(r#""id":"a","#, r#""id":"a","sequence":1.0,"#));
    for decoded in [&fast, &slow] {
        assert_eq!(rejects(decoded), []);
        assert_eq!(column(&decoded.messages[0].1, "extra_json"), [Some(r#"{"new":[1, 2],"context.foo":{"b":1}}"#)]);
        assert_eq!(column(&decoded.sources[0].1, "extra_json"), [Some(r#"{"url":"u"}"#)]);
    }
    assert_eq!(fast.sources, slow.sources);
}

#[test]
fn the_fast_path_and_the_slow_path_agree() {
    let fast = decode(PUBLISHED);
    // A message with a misfit sends the whole transcript down the slow path.
    let slow = decode(&PUBLISHED.replace("}],\n    \"context\"", "},17],\n    \"context\""));
    assert_eq!(rejects(&slow).len(), 1);
    assert_eq!(slow.messages, fast.messages);
    assert_eq!(slow.sources, fast.sources);
}

#[test]
fn times_are_read_in_every_known_form() {
    let at = |timestamp: &str| {
        let decoded = decode(&format!(r#"{{"messages":[{{"timestamp":{timestamp}}}]}}"#));
        (instants(&decoded.messages[0].1, "sent_at").remove(0), decoded.rejects.len())
    };
    let some = |text: &str| (Some(text.to_owned()), 0);
    assert_eq!(at("1711052758750"), some("2024-03-21T20:25:58.750000Z"));
    assert_eq!(at("1711052758750.0"), some("2024-03-21T20:25:58.750000Z"));
    assert_eq!(at(r#""1711052758750""#), some("2024-03-21T20:25:58.750000Z"));
    assert_eq!(at(r#""2024-03-21T20:25:58.75+01:00""#), some("2024-03-21T19:25:58.750000Z"));
    assert_eq!(at("-1000"), some("1969-12-31T23:59:59Z"));
    assert_eq!(at("253402300799999"), some("9999-12-31T23:59:59.999000Z"));
    assert_eq!(at("null"), (None, 0));
    for wrong in ["253402300800000", "-9223372036854775808", "18446744073709551615", "1.5", r#""""#, "true", "{}"] {
        assert_eq!(at(wrong), (None, 1), "{wrong}");
    }
}

#[test]
fn what_is_no_transcript_stays_a_payload() {
    for (text, reason) in [
        ("hallo", "not a transcript: Syntax error at line 1 column 1"),
        (r#"{"messages":[{"id":"secret"}"#, "not a transcript: Eof error at line 1 column 28"),
        (r#"{"messages":[]} x"#, "not a transcript: Syntax error at line 1 column 17"),
        ("[]", "not a transcript: Data error at line 1 column 0"),
        ("{}", "not a transcript: it has no messages"),
        (r#"{"messages":null}"#, "not a transcript: its messages are not an array"),
        (r#"{"messages":{}}"#, "not a transcript: its messages are not an array"),
    ] {
        let decoded = decode(text);
        let payload = &decoded.payloads[0].1;
        let column = |name| super::text(payload, name, 0);
        assert_eq!((column("status"), column("reason")), (Some("decoded"), Some(reason)), "{text}");
        assert_eq!(column("text"), Some(text));
        assert_eq!((decoded.messages.len(), decoded.sources.len(), decoded.rejects.len()), (0, 0, 0), "{text}");
        assert_eq!(decoded.transcripts, [ID], "what was read of it before is replaced");
    }
    let empty = decode(r#"{"messages":[],"context":7}"#);
    assert_eq!((empty.messages.len(), text(&empty.payloads[0].1, "reason", 0)), (0, None));
    let bomb = json!({ "messages": vec![json!({}); 2_000], "context": { "chatId": "x".repeat(9_000) } }).to_string();
    assert!(text(&decode(&bomb).payloads[0].1, "reason", 0).is_some_and(|reason| reason.contains("too long")));
}

#[test]
fn payloads_keep_their_order_whatever_they_are() {
    let body = base64(&utf16(r#"{"messages":[{"id":"m"},{"id":"n"}]}"#)).into_bytes();
    let mut payloads: Vec<_> =
        (0..150).map(|n| transcript_of(&format!("T{n}"), Fetched::Bytes(body.clone(), None))).collect();
    payloads[3].fetched = Fetched::Missing;
    payloads[4].fetched = Fetched::Failed("tired".to_owned());
    payloads[5].fetched = Fetched::TooLarge(99);
    payloads[6].fetched = Fetched::Bytes(vec![0x80], None);
    payloads[9].fetched = Fetched::SizeMismatch(body.clone(), None, 7);
    payloads[7].row.table = "msdyn_copilotevent";
    payloads[7].row.column = "msdyn_interactiondata";
    payloads[8].row.row_time = Instant(0);
    let decoded = decode_payloads(&payloads, Instant(0)).unwrap();
    assert_eq!(decoded.transcripts.len(), 149);
    assert_eq!(decoded.transcripts[0], "T0", "what is no GUID is kept as it came");
    let rows = |batches: &[(_, RecordBatch)]| batches.iter().map(|(_, batch)| batch.num_rows()).sum::<usize>();
    assert_eq!((rows(&decoded.payloads), rows(&decoded.messages), rows(&decoded.sources)), (150, 145 * 2, 0));
    let mut weeks: Vec<_> = decoded.messages.iter().map(|(week, _)| week.to_string()).collect();
    weeks.dedup();
    assert_eq!(weeks[..2], ["1969-12-28", "2024-03-17"], "messages lie in their transcript's week");
    let payload = &decoded.payloads[1].1;
    let statuses: Vec<_> = column(payload, "status").into_iter().flatten().skip(2).take(5).collect();
    assert_eq!(statuses, ["decoded", "missing", "failed", "too_large", "undecodable"]);
    assert!(payload.column_by_name("raw_base64").unwrap().is_valid(6));
    let reasons: Vec<_> = decoded.payloads.iter().flat_map(|(_, batch)| column(batch, "reason")).flatten().collect();
    let other_size = format!("the service declares 7 bytes and sends {}", body.len());
    assert!(reasons.contains(&other_size.as_str()), "{reasons:?}");
}

#[test]
fn a_transcript_is_documented_as_utf_16() {
    let column = COPILOT_TRANSCRIPT_DATA.column("msdyn_transcriptdata").unwrap();
    assert_eq!(Charset::documented_for(column, Some(100_230_205)), Charset::Utf16Le);
    let other = copilot_lake_tables::COPILOT_EVENT.column("msdyn_interactiondata").unwrap();
    assert_eq!(Charset::documented_for(other, Some(100_230_205)), Charset::Utf8);
    assert_eq!(Charset::documented_for(other, Some(100_230_203)), Charset::Utf16Le);
    assert_eq!(Charset::documented_for(other, None), Charset::Unknown);
}

#[test]
fn what_spoils_the_json_is_refused_and_numbers_are_exact() {
    let decoded = decode(
        r#"{"messages":[{"id":"a","message":"m","sequence":7.0,"timestamp":17110527600001e-1,"new":"\ud83d","n":1,"n":[2],
        "context":{"customerIntent":"i","other":1e999,"\udc00":null},"sources":[{"id":"s","x":"\ud83d\ude42","y":"\ude42"}]},
        {"id":"b","sequence":2147483648.0,"timestamp":1711052760000.0},{"id":"c","sequence":0.5,"timestamp":"5e0"}]}"#,
    );
    let (messages, sources) = (&decoded.messages[0].1, &decoded.sources[0].1);
    assert_eq!(column(messages, "extra_json"), [Some(r#"{"n":[2]}"#), None, None]);
    assert_eq!(column(sources, "extra_json"), [Some(r#"{"x":"\ud83d\ude42"}"#)]);
    assert_eq!(column(messages, "customer_intent"), [Some("i"), None, None]);
    assert_eq!(ints(messages, "sequence"), [Some(7), None, None]);
    assert_eq!(instants(messages, "sent_at"), [None, Some("2024-03-21T20:26:00Z".to_owned()), None]);
    let refused: Vec<_> = rejects(&decoded).into_iter().map(|(_, key, column, _, raw)| (key, column, raw)).collect();
    for expected in [
        ("a", "extra_json", r#"{"new":"\ud83d","context.other":1e999,"context.\udc00":null}"#),
        ("a/0", "extra_json", r#"{"y":"\ude42"}"#),
        ("a", "sent_at", "17110527600001e-1"),
        ("b", "sequence", "2147483648.0"),
        ("c", "sequence", "0.5"),
        ("c", "sent_at", "\"5e0\""),
    ] {
        assert!(refused.contains(&expected), "{expected:?} {refused:?}");
    }
    assert_eq!(refused.len(), 6);
    let messages = r#""messages":[{"id":"a","sequence":1.0}]}"#;
    assert_eq!(decode(&format!("{{\"x\\n\":1,{messages}")).messages.len(), 1);
    assert!(decode(&format!("{{\"x\n\":1,{messages}")).messages.is_empty(), "a control character is none of JSON's");
}
