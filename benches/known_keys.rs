//! What does it cost to look up the keys of a first pass in a lake that has many rows already?
//!
//! Puts a first pass of new rows, slice by slice, into an empty table and into one that has ten times as many, and compares
//! CPU and peak memory. Rows there and rows that come: the first two arguments, default 10,000,000 and 1,000,000. No page
//! is decoded: in a run the difference is a smaller part.
//!
//! The lake is filled, and each pass made, by a process of its own: Linux counts the memory of the process that starts another to
//! that one's peak.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use copilot_lake_decoder::assemble;
use copilot_lake_tables::{AI_INTERACTION, COPILOT_EVENT, Instant, Table, Week};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};
use wait4::Wait4 as _;

/// The first argument of the process that pushes rows: the lake, the table, the number of rows, and whose they are follow.
const PUSH: &str = "push";
const WEEKS: usize = 50;
const BATCH: usize = 5_000;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, lake, table, rows, salt, find] = arguments.as_slice()
        && first == PUSH
    {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let table = copilot_lake_tables::table(table).expect("a table");
        let (rows, salt) = (rows.parse().expect("rows"), salt.parse().expect("a number"));
        let find = if find == "new" { MergeMode::Append } else { MergeMode::Upsert };
        return runtime.block_on(push(lake, table, rows, salt, find));
    }
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<usize>().ok());
    let (there, come) = (numbers.next().unwrap_or(10_000_000), numbers.next().unwrap_or(1_000_000));
    for table in [&COPILOT_EVENT, &AI_INTERACTION] {
        let folder = tempfile::tempdir().expect("a folder");
        let (empty, lake) = (folder.path().join("empty"), folder.path().join("lake"));
        process(&lake, table, there, 1, "new");
        let (into_empty, into_lake) = (process(&empty, table, come, 2, "key"), process(&lake, table, come, 2, "key"));
        println!(
            "known_keys/{}/{there}/{come}: {:.1} CPU-s and {} MiB into an empty table, {:.1} CPU-s and {} MiB into the lake",
            table.name, into_empty.0, into_empty.1, into_lake.0, into_lake.1,
        );
    }
}

/// Seconds of CPU, and mebibytes.
fn process(lake: &Path, table: &Table, rows: usize, salt: u64, find: &str) -> (f64, u64) {
    let mut process = Command::new(std::env::current_exe().expect("a path"));
    process.arg(PUSH).arg(lake).args([table.name, &rows.to_string(), &salt.to_string(), find]);
    let used = process.spawn().expect("it starts").wait4().expect("it ends");
    assert!(used.status.success(), "rows are pushed");
    ((used.rusage.utime + used.rusage.stime).as_secs_f64(), used.rusage.maxrss >> 20)
}

async fn push(path: &str, table: &'static Table, rows: usize, salt: u64, find: MergeMode) {
    let lake = Lake::open(path, LakeOptions::default()).await.expect("a lake");
    lake.prepare(&Instance::default(), false).await.expect("tables");
    let of_week = rows / WEEKS;
    let mut random = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random ^ (random >> 29)
    };
    let mut week = Week::of(Instant::parse("2024-11-03").expect("an instant"));
    for _ in 0..WEEKS {
        let mut changes = lake.changes(table, find);
        for from in (0..of_week).step_by(BATCH) {
            let rows = BATCH.min(of_week - from);
            let ids: Vec<_> = (0..rows)
                .map(|_| format!("{:08x}-{:04x}-4000-8000-{:012x}", next() >> 32, next() >> 48, next() >> 16))
                .collect();
            let row_times = (0..rows).map(|row| week.start().0 + (from + row) as i64 * 1_000_000);
            let batch = batch(table, &ids, row_times.collect());
            changes.push(Some(week), batch).await.expect("room");
        }
        changes.commit("bench").await.expect("a commit");
        week = week.next();
    }
}

fn batch(table: &'static Table, ids: &[String], times: Vec<i64>) -> RecordBatch {
    let texts =
        |of: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..ids.len()).map(of))) };
    let at: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"));
    let text = |row: usize| format!("{0} {0} {0} {0} what was asked and what was answered", ids[row]);
    let columns = if table.name == AI_INTERACTION.name {
        vec![
            ("user_id", texts(&|row| format!("00000000-0000-4000-8000-{:012}", row % 500))),
            ("session_id", texts(&|row| ids[row / 10 * 10].clone())),
            ("interaction_id", texts(&|row| ids[row].clone())),
            ("row_time", Arc::clone(&at)),
            ("body_content", texts(&text)),
            ("extracted_at", at),
        ]
    } else {
        vec![
            ("msdyn_copiloteventid", texts(&|row| ids[row].clone())),
            ("partitionid", texts(&|_| "20250622-20250628-100230203".to_owned())),
            ("row_time", Arc::clone(&at)),
            ("modifiedon", Arc::clone(&at)),
            ("versionnumber", Arc::new(Int64Array::from_iter_values(0..ids.len() as i64))),
            ("msdyn_interactioncontext", texts(&text)),
            ("extracted_at", at),
        ]
    };
    assemble(table, columns).expect("a batch")
}
