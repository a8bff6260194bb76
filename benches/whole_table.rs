//! How fast does the whole go, from the emulator's socket to the lake? `extract` runs as a process of its own, with payloads
//! off, and so does the emulator on the same machine.
//!
//! Prints rows/s, bytes of JSON/s, CPU-seconds per million rows and the peak memory of `extract`. Rows: the first
//! argument, default 1,000,000. Needs the release binary (`make bench` builds it).

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, TENANT_ID};
use wait4::Wait4 as _;

fn main() {
    let rows: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let here = std::env::current_exe().expect("a path");
    let binary = here.ancestors().nth(2).expect("a profile").join("copilot-lake");
    assert!(binary.exists(), "{} is missing: `cargo build --release -p copilot-lake-cli`", binary.display());
    let folder = tempfile::tempdir().expect("a folder");

    let scenario = folder.path().join("scenario.toml");
    let text = format!("[[table]]\nname = \"msdyn_copilotevent\"\nrows = {rows}\nweeks = 12\n");
    std::fs::write(&scenario, text).expect("a scenario file");
    let emulator = EmulatorProcess::start(&binary, &scenario);
    let url = &emulator.url;

    let lake = folder.path().join("lake");
    let set = |key: &str, value: &str| [String::from("--set"), format!("{key}={value}")];
    let arguments = [
        set("auth.authority", url),
        set("auth.tenant_id", TENANT_ID),
        set("auth.client_id", CLIENT_ID),
        set("dataverse.url", url),
        set("dataverse.payloads", "false"),
    ];
    let begun = Instant::now();
    let mut extract = Command::new(&binary)
        .args(["extract", "-q", "--no-progress", "--lake"])
        .arg(&lake)
        .args(arguments.iter().flatten())
        .env("COPILOT_LAKE_AUTH__CLIENT_SECRET", CLIENT_SECRET)
        .current_dir(folder.path())
        .spawn()
        .expect("extract starts");
    let used = extract.wait4().expect("extract ends");
    let seconds = begun.elapsed().as_secs_f64();
    assert!(used.status.success(), "extract failed");
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    println!(
        "whole_table/msdyn_copilotevent/{rows}: {seconds:.1} s, {:.0} rows/s, {:.2} CPU-s per 1,000,000 rows, peak memory {} MiB",
        rows as f64 / seconds,
        cpu * 1e6 / rows as f64,
        used.rusage.maxrss >> 20,
    );
}

/// The emulator as a process of its own, ended with the bench.
struct EmulatorProcess {
    process: Child,
    url: String,
}

impl EmulatorProcess {
    /// Returns when it serves: its rows are rendered ahead.
    fn start(binary: &Path, scenario: &Path) -> Self {
        let mut process = Command::new(binary)
            .args(["emulator", "--scenario"])
            .arg(scenario)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the emulator starts");
        let stderr = process.stderr.take().expect("its messages");
        let lines = BufReader::new(stderr).lines().map(|line| line.expect("a line"));
        let url = lines.filter_map(|line| {
            let from = line.find("http://127.0.0.1:")?;
            let url = line[from..].split(|c: char| c.is_whitespace() || c == '"').next()?;
            Some(url.trim_end_matches('/').to_owned())
        });
        let url = { url }.next().expect("its address");
        Self { process, url }
    }
}

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        self.process.kill().expect("the emulator ends");
        self.process.wait().expect("the emulator ends");
    }
}
