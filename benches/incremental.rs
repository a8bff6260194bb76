//! What does a run cost that finds little new? A lake of many rows, then 1,000 new and 100 changed ones.
//!
//! The changed rows are spread over the whole year first, so that most files hold one, and lie in the last week then.
//! Prints seconds, CPU-seconds, requests, files that were added and peak memory of each run, and what a run costs that
//! finds nothing. Rows: the first argument, default 1,000,000. Needs the release binary.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::path::Path;

use benches::process::{EmulatorProcess, Used, ask, binary, extract};
use serde_json::Value;

fn main() {
    let rows: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let binary = binary();
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("scenario.toml");
    let every = rows / 100;
    let last = rows / 52;
    let recent: Vec<_> = (1..=100)
        .map(|number| format!("{{ position = -{}, values = {{ msdyn_verbatim = \"recent\" }} }}", number * last / 100))
        .collect();
    let recent = recent.join(", ");
    let text = format!(
        "clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = {rows}
        weeks = 52
        [[phase]]
        clock = 2025-11-06T12:00:00Z
        generate = {{ rows = 1000, from = 2025-11-05T12:00:00Z }}
        change = [{{ every = {every}, values = {{ msdyn_verbatim = \"changed\" }} }}]
        [[phase]]
        clock = 2025-11-06T18:00:00Z
        generate = {{ rows = 1000, from = 2025-11-06T13:00:00Z }}
        change = [{recent}]
        [[phase]]
        clock = 2025-11-07T00:00:00Z
        "
    );
    std::fs::write(&scenario, text).expect("a scenario file");
    let emulator = EmulatorProcess::start(&binary, &scenario);
    let lake = folder.path().join("lake");
    let first = extract(&binary, &emulator.url, &lake, &[]);
    println!("incremental/first/{rows}: {:.1} s, peak memory {} MiB", first.seconds, first.mebibytes);
    for what in ["1,100 rows, changed ones of the year", "1,100 rows, changed ones of the last week", "nothing"] {
        ask(&emulator.url, "POST", "/_emulator/advance");
        let before = requests(&emulator);
        let summary = folder.path().join("summary.json");
        let used = extract(&binary, &emulator.url, &lake, &["--summary", summary.to_str().expect("a path")]);
        tell(what, rows, &used, requests(&emulator) - before, &summary);
    }
}

fn requests(emulator: &EmulatorProcess) -> u64 {
    let served: Value = serde_json::from_str(&ask(&emulator.url, "GET", "/_emulator/served")).expect("JSON");
    served["requests"].as_object().expect("counts").values().filter_map(Value::as_u64).sum()
}

fn tell(what: &str, rows: u64, used: &Used, requests: u64, summary: &Path) {
    let summary: Value = serde_json::from_slice(&std::fs::read(summary).expect("a summary")).expect("JSON");
    let total = |key: &str| {
        let tables = summary["tables"].as_array().expect("tables");
        tables.iter().filter_map(|table| table[key].as_u64()).sum::<u64>()
    };
    println!(
        "incremental/{what}/{rows}: {:.2} s, {:.2} CPU-s, {requests} requests, {} rows new or changed, {} files added, peak \
         memory {} MiB",
        used.seconds,
        used.cpu,
        total("rows_written"),
        total("files_added"),
        used.mebibytes,
    );
}
