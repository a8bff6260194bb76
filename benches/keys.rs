//! What do keys that are compared and hashed in place cost, against Arrow's own `Rows`?
//!
//! Does both ways what the writer does with keys: hashes each key of a batch to 128 bits, and compares neighbours in a
//! merge of two sorted runs. `Rows` first encodes every key into bytes that compare as the key does; then the same hasher
//! reads these bytes, and the merge compares them. Keys: the first argument, default 1,000,000. Prints nanoseconds per key,
//! the median of five rounds, and the bytes that are held beside the columns themselves.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::cmp::Ordering;
use std::hash::Hasher as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
use arrow::row::{RowConverter, Rows, SortField};
use copilot_lake_decoder::assemble;
use copilot_lake_tables::{AI_INTERACTION, GRAPH_USER, Table};

use crate::keys::{KeyColumn, compare, hash, hash_of};

/// The writer's own source: its crate shows no keys to others.
#[path = "../crates/writer/src/keys.rs"]
#[expect(dead_code, reason = "the writer does more with keys than is measured here")]
mod keys;

/// Keys of a batch, as the writer reads them from a file.
const BATCH: usize = 8_192;
const ROUNDS: usize = 5;

fn main() {
    let rows: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    for table in [&GRAPH_USER, &AI_INTERACTION] {
        let batch = rows_of(table, rows);
        measure_hashes(table, "key", &batch, table.layout().key());
        measure_hashes(table, "time and key", &batch, table.layout().sort());
        measure_merge(table, &batch);
    }
}

/// 128 bits of every key.
fn measure_hashes(table: &'static Table, what: &str, batch: &RecordBatch, columns: &[usize]) {
    let batches = batches(batch);
    let own = || {
        let mut sum = 0_u128;
        for batch in &batches {
            let keys = KeyColumn::from_batch(batch, columns).expect("columns of keys");
            for row in 0..batch.num_rows() {
                sum ^= hash(&keys, row);
            }
        }
        sum
    };
    let converter = converter(batch, columns);
    let hash_rows = |rows: &Rows| rows.iter().fold(0_u128, |sum, row| sum ^ hash_of(|hasher| hasher.write(row.data())));
    // A batch at a time: what is held is one batch's.
    let of_rows = || batches.iter().fold(0_u128, |sum, batch| sum ^ hash_rows(&encode(&converter, batch, columns)));
    let encoded: Vec<Rows> = batches.iter().map(|batch| encode(&converter, batch, columns)).collect();
    let of_encoded = || encoded.iter().fold(0, |sum, rows| sum ^ hash_rows(rows));
    let held = encoded.iter().map(Rows::size).max().unwrap_or_default();
    let (keys, name) = (batch.num_rows(), columns.len());
    println!(
        "keys/hash/{}/{what} ({name} columns)/{keys}: in place {:.1} ns and 0 bytes, Rows {:.1} ns, of which hashing {:.1} \
         ns, and {held} bytes a batch",
        table.name,
        nanoseconds(keys, own),
        nanoseconds(keys, of_rows),
        nanoseconds(keys, of_encoded),
    );
}

/// A merge of two sorted runs, each with every second row.
fn measure_merge(table: &'static Table, batch: &RecordBatch) {
    let columns = table.layout().sort();
    let order = columns.iter().map(|&at| SortColumn { values: Arc::clone(batch.column(at)), options: None });
    let order = lexsort_to_indices(&order.collect::<Vec<_>>(), None).expect("an order");
    let run = |first: usize| {
        let rows = order.values().iter().copied().skip(first).step_by(2);
        take_record_batch(batch, &UInt32Array::from(rows.collect::<Vec<u32>>())).expect("a run")
    };
    let runs = [run(0), run(1)];
    let lengths = (runs[0].num_rows(), runs[1].num_rows());
    let of_run = |run: &RecordBatch| KeyColumn::from_batch(run, columns).expect("columns of keys");
    let own = || {
        let (left, right) = (of_run(&runs[0]), of_run(&runs[1]));
        merge(lengths, |a, b| compare(&left, a, &right, b))
    };
    let converter = converter(batch, columns);
    let encoded = || (encode(&converter, &runs[0], columns), encode(&converter, &runs[1], columns));
    let merge_rows = |(left, right): &(Rows, Rows)| merge(lengths, |a, b| left.row(a).cmp(&right.row(b)));
    let kept = encoded();
    assert_eq!(own(), merge_rows(&kept), "both ways give the same order");
    let held = kept.0.size() + kept.1.size();
    let keys = batch.num_rows();
    println!(
        "keys/merge/{}/time and key ({} columns)/{keys}: in place {:.1} ns and 0 bytes, Rows {:.1} ns, of which comparing \
         {:.1} ns, and {held} bytes",
        table.name,
        columns.len(),
        nanoseconds(keys, own),
        nanoseconds(keys, || merge_rows(&encoded())),
        nanoseconds(keys, || merge_rows(&kept)),
    );
}

/// Takes the lesser of both next rows until one run ends; returns how many came from the first.
fn merge(lengths: (usize, usize), compare: impl Fn(usize, usize) -> Ordering) -> usize {
    let (mut a, mut b) = (0, 0);
    while a < lengths.0 && b < lengths.1 {
        match compare(a, b) {
            Ordering::Greater => b += 1,
            _ => a += 1,
        }
    }
    a
}

/// Nanoseconds per key, the median of the rounds.
fn nanoseconds<T>(keys: usize, work: impl Fn() -> T) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            black_box(work());
            begun.elapsed().as_secs_f64()
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2] * 1e9 / keys as f64
}

fn converter(batch: &RecordBatch, columns: &[usize]) -> RowConverter {
    let schema = batch.schema();
    let fields = columns.iter().map(|&at| SortField::new(schema.field(at).data_type().clone()));
    RowConverter::new(fields.collect()).expect("types that it converts")
}

fn encode(converter: &RowConverter, batch: &RecordBatch, columns: &[usize]) -> Rows {
    let columns: Vec<ArrayRef> = columns.iter().map(|&at| Arc::clone(batch.column(at))).collect();
    converter.convert_columns(&columns).expect("rows")
}

fn batches(batch: &RecordBatch) -> Vec<RecordBatch> {
    let rows = batch.num_rows();
    (0..rows).step_by(BATCH).map(|at| batch.slice(at, BATCH.min(rows - at))).collect()
}

/// Rows with random ids, four of them at each time.
fn rows_of(table: &'static Table, rows: usize) -> RecordBatch {
    let mut random = 1_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random ^ (random >> 29)
    };
    let mut id = || format!("{:08x}-{:04x}-4000-8000-{:012x}", next() >> 32, next() >> 48, next() >> 16);
    let ids: Vec<String> = (0..rows).map(|_| id()).collect();
    let texts =
        |of: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..rows).map(of))) };
    let start = copilot_lake_tables::Instant::parse("2025-06-22").expect("an instant");
    let times = (0..rows).map(|row| start.0 + (row / 4) as i64 * 1_000_000);
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
    let columns = if table.name == AI_INTERACTION.name {
        vec![
            ("user_id", texts(&|row| format!("00000000-0000-4000-8000-{:012}", row % 500))),
            ("session_id", texts(&|row| ids[row / 10 * 10].clone())),
            ("interaction_id", texts(&|row| ids[row].clone())),
            ("row_time", Arc::clone(&times)),
            ("extracted_at", times),
        ]
    } else {
        vec![
            ("user_id", texts(&|row| ids[row].clone())),
            ("first_seen_at", Arc::clone(&times)),
            ("extracted_at", times),
        ]
    };
    assemble(table, columns).expect("a batch")
}
