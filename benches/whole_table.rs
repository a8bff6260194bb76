//! How fast does the whole go, from the emulator's socket to the lake? `extract` runs as a process of its own, with payloads
//! off, and so does the emulator on the same machine.
//!
//! Prints rows/s, CPU-seconds per million rows and the peak memory of `extract`. Rows: the first argument, default
//! 1,000,000. Needs the release binary (`make bench` builds it).

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use benches::process::{EmulatorProcess, binary, extract};

fn main() {
    let rows: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let binary = binary();
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("scenario.toml");
    let text = format!("[[table]]\nname = \"msdyn_copilotevent\"\nrows = {rows}\nweeks = 12\n");
    std::fs::write(&scenario, text).expect("a scenario file");
    let emulator = EmulatorProcess::start(&binary, &scenario);
    let used = extract(&binary, &emulator.url, &folder.path().join("lake"), &[]);
    println!(
        "whole_table/msdyn_copilotevent/{rows}: {:.1} s, {:.0} rows/s, {:.2} CPU-s per 1,000,000 rows, peak memory {} MiB",
        used.seconds,
        rows as f64 / used.seconds,
        used.cpu * 1e6 / rows as f64,
        used.mebibytes,
    );
}
