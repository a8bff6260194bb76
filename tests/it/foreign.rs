//! Other tools that compact, vacuum and constrain tables of the lake or delete rows between runs, and foreign files in
//! it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use copilot_lake_emulator::Scenario;
use copilot_lake_tables::{TABLES, dataverse_tables};

use crate::harness::{Numbers, World, is_soak, package, python, text};
use crate::mutation::history;
use crate::status::json;

/// Lets another tool work on a table.
pub(crate) fn foreign(world: &World, table: &str, arguments: &[&str]) -> String {
    foreign_each(world, [table], arguments).concat()
}

/// The same for several tables, one after the other. Returns what it prints of each, if anything.
pub(crate) fn foreign_each<'t>(
    world: &World,
    tables: impl IntoIterator<Item = &'t str>,
    arguments: &[&str],
) -> Vec<String> {
    let script = package().join("python/foreign.py");
    let tables = tables.into_iter().collect::<Vec<_>>().join(",");
    let output = Command::new(python()).arg(script).arg(world.lake()).arg(&tables).args(arguments).output().unwrap();
    assert!(output.status.success(), "{tables} {arguments:?}: {}", text(&output.stderr));
    world.forget();
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// The names of all tables.
pub(crate) fn all_tables() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|table| table.name)
}

/// Lets another tool compact, reorder or vacuum this many tables, chosen by the numbers.
pub(crate) fn disturb(world: &World, numbers: &mut Numbers, tables: usize) {
    for _ in 0..tables {
        let table = TABLES[numbers.next(TABLES.len() as u64) as usize];
        let action: &[&str] = match numbers.next(3) {
            0 => &["compact"],
            1 => &["zorder", table.key[0]],
            _ => &["vacuum"],
        };
        // A run that was killed early has not made every table.
        if world.lake().join(table.name).join("_delta_log").exists() {
            foreign(world, table.name, action);
        }
    }
}

/// Lets another tool delete rows of some tables, which a full read brings back.
pub(crate) fn delete_and_read_again(world: &World) {
    for table in ["msdyn_copilotevent", "msdyn_copilotinteraction"] {
        assert_ne!(foreign(world, table, &["delete", "versionnumber % 2 = 0"]), "0");
    }
    world.extract(&["--full"], 0);
    world.check_lake();
    world.check_complete();
}

/// A lake whose weeks have files of several runs.
fn grown(seed: u64) -> World {
    let world = World::parse(&history(seed, 6, false));
    let _ = world.run(&["extract", "-q"]);
    for _ in 0..3 {
        world.emulator.advance().unwrap();
        let _ = world.run(&["extract", "-q"]);
    }
    world.extract(&[], 0);
    world
}

fn stderr(world: &World, arguments: &[&str], code: i32) -> String {
    let output = world.run(arguments);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

#[test]
fn after_another_tools_commits_a_glob_equals_the_log() {
    let world = grown(5);
    let compacted = foreign_each(&world, all_tables(), &["compact"]);
    let compacted: u64 = compacted.iter().map(|files| files.parse::<u64>().unwrap()).sum();
    assert!(compacted > 10, "{compacted} files were compacted");
    world.extract(&[], 0);
    world.check_lake();
    world.check_rows(dataverse_tables());

    for (table, column) in [("msdyn_copilotevent", "msdyn_copiloteventid"), ("payload", "source_id")] {
        assert_ne!(foreign(&world, table, &["zorder", column]), "0");
    }
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();

    // Nothing that vacuum finds is missed, and what it leaves is a lake.
    assert_eq!(foreign_each(&world, all_tables(), &["vacuum"]), vec!["0"; TABLES.len()]);
    let gone = foreign(&world, "msdyn_copilotinteraction", &["delete", "importsequencenumber is null"]);
    assert_ne!(gone, "0");
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_lake();
    world.check_rows(dataverse_tables().filter(|table| table.name != "msdyn_copilotinteraction"));
    world.extract(&["--full"], 0);
    world.check_lake();
    world.check_rows(dataverse_tables());
}

#[test]
fn payloads_stay_complete_when_another_tool_compacts() {
    let world = grown(5);
    let coverage = || {
        let status = json(&world);
        let tables = status["tables"].as_array().unwrap().iter().filter(|table| table["payloads"].is_object());
        tables.map(|table| (table["table"].clone(), table["payloads"].clone())).collect::<Vec<_>>()
    };
    let before = coverage();
    let complete = before.iter().filter_map(|(_, payloads)| payloads["complete_weeks"].as_u64());
    assert!(complete.sum::<u64>() > 10, "{before:?}");
    // One file of a week is compacted by an order alone.
    assert_ne!(foreign(&world, "payload", &["zorder", "source_id"]), "0");
    foreign_each(&world, all_tables(), &["compact"]);
    assert_eq!(coverage(), before);
    world.extract(&[], 0);
    assert_eq!(coverage(), before);
}

/// Another tool that compacts and vacuums the tables in turn, until it is ended.
struct Meanwhile(Child);

impl Meanwhile {
    fn begin(world: &World, arguments: &[&str]) -> Self {
        let script = package().join("python/meanwhile.py");
        let mut tool = Command::new(python());
        let tool = tool.arg(script).arg(world.lake()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(tool.spawn().unwrap())
    }

    /// Its commits, and those that it lost.
    fn end(mut self) -> (u64, u64) {
        drop(self.0.stdin.take());
        let told = text(&self.0.wait_with_output().unwrap().stdout);
        let (committed, lost) = told.trim().split_once(' ').unwrap();
        (committed.parse().unwrap(), lost.parse().unwrap())
    }
}

/// A lake of which a run reads and commits a little at a time.
fn in_small_steps(seed: u64) -> World {
    let mut world = World::parse(&format!("{}[service]\nlatency_ms = 20\n", history(seed, 6, true)));
    world.keys.insert("dataverse.page_size".to_owned(), 20.into());
    world.keys.insert("dataverse.deletes".to_owned(), "remove".into());
    for _ in 0..3 {
        let _ = world.run(&["extract", "-q"]);
    }
    world
}

#[test]
fn another_tool_may_compact_and_vacuum_during_runs() {
    let world = in_small_steps(8);
    let (mut committed, mut refused) = (0, 0);
    let phases = if is_soak() { 6 } else { 2 };
    for phase in 0..phases {
        world.emulator.advance().unwrap();
        let other = Meanwhile::begin(&world, &[]);
        // A run of what changed is short.
        let all: &[&str] = if phase % 2 == 0 { &["--full"] } else { &[] };
        for _ in 0..3 {
            world.extract(all, 0);
        }
        let (of_it, lost) = other.end();
        committed += of_it;
        refused += lost;
        world.extract(&[], 0);
        // Files of the commits that the other tool lost stay: they could be of one that it is about to make.
        for table in TABLES {
            let (listed, logged) = (world.listed(table), world.logged(table));
            assert!(logged.is_subset(&listed), "{}: files of the log are missing", table.name);
        }
        world.check_keys();
        world.check_complete();
    }
    assert!(committed > 3 * phases, "{committed} commits of the other tool, {refused} that it lost");
}

#[test]
fn another_tool_may_delete_at_once_what_is_being_read() {
    let world = in_small_steps(9).with_views();
    world.emulator.advance().unwrap();
    let other = Meanwhile::begin(&world, &["at-once"]);
    for all in [&["--full"][..], &[], &["--full"]] {
        let rows = "SELECT (SELECT count(*) FROM msdyn_copilotevent), (SELECT max(text) FROM payload) IS NULL";
        let extract = [&["extract"], all].concat();
        for command in [&extract[..], &["status"], &["query", "--sql", rows], &["plan"], &["maintain"]] {
            let output = world.run(command);
            assert_eq!(output.status.code(), Some(0), "{command:?}: {}", text(&output.stderr));
        }
    }
    let (committed, lost) = other.end();
    assert!(committed > 3, "{committed} commits of the other tool, {lost} that it lost");
    world.extract(&[], 0);
    world.check_keys();
    world.check_complete();
    world.check_views();
}

/// Another tool that has opened a table, and compacts that version of it once it is told to.
struct Opened(Child, BufReader<ChildStdout>);

impl Opened {
    fn table(world: &World, table: &str) -> Self {
        let mut tool = Command::new(python());
        let tool = tool.arg(package().join("python/foreign.py")).arg(world.lake()).args([table, "compact-opened"]);
        let mut tool = tool.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(tool.stdout.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert_eq!(line, "opened\n");
        Self(tool, told)
    }

    /// What it says of that.
    fn compact(mut self) -> String {
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.1.read_to_string(&mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "{said}");
        said
    }
}

#[test]
fn another_tool_does_not_replace_files_that_were_compacted_since_it_read_them() {
    let mut world = grown(8);
    // So that it still finds what it read.
    world.keys.insert("lake.removed_files".to_owned(), "1d".into());
    let tables = ["msdyn_copilotevent", "msdyn_copilotinteractiondata"];
    let opened = tables.map(|table| Opened::table(&world, table));
    let told = stderr(&world, &["maintain"], 0);
    for (table, opened) in tables.into_iter().zip(opened) {
        assert!(told.lines().any(|line| line.contains(table) && line.contains("small files")), "{table}: {told}");
        let said = opened.compact();
        assert!(said.starts_with("refused:") && said.contains("Metadata changed"), "{table}: {said}");
    }
    world.check_keys();
    // What it reads now it may compact.
    assert!(Opened::table(&world, "extraction_slice").compact().starts_with("replaced"));
    world.extract(&[], 0);
    world.check_complete();
}

#[test]
fn a_file_that_is_not_committed_yet_waits_for_its_commit() {
    let world = World::new(Scenario::rows(300, 2));
    world.extract(&[], 0);
    let state = world.folder.path().join("state.json");
    let state = state.to_str().unwrap();
    foreign(&world, "extraction_slice", &["write", state]);
    world.extract(&[], 0);
    let before = world.sql("SELECT count(*) FROM extraction_slice")[0][0].clone();
    foreign(&world, "extraction_slice", &["commit", state]);
    world.extract(&[], 0);
    world.check_lake();
    let after = world.sql("SELECT count(*) FROM extraction_slice")[0][0].clone();
    assert!(after.parse::<u64>().unwrap() > before.parse().unwrap(), "{before} {after}");
    world.check_rows(dataverse_tables().filter(|table| table.name == "msdyn_copilotevent"));
}

#[test]
fn a_constraint_stops_its_table_alone_and_no_question() {
    let world = grown(6);
    foreign(&world, "msdyn_copilotevent", &["constraint", "ids", "msdyn_copiloteventid is not null"]);
    world.emulator.advance().unwrap();
    let told = stderr(&world, &["extract"], 3);
    assert!(told.contains("table msdyn_copilotevent was changed by another tool: it demands writer version"), "{told}");
    assert!(
        told.contains("move the table's folder away, and `copilot-lake extract --repair` creates it again"),
        "{told}"
    );
    world.check_rows(dataverse_tables().filter(|table| table.name != "msdyn_copilotevent"));
    for question in ["--list", "scenario_usage"] {
        stderr(&world, &["query", question], 0);
    }
    stderr(&world, &["query", "--sql", "SELECT count(*) FROM msdyn_copilotevent"], 0);
    stderr(&world, &["plan"], 0);
    assert!(stderr(&world, &["check"], 3).contains("table msdyn_copilotevent was changed by another tool"));

    // What the hint says can be done.
    std::fs::rename(world.lake().join("msdyn_copilotevent"), world.folder.path().join("away")).unwrap();
    world.extract(&["--repair"], 0);
    world.check_lake();
    world.check_complete();
}

#[test]
fn deletion_vectors_are_refused_for_reading_and_stop_no_other_table() {
    let world = World::new(Scenario::rows(300, 2));
    world.extract(&[], 0);
    let log = world.lake().join("payload/_delta_log");
    let version = std::fs::read_dir(&log).unwrap().count();
    let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#;
    std::fs::write(log.join(format!("{version:020}.json")), protocol).unwrap();
    let told = stderr(&world, &["query", "--sql", "SELECT count(*) FROM payload"], 1);
    assert!(told.contains("table payload cannot be read") && told.contains("APPLY (PURGE)"), "{told}");
    stderr(&world, &["query", "--sql", "SELECT count(*) FROM msdyn_copilotevent"], 0);
    stderr(&world, &["query", "--duckdb-views"], 0);
    let told = stderr(&world, &["extract"], 3);
    assert!(told.contains("table payload cannot be read") && told.contains("APPLY (PURGE)"), "{told}");
}

#[test]
fn files_without_a_log_are_left_alone() {
    let world = World::new(Scenario::rows(300, 2));
    let mine = world.lake().join("systemuser/mine.parquet");
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    let told = stderr(&world, &["extract"], 3);
    let line =
        format!("the folder {}/ holds systemuser/mine.parquet and no Delta log", mine.parent().unwrap().display());
    assert!(told.contains(&line) && told.contains("move these files away"), "{told}");
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(mine.parent().unwrap()).unwrap().count(), 1);
    world.check_rows(dataverse_tables().filter(|table| table.name == "msdyn_copilotevent"));
    // Bookkeeping is needed by every run.
    let world = World::new(Scenario::rows(10, 1));
    let folder = world.lake().join("rejected_record");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("mine.parquet"), "mine").unwrap();
    let told = stderr(&world, &["extract"], 1);
    assert!(told.contains("holds rejected_record/mine.parquet"), "{told}");
    assert_eq!(std::fs::read(folder.join("mine.parquet")).unwrap(), b"mine");
}
