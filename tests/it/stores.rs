//! Lakes in object stores: S3, as moto serves it, and Azure Blob, as Azurite does. Each server is a process of its own on
//! loopback, ended by the test that started it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use copilot_lake_tables::TABLES;
use copilot_lake_writer::StoreOptions;

use crate::harness::{World, package, python, text};

/// The bucket or container of every test.
const BUCKET: &str = "lakes";

/// A server that is ended when the test is.
struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    url: String,
}

impl Server {
    /// Starts a program that prints its URL after these words.
    fn start(mut command: Command, words: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (found, url) = std::sync::mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] = [Box::new(stdout), Box::new(stderr)];
        for stream in streams {
            let (found, words) = (found.clone(), words.to_owned());
            // Reads on, so that the server never waits for its log.
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if let Some((_, url)) = line.split_once(&words) {
                        let _ = found.send(url.trim().to_owned());
                    }
                }
            });
        }
        drop(found);
        Self { child, url: url.recv().expect("the server says where it listens") }
    }

    /// S3.
    fn moto() -> Self {
        let mut command = Command::new(tool("moto/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        let server = Self::start(command, "Running on ");
        let host = server.url.strip_prefix("http://").unwrap().to_owned();
        let mut stream = TcpStream::connect(&host).unwrap();
        write!(stream, "PUT /{BUCKET} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        server
    }

    /// Azure Blob.
    fn azurite() -> Self {
        let mut command = Command::new("node");
        command.arg(tool("azurite/node_modules/azurite/dist/src/blob/main.js")).args([
            "--inMemoryPersistence",
            "--skipApiVersionCheck",
            "--disableTelemetry",
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
        ]);
        let server = Self::start(command, "successfully listens on ");
        let made = Command::new(python())
            .arg(package().join("python/make_container.py"))
            .args([&server.url, BUCKET])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tool that `make test` installs beside the Python environment.
fn tool(path: &str) -> PathBuf {
    let tool = python().ancestors().nth(3).unwrap().join(path);
    assert!(tool.exists(), "{} is missing: run `make test`, or `make stores` first", tool.display());
    tool
}

/// A kind of store, with what every program needs to reach it.
#[derive(Clone, Copy, Debug)]
enum Kind {
    S3,
    Azure,
}

impl Kind {
    const ALL: [Self; 2] = [Self::S3, Self::Azure];

    fn serve(self) -> Server {
        match self {
            Self::S3 => Server::moto(),
            Self::Azure => Server::azurite(),
        }
    }

    fn options(self, server: &Server) -> BTreeMap<String, String> {
        let options = match self {
            Self::S3 => vec![
                ("aws_endpoint", server.url.clone()),
                ("aws_region", "us-east-1".to_owned()),
                ("aws_access_key_id", "any".to_owned()),
                ("aws_secret_access_key", "s3cret-of-the-store".to_owned()),
            ],
            // Azurite's own account; `use_emulator` alone would look at its usual port.
            Self::Azure => vec![
                ("azure_storage_account_name", "devstoreaccount1".to_owned()),
                (
                    "azure_storage_account_key",
                    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
                        .to_owned(),
                ),
                ("azure_storage_endpoint", format!("{}/devstoreaccount1", server.url)),
            ],
        };
        options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn url(self, lake: &str) -> String {
        match self {
            Self::S3 => format!("s3://{BUCKET}/{lake}"),
            Self::Azure => format!("az://{BUCKET}/{lake}"),
        }
    }
}

const BOTH: &str =
    "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 20\ninteractions = 400\nlicensed = 1.0\ndeleted = 0.0
late = { share = 0.0 }\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 2000\nweeks = 4
[[table]]\nname = \"msdyn_copilottranscriptdata\"\nrows = 50\nweeks = 2\n";

/// A world with both services whose lake is in a store.
fn world(kind: Kind, server: &Server, toml: &str) -> World {
    let mut world = World::parse(toml);
    for (key, value) in [("graph.users", "licensed"), ("graph.since", "2025-07-01")] {
        world.keys.insert(key.to_owned(), value.into());
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    let options = StoreOptions { options: kind.options(server), ..StoreOptions::default() };
    world.store = Some((kind.url("lake"), options));
    world
}

/// Rows by table, as our own session counts them.
fn rows(world: &World) -> BTreeMap<&'static str, u64> {
    let count = |table: &str| world.sql(&format!("SELECT count(*) FROM {table}"))[0][0].parse().unwrap();
    TABLES.iter().map(|table| (table.name, count(table.name))).collect()
}

/// Reads the lake with programs that we did not write.
fn read_by_others(world: &World, kind: Kind, server: &Server) {
    let mut options = kind.options(server);
    if matches!(kind, Kind::S3) {
        options.insert("aws_allow_http".to_owned(), "true".to_owned());
    } else {
        options.insert("allow_http".to_owned(), "true".to_owned());
    }
    let (options_file, rows_file) = (world.folder.path().join("options.json"), world.folder.path().join("rows.json"));
    std::fs::write(&options_file, serde_json::to_vec(&options).unwrap()).unwrap();
    std::fs::write(&rows_file, serde_json::to_vec(&rows(world)).unwrap()).unwrap();
    let script = package().join("python/read_store.py");
    let mut command = Command::new(python());
    command.arg(script).arg(world.lake_url()).args([options_file, rows_file]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
}

#[test]
fn a_lake_in_a_store_is_like_one_in_a_folder() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let world = world(kind, &server, BOTH);
        let check = world.run(&["check"]);
        assert!(check.status.success(), "{kind:?}: {}{}", text(&check.stdout), text(&check.stderr));
        world.extract(&[], 0);
        world.check_complete();
        let first = rows(&world);
        let summary = world.extract(&[], 0);
        world.check_complete();
        assert_eq!(first["msdyn_copilotevent"], 2000, "{summary}");
        read_by_others(&world, kind, &server);
        let query = world.run(&["query", "--sql", "SELECT count(*) AS n FROM msdyn_copilotevent", "--format", "csv"]);
        assert_eq!(text(&query.stdout), "n\n2000\n", "{kind:?}: {}", text(&query.stderr));
        let status = world.run(&["status", "--format", "json"]);
        let found: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(
            (&found["failed_slices"], &found["runs"][0]["outcome"]),
            (&0.into(), &"complete".into()),
            "{kind:?}"
        );
        let events = found["tables"].as_array().unwrap().iter().find(|of| of["table"] == "msdyn_copilotevent");
        assert_eq!(events.unwrap()["rows"], 2000, "{kind:?}: {found}");
        let log =
            format!("{}{}{}{}", text(&check.stdout), text(&status.stdout), text(&status.stderr), text(&check.stderr));
        assert!(!log.contains("s3cret-of-the-store") && !log.contains("Eby8vdM02"), "{log}");
    }
}

/// Sends a signal to a run.
#[cfg(unix)]
fn signal(run: &Child, name: &str) {
    assert!(Command::new("kill").arg(name).arg(run.id().to_string()).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_run_that_was_paused_for_too_long_commits_nothing_afterwards() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let world = world(kind, &server, BOTH);
        let mut paused = crate::graph_runs::under_way(&world, &["extract", "-q"], 30);
        signal(&paused, "-STOP");
        // Another one watches the lease for 30 s, and goes on in its place.
        world.extract(&[], 0);
        let there = rows(&world);
        signal(&paused, "-CONT");
        let ended = paused.wait().unwrap();
        assert!(matches!(ended.code(), Some(3 | 4)), "{kind:?}: {ended}");
        assert_eq!(rows(&world), there, "{kind:?}");
        world.check_complete();
    }
}

#[cfg(unix)]
#[test]
fn of_two_runs_at_once_one_stops_and_names_the_other() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let mut world = world(kind, &server, BOTH);
        world.keys.insert("graph.requests_per_second".to_owned(), 1.into());
        let mut first = crate::graph_runs::under_way(&world, &["extract", "-q"], 20);
        let second = world.run(&["extract"]);
        assert_eq!(second.status.code(), Some(4), "{kind:?}: {}", text(&second.stderr));
        assert!(text(&second.stderr).contains("another run holds the lake"), "{}", text(&second.stderr));
        signal(&first, "-TERM");
        assert_eq!(first.wait().unwrap().code(), Some(3), "{kind:?}");
        world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
        // It has released its lease: nothing is waited for.
        world.extract(&[], 0);
        world.check_complete();
    }
}
