//! How fast does the JSON of a page become a batch, on one core? The peer is `serde_json::Value`.

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
