//! How much faster is a backfill of payloads in batches than with a request for each File? Both run within the documented
//! limits of requests, execution and concurrency, whose time is compressed twentyfold: 6,000 requests and 60 s of execution
//! in 15 s, and 2 ms for each File instead of 40.
//!
//! Prints seconds, requests and payloads/s of both, and what passed a limit. Payloads: about the first argument, default
//! 20,000. Needs the release binary (`make bench` builds it).

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use benches::process::{EmulatorProcess, ask, binary, extract};

fn main() {
    let payloads: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    let binary = binary();
    let mut seconds = Vec::new();
    for (name, service) in [("single", "refuse_batches = 405\n"), ("batches", "")] {
        let folder = tempfile::tempdir().expect("a folder");
        let scenario = folder.path().join("scenario.toml");
        // Two events in five have a File.
        let rows = payloads * 5 / 2;
        let text = format!(
            "[service]\nlatency_ms = 2\n{service}\
             limits = {{ requests = 6000, window = 15, concurrency = 52, execution = 60, ms_per_request = 2 }}\n\
             [[table]]\nname = \"msdyn_copilotevent\"\nrows = {rows}\nweeks = 12\n"
        );
        std::fs::write(&scenario, text).expect("a scenario file");
        let emulator = EmulatorProcess::start(&binary, &scenario);
        let lake = folder.path().join("lake");
        let used = extract(&binary, &emulator.url, &lake, &["--set", "dataverse.payloads=true"]);
        let served: serde_json::Value =
            serde_json::from_str(&ask(&emulator.url, "GET", "/_emulator/served")).expect("counters");
        let count = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
        let files = count(&served["tables"]["msdyn_copilotevent"]["files"]);
        assert!(count(&served["payloads"]) >= files, "a payload is missing: {served}");
        println!(
            "payload_backfill/{name}/{files}: {:.1} s, {:.0} payloads/s, {:.1} CPU-s, peak memory {} MiB; {} requests for Files \
             and {} for batches, {} throttled, {} beyond the concurrency limit, {} before the end of a Retry-After",
            used.seconds,
            files as f64 / used.seconds,
            used.cpu,
            used.mebibytes,
            count(&served["requests"]["file"]),
            count(&served["requests"]["batch"]),
            count(&served["statuses"]["429"]),
            count(&served["limits_passed"]),
            count(&served["retry_after_violations"]),
        );
        seconds.push(used.seconds);
    }
    println!("payload_backfill: batches are {:.1} times as fast", seconds[0] / seconds[1]);
}
