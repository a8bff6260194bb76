//! How much faster is a backfill of payloads in batches than with a request for each File? At least 4 times, and no limit may
//! be passed.
//!
//! Both run within the documented limits: 6,000 requests and 1,200 s of execution in 300 s, 52 requests at once. A File takes
//! 40 ms of execution. Time passes twenty times as fast. Batches are limited by execution and concurrency, single requests by
//! their number.
//!
//! Prints a table. Payloads: about the first argument, default 20,000. Needs the release binary (`make bench` builds it).

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use benches::process::{EmulatorProcess, ask, binary, extract};

fn main() {
    let payloads: u64 = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20_000);
    let binary = binary();
    let mut seconds = Vec::new();
    println!(
        "| payload_backfill | Files | s | payloads/s | CPU-s | peak MiB | requests for Files | batches | throttled |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for (name, service) in [("single requests", "refuse_batches = 405\n"), ("batches", "")] {
        let folder = tempfile::tempdir().expect("a folder");
        let scenario = folder.path().join("scenario.toml");
        // Two events in five have a File.
        let rows = payloads * 5 / 2;
        let text = format!(
            "[service]\nlatency_ms = 2\n{service}limits = {{ ms_per_request = 40, compression = 20 }}\n\
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
        let beyond_limits = (count(&served["limits_passed"]), count(&served["retry_after_violations"]));
        assert_eq!(beyond_limits, (0, 0), "a limit or a `Retry-After` was not kept: {served}");
        println!(
            "| {name} | {files} | {:.1} | {:.0} | {:.1} | {} | {} | {} | {} |",
            used.seconds,
            files as f64 / used.seconds,
            used.cpu,
            used.mebibytes,
            count(&served["requests"]["file"]),
            count(&served["requests"]["batch"]),
            count(&served["statuses"]["429"]),
        );
        seconds.push(used.seconds);
    }
    println!("\npayload_backfill: batches are {:.1} times as fast; at least 4 are expected", seconds[0] / seconds[1]);
}
