//! Servers of object stores for tests: S3, as moto serves it, Azure Blob, as Azurite does, and Google Cloud Storage, whose
//! protocol a script of ours speaks in front of moto. Each is a process of its own on loopback, ended by the test that
//! started it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use copilot_lake_tables::{TABLES, Table};
use copilot_lake_writer::{Lake, StoreOptions};

use crate::harness::{World, package, python, text};

/// The bucket or container of every test.
pub(crate) const BUCKET: &str = "lakes";

/// A server that is ended when the test is.
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    /// Where this one keeps what it gets.
    backend: Option<Box<Server>>,
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
        Self { child, url: url.recv().expect("the server says where it listens"), backend: None }
    }

    /// S3.
    fn moto() -> Self {
        let mut command = Command::new(tool("moto/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", "0"]);
        let server = Self::start(command, "Running on ");
        server.ask("PUT", "");
        server
    }

    /// S3, whose state is in a folder while it is stopped.
    #[cfg(unix)]
    pub(crate) fn moto_in(folder: &Path) -> Self {
        let server = Self::moto_again(folder);
        server.ask("PUT", "");
        server
    }

    /// S3 with the state that another server has left in a folder.
    #[cfg(unix)]
    pub(crate) fn moto_again(folder: &Path) -> Self {
        let mut command = Command::new(tool("moto/bin/python"));
        command.arg(package().join("python/s3.py")).arg(folder.join("s3"));
        Self::start(command, "Running on ")
    }

    /// Google Cloud Storage.
    fn gcs() -> Self {
        let backend = Self::moto();
        let mut command = Command::new(python());
        command.arg(package().join("python/gcs.py")).arg(&backend.url);
        let mut server = Self::start(command, "Running on ");
        server.backend = Some(Box::new(backend));
        server
    }

    /// The answer of S3, which need not be signed, to a request for something in the bucket.
    pub(crate) fn ask(&self, method: &str, path: &str) -> String {
        let server = self.backend.as_deref().unwrap_or(self);
        let host = server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let head = format!("{method} /{BUCKET}{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0");
        write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer
    }

    /// The objects that uploads in parts to S3 were to become, of those that are not ended.
    pub(crate) fn open_uploads(&self) -> Vec<String> {
        let answer = self.ask("GET", "?uploads");
        let keys = answer.split("<Key>").skip(1);
        keys.map(|of| of.split_once("</Key>").unwrap().0.to_owned()).collect()
    }

    /// Azure Blob, without a container.
    pub(crate) fn azurite_with(arguments: &[&str]) -> Self {
        let mut command = Command::new("node");
        command
            .arg(tool("azurite/node_modules/azurite/dist/src/blob/main.js"))
            .args(["--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", "0"])
            .args(arguments);
        Self::start(command, "successfully listens on ")
    }

    /// Azure Blob.
    fn azurite(arguments: &[&str]) -> Self {
        let server = Self::azurite_with(arguments);
        server.make_container(None);
        server
    }

    /// Makes the container of every test; `ca`: whom the server's certificate is from.
    fn make_container(&self, ca: Option<&Path>) {
        let mut command = Command::new(python());
        command.arg(package().join("python/make_container.py")).args([&self.url, BUCKET]);
        let made = command.envs(ca.map(|ca| ("SSL_CERT_FILE", ca))).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    /// Azure Blob over TLS, which takes tokens besides keys.
    pub(crate) fn azurite_with_tokens(certificate: &Path, key: &Path, ca: &Path) -> Self {
        let [certificate, key] = [certificate, key].map(|path| path.to_str().unwrap());
        let arguments = ["--inMemoryPersistence", "--oauth", "basic", "--cert", certificate, "--key", key];
        let server = Self::azurite_with(&arguments);
        server.make_container(Some(ca));
        server
    }

    /// Azure Blob, kept in a folder.
    pub(crate) fn azurite_in(folder: &Path) -> Self {
        Self::azurite(&["--location", folder.to_str().unwrap()])
    }

    /// Azure Blob in a folder that another server has kept.
    #[cfg(unix)]
    pub(crate) fn azurite_again(folder: &Path) -> Self {
        Self::azurite_with(&["--location", folder.to_str().unwrap()])
    }

    /// Ends the server after it has written its state.
    #[cfg(unix)]
    pub(crate) fn stop(&mut self) {
        signal(&self.child, "-INT");
        self.child.wait().unwrap();
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
pub(crate) enum Kind {
    S3,
    Azure,
    Gcs,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::S3, Self::Azure, Self::Gcs];

    pub(crate) fn serve(self) -> Server {
        match self {
            Self::S3 => Server::moto(),
            Self::Azure => Server::azurite(&["--inMemoryPersistence"]),
            Self::Gcs => Server::gcs(),
        }
    }

    pub(crate) fn options(self, endpoint: &str) -> BTreeMap<String, String> {
        let options = match self {
            Self::S3 => vec![
                ("aws_endpoint", endpoint.to_owned()),
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
                ("azure_storage_endpoint", format!("{endpoint}/devstoreaccount1")),
            ],
            Self::Gcs => vec![
                ("google_base_url", endpoint.to_owned()),
                (
                    "google_service_account_key",
                    r#"{"private_key":"s3cret-of-the-store","private_key_id":"id","client_email":"client","disable_oauth":true}"#
                        .to_owned(),
                ),
            ],
        };
        options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The URL of a lake in the store.
    pub(crate) fn url(self, lake: &str) -> String {
        match self {
            Self::S3 => format!("s3://{BUCKET}/{lake}"),
            Self::Azure => format!("az://{BUCKET}/{lake}"),
            Self::Gcs => format!("gs://{BUCKET}/{lake}"),
        }
    }
}

pub(crate) const BOTH: &str =
    "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 20\ninteractions = 400\nlicensed = 1.0\ndeleted = 0.0
late = { share = 0.0 }\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 2000\nweeks = 4
[[table]]\nname = \"msdyn_copilottranscriptdata\"\nrows = 50\nweeks = 2\n";

/// A world with both services whose lake is in the store behind an endpoint.
pub(crate) fn world(kind: Kind, endpoint: &str, toml: &str) -> World {
    let mut world = World::parse(toml);
    for (key, value) in [("graph.users", "licensed"), ("graph.since", "2025-07-01")] {
        world.keys.insert(key.to_owned(), value.into());
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    let options = StoreOptions { options: kind.options(endpoint), ..StoreOptions::default() };
    world.store = Some((kind.url("lake"), options));
    // A folder holds what its log names, and nothing else.
    world.keys.insert("lake.removed_files".to_owned(), "0s".into());
    world
}

/// Rows by table, as our own session counts them; of views, which it computes, those that are stored.
pub(crate) fn rows(world: &World) -> BTreeMap<&'static str, u64> {
    let stored = |table: &'static Table| {
        world.runtime.block_on(async {
            let lake = Lake::open(&world.lake_url(), world.lake_options()).await.unwrap();
            lake.files(table).await.unwrap().iter().map(|file| file.rows).sum::<u64>()
        })
    };
    let count = |table: &'static Table| match table.view_of() {
        None => world.sql(&format!("SELECT count(*) FROM {}", table.name))[0][0].parse().unwrap(),
        Some(_) => stored(table),
    };
    TABLES.iter().copied().map(|table| (table.name, count(table))).collect()
}

/// A file that tells programs that we did not write how the store is reached.
fn options_of_others(world: &World, kind: Kind, endpoint: &str) -> PathBuf {
    let mut options = kind.options(endpoint);
    let allow_http = if matches!(kind, Kind::S3) { "aws_allow_http" } else { "allow_http" };
    options.insert(allow_http.to_owned(), "true".to_owned());
    let file = world.folder.path().join("options.json");
    std::fs::write(&file, serde_json::to_vec(&options).unwrap()).unwrap();
    file
}

/// The number of rows of a CSV or Parquet file, as a program that we did not write reads it; `None` if it is not there.
pub(crate) fn rows_of_file(world: &World, kind: Kind, server: &Server, url: &str) -> Option<u64> {
    let options = options_of_others(world, kind, &server.url);
    let output =
        Command::new(python()).arg(package().join("python/read_file.py")).arg(url).arg(options).output().unwrap();
    assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
    text(&output.stdout).trim().parse().ok()
}

/// Reads the lake with programs that we did not write.
pub(crate) fn read_by_others(world: &World, kind: Kind, endpoint: &str) {
    let options_file = options_of_others(world, kind, endpoint);
    let rows_file = world.folder.path().join("rows.json");
    std::fs::write(&rows_file, serde_json::to_vec(&rows(world)).unwrap()).unwrap();
    let script = package().join("python/read_store.py");
    let mut command = Command::new(python());
    command.arg(script).arg(world.lake_url()).args([options_file, rows_file]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
}

/// Sends a signal to a process.
#[cfg(unix)]
pub(crate) fn signal(run: &Child, name: &str) {
    assert!(Command::new("kill").arg(name).arg(run.id().to_string()).status().unwrap().success());
}
