//! What the tests share: the real binary, an emulator and a lake. What they assert of it is in `world_checks`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use copilot_lake_query::Session;
use copilot_lake_writer::{Lake, LakeOptions, StoreOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The app class of interactions for which scenarios have faults: no page can hold them.
pub(crate) const UNREADABLE: &str = "IPM.SkypeTeams.Message.Copilot.Unreadable";

/// The directory of the package.
pub(crate) fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary that users run, built before the tests by `make`.
pub(crate) fn binary() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let profile = here.parent().and_then(Path::parent).unwrap();
    let binary = profile.join("copilot-lake");
    assert!(binary.exists(), "{} is missing: run `make test`, or `cargo build --workspace` first", binary.display());
    binary
}

/// The Python environment that `make test` makes.
pub(crate) fn python() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let python = here.ancestors().nth(3).unwrap().join("python/bin/python");
    assert!(python.exists(), "{} is missing: run `make test`, or `make python` first", python.display());
    python
}

/// An emulator, a folder for the lake, and the configuration of a run.
pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) emulator: Emulator,
    pub(crate) folder: TempDir,
    /// Configuration keys beyond those that every run needs, such as `dataverse.page_size`.
    pub(crate) keys: BTreeMap<String, toml::Value>,
    /// Where the lake is, if not in the folder, and how it is reached.
    pub(crate) store: Option<(String, StoreOptions)>,
    /// Lakes as they were after the last run, and sessions over them, kept because reading logs and planning the views is
    /// slow in the dev profile.
    lakes: RefCell<BTreeMap<PathBuf, Lake>>,
    sessions: RefCell<BTreeMap<PathBuf, Session>>,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let runtime = Runtime::new().unwrap();
        let emulator = runtime.block_on(Emulator::start(([127, 0, 0, 1], 0).into(), scenario)).unwrap();
        let folder = TempDir::new().unwrap();
        let (lakes, sessions) = (RefCell::default(), RefCell::default());
        Self { runtime, emulator, folder, keys: BTreeMap::new(), store: None, lakes, sessions }
    }

    pub(crate) fn parse(toml: &str) -> Self {
        Self::new(Scenario::parse_in(toml, &package().join("fixtures")).unwrap())
    }

    /// Replaces the emulator and keeps the lake.
    pub(crate) fn serve(&mut self, toml: &str) {
        let scenario = Scenario::parse_in(toml, &package().join("fixtures")).unwrap();
        self.emulator = self.runtime.block_on(Emulator::start(([127, 0, 0, 1], 0).into(), scenario)).unwrap();
    }

    pub(crate) fn lake(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// The lake's path or URL.
    pub(crate) fn lake_url(&self) -> String {
        self.store.as_ref().map_or_else(|| self.lake().to_string_lossy().into_owned(), |(url, _)| url.clone())
    }

    pub(crate) fn lake_options(&self) -> LakeOptions {
        let store = self.store.as_ref().map(|(_, options)| options.clone()).unwrap_or_default();
        LakeOptions { store, ..LakeOptions::default() }
    }

    /// Waits until something holds while a run is under way: looks again after each answer of the services, and after a
    /// millisecond. `false`: the run has ended before.
    pub(crate) fn wait_until(&self, run: &mut Child, mut holds: impl FnMut() -> bool) -> bool {
        while !holds() {
            if run.try_wait().unwrap().is_some() {
                return false;
            }
            self.emulator.wait_for_answer(Duration::from_millis(1));
        }
        self.forget();
        true
    }

    /// Writes the configuration and returns a command that uses it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.forget();
        let url = self.emulator.url().to_string();
        let mut config = toml::Table::new();
        let mut set = |key: &str, value: toml::Value| {
            let (section, key) = key.split_once('.').unwrap();
            let section = config.entry(section).or_insert_with(|| toml::Table::new().into());
            let section = section.as_table_mut().unwrap();
            // An empty text removes the key.
            if value.as_str() == Some("") {
                section.remove(key);
            } else {
                section.insert(key.to_owned(), value);
            }
        };
        set("lake.url", self.lake_url().into());
        // In the dev profile they take longer than the rest of a small run.
        set("lake.views", false.into());
        if let Some((_, store)) = &self.store {
            let options: toml::Table =
                store.options.iter().map(|(key, value)| (key.clone(), value.clone().into())).collect();
            set("lake.options", options.into());
        }
        set("auth.authority", url.clone().into());
        set("auth.tenant_id", TENANT_ID.into());
        set("auth.client_id", CLIENT_ID.into());
        set("auth.client_secret", CLIENT_SECRET.into());
        set("dataverse.url", url.into());
        if self.keys.keys().any(|key| key.starts_with("graph.")) {
            set("graph.url", self.emulator.url().to_string().into());
        }
        for (key, value) in &self.keys {
            set(key, value.clone());
        }
        // A section without keys is not mentioned.
        config.retain(|_, section| section.as_table().is_none_or(|section| !section.is_empty()));
        let path = self.folder.path().join("copilot-lake.toml");
        std::fs::write(&path, config.to_string()).unwrap();
        // It holds a secret.
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut command = Command::new(binary());
        command.args(arguments).arg("--config").arg(path).env_clear().current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs `extract`, which must end with this exit code; returns its summary.
    pub(crate) fn extract(&self, arguments: &[&str], code: i32) -> serde_json::Value {
        let summary = self.folder.path().join("summary.json");
        let mut all = vec!["extract", "--summary", summary.to_str().unwrap()];
        all.extend(arguments);
        let output = self.run(&all);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
        if code == 0 {
            self.check_keys();
        }
        serde_json::from_slice(&std::fs::read(summary).unwrap()).unwrap()
    }

    /// The lake as it was when it was first asked for after the last run.
    pub(crate) fn opened(&self) -> Lake {
        self.opened_at(Path::new(&self.lake_url()))
    }

    fn opened_at(&self, lake: &Path) -> Lake {
        let mut lakes = self.lakes.borrow_mut();
        let open = || self.runtime.block_on(Lake::open(lake.to_str().unwrap(), self.lake_options())).unwrap();
        lakes.entry(lake.to_owned()).or_insert_with(open).clone()
    }

    /// Lets what follows read lakes as they are now: something else than a command of this world has changed them.
    pub(crate) fn forget(&self) {
        self.sessions.borrow_mut().clear();
        self.lakes.borrow_mut().clear();
    }

    /// Queries the lake.
    pub(crate) fn sql(&self, text: &str) -> Vec<Vec<String>> {
        self.sql_of(Path::new(&self.lake_url()), text)
    }

    /// Queries another lake.
    pub(crate) fn sql_of(&self, lake: &Path, text: &str) -> Vec<Vec<String>> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.entry(lake.to_owned()).or_insert_with(|| {
            let lake = self.opened_at(lake);
            self.runtime.block_on(Session::open(&lake, &BTreeMap::new(), &[])).unwrap()
        });
        let (_, batches) = self.runtime.block_on(session.sql(text)).unwrap();
        let options = FormatOptions::default().with_null("-");
        let mut rows = Vec::new();
        for batch in batches {
            let columns: Vec<_> =
                batch.columns().iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap()).collect();
            rows.extend((0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row).to_string()).collect()));
        }
        rows
    }

    /// Lets runs make the materialized views.
    pub(crate) fn with_views(mut self) -> Self {
        self.keys.insert("lake.views".to_owned(), true.into());
        self
    }

    /// Configures Graph alone: whose histories are read, and since when.
    pub(crate) fn of_graph(mut self, users: &str, since: &str) -> Self {
        for (key, value) in [("dataverse.url", ""), ("graph.users", users), ("graph.since", since)] {
            self.keys.insert(key.to_owned(), value.into());
        }
        self.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
        self
    }
}

/// Pseudo-random small numbers from a seed: the same ones every time a test runs.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Copies a folder.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether `make soak` requested the long form of the tests.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("COPILOT_LAKE_SOAK").is_some()
}

/// What a summary says about a table.
pub(crate) fn of_table<'s>(summary: &'s serde_json::Value, table: &str) -> &'s serde_json::Value {
    let mut tables = summary["tables"].as_array().unwrap().iter();
    tables.find(|of| of["table"] == table).unwrap_or_else(|| panic!("{table} is not in {summary}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Compares a text with a file of `expected/`, or writes that file for `make accept`.
pub(crate) fn expect(name: &str, actual: &str) {
    expect_file(&package().join("expected").join(name), actual);
}

/// Compares a text with a file of the repository that is made from it, or writes that file for `make accept`.
pub(crate) fn expect_file(path: &Path, actual: &str) {
    if std::env::var_os("COPILOT_LAKE_ACCEPT").is_some() {
        std::fs::write(path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(actual, expected, "{} differs: if the new content is right, run `make accept`", path.display());
}

/// The sources of the binary, which cargo lists beside it, are no newer than the binary.
#[test]
fn the_binary_is_not_older_than_its_sources() {
    let binary = binary();
    let built = std::fs::metadata(&binary).unwrap().modified().unwrap();
    let listed = std::fs::read_to_string(binary.with_extension("d")).unwrap();
    let (_, sources) = listed.split_once(": ").unwrap();
    let root = package().parent().unwrap();
    // A blank inside a path is written with a backslash.
    let sources = sources.trim_end().replace("\\ ", "\0");
    let sources: Vec<_> = sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " "))).collect();
    assert!(
        sources.iter().all(|path| path.starts_with(root)),
        "{} was not built from {}: run `make build`",
        binary.display(),
        root.display()
    );
    let newer: Vec<_> = sources
        .iter()
        // A missing file has been renamed or removed since.
        .filter(|path| std::fs::metadata(path).and_then(|of| of.modified()).map_or(true, |changed| changed > built))
        .collect();
    assert!(newer.is_empty(), "{} is older than {newer:?}: run `make build`", binary.display());
}
