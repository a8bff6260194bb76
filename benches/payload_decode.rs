//! How fast does the base64 of a payload become text, on one core? The limit is a copy of the same bytes.
//!
//! Chosen: base64-simd and encoding_rs, which need no C++ and accept no unpaired surrogate. What else was tried, in MB/s on
//! one core of a Xeon (Skylake, 2.5 GHz, 317 MB of base64, 2026-11-21):
//!
//! | step | MB/s of its input |
//! |---|---|
//! | copy of the base64 / of the UTF-16 | 8,563 / 9,034 |
//! | base64: base64-simd / simdutf / base64 | 4,437 / 3,157 / 783 |
//! | UTF-16: simdutf / runs of ASCII by SSE2 / encoding_rs `Decoder` / encoding_rs `mem` | 3,773 / 2,814 / 1,586 / 1,281 |
//! | UTF-16: `String::from_utf16` / `char::decode_utf16` | 633 / 547 |
//! | both: simdutf / base64-simd and simdutf (C++) | 2,905 / 2,595 |
//! | both: base64-simd and runs of ASCII by SSE2 (unsafe) | 1,271 |
//! | both: base64-simd and encoding_rs `mem` | 1,102 |
//! | both: base64 and encoding_rs `Decoder` / base64 and std | 772 / 437 |

use std::sync::LazyLock;

use copilot_lake_decoder::{Charset, TextDecoder};
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
