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
    /// The peak of its memory.
    pub mebibytes: u64,
}

/// Runs `extract` into a lake, without payloads.
///
/// # Panics
/// When it fails.
pub fn extract(binary: &Path, url: &str, lake: &Path, more: &[&str]) -> Used {
    let set = |key: &str, value: &str| [String::from("--set"), format!("{key}={value}")];
    let arguments = [
        set("auth.authority", url),
        set("auth.tenant_id", TENANT_ID),
        set("auth.client_id", CLIENT_ID),
        set("dataverse.url", url),
        set("dataverse.payloads", "false"),
    ];
    let begun = Instant::now();
    let mut extract = Command::new(binary)
        .args(["extract", "-q", "--no-progress", "--lake"])
        .arg(lake)
        .args(arguments.iter().flatten())
        .args(more)
        .env("COPILOT_LAKE_AUTH__CLIENT_SECRET", CLIENT_SECRET)
        .current_dir(lake.parent().expect("a folder"))
        .spawn()
        .expect("extract starts");
    let used = extract.wait4().expect("extract ends");
    let seconds = begun.elapsed().as_secs_f64();
    assert!(used.status.success(), "extract failed");
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

impl EmulatorProcess {
    /// Asks one of its own paths; gives the answer's body.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn ask(&self, method: &str, path: &str) -> String {
        let address = self.url.strip_prefix("http://").expect("a loopback address");
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: emulator\r\nContent-Length: 0\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for EmulatorProcess {
    fn drop(&mut self) {
        self.process.kill().expect("the emulator ends");
        self.process.wait().expect("the emulator ends");
    }
}
