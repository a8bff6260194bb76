//! How fast does the JSON of histories become batches of `ai_interaction` and its child tables, on one core? The peer is
//! `serde_json::Value`. Parsers that were tried for rows, and rejected, are listed in `page_to_batch`.

use std::sync::LazyLock;

use copilot_lake_decoder::{History, Interactions};
use copilot_lake_tables::Instant;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

const USERS: u32 = 200;
const INTERACTIONS: u32 = 10_000;

static HISTORIES: LazyLock<Vec<(String, Vec<Vec<u8>>)>> = LazyLock::new(|| benches::histories(USERS, INTERACTIONS));

fn main() {
    divan::main();
}

fn each(bencher: Bencher<'_, '_>, work: impl Fn(&[(String, Vec<Vec<u8>>)])) {
    let histories = &*HISTORIES;
    let bytes: usize = histories.iter().flat_map(|(_, pages)| pages).map(Vec::len).sum();
    let counters = (BytesCount::new(bytes), ItemsCount::new(INTERACTIONS));
    bencher.counter(counters.0).counter(counters.1).bench_local(|| work(histories));
}

#[divan::bench(name = "interactions_to_batch/ai_interaction/10k")]
fn interactions_to_batch(bencher: Bencher<'_, '_>) {
    each(bencher, |histories| {
        let mut interactions = Interactions::default();
        for (user_id, pages) in histories {
            let mut history = History::new(user_id, None);
            for rows in pages {
                interactions.add(&mut history, rows).expect("a page");
            }
        }
        black_box(interactions.finish(Instant(0)).expect("columns that fit"));
    });
}

#[divan::bench(name = "interactions_to_value/ai_interaction/10k")]
fn interactions_to_value(bencher: Bencher<'_, '_>) {
    each(bencher, |histories| {
        for rows in histories.iter().flat_map(|(_, pages)| pages) {
            black_box(serde_json::from_slice::<serde_json::Value>(rows).expect("JSON"));
        }
    });
}
