//! `copilot-lake` as processes of their own, as a user runs it: one that serves, one that extracts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, TENANT_ID};
use wait4::Wait4 as _;

/// The release binary, which `make bench` builds.
///
/// # Panics
/// When it is missing.
pub fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("a path");
    let binary = here.ancestors().nth(2).expect("a profile").join("copilot-lake");
    assert!(binary.exists(), "{} is missing: `cargo build --release -p copilot-lake-cli`", binary.display());
    binary
}

/// What a process used.
pub struct Used {
    /// From start to end.
    pub seconds: f64,
    /// User and system.
    pub cpu: f64,
    /// The peak of its memory, or of the memory of the process that started it, if that is more: Linux counts so.
    pub mebibytes: u64,
}

/// Runs `extract` of Dataverse into a lake, without payloads.
///
/// # Panics
/// When it fails.
pub fn extract(binary: &Path, url: &str, lake: &Path, more: &[&str]) -> Used {
    run(binary, "extract", url, lake, &[("dataverse.url", url), ("dataverse.payloads", "false")], more)
}

/// Runs a command over the histories of everyone licensed, since 2025-07-01.
///
/// # Panics
/// When it fails.
pub fn of_graph(binary: &Path, command: &str, url: &str, lake: &Path, requests_per_second: u32) -> Used {
    let rate = requests_per_second.to_string();
    let settings = [
        ("graph.url", url),
        ("graph.users", "licensed"),
        ("graph.since", "2025-07-01"),
        ("graph.requests_per_second", &rate),
    ];
    run(binary, command, url, lake, &settings, &[])
}

fn run(binary: &Path, command: &str, url: &str, lake: &Path, settings: &[(&str, &str)], more: &[&str]) -> Used {
    let auth = [("auth.authority", url), ("auth.tenant_id", TENANT_ID), ("auth.client_id", CLIENT_ID)];
    let settings = auth.iter().chain(settings).flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]);
    measure(
        Command::new(binary)
            .args([command, "-q", "--no-progress", "--lake"])
            .arg(lake)
            .args(settings)
            .args(more)
            .env("COPILOT_LAKE_AUTH__CLIENT_SECRET", CLIENT_SECRET)
            .current_dir(lake.parent().expect("a folder")),
    )
}

/// Runs a command to its end.
///
/// # Panics
/// When it fails.
pub fn measure(command: &mut Command) -> Used {
    let begun = Instant::now();
    let mut process = command.spawn().expect("the command starts");
    let used = process.wait4().expect("the command ends");
    let seconds = begun.elapsed().as_secs_f64();
    assert!(used.status.success(), "{:?} failed", command.get_args().next());
    let cpu = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Used { seconds, cpu, mebibytes: used.rusage.maxrss >> 20 }
}

/// The emulator as a process of its own, ended with the bench.
pub struct EmulatorProcess {
    process: Child,
    /// Where it answers.
    pub url: String,
}

impl EmulatorProcess {
    /// Returns when it serves: its rows are rendered ahead.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(binary: &Path, scenario: &Path) -> Self {
        let mut process = Command::new(binary)
            .args(["emulator", "--scenario"])
            .arg(scenario)
            .stdout(Stdio::null())
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

/// Asks the emulator at `url` for one of its own paths; gives the answer's body.
///
/// # Panics
/// When it does not answer.
pub fn ask(url: &str, method: &str, path: &str) -> String {
    let address = url.strip_prefix("http://").expect("a loopback address");
    let mut stream = std::net::TcpStream::connect(address).expect("a connection");
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: emulator\r\nContent-Length: 0\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        self.process.kill().expect("the emulator ends");
        self.process.wait().expect("the emulator ends");
    }
}
