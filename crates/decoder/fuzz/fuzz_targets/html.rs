//! Text as HTML: the same text by either tokenizer, and work and length that grow with it.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The renderer itself: what the decoder shows of it ends in a column.
#[path = "../../src/interaction/html/mod.rs"]
mod html;

fuzz_target!(|body: &str| {
    let text = html::text(body);
    assert!(text.len() <= 8 * body.len(), "{} bytes of text", text.len());
    // So many elements are open, and each may be asked for its name a few times.
    let tags = body.bytes().filter(|byte| matches!(byte, b'<' | b'&' | 0)).count() as u64;
    assert!(html::oracle::work(body) <= (tags + 10) * 1_000, "too much work");
    // The other tokenizer takes time by the square of the number of attributes, which are few here.
    assert_eq!(html::oracle::text(body), text);
});
