//! How fast does the base64 of a payload become text, on one core? The limit is a copy of the same bytes.

use std::sync::LazyLock;

use copilot_lake_decoder::{Charset, Recogniser};
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

fn main() {
    divan::main();
}

fn bytes() -> BytesCount {
    BytesCount::new(PAYLOADS.iter().map(String::len).sum::<usize>())
}

#[divan::bench(name = "payload_decode/base64+utf-16le/1k")]
fn payload_decode(bencher: Bencher<'_, '_>) {
    let mut recogniser = Recogniser::default();
    bencher.counter(bytes()).bench_local(|| {
        for payload in PAYLOADS.iter() {
            let outcome = recogniser.recognise(black_box(payload.as_bytes()), Charset::Utf16Le);
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
