//! What the tests share: the real binary, an emulator, a lake, and the lake's content as text.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow::array::{Array as _, AsArray as _, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use copilot_lake_query::Session;
use copilot_lake_tables::{AI_INTERACTION, SYSTEM_USER, TABLES, Table, dataverse_tables};
use copilot_lake_writer::{Lake, LakeOptions, Scan, StoreOptions};
use futures::TryStreamExt as _;
use tempfile::TempDir;
use tokio::runtime::Runtime;

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
    /// Sessions over lakes as they were after the last run, kept because planning the views is slow in the dev profile.
    sessions: RefCell<BTreeMap<PathBuf, Session>>,
}

impl World {
    pub(crate) fn new(scenario: Scenario) -> Self {
        let runtime = Runtime::new().unwrap();
        let emulator = runtime.block_on(Emulator::start(([127, 0, 0, 1], 0).into(), scenario)).unwrap();
        let folder = TempDir::new().unwrap();
        Self { runtime, emulator, folder, keys: BTreeMap::new(), store: None, sessions: RefCell::default() }
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

    fn lake_options(&self) -> LakeOptions {
        let store = self.store.as_ref().map(|(_, options)| options.clone()).unwrap_or_default();
        LakeOptions { store, ..LakeOptions::default() }
    }

    /// Writes the configuration and returns a command that uses it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.sessions.borrow_mut().clear();
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

    /// Queries the lake.
    pub(crate) fn sql(&self, text: &str) -> Vec<Vec<String>> {
        self.sql_of(Path::new(&self.lake_url()), text)
    }

    /// Queries another lake.
    pub(crate) fn sql_of(&self, lake: &Path, text: &str) -> Vec<Vec<String>> {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.entry(lake.to_owned()).or_insert_with(|| {
            self.runtime.block_on(async {
                let lake = Lake::open(lake.to_str().unwrap(), self.lake_options()).await.unwrap();
                Session::open(&lake, &BTreeMap::new()).await.unwrap()
            })
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

    /// Asserts what must hold after every run that was not killed: log and listing agree, and a key has one row.
    pub(crate) fn check_lake(&self) {
        self.check_listing();
        self.check_keys();
    }

    /// Asserts that a key has one row in every table, bookkeeping included; cheap enough to run every time.
    fn check_keys(&self) {
        let options = FormatOptions::default().with_null("-");
        self.runtime.block_on(async {
            let lake = Lake::open(&self.lake_url(), self.lake_options()).await.unwrap();
            for table in TABLES {
                let mut seen = BTreeSet::new();
                let scan = Scan { columns: table.key.to_vec(), ..Scan::default() };
                let mut batches = std::pin::pin!(lake.scan(table, scan).await.unwrap());
                while let Some(batch) = batches.try_next().await.unwrap() {
                    let columns: Vec<_> =
                        batch.columns().iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap()).collect();
                    for row in 0..batch.num_rows() {
                        let key: Vec<_> = columns.iter().map(|column| column.value(row).to_string()).collect();
                        assert!(!seen.contains(&key), "{}: a key twice: {key:?}", table.name);
                        seen.insert(key);
                    }
                }
            }
        });
    }

    /// Asserts that every table has the files that its log names, and no others.
    pub(crate) fn check_listing(&self) {
        for table in TABLES {
            assert_eq!(self.listed(table), self.logged(table), "{}: listing and log differ", table.name);
        }
    }

    /// A table's weeks in the lake with their numbers of rows.
    pub(crate) fn weeks(&self, table: &str) -> BTreeMap<String, u64> {
        let rows = self.sql(&format!("SELECT week_start, count(*) FROM {table} GROUP BY 1"));
        rows.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
    }

    /// Asserts that the lake has the rows that the service has, each in its newest version and in its week, and a
    /// payload for every File that they name.
    pub(crate) fn check_complete(&self) {
        let served = self.emulator.served();
        if served.graph.is_some() && self.keys.contains_key("graph.users") {
            self.check_histories(&self.users_read());
        }
        for (table, of_table) in &served.tables {
            if *table == SYSTEM_USER.name {
                continue;
            }
            assert_eq!(self.weeks(table), of_table.weeks, "{table}: the lake is not the service");
            let payloads = self.sql(&format!("SELECT count(*) FROM payload WHERE source_table = '{table}'"));
            assert_eq!(payloads, [[of_table.files.to_string()]], "{table}: payloads");
        }
        // Where a service sends an older version again, the lake keeps the newer one.
        let tables = dataverse_tables().filter(|table| served.tables.contains_key(table.name));
        self.compare_rows(tables, |lake, service| lake >= service);
    }

    /// Asserts that the lake has exactly the rows of these tables that the service has, in the same versions.
    pub(crate) fn check_rows(&self, tables: impl Iterator<Item = &'static Table>) {
        self.compare_rows(tables, |lake, service| lake == service);
    }

    /// Asserts that the lake has exactly the rows of these tables that the service has; `is_right` compares the version
    /// in the lake with that of the service.
    fn compare_rows(
        &self,
        tables: impl Iterator<Item = &'static Table>,
        is_right: fn(&Option<i64>, &Option<i64>) -> bool,
    ) {
        for table in tables {
            let keys: Vec<String> = table.key.iter().map(|name| format!("\"{name}\"")).collect();
            let sql = format!(
                "SELECT {}, CAST(versionnumber AS VARCHAR) FROM {} WHERE deleted_at IS NULL",
                keys.join(" || '/' || "),
                table.name
            );
            let lake: BTreeMap<String, Option<i64>> =
                self.sql(&sql).into_iter().map(|row| (row[0].clone(), row[1].parse().ok())).collect();
            let service = self.rows(table.name);
            let missing: Vec<_> = service.keys().filter(|key| !lake.contains_key(*key)).take(3).collect();
            let extra: Vec<_> = lake.keys().filter(|key| !service.contains_key(*key)).take(3).collect();
            assert!(missing.is_empty() && extra.is_empty(), "{}: missing {missing:?}, extra {extra:?}", table.name);
            let wrong: Vec<_> =
                service.iter().filter(|(key, version)| !is_right(&lake[*key], version)).take(3).collect();
            assert!(wrong.is_empty(), "{}: other versions of {wrong:?}", table.name);
        }
    }

    /// Configures Graph alone: whose histories are read, and since when.
    pub(crate) fn of_graph(mut self, users: &str, since: &str) -> Self {
        for (key, value) in [("dataverse.url", ""), ("graph.users", users), ("graph.since", since)] {
            self.keys.insert(key.to_owned(), value.into());
        }
        self.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
        self
    }

    /// Users whose history has been read, according to the ledger.
    pub(crate) fn users_read(&self) -> BTreeSet<String> {
        let rows = self.sql("SELECT DISTINCT scope FROM extraction_slice WHERE source = 'graph' AND status = 'done'");
        rows.into_iter().map(|row| row[0].clone()).collect()
    }

    /// Users whose history has been read, according to the ledger, by a run that the next one continues.
    pub(crate) fn users_done_by_open_runs(&self) -> BTreeSet<String> {
        self.sessions.borrow_mut().clear();
        let rows = self.sql(
            "SELECT DISTINCT scope FROM extraction_slice WHERE source = 'graph' AND status = 'done' AND run_id IN \
             (SELECT run_id FROM extraction_run WHERE started_at > coalesce((SELECT max(started_at) FROM extraction_run \
             WHERE outcome IS NOT NULL), TIMESTAMP '1970-01-01') AND outcome IS NULL)",
        );
        rows.into_iter().map(|row| row[0].clone()).collect()
    }

    /// Asserts that the lake has exactly the interactions of these users that the service has now.
    pub(crate) fn check_histories(&self, users: &BTreeSet<String>) {
        let mut service = Prints::default();
        self.emulator.interactions(&mut |of| {
            if users.contains(of.user_id) {
                service.add([of.user_id, of.session_id, of.id, of.interaction_type, of.app_class, of.body]);
            }
        });
        let columns = vec!["user_id", "session_id", "interaction_id", "interaction_type", "app_class", "body_content"];
        let mut lake = Prints::default();
        self.runtime.block_on(async {
            let of = Lake::open(&self.lake_url(), self.lake_options()).await.unwrap();
            let scan = Scan { columns, ..Scan::default() };
            let mut batches = std::pin::pin!(of.scan(&AI_INTERACTION, scan).await.unwrap());
            while let Some(batch) = batches.try_next().await.unwrap() {
                let columns: Vec<&StringArray> = batch.columns().iter().map(|column| column.as_string()).collect();
                let text = |at: usize, row| if columns[at].is_valid(row) { columns[at].value(row) } else { "" };
                (0..batch.num_rows()).for_each(|row| lake.add(std::array::from_fn(|at| text(at, row))));
            }
        });
        assert_eq!(lake.rows, service.rows, "the lake does not have as many interactions as the service");
        assert_eq!(lake, service, "an interaction differs");
    }

    /// The key (parts joined by `/`) and, where it is a number, the version of every row that the service has now.
    pub(crate) fn rows(&self, table: &str) -> BTreeMap<String, Option<i64>> {
        let url = self.emulator.url();
        let mut stream = std::net::TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
        write!(stream, "GET /_emulator/rows/{table} HTTP/1.0\r\nHost: emulator\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let mut rows = BTreeMap::new();
        for line in answer.lines().filter(|line| line.starts_with('{')) {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let key: Vec<_> = row["key"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
            let version = row["versionnumber"].as_i64();
            // The newest of rows with one key counts.
            let kept = rows.entry(key.join("/")).or_insert(version);
            *kept = version.max(*kept);
        }
        rows
    }

    fn listed(&self, table: &Table) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let folder = self.lake().join(table.name);
        let mut folders = vec![folder];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && name != "_delta_log" {
                    folders.push(path);
                } else if path.is_file() {
                    let relative = path.strip_prefix(self.lake()).unwrap().to_string_lossy().into_owned();
                    assert!(found.insert(relative));
                }
            }
        }
        found
    }

    fn logged(&self, table: &'static Table) -> BTreeSet<String> {
        self.runtime.block_on(async {
            let lake = Lake::open(&self.lake_url(), self.lake_options()).await.unwrap();
            lake.files(table).await.unwrap().into_iter().map(|file| file.path).collect()
        })
    }

    /// The lake's content as text that a person can review.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        let mut section = |title: &str, sql: &str| {
            let rows = self.sql(sql);
            if !rows.is_empty() {
                writeln!(text, "{title}").unwrap();
                for row in rows {
                    writeln!(text, "  {}", row.join(" | ")).unwrap();
                }
            }
        };
        for table in dataverse_tables() {
            let files: Vec<_> = table.files().map(|column| format!("count({})", column.name)).collect();
            let files = if files.is_empty() { "0".to_owned() } else { files.join(" + ") };
            let sql = format!(
                "SELECT week_start, count(*), {files}, count(extra_json), count(deleted_at) FROM {} GROUP BY 1 ORDER BY 1",
                table.name
            );
            section(&format!("{} by week: rows, files, with extra_json, deleted", table.name), &sql);
        }
        section(
            "payloads: table, status, encoding, reason, rows, characters",
            "SELECT source_table, status, encoding, reason, count(*), sum(character_length(text)) FROM payload \
             GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
        );
        section(
            "scenarios that the catalogue does not know: code, label",
            "SELECT DISTINCT msdyn_scenariotype, msdyn_scenariotype_label FROM msdyn_copilotevent \
             WHERE msdyn_scenariotype > 100230899 ORDER BY 1",
        );
        section(
            "transcripts: chats, messages, of bots, sources",
            "SELECT count(DISTINCT transcript_data_id), count(*), count(*) FILTER (WHERE role = 'bot'), sum(source_count) \
             FROM transcript_message HAVING count(*) > 0",
        );
        section(
            "people: rows, with a business unit",
            "SELECT count(*), count(business_unit) FROM systemuser HAVING count(*) > 0",
        );
        section(
            "interactions by week: rows, people, prompts, with text, attachments, contexts, links, mentions",
            "SELECT week_start, count(*), count(DISTINCT user_id), count(*) FILTER (WHERE interaction_type = 'userPrompt'), \
             count(text), sum(attachment_count), sum(context_count), sum(link_count), sum(mention_count) \
             FROM ai_interaction GROUP BY 1 ORDER BY 1",
        );
        for table in ["attachment", "context", "link", "mention"] {
            let sql = format!("SELECT count(*) FROM ai_interaction_{table} HAVING count(*) > 0");
            section(&format!("rows of ai_interaction_{table}"), &sql);
        }
        section(
            "people in scope: rows, enabled, licensed",
            "SELECT count(*), count(*) FILTER (WHERE account_enabled), count(*) FILTER (WHERE has_copilot_license) \
             FROM graph_user HAVING count(*) > 0",
        );
        section(
            "histories: windows, status, reason, users, slices",
            "SELECT window_start, window_end, done_until, status, regexp_replace(reason, '127.0.0.1:[0-9]+|[0-9]+ attempts in [0-9.]+ s|in [0-9.]+ s|[0-9a-f]{8}-[0-9a-f-]{27}', '*', 'g'), \
             count(DISTINCT scope), count(*) FROM extraction_slice WHERE source = 'graph' GROUP BY 1, 2, 3, 4, 5 ORDER BY 2, 1, 3, 4, 5",
        );
        section(
            "rejected: key, column, reason, raw",
            "SELECT record_key, column_name, reason, substr(raw_json, 1, 200) FROM rejected_record ORDER BY 1, 2",
        );
        let commits = |table: &str| {
            let log = self.lake().join(table).join("_delta_log");
            let names = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().ends_with(".json")).count() - 1
        };
        let tables =
            ["msdyn_copilotevent", "payload", "rejected_record"].map(|table| format!("{table} {}", commits(table)));
        section("commits", &format!("SELECT '{}'", tables.join(", ")));
        section(
            "slices with rows or reasons: table, clock, status, reason, slices, rows, rejected",
            "SELECT table_name, clock, status, regexp_replace(reason, '127.0.0.1:[0-9]+|[0-9]+ attempts in [0-9.]+ s|[0-9.]+(ms|s)\\b|[0-9a-f]{8}-[0-9a-f-]{27}', '*', 'g'), \
             count(*), sum(rows), sum(rejected) FROM extraction_slice WHERE source <> 'graph' AND (rows > 0 OR status <> 'done') GROUP BY 1, 2, 3, 4 \
             ORDER BY 1, 2, 3, 4",
        );
        section(
            "runs",
            "SELECT command, outcome, rows_received, rows_written, payloads, rejected FROM extraction_run ORDER BY started_at",
        );
        text
    }
}

/// The number of rows and the sum of their hashes: equal for equal rows in any order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Prints {
    rows: u64,
    sum: u64,
}

impl Prints {
    fn add(&mut self, row: [&str; 6]) {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
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
    let path = package().join("expected").join(name);
    if std::env::var_os("COPILOT_LAKE_ACCEPT").is_some() {
        std::fs::write(&path, actual).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
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
