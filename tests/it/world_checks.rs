//! What tests assert of a lake: that log and listing agree, that each key has one row, and that it holds what the service
//! has; and its content in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{Read as _, Write as _};

use arrow::array::{Array as _, AsArray as _, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use copilot_lake_tables::{AI_INTERACTION, Instant, SYSTEM_USER, TABLES, Table, Week, dataverse_tables};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;
use parquet::basic::Encoding;
use parquet::file::metadata::ParquetMetaDataReader;

use crate::harness::{UNREADABLE, World};

/// Rows of Dataverse's tables by the week in which they were made.
pub(crate) type MadeInWeeks = BTreeMap<(&'static str, Week), u64>;

impl World {
    /// Asserts what must hold after every run that was not killed: log and listing agree, checkpoints are in the form
    /// that all readers read, and a key has one row.
    pub(crate) fn check_lake(&self) {
        self.check_listing();
        self.check_checkpoints();
        self.check_keys();
    }

    /// Asserts that a key has one row in every table, bookkeeping included; cheap enough to run every time.
    pub(crate) fn check_keys(&self) {
        let lake = self.opened();
        let options = FormatOptions::default().with_null("-");
        self.runtime.block_on(async {
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

    /// Asserts that no checkpoint of this program has dictionaries, which some readers, such as Fabric, do not read there.
    fn check_checkpoints(&self) {
        let store = self.opened().store();
        self.runtime.block_on(async {
            for table in TABLES {
                let mut files = store.list(Some(&format!("{}/_delta_log", table.name).into()));
                while let Some(file) = files.try_next().await.unwrap() {
                    if !file.location.as_ref().ends_with(".parquet") {
                        continue;
                    }
                    let found = store.get_opts(&file.location, Default::default()).await.unwrap();
                    let metadata =
                        ParquetMetaDataReader::new().parse_and_finish(&found.bytes().await.unwrap()).unwrap();
                    if metadata.file_metadata().created_by().is_none_or(|by| !by.starts_with("copilot-lake ")) {
                        continue;
                    }
                    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
                        let is_plain = |encoding| [Encoding::PLAIN, Encoding::RLE].contains(&encoding);
                        assert!(column.encodings().all(is_plain), "{}: {}", file.location, column.column_path());
                    }
                }
            }
        });
    }

    /// A table's weeks in the lake with their numbers of rows.
    pub(crate) fn weeks(&self, table: &str) -> BTreeMap<String, u64> {
        let rows = self.sql(&format!("SELECT week_start, count(*) FROM {table} GROUP BY 1"));
        rows.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
    }

    /// The rows that are visible now, whether or not a run records that it has read them. Those that were made in a week are
    /// a slice of a first pass. Histories of Graph are not among them: what is read of them by and by is visible by and by.
    pub(crate) fn visible_rows(&self) -> MadeInWeeks {
        // A run may be under way.
        let lake = self.runtime.block_on(Lake::open(&self.lake_url(), self.lake_options())).unwrap();
        self.runtime.block_on(async {
            let mut visible = MadeInWeeks::new();
            for table in dataverse_tables().filter(|table| table.name != SYSTEM_USER.name) {
                let scan = Scan { columns: vec!["createdon"], ..Scan::default() };
                let mut batches = std::pin::pin!(lake.scan(table, scan).await.unwrap());
                while let Some(batch) = batches.try_next().await.unwrap() {
                    for made in batch.column(0).as_primitive::<TimestampMicrosecondType>().iter().flatten() {
                        *visible.entry((table.name, Week::of(Instant(made)))).or_default() += 1;
                    }
                }
            }
            visible
        })
    }

    /// Asserts that no week of a first pass was visible in part at any of these moments, now that the lake is complete and the
    /// service has the same rows as then.
    pub(crate) fn check_weeks_were_whole(&self, moments: &[MadeInWeeks]) {
        let complete = self.visible_rows();
        for (moment, visible) in moments.iter().enumerate() {
            for (week, rows) in visible {
                assert_eq!(Some(rows), complete.get(week), "moment {moment}: {week:?} was visible in part");
            }
        }
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

    /// Users whose history has been read, according to the ledger.
    pub(crate) fn users_read(&self) -> BTreeSet<String> {
        let rows = self.sql("SELECT DISTINCT scope FROM extraction_slice WHERE source = 'graph' AND status = 'done'");
        rows.into_iter().map(|row| row[0].clone()).collect()
    }

    /// Users whose history has been read, according to the ledger, by a run that the next one continues.
    pub(crate) fn users_done_by_open_runs(&self) -> BTreeSet<String> {
        self.forget();
        let rows = self.sql(
            "SELECT DISTINCT scope FROM extraction_slice WHERE source = 'graph' AND status = 'done' AND run_id IN \
             (SELECT run_id FROM extraction_run WHERE started_at > coalesce((SELECT max(started_at) FROM extraction_run \
             WHERE outcome IS NOT NULL), TIMESTAMP '1970-01-01') AND outcome IS NULL)",
        );
        rows.into_iter().map(|row| row[0].clone()).collect()
    }

    /// Asserts that the lake has exactly the interactions of these users that the service has now and can serve.
    pub(crate) fn check_histories(&self, users: &BTreeSet<String>) {
        let mut service = Prints::default();
        self.emulator.interactions(&mut |of| {
            if users.contains(of.user_id) && of.app_class != UNREADABLE {
                service.add([of.user_id, of.session_id, of.id, of.interaction_type, of.app_class, of.body]);
            }
        });
        let columns = vec!["user_id", "session_id", "interaction_id", "interaction_type", "app_class", "body_content"];
        let mut lake = Prints::default();
        let of = self.opened();
        self.runtime.block_on(async {
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

    pub(crate) fn listed(&self, table: &Table) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        if self.store.is_some() {
            let lake = self.opened();
            self.runtime.block_on(async {
                let mut files = lake.store().list(Some(&table.name.into()));
                while let Some(file) = files.try_next().await.unwrap() {
                    let path = file.location.to_string();
                    if !path.contains("/_delta_log/") {
                        found.insert(path);
                    }
                }
            });
            return found;
        }
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

    pub(crate) fn logged(&self, table: &'static Table) -> BTreeSet<String> {
        let files = self.runtime.block_on(self.opened().files(table)).unwrap();
        files.into_iter().map(|file| file.path).collect()
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
