//! How fast are the histories of a tenant read when the service sets no pace?
//!
//! Prints rows and requests per second, CPU-seconds per million interactions with all child tables, and the peak memory of
//! `extract`. Users and interactions: the first two arguments,
//! default 20,000 and 1,000,000. The physical limit is the emulator, which shares the machine. Needs the release binary.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use benches::process::{EmulatorProcess, ask, binary, of_graph};
use serde_json::Value;

/// Above what can be reached.
const RATE: u32 = 1000;

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u32>().ok());
    let (users, interactions) = (numbers.next().unwrap_or(20_000), numbers.next().unwrap_or(1_000_000));
    let binary = binary();
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("scenario.toml");
    let text = format!(
        "seed = 7\n[graph]\nusers = {users}\ninteractions = {interactions}\nlicensed = 1.0\ndeleted = 0.0\n\
         late = {{ share = 0.0 }}\n"
    );
    std::fs::write(&scenario, text).expect("a scenario file");
    let emulator = EmulatorProcess::start(&binary, &scenario);
    let used = of_graph(&binary, "extract", &emulator.url, &folder.path().join("lake"), RATE);
    let served: Value = serde_json::from_str(&ask(&emulator.url, "GET", "/_emulator/served")).expect("JSON");
    let requests = served["requests"]["history"].as_f64().expect("a count");
    println!(
        "histories/{users}/{interactions}: {:.1} s, {:.0} rows/s, {:.0} requests/s, {:.1} CPU-s per 1,000,000 \
         interactions, peak memory {} MiB",
        used.seconds,
        f64::from(interactions) / used.seconds,
        requests / used.seconds,
        used.cpu * 1e6 / f64::from(interactions),
        used.mebibytes,
    );
}
