//! Pages and payloads, good and bad.

mod browser;
mod corpora;
mod definitions;
mod depth;
mod html;
mod interactions;
mod linear_time;
mod oracle;
mod random;
mod samples;
mod summaries;
mod transcripts;
mod users;

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::{COPILOT_EVENT, Instant, Labels};

use crate::{Charset, Decoded, Error, Reject, TextDecoder, TextStatus, decode_page};

const ID: &str = "c49dc43b-9804-f011-bae2-6045bd014292";
const PARTITION: &str = "20250622-20250628-100230201";

fn decode(rows: &str) -> Decoded {
    decode_page(&COPILOT_EVENT, rows.as_bytes(), Instant(7), &Labels::default()).unwrap()
}

fn row(members: &str) -> String {
    format!(r#"{{"@odata.etag":"W/\"1\"","msdyn_copiloteventid":"{ID}","partitionid":"{PARTITION}"{members}}}"#)
}

fn text<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> Option<&'b str> {
    let array = batch.column_by_name(column).unwrap().as_string::<i32>();
    array.is_valid(row).then(|| array.value(row))
}

/// Whether the long form of a test is requested: `make soak`.
#[expect(clippy::disallowed_methods, reason = "`make soak` speaks through the environment")]
fn is_soak() -> bool {
    std::env::var_os("COPILOT_LAKE_SOAK").is_some()
}

/// The rows of a batch, as text by column, without nulls.
fn of_batch(batch: &RecordBatch) -> Vec<BTreeMap<String, String>> {
    let mut rows = vec![BTreeMap::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        for (at, row) in rows.iter_mut().enumerate().filter(|(at, _)| column.is_valid(*at)) {
            let text = match field.data_type() {
                DataType::Utf8 => column.as_string::<i32>().value(at).to_owned(),
                DataType::Int32 => column.as_primitive::<Int32Type>().value(at).to_string(),
                DataType::Boolean => column.as_boolean().value(at).to_string(),
                _ => Instant(column.as_primitive::<TimestampMicrosecondType>().value(at)).to_string(),
            };
            row.insert(field.name().clone(), text);
        }
    }
    rows
}

fn int(batch: &RecordBatch, column: &str) -> Option<i32> {
    batch.column_by_name(column).unwrap().as_primitive::<Int32Type>().iter().next().unwrap()
}

#[test]
fn every_kind_of_value_lands() {
    let decoded = decode(&format!(
        "[{}]",
        row(
            r#","createdon":"2025-06-25T10:00:00Z","msdyn_scenariotype":100230201,"msdyn_aiagent":null,"versionnumber":9007199254740993,
            "_ownerid_value":"864A96D6-6BB0-EF11-A730-000D3A59065A","_owninguser_value":"864a96d6-6bb0-ef11-a730-000d3a59065a",
            "msdyn_interactioncontext":"{\"Transcript\":{\"Id\":\"8D1D70E6-3297-644A-4E86-00D8973223A0\",\"DataId\":\"x\"},\"ResponseStatusCode\":20000,\"Plugins\":{\"IsContentRedacted\":false},\"IsEmbed\":true,\"Filters\":{\"A\":[1]}}",
            "msdyn_verbatim":"sch\u00f6n \"so\"","new_thing":{"a":[1, 2]},"new_other":null,"x@y.z":1"#
        )
    ));
    assert_eq!((decoded.rows, decoded.rejects.len(), decoded.batches.len()), (1, 0, 1));
    let (week, batch) = &decoded.batches[0];
    assert_eq!(week.to_string(), "2025-06-22");
    assert_eq!(text(batch, "msdyn_scenariotype_label", 0), Some("Ask a question"));
    assert_eq!(text(batch, "ownerid", 0), Some("864a96d6-6bb0-ef11-a730-000d3a59065a"), "GUIDs are lower case");
    assert_eq!(text(batch, "ownerid_table", 0), Some("systemuser"));
    assert_eq!(text(batch, "transcript_id", 0), Some("8d1d70e6-3297-644a-4e86-00d8973223a0"));
    assert_eq!(text(batch, "transcript_data_id", 0), Some("x"), "what is no GUID is kept as it came");
    assert_eq!(text(batch, "msdyn_verbatim", 0), Some("schön \"so\""));
    assert_eq!(text(batch, "extra_json", 0), Some(r#"{"new_thing":{"a":[1, 2]},"new_other":null}"#));
    assert_eq!(int(batch, "context_response_status_code"), Some(20_000));
    assert_eq!(int(batch, "msdyn_aiagent"), None);
    assert!(batch.column_by_name("context_is_embed").unwrap().as_boolean().value(0));
    assert!(!batch.column_by_name("context_is_content_redacted").unwrap().as_boolean().value(0));
    let version = batch.column_by_name("versionnumber").unwrap().as_primitive::<Int64Type>();
    assert_eq!(version.value(0), 9_007_199_254_740_993, "no detour through a float");
    let time = batch.column_by_name("row_time").unwrap().as_primitive::<TimestampMicrosecondType>();
    assert_eq!(Instant(time.value(0)).to_string(), "2025-06-25T10:00:00Z");
    assert_eq!(batch.schema(), *COPILOT_EVENT.layout().schema());
}

#[test]
fn misfits_are_null_and_kept_apart() {
    let decoded = decode(&format!(
        "[{},{}]",
        row(
            r#","msdyn_scenariotype":"high","versionnumber":5.0,"createdon":"soon","msdyn_verbatim":"a\ud800b","msdyn_name":["x"],
            "msdyn_interactioncontext":"{\"IsEmbed\":\"yes\",\"OcSessionId\":\"s\"}","ttlinseconds":3000000000"#
        ),
        row(r#","msdyn_interactioncontext":"[1]","msdyn_interactiontype":100230301"#).replace("c49d", "d49d"),
    ));
    let rejects: Vec<_> = decoded
        .rejects
        .iter()
        .map(|reject| (reject.column_name, reject.raw_json.as_str(), reject.record_key.as_str()))
        .collect();
    let (first, second) = (format!("{ID}/{PARTITION}"), format!("{ID}/{PARTITION}").replace("c49d", "d49d"));
    let expected = [
        ("createdon", r#""soon""#, &first),
        ("msdyn_scenariotype", r#""high""#, &first),
        ("ttlinseconds", "3000000000", &first),
        ("msdyn_name", r#"["x"]"#, &first),
        ("msdyn_verbatim", r#""a\ud800b""#, &first),
        ("context_is_embed", r#"{"IsEmbed":"yes","OcSessionId":"s"}"#, &first),
        ("msdyn_interactioncontext", "[1]", &second),
    ]
    .map(|(column, raw, key)| (column, raw, key.as_str()));
    assert_eq!(rejects, expected);
    let batch = &decoded.batches[0].1;
    assert_eq!(batch.num_rows(), 2, "the rows stay");
    assert_eq!(text(batch, "context_oc_session_id", 0), Some("s"));
    assert_eq!(text(batch, "context_oc_session_id", 1), None);
    assert_eq!(text(batch, "msdyn_interactioncontext", 1), Some("[1]"), "the text stays as sent");
    assert_eq!(text(batch, "msdyn_interactiontype_label", 1), Some("ThumbsUp"));
    assert_eq!(text(batch, "msdyn_verbatim", 0), None);
}

#[test]
fn a_property_that_spoils_the_json_is_refused_and_the_others_stay() {
    let spoilt = row(
        r#","createdon":"2025-06-25T10:00:00Z","new_note":"cut emoji \ud83d","new_dup":1,"new_dup":2,"half \ud800":3,
        "new_deep":{"a":["\udc00"]},"new_big":1e999,"new \u0022x\u0022":[{"a":1,"a":2}]"#,
    );
    let decoded = decode(&format!("[{},{}]", row(r#","new_note":"fine""#).replace("c49d", "d49d"), spoilt));
    assert_eq!((decoded.rows, decoded.batches.len(), decoded.rejects.len()), (2, 1, 1));
    let batch = &decoded.batches[0].1;
    assert_eq!(text(batch, "extra_json", 0), Some(r#"{"new_note":"fine"}"#));
    let extra = text(batch, "extra_json", 1).unwrap();
    assert_eq!(extra, r#"{"new_dup":2,"new \"x\"":[{"a":1,"a":2}]}"#);
    assert!(serde_json::from_str::<serde_json::Value>(extra).is_ok());
    assert_eq!(text(batch, "msdyn_copiloteventid", 1), Some(ID), "the row stays");
    let Reject { record_key, column_name, reason, raw_json } = &decoded.rejects[0];
    assert_eq!((record_key.as_str(), *column_name), (format!("{ID}/{PARTITION}").as_str(), "extra_json"));
    assert_eq!(reason, "half a surrogate pair");
    let refused = r#"{"new_note":"cut emoji \ud83d","new_deep":{"a":["\udc00"]},"new_big":1e999,"half \ud800":3}"#;
    assert_eq!(raw_json, refused);
}

#[test]
fn whole_numbers_are_read_exactly_however_they_are_written() {
    for (raw, version, ttl) in [
        ("9007199254740993.0", Some(9_007_199_254_740_993), None),
        ("9007199254740993e0", Some(9_007_199_254_740_993), None),
        ("900719925474099300E-2", Some(9_007_199_254_740_993), None),
        ("-9223372036854775808.000", Some(i64::MIN), None),
        ("9.223372036854775807e18", Some(i64::MAX), None),
        ("9223372036854775808.0", None, None),
        ("9223372036854775808", None, None),
        ("1e19", None, None),
        ("1e-999999999999999999999", None, None),
        ("0e999999999999999999999", Some(0), Some(0)),
        ("-0", Some(0), Some(0)),
        ("-0.0", Some(0), Some(0)),
        ("2147483647.0", Some(2_147_483_647), Some(i32::MAX)),
        ("-2.147483648e9", Some(-2_147_483_648), Some(i32::MIN)),
        ("2147483648.0", Some(2_147_483_648), None),
        ("20.00000000000000000000001", None, None),
        ("0.000000000000000000000000000000000000000000005e45", Some(5), Some(5)),
    ] {
        let context = format!(r#"{{\"ResponseStatusCode\":{raw},\"OcSessionId\":\"s\"}}"#);
        let members = format!(r#","versionnumber":{raw},"ttlinseconds":{raw},"msdyn_interactioncontext":"{context}""#);
        let decoded = decode(&format!("[{}]", row(&members)));
        let batch = &decoded.batches[0].1;
        let found = batch.column_by_name("versionnumber").unwrap().as_primitive::<Int64Type>().iter().next().unwrap();
        assert_eq!((found, int(batch, "ttlinseconds")), (version, ttl), "{raw}");
        assert_eq!(int(batch, "context_response_status_code"), ttl, "{raw} in a context");
        assert_eq!(text(batch, "context_oc_session_id", 0), Some("s"));
        let mut refused: Vec<_> = decoded.rejects.iter().map(|reject| reject.column_name).collect();
        refused.sort_unstable();
        let expected = [
            (ttl.is_none(), "context_response_status_code"),
            (ttl.is_none(), "ttlinseconds"),
            (version.is_none(), "versionnumber"),
        ];
        let expected: Vec<_> = expected.into_iter().filter(|(is_none, _)| *is_none).map(|(_, column)| column).collect();
        assert_eq!(refused, expected, "{raw}");
    }
}

#[test]
fn a_value_of_a_context_that_does_not_fit_is_its_own() {
    let context = r#"{\"OcSessionId\":\"a\\ud800\",\"IsEmbed\":1e999,\"\\ud800\":1,\"Plugins\":1e999,\"IsStandalone\":true,\"x\":1e999}"#;
    let decoded = decode(&format!("[{}]", row(&format!(r#","msdyn_interactioncontext":"{context}""#))));
    let columns: Vec<_> = decoded.rejects.iter().map(|reject| reject.column_name).collect();
    assert_eq!(columns, ["context_oc_session_id", "context_is_embed"]);
    assert!(decoded.batches[0].1.column_by_name("context_is_standalone").unwrap().as_boolean().value(0));
    // Control characters are none of JSON's unless they are escaped, in names as well.
    for (name, refused) in [(r"\\n", 0), (r"\n", 1), (r"\u007f", 0)] {
        let context = format!(r#"{{\"OcSessionId\":\"a\",\"x{name}\":{{\"y\":1}}}}"#);
        let decoded = decode(&format!("[{}]", row(&format!(r#","msdyn_interactioncontext":"{context}""#))));
        assert_eq!(decoded.rejects.len(), refused, "{name}");
    }
}

#[test]
fn a_row_without_its_id_is_named_by_its_text() {
    let decoded =
        decode(r#"[{"partitionid":"p","createdon":"2025-06-25T10:00:00Z"},{"msdyn_copiloteventid":null},17]"#);
    assert_eq!(decoded.rows, 3);
    let weeks: Vec<_> = decoded.batches.iter().map(|(week, batch)| (week.to_string(), batch.num_rows())).collect();
    assert_eq!(weeks, [("1970-01-04".to_owned(), 2), ("2025-06-22".to_owned(), 1)]);
    for (_, batch) in &decoded.batches {
        for row in 0..batch.num_rows() {
            let id = text(batch, "msdyn_copiloteventid", row).unwrap();
            assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        }
    }
    assert_eq!(text(&decoded.batches[0].1, "partitionid", 0), Some(""), "a missing part of the key is empty");
    assert_eq!(decoded.rejects.len(), 1);
    assert_eq!((decoded.rejects[0].column_name, decoded.rejects[0].raw_json.as_str()), ("", "17"));
}

#[test]
fn a_row_time_lies_in_its_week() {
    let at = |members: &str| {
        let decoded = decode(&format!("[{}]", row(members)));
        let batch = &decoded.batches[0].1;
        let time = batch.column_by_name("row_time").unwrap().as_primitive::<TimestampMicrosecondType>().value(0);
        (decoded.batches[0].0.to_string(), Instant(time).to_string())
    };
    let expect = |week: &str, time: &str| (week.to_owned(), time.to_owned());
    assert_eq!(at(r#","createdon":"2025-06-28T23:59:59Z""#), expect("2025-06-22", "2025-06-28T23:59:59Z"));
    assert_eq!(at(r#","createdon":"2025-06-29T00:00:00Z""#), expect("2025-06-22", "2025-06-22T00:00:00Z"));
    assert_eq!(at(""), expect("2025-06-22", "2025-06-22T00:00:00Z"));
}

#[test]
fn the_fast_path_and_the_slow_path_agree() {
    let members = r#","createdon":"2025-06-25T10:00:00Z","msdyn_scenariotype":100230205,"new":1,"msdyn_interactioncontext":"{\"IsEmbed\":true}""#;
    let fast = decode(&format!("[{}]", row(members)));
    // A second row with a misfit sends the whole page down the slow path.
    let slow = decode(&format!("[{},{}]", row(members), row(r#","msdyn_scenariotype":[]"#)));
    assert_eq!(slow.rejects.len(), 1);
    assert_eq!(slow.batches[0].1.slice(0, 1), fast.batches[0].1);
}

#[test]
fn what_is_no_array_is_no_page() {
    for wrong in ["", "{}", "[", "[{]", "[{}", "[{}]x", "\u{1}"] {
        let error = decode_page(&COPILOT_EVENT, wrong.as_bytes(), Instant(0), &Labels::default()).unwrap_err();
        assert!(matches!(error, Error::NotAPage { .. }), "{wrong}");
    }
    assert!(decode_page(&COPILOT_EVENT, b"[{\"a\":\"\xff\"}]", Instant(0), &Labels::default()).is_err());
    assert_eq!(decode("[]").rows, 0);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn base64(bytes: &[u8]) -> String {
    base64_simd::STANDARD.encode_to_string(bytes)
}

#[test]
fn payloads_are_recognised_by_their_bytes() {
    let mut decoder = TextDecoder::default();
    let text = "Grüße: „so“ 🙂 and a longer tail of plain words";
    let envelope = format!(r#"{{"@odata.context":"c","value":"{}"}}"#, base64(&utf16(text)));
    let bare = format!(r#"{{"value":"{}"}}"#, base64(&utf16(text)));
    let marked = [&[0xff, 0xfe][..], &utf16(text)].concat();
    let big: Vec<u8> = [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let lines = base64(&utf16(text))
        .as_bytes()
        .chunks(76)
        .map(|line| String::from_utf8(line.to_vec()).unwrap())
        .collect::<Vec<_>>()
        .join("\r\n");
    for (bytes, encoding) in [
        (base64(&utf16(text)).into_bytes(), "base64+utf-16le"),
        (base64(base64(&utf16(text)).as_bytes()).into_bytes(), "base64+base64+utf-16le"),
        (base64(text.as_bytes()).into_bytes(), "base64+utf-8"),
        (text.as_bytes().to_vec(), "utf-8"),
        (utf16(text), "utf-16le"),
        (marked.clone(), "utf-16le"),
        (base64(&marked).into_bytes(), "base64+utf-16le"),
        (big, "utf-16be"),
        ([&b"\xef\xbb\xbf"[..], text.as_bytes()].concat(), "utf-8"),
        (format!("\u{feff}{envelope}").into_bytes(), "json+base64+utf-16le"),
        (envelope.into_bytes(), "json+base64+utf-16le"),
        (bare.into_bytes(), "json+base64+utf-16le"),
        (lines.into_bytes(), "base64+utf-16le"),
        (base64(text.as_bytes()).trim_end_matches('=').as_bytes().to_vec(), "base64+utf-8"),
    ] {
        for documented in [Charset::Utf16Le, Charset::Utf8, Charset::Unknown] {
            let outcome = decoder.decode(&bytes, documented);
            assert_eq!((outcome.text, outcome.encoding), (Some(text), encoding), "{documented:?} {outcome:?}");
        }
    }
}

#[test]
fn the_documented_charset_breaks_ties() {
    let mut decoder = TextDecoder::default();
    let mut read = |bytes: &[u8], documented| decoder.decode(bytes, documented).text.map(str::to_owned);
    // In UTF-16LE these four bytes are also the ASCII text "`O}Y".
    let chinese = base64(&utf16("你好"));
    assert_eq!(read(chinese.as_bytes(), Charset::Utf16Le).as_deref(), Some("你好"));
    assert_eq!(
        read(base64("你好，世界，今天天气很好".as_bytes()).as_bytes(), Charset::Utf16Le).as_deref(),
        Some("你好，世界，今天天气很好")
    );
    assert_eq!(
        read(base64(&utf16("你好，世界，今天天气很好")).as_bytes(), Charset::Unknown).as_deref(),
        Some("你好，世界，今天天气很好")
    );
    assert_eq!(read(base64(b"how do I book it").as_bytes(), Charset::Utf16Le).as_deref(), Some("how do I book it"));
    assert_eq!(
        read(base64(br#"{"a":"b","c":"d"}."#).as_bytes(), Charset::Utf8).as_deref(),
        Some(r#"{"a":"b","c":"d"}."#)
    );
    for word in ["Done", "OK", "yes", "abcdefgh", r#"{"value":"a word"}"#, r#"{"value":"SGVsbG8=","other":1}"#] {
        assert_eq!(read(word.as_bytes(), Charset::Unknown).as_deref(), Some(word), "a word is not base64");
    }
    assert_eq!(read(b"SGVsbG8=", Charset::Unknown).as_deref(), Some("Hello"));
}

#[test]
fn what_is_no_text_is_undecodable() {
    let mut decoder = TextDecoder::default();
    let long = "some text that is long enough";
    let odd = [utf16(long), vec![b'x']].concat();
    let lone = [utf16(long), vec![0x00, 0xd8], utf16("x")].concat();
    let mut broken = base64(&utf16(long));
    broken.replace_range(20..21, "!");
    let cut = &base64(&utf16(long))[..41];
    for (bytes, reason) in [
        (base64(&odd).into_bytes(), "odd-length UTF-16"),
        (base64(&lone).into_bytes(), "half a surrogate pair in UTF-16"),
        (broken.into_bytes(), "bad base64: a character outside its alphabet"),
        (cut.as_bytes().to_vec(), "bad base64: wrong length or padding"),
        (vec![0x80, 0x81, 0xff, 0xfe, 0x41], "neither UTF-16LE nor UTF-8"),
    ] {
        let outcome = decoder.decode(&bytes, Charset::Utf16Le);
        assert_eq!((outcome.status, outcome.reason), (TextStatus::Undecodable, Some(reason)), "{outcome:?}");
        assert_eq!(outcome.text, None);
    }
    for empty in [
        &b""[..],
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        br#"{"@odata.context":"c","value":""}"#,
        br#"{"@odata.context":"c","value":null}"#,
    ] {
        assert_eq!(decoder.decode(empty, Charset::Unknown).status, TextStatus::Empty, "{empty:?}");
    }
}
