//! How long does a user wait before anything happens: for the start of the binary, and for the opening of a lake of many
//! commits?
//!
//! Prints milliseconds and CPU-milliseconds of `--version`, and of `status` on a lake of one commit and of many, each of
//! which added a row: the difference is what the commits cost. The best of five runs. Commits: the first argument, default
//! 10,000. Needs the release binary.

#![expect(clippy::print_stdout, reason = "a bench prints its result")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray};
use benches::process::{Used, binary, measure};
use copilot_lake_decoder::assemble;
use copilot_lake_tables::{EXTRACTION_RUN, Instant};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode};

const ROUNDS: usize = 5;

fn main() {
    let commits: usize = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(10_000);
    let binary = binary();
    let folder = tempfile::tempdir().expect("a folder");
    tell("version", &best(Command::new(&binary).arg("--version")));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for commits in [1, commits] {
        let lake = folder.path().join(commits.to_string());
        runtime.block_on(fill(&lake, commits));
        let status = best(Command::new(&binary).args(["status", "-q", "--lake"]).arg(&lake).current_dir(folder.path()));
        tell(&format!("status/{commits} commits"), &status);
    }
}

fn best(command: &mut Command) -> Used {
    let command = command.stdout(Stdio::null());
    let runs = (0..ROUNDS).map(|_| measure(command));
    runs.min_by(|one, other| one.cpu.total_cmp(&other.cpu)).expect("a run")
}

fn tell(what: &str, used: &Used) {
    let (wall, cpu) = (used.seconds * 1e3, used.cpu * 1e3);
    println!("opening/{what}: {wall:.0} ms, {cpu:.0} CPU-ms, peak memory {} MiB", used.mebibytes);
}

/// Makes a lake with so many runs in its ledger, each of which was a commit.
async fn fill(path: &Path, commits: usize) {
    let lake = Lake::open(path.to_str().expect("a path that is text"), LakeOptions::default()).await.expect("a lake");
    lake.prepare(&Instance::default(), false).await.expect("tables");
    let first = Instant::parse("2025-06-22T06:00:00Z").expect("an instant");
    for commit in 0..commits {
        let text = |text: &str| Arc::new(StringArray::from_iter_values([text])) as ArrayRef;
        let time =
            |at: Instant| Arc::new(TimestampMicrosecondArray::from_value(at.0, 1).with_timezone("UTC")) as ArrayRef;
        let started = first.plus_seconds(600 * commit as i64);
        let ended = started.plus_seconds(300);
        let columns = vec![
            ("run_id", text(&format!("run-{commit:06}"))),
            ("started_at", time(started)),
            ("finished_at", time(ended)),
            ("command", text("extract")),
            ("outcome", text("complete")),
            ("extracted_at", time(ended)),
        ];
        let mut changes = lake.changes(&EXTRACTION_RUN, MergeMode::Append);
        changes.push(None, assemble(&EXTRACTION_RUN, columns).expect("a row")).await.expect("room");
        changes.commit("bench").await.expect("a commit");
    }
}
