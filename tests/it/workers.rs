//! Queries on workers: the rows that one process gives, whatever becomes of a worker meanwhile; who is refused.
//!
//! A binary that was built without the feature `workers` has none: `make workers` builds one, and runs these.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use copilot_lake_emulator::Scenario;
use copilot_lake_query::QUERIES;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use crate::harness::{World, binary, text};

const TOKEN: &str = "COPILOT_LAKE_WORKERS__TOKEN";

/// What a client says that computed a query itself.
pub(crate) const COMPUTED_HERE: &str =
    "warning: the workers cannot compute the plan of the query; this process did it\n";

/// Whether the binary has workers; says so if it has none.
pub(crate) fn has_workers() -> bool {
    let has = Command::new(binary()).args(["worker", "--help"]).output().unwrap().status.success();
    if !has {
        writeln!(std::io::stderr().lock(), "skipped: built without the feature `workers`; `make workers` tests it")
            .unwrap();
    }
    has
}

/// A worker process, killed when it is dropped.
pub(crate) struct Worker {
    process: Child,
    pub(crate) url: String,
    /// What it says, open so that it can go on saying it.
    messages: BufReader<ChildStderr>,
}

impl Worker {
    /// Starts `worker` over a lake, with these flags more, and waits until it listens.
    pub(crate) fn start(mut command: Command, more: &[&str]) -> Self {
        command.args(["worker", "--listen", "127.0.0.1:0", "--log", "json"]).args(more);
        let mut process = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let messages = BufReader::new(process.stderr.take().unwrap());
        let mut worker = Self { process, url: String::new(), messages };
        let line = worker.message();
        let event: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(event["event"], "listening", "{line}");
        worker.url = event["url"].as_str().unwrap().to_owned();
        worker
    }

    /// The text of its next message.
    fn message(&mut self) -> String {
        let mut line = String::new();
        self.messages.read_line(&mut line).unwrap();
        line
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Hundredths of seconds that it has computed.
    #[cfg(target_os = "linux")]
    fn computed(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command over the demo's lake.
fn over(folder: &Path) -> Command {
    let mut command = Command::new(binary());
    command.env_clear().current_dir(folder).env("COPILOT_LAKE_LAKE__URL", "demo-lake");
    command
}

fn queried(folder: &Path, arguments: &[&str]) -> Output {
    over(folder).arg("query").args(arguments).output().unwrap()
}

/// The lines of a result, sorted: rows that an order does not tell apart come in any.
pub(crate) fn lines(output: &Output) -> Vec<String> {
    let mut lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn workers_answer_as_one_process_does_until_the_last_one_is_killed() {
    if !has_workers() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = Command::new(binary()).arg("demo").env_clear().current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mut workers = [Worker::start(over(folder), &[]), Worker::start(over(folder), &[])];
    let urls = format!("{},{}", workers[0].url, workers[1].url);
    for worker in &mut workers {
        let told = worker.message();
        assert!(told.contains("without a token, every user of this machine can read the lake"), "{told}");
    }

    let (mut compared, mut distributed) = (0, 0);
    let mut computed_here = vec![];
    for query in QUERIES {
        let here = queried(folder, &[query.name, "--format", "csv"]);
        let there = queried(folder, &[query.name, "--format", "csv", "--workers", &urls]);
        assert_eq!(there.status.code(), here.status.code(), "{}: {}", query.name, text(&there.stderr));
        assert_eq!(lines(&there), lines(&here), "{}", query.name);
        let told = text(&there.stderr);
        assert_eq!(told.replace(COMPUTED_HERE, ""), text(&here.stderr), "{}", query.name);
        computed_here.extend(told.contains(COMPUTED_HERE).then_some(query.name));
        compared += usize::from(here.status.success() && lines(&here).len() > 1);
        let explained = queried(folder, &[query.name, "--explain", "--workers", &urls]);
        distributed += usize::from(text(&explained.stdout).contains("DistributedExec"));
    }
    assert!(compared > 10, "only {compared} queries have rows");
    assert!(distributed > 20, "only {distributed} queries are distributed");
    assert!(computed_here.is_empty(), "{computed_here:?}");
    let explained = text(&queried(folder, &["active_users", "--explain", "--workers", &urls]).stdout);
    assert!(explained.contains("DistributedExec"), "{explained}");
    let page = over(folder).args(["report", "--output", "there.html", "--workers", &urls]).output().unwrap();
    assert!(page.status.success(), "{}", text(&page.stderr));

    // Pairs of 60,000 rows with some of them: a few seconds of work.
    let pairs = "SELECT count(*) FROM msdyn_copilotevent a JOIN msdyn_copilotevent b \
                 ON a.msdyn_copiloteventid < b.msdyn_copiloteventid WHERE b.msdyn_copiloteventid < '04'";
    let here = queried(folder, &["--sql", pairs, "--format", "csv"]);
    let mut query = over(folder);
    query.args(["query", "--sql", pairs, "--format", "csv", "--workers", &urls]);
    let mut query = query.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let killed = kill_while_it_computes(&mut workers, &mut query);
    let there = query.wait_with_output().unwrap();
    let told = text(&there.stderr);
    assert!(there.status.success() && lines(&there) == lines(&here), "{told}");
    assert!(told.contains(&format!("warning: the worker {killed}/ failed: ")), "{told}");

    let there = queried(folder, &["--sql", pairs, "--format", "csv", "--workers", &urls]);
    let told = text(&there.stderr);
    assert!(there.status.success() && lines(&there) == lines(&here), "it is left out: {told}");
    assert!(told.contains(&format!("warning: the worker {killed}/ failed: ")), "{told}");
    workers.iter_mut().for_each(Worker::kill);
    let there = queried(folder, &["active_users", "--workers", &urls]);
    let told = text(&there.stderr);
    assert!(there.status.code() == Some(1) && there.stdout.is_empty(), "{told}");
    assert!(told.starts_with("error: the worker http://127.0.0.1:") && told.contains("`--workers`"), "{told}");
}

/// Kills the first worker that has computed for a tenth of a second, at once where that cannot be seen. Returns its URL.
fn kill_while_it_computes(workers: &mut [Worker; 2], query: &mut Child) -> String {
    #[cfg(target_os = "linux")]
    {
        let before = workers.each_ref().map(Worker::computed);
        loop {
            assert!(query.try_wait().unwrap().is_none(), "it ended before");
            let mut busy = workers.iter_mut().zip(before).filter(|(worker, before)| worker.computed() > before + 10);
            if let Some((worker, _)) = busy.next() {
                worker.kill();
                return worker.url.clone();
            }
            std::thread::yield_now();
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = query;
        workers[0].kill();
        workers[0].url.clone()
    }
}

/// A certificate for this machine and its key, and the certificate of the authority, as files of a folder.
fn certificates(folder: &Path) -> [PathBuf; 3] {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let contents = [("worker.pem", certificate.pem()), ("key.pem", key.serialize_pem()), ("ca.pem", issuer.pem())];
    contents.map(|(name, content)| {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        // One of them is a secret.
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    })
}

#[test]
fn tls_and_a_token_are_wanted_of_both_sides() {
    if !has_workers() {
        return;
    }
    let mut world = World::new(Scenario::rows(100, 2));
    world.extract(&[], 0);
    let [certificate, key, ca] = certificates(world.folder.path());
    world.keys.insert("network.ca_file".to_owned(), ca.to_str().unwrap().into());
    let tls = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];

    let open = world.command(&["worker", "--listen", "0.0.0.0:0"]).output().unwrap();
    assert_eq!(open.status.code(), Some(2));
    assert!(text(&open.stderr).contains("`0.0.0.0`, needs a token and TLS"), "{}", text(&open.stderr));

    let mut command = world.command(&[]);
    command.env(TOKEN, "t0ken");
    let mut worker = Worker::start(command, &tls);
    assert!(worker.url.starts_with("https://127.0.0.1:"), "{}", worker.url);
    let sql = ["query", "--sql", "SELECT count(*) AS n FROM msdyn_copilotevent", "--format", "json", "--workers"];
    let with = |token: Option<&str>, url: &str| {
        let mut command = world.command(&[&sql[..], &[url]].concat());
        command.envs(token.map(|token| (TOKEN, token))).output().unwrap()
    };
    let right = with(Some("t0ken"), &worker.url);
    assert!(right.status.success() && text(&right.stdout) == "{\"n\":100}\n", "{}", text(&right.stderr));
    let wrong = "wr0ng-s3cret";
    for (token, reason) in [(Some(wrong), "it wants another token"), (None, "it wants a token, and there is none")] {
        let refused = with(token, &worker.url);
        let told = text(&refused.stderr);
        assert!(refused.status.code() == Some(5) && refused.stdout.is_empty(), "{told}");
        assert!(told.contains(&format!("the worker {}/ refuses the query: {reason}", worker.url)), "{told}");
        assert!(!told.contains("t0ken") && !told.contains(wrong), "{told}");
    }
    let empty = with(Some(""), &worker.url);
    let told = text(&empty.stderr);
    assert!(empty.status.code() == Some(2) && told.contains(&format!("`{TOKEN}` is empty")), "{told}");
    let empty = world.command(&[&sql[..], &[&worker.url, "--set", "workers.token="]].concat()).output().unwrap();
    let told = text(&empty.stderr);
    assert!(empty.status.code() == Some(2) && told.contains("`workers.token` must be a text, but is empty"), "{told}");
    let clear = with(Some("t0ken"), "http://10.0.0.7:8410");
    assert!(clear.status.code() == Some(2) && text(&clear.stderr).contains("https://"), "{}", text(&clear.stderr));
    let unknown = with(Some("t0ken"), &worker.url.replace("https:", "http:"));
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown.stderr));

    // Another lake than that of the worker.
    let other = World::new(Scenario::rows(5, 1));
    other.extract(&[], 0);
    let mut command = world.command(&[&sql[..], &[&worker.url, "--lake", other.lake().to_str().unwrap()]].concat());
    let unfit = command.env(TOKEN, "t0ken").output().unwrap();
    assert_eq!(unfit.status.code(), Some(2), "{}", text(&unfit.stderr));
    assert!(text(&unfit.stderr).contains("it serves the lake file://"), "{}", text(&unfit.stderr));

    // Two of them take rows from each other. The key of this one is for everybody.
    #[cfg(unix)]
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = world.command(&[]);
    command.env(TOKEN, "t0ken");
    let mut second = Worker::start(command, &tls);
    if cfg!(unix) {
        let told = second.message();
        assert!(told.contains("`--tls-key`: other users can read `"), "{told}");
    }
    let grouped = "SELECT msdyn_interactiontype, count(*) FROM msdyn_copilotevent GROUP BY 1";
    let grouped = ["query", "--sql", grouped, "--format", "csv"];
    let here = world.command(&grouped).output().unwrap();
    let urls = format!("{},{}", worker.url, second.url);
    let mut command = world.command(&[&grouped[..], &["--workers", &urls]].concat());
    let there = command.env(TOKEN, "t0ken").output().unwrap();
    assert!(there.status.success() && text(&there.stderr).is_empty(), "{}", text(&there.stderr));
    assert!(lines(&there) == lines(&here) && lines(&here).len() > 2, "{}", text(&there.stdout));
    // One that is not reached is left out, of plans that are only shown too.
    second.kill();
    let mut command = world.command(&[&grouped[..3], &["--explain", "--workers", &urls]].concat());
    let explained = command.env(TOKEN, "t0ken").output().unwrap();
    let told = text(&explained.stderr);
    assert!(explained.status.success() && told.starts_with("warning: the worker "), "{told}");
    assert!(told.contains(&format!("{}/ failed: ", second.url)), "{told}");

    // It ends when it is told to.
    #[cfg(unix)]
    {
        crate::store_servers::signal(&worker.process, "-TERM");
        assert_eq!(worker.process.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut worker.messages, &mut rest).unwrap();
        assert!(rest.is_empty(), "{rest}");
    }
}
