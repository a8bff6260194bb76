//! How long does a run take to decide what is due, after a year of daily runs over a large tenant?
//!
//! Makes the lake that such runs leave: the people in scope, and for each day a row of the ledger for each of them, in ten
//! commits. Then times `plan`, which pages through the directory and decides what is due as `extract` does, and the same
//! on a lake without a ledger: the difference is what the ledger costs. Users and days: the first two arguments, default
//! 200,000 and 365. The third, default all: of so many days, the last ones, everyone has a row, of earlier ones a hundredth,
//! in as many files: making 73 million rows takes long, and they are not read. Needs the release binary.
//!
//! The lake is made by a process of its own: Linux counts the memory of the process that starts another to that one's peak.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use benches::process::{EmulatorProcess, ask, binary, of_graph};
use copilot_lake_decoder::assemble;
use copilot_lake_emulator::TENANT_ID;
use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, GRAPH_USER, Instant, Table};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};
use serde_json::Value;

const DAY: i64 = 86_400;
/// The first argument of the process that makes the lake; where people are listed, and its path follow.
const FILL: &str = "fill";
/// Commits of a day.
const COMMITS: usize = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = arguments.iter().filter_map(|argument| argument.parse::<usize>().ok());
    let (users, days) = (numbers.next().unwrap_or(200_000), numbers.next().unwrap_or(365));
    let whole_days = numbers.next().unwrap_or(days);
    if let [first, url, lake, ..] = arguments.as_slice()
        && first == FILL
    {
        let people = ask(url, "GET", "/_emulator/graph/users");
        let id = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?["id"].as_str()?.to_owned());
        let ids: Vec<String> = people.lines().filter_map(id).collect();
        assert_eq!(ids.len(), users, "the emulator lists everyone");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(fill(lake, &ids, days, whole_days));
    }
    let binary = binary();
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("scenario.toml");
    let text = format!("clock = 2025-11-05T12:00:00Z\n[graph]\nusers = {users}\nlicensed = 1.0\ndeleted = 0.0\n");
    std::fs::write(&scenario, text).expect("a scenario file");
    let emulator = EmulatorProcess::start(&binary, &scenario);
    let (empty, lake) = (folder.path().join("empty"), folder.path().join("lake"));
    let without = of_graph(&binary, "plan", &emulator.url, &empty, 24);

    let mut filling = Command::new(std::env::current_exe().expect("a path"));
    filling.args([FILL, &emulator.url]).arg(&lake).args([users, days, whole_days].map(|number| number.to_string()));
    assert!(filling.status().expect("it starts").success(), "the lake is made");
    let with = of_graph(&binary, "plan", &emulator.url, &lake, 24);
    println!(
        "ledger/{users}/{days}: {:.2} s and {} MiB with a ledger, {:.2} s and {} MiB without",
        with.seconds, with.mebibytes, without.seconds, without.mebibytes,
    );
}

/// Makes the lake after so many days.
async fn fill(path: &str, ids: &[String], days: usize, whole_days: usize) {
    let lake = Lake::open(path, LakeOptions::default()).await.expect("a lake");
    let instance = Instance { organization: None, tenant: Some(TENANT_ID.to_owned()) };
    lake.prepare(&instance, false).await.expect("tables");
    let now = Instant::parse("2025-11-05T06:00:00Z").expect("an instant");
    let first = now.plus_seconds(-DAY * days as i64);
    let users = vec![
        ("user_id", texts(ids.iter().map(String::as_str))),
        ("first_seen_at", times(first, ids.len())),
        ("extracted_at", times(first, ids.len())),
    ];
    commit(&lake, &GRAPH_USER, users).await;
    for day in 0..days {
        let start = first.plus_seconds(DAY * day as i64);
        let run = format!("run-{day:04}");
        let part = if day + whole_days < days { ids.len() / 100 } else { ids.len() };
        let ids = &ids[..part];
        for (at, ids) in ids.chunks(part.div_ceil(COMMITS)).enumerate() {
            let rows = ids.len();
            let same = |text: &'static str| texts(std::iter::repeat_n(text, rows));
            let finished_at = start.plus_seconds(600 * (at as i64 + 1));
            let ones = || Arc::new(Int64Array::from_value(1, rows)) as ArrayRef;
            let slices = vec![
                ("run_id", texts(std::iter::repeat_n(run.as_str(), rows))),
                ("source", same("graph")),
                ("table_name", same("ai_interaction")),
                ("scope", texts(ids.iter().map(String::as_str))),
                ("clock", same("createdDateTime")),
                ("window_start", times(start.plus_seconds(-2 * DAY), rows)),
                ("window_end", times(start, rows)),
                ("as_of", times(start, rows)),
                ("done_until", times(start, rows)),
                ("finished_at", times(finished_at, rows)),
                ("status", same("done")),
                ("pages", ones()),
                ("rows", ones()),
                ("rejected", ones()),
                ("requests", ones()),
                ("selection", same("since=2025-07-01T00:00:00Z")),
                ("extracted_at", times(finished_at, rows)),
            ];
            commit(&lake, &EXTRACTION_SLICE, slices).await;
        }
        let ended = start.plus_seconds(7200);
        let text = |text: &str| texts(std::iter::once(text));
        let row = vec![
            ("run_id", text(&run)),
            ("started_at", times(start, 1)),
            ("finished_at", times(ended, 1)),
            ("command", text("extract")),
            ("outcome", text("complete")),
            ("extracted_at", times(ended, 1)),
        ];
        commit(&lake, &EXTRACTION_RUN, row).await;
    }
}

async fn commit(lake: &Lake, table: &'static Table, columns: Vec<(&'static str, ArrayRef)>) {
    let batch: RecordBatch = assemble(table, columns).expect("rows");
    let mut changes = lake.changes(table, MergeMode::Append);
    changes.push(None, batch).await.expect("rows are taken");
    changes.commit("bench").await.expect("rows are committed");
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

fn times(at: Instant, rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_value(at.0, rows).with_timezone("UTC"))
}
