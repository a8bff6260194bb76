//! How fast does the JSON of a page become a batch, on one core? The peer is `serde_json::Value`.
//!
//! Chosen: a parser of our own, which expects each name where the row before had it, straight into Arrow's builders. What
//! else was tried, in MB/s on one core of a Xeon (Skylake, 2.5 GHz, SSE2, 283 MB of events, 2026-11-21):
//!
//! | parser | MB/s |
//! |---|---|
//! | own, into builders | 475 |
//! | sonic-rs, seed into builders | 334 |
//! | serde_json, seed into builders, `from_str` after simdutf8 | 262 |
//! | sonic-rs, typed rows | 242 |
//! | sonic-rs, `Value` | 232 |
//! | serde_json, typed rows that borrow, `from_str` after simdutf8 | 221 |
//! | serde_json, seed into builders, `from_slice` | 211 |
//! | simd-json, seed / typed rows / `Value`, with the copy that it needs | 185 / 166 / 161 |
//! | serde_json, typed rows of `String` | 148 |
//! | arrow-json | 134 |
//! | sonic-rs, lazy | 102 |
//! | `serde_json::Value` | 72 |

use std::sync::LazyLock;

use copilot_lake_decoder::decode_page;
use copilot_lake_extractor::Page;
use copilot_lake_tables::{COPILOT_EVENT, Instant, Labels};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| benches::pages(20_000));

fn main() {
    divan::main();
}

fn each(bencher: Bencher<'_, '_>, work: impl Fn(&[u8])) {
    let pages: &[Page] = &PAGES;
    let bytes: usize = pages.iter().map(|page| page.rows().len()).sum();
    bencher.counter(BytesCount::new(bytes)).counter(ItemsCount::new(20_000_usize)).bench_local(|| {
        for page in pages {
            work(page.rows());
        }
    });
}

#[divan::bench(name = "page_to_batch/msdyn_copilotevent/20k")]
fn page_to_batch(bencher: Bencher<'_, '_>) {
    each(bencher, |rows| {
        black_box(decode_page(&COPILOT_EVENT, rows, Instant(0), &Labels::default()).expect("a page"));
    });
}

#[divan::bench(name = "page_to_value/msdyn_copilotevent/20k")]
fn page_to_value(bencher: Bencher<'_, '_>) {
    each(bencher, |rows| {
        black_box(serde_json::from_slice::<serde_json::Value>(rows).expect("JSON"));
    });
}
