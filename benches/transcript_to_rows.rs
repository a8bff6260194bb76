//! How fast does the text of a transcript become messages and sources, on one core? The peer is `serde_json::Value`; the
//! limit is the same text in a column that is none of transcripts, which becomes a row of `payload` alone.
//!
//! Chosen: a reader of our own, which borrows all text without escapes. What else was tried, in MB/s of UTF-8 on one core of a
//! Xeon (Skylake, 2.5 GHz, 123 MB, 2026-11-21):
//!
//! | parser | MB/s |
//! |---|---|
//! | sonic-rs, typed and borrowed | 293 |
//! | serde_json, typed and borrowed | 287 |
//! | `serde_json::Value` | 142 |

use std::sync::LazyLock;

use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow, decode_payloads};
use copilot_lake_tables::Instant;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

/// 50 transcripts of about 3 KB of UTF-8 in four messages, half of them with a source: fewer than one task holds, so that one
/// core has them all.
static TRANSCRIPTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let sentence = "The customer’s order didn’t arrive; please check the “tracking” page.\\n\\nFür Rückfragen stehen wir zur Verfügung. 🙂 ";
    let id = |n: usize| format!("{n:08x}-e203-e9b6-18b9-887d68d18daf");
    let message = |n: usize| {
        let (user, context) =
            if n.is_multiple_of(2) { ("user", "{}") } else { ("bot", r#"{"customerIntent":"Where is the order?"}"#) };
        let source = format!(r#""sources":[{{"id":"{}","title":"Orders","source":"internal_kb"}}],"#, id(n));
        format!(
            r#"{{"id":"{}","requestId":"{}","message":"{}","sequence":{n},"user":"{user}","timestamp":1711052758750,"isActivityError":false,{}"context":{context}}}"#,
            id(n),
            id(n / 2),
            sentence.repeat(2 + n % 5),
            if n.is_multiple_of(2) { "" } else { &source },
        )
    };
    let transcript = |n: usize| {
        let messages = (0..4).map(|m| message(n * 4 + m)).collect::<Vec<_>>().join(",");
        format!(
            r#"{{"messages":[{messages}],"context":{{"chatId":"{}","sessionId":"s","entityId":"e","entityName":"incident"}}}}"#,
            id(n)
        )
    };
    (0..50).map(transcript).collect()
});

fn main() {
    divan::main();
}

fn bytes() -> BytesCount {
    BytesCount::new(TRANSCRIPTS.iter().map(String::len).sum::<usize>())
}

/// Payloads of UTF-8, in a transcript column or in another one: the difference is the cost of the messages.
fn decode(bencher: Bencher<'_, '_>, table: &'static str, column: &'static str) {
    let payload = |text: &'static String| {
        let row = SourceRow {
            table,
            id: "c49dc43b-9804-f011-bae2-6045bd014292".to_owned(),
            partition_id: String::new(),
            column,
            file_id: "f".to_owned(),
            file_name: None,
            row_time: Instant(0),
            documented: Charset::Utf16Le,
        };
        RawPayload { row, fetched: Fetched::Bytes(text.as_bytes(), None) }
    };
    let payloads: Vec<_> = TRANSCRIPTS.iter().map(payload).collect();
    bencher
        .counter(bytes())
        .bench_local(|| black_box(decode_payloads(&payloads, Instant(0)).expect("columns that fit")));
}

#[divan::bench(name = "payload_to_row/utf-8/50")]
fn payload_to_row(bencher: Bencher<'_, '_>) {
    decode(bencher, "msdyn_copilotevent", "msdyn_interactiondata");
}

#[divan::bench(name = "transcript_to_rows/utf-8/50")]
fn transcript_to_rows(bencher: Bencher<'_, '_>) {
    decode(bencher, "msdyn_copilottranscriptdata", "msdyn_transcriptdata");
}

#[divan::bench(name = "transcript_to_value/utf-8/50")]
fn transcript_to_value(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes()).bench_local(|| {
        for text in TRANSCRIPTS.iter() {
            black_box(serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
        }
    });
}
