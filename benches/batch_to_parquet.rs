//! How fast do batches become sorted Parquet and a commit? Throughput in bytes of the JSON that they came from. The limit is
//! no compression.
//!
//! Chosen: zstd 1, with dictionaries and encodings by column. What else was tried, in MB/s of JSON on one core of a Xeon
//! (Skylake, 2.5 GHz, 200,000 events, unsorted, without Bloom filters, 2026-11-21):
//!
//! | codec | bytes a row | MB/s | two files on two cores |
//! |---|---|---|---|
//! | none, by column | 437 | 668 | 1,192 |
//! | none, dictionaries everywhere | 478 | 541 | 943 |
//! | zstd 1, by column | 73.0 | 477 | 912 |
//! | zstd 1, dictionaries nowhere | 88.8 | 461 | 451, beside other work |
//! | zstd 1, dictionaries everywhere | 99.6 | 427 | 719 |
//! | Snappy, dictionaries everywhere | 166 | 411 | 780 |
//! | zstd 3, by column | 74.9 | 312 | 560 |
//! | zstd 3, dictionaries everywhere | 95.8 | 255 | 470 |

use copilot_lake_decoder::decode_page;
use copilot_lake_tables::{COPILOT_EVENT, Instant, Labels};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};

fn main() {
    divan::main();
}

#[divan::bench(name = "batch_to_parquet/msdyn_copilotevent/100k", sample_count = 5, sample_size = 1)]
fn batch_to_parquet(bencher: Bencher<'_, '_>) {
    let pages = benches::pages(100_000);
    let bytes: usize = pages.iter().map(|page| page.rows().len()).sum();
    let decode = |rows| decode_page(&COPILOT_EVENT, rows, Instant(0), &Labels::default()).expect("a page").batches;
    let batches: Vec<_> = pages.iter().flat_map(|page| decode(page.rows())).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let empty_lake = || {
        let folder = tempfile::tempdir().expect("a folder");
        let lake = runtime.block_on(async {
            let url = folder.path().to_str().expect("a path that is text");
            let lake = Lake::open(url, LakeOptions::default()).await.expect("a lake");
            lake.prepare(&Instance::default(), false).await.expect("tables");
            lake
        });
        (folder, lake)
    };
    bencher
        .counter(BytesCount::new(bytes))
        .counter(ItemsCount::new(100_000_usize))
        .with_inputs(empty_lake)
        .bench_local_values(|(folder, lake)| {
            let written = runtime.block_on(async {
                let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
                for (week, batch) in &batches {
                    changes.push(Some(*week), batch.clone()).await.expect("room");
                }
                changes.commit("bench").await.expect("a commit").rows_written
            });
            assert_eq!(written, 100_000);
            folder
        });
}
