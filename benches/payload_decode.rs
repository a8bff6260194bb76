//! How fast does the base64 of a payload become text, and a transcript messages, on one core? The limit is a copy of the
//! same bytes.

use std::sync::LazyLock;

use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow, TextDecoder, decode_payloads};
use copilot_lake_tables::Instant;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};

/// 1,000 payloads of about 8 KB of base64 around UTF-16LE: mostly ASCII, with umlauts, quotes and a sign here and there.
static PAYLOADS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let sentence = "The customer’s order didn’t arrive; please check the “tracking” page. Für Rückfragen stehen wir zur Verfügung. 🙂 ";
    let payload = |n: usize| {
        let text = format!("{{\"n\":{n},\"response\":\"{}\"}}", sentence.repeat(20 + n % 12));
        base64_simd::STANDARD.encode_to_string(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>())
    };
    (0..1_000).map(payload).collect()
});

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
    BytesCount::new(PAYLOADS.iter().map(String::len).sum::<usize>())
}

#[divan::bench(name = "payload_decode/base64+utf-16le/1k")]
fn payload_decode(bencher: Bencher<'_, '_>) {
    let mut decoder = TextDecoder::default();
    bencher.counter(bytes()).bench_local(|| {
        for payload in PAYLOADS.iter() {
            let outcome = decoder.decode(black_box(payload.as_bytes()), Charset::Utf16Le);
            assert!(black_box(outcome.text).is_some());
        }
    });
}

#[divan::bench(name = "copy/base64+utf-16le/1k")]
fn copy(bencher: Bencher<'_, '_>) {
    let mut to = Vec::new();
    bencher.counter(bytes()).bench_local(|| {
        for payload in PAYLOADS.iter() {
            to.clear();
            to.extend_from_slice(black_box(payload.as_bytes()));
            black_box(&to);
        }
    });
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
    let bytes = BytesCount::new(TRANSCRIPTS.iter().map(String::len).sum::<usize>());
    bencher.counter(bytes).bench_local(|| black_box(decode_payloads(&payloads, Instant(0)).expect("columns that fit")));
}

#[divan::bench(name = "payload_decode/utf-8/50")]
fn plain(bencher: Bencher<'_, '_>) {
    decode(bencher, "msdyn_copilotevent", "msdyn_interactiondata");
}

#[divan::bench(name = "transcript_decode/utf-8/50")]
fn transcript(bencher: Bencher<'_, '_>) {
    decode(bencher, "msdyn_copilottranscriptdata", "msdyn_transcriptdata");
}
