//! Every state that a lake may be found in, crossed with every command: with what code it ends, what it says first, and
//! that only those which write to a lake change anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use arrow::array::RecordBatch;
use copilot_lake_tables::{EXTRACTION_RUN, TABLES, dataverse_tables};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;

use crate::foreign::{all_tables, foreign, foreign_each};
use crate::harness::{World, copy_folder, expect, text};
use crate::kill::kill_when;
use crate::status::listing;

/// How a lake that was extracted once comes into its state.
type Change = fn(&World);

/// The states, each made of a lake that one run has left.
const STATES: &[(&str, Change)] = &[
    ("no lake", |world| std::fs::remove_dir_all(world.lake()).unwrap()),
    ("an empty folder", |world| {
        std::fs::remove_dir_all(world.lake()).unwrap();
        std::fs::create_dir(world.lake()).unwrap();
    }),
    ("as a run left it", |_| {}),
    ("killed before its first commit", |world| {
        std::fs::remove_dir_all(world.lake()).unwrap();
        kill_when(world, &["extract", "-q"], |world| world.lake().join("msdyn_copilotevent").exists());
    }),
    ("killed after a commit", |world| {
        let log = world.lake().join("msdyn_copilotevent/_delta_log");
        let before = std::fs::read_dir(&log).unwrap().count();
        world.emulator.advance().unwrap();
        kill_when(world, &["extract", "-q"], |_| std::fs::read_dir(&log).unwrap().count() > before);
    }),
    ("with checkpoints", |world| _ = foreign_each(world, all_tables(), &["checkpoint"])),
    ("compacted by another tool", |world| {
        world.emulator.advance().unwrap();
        world.extract(&[], 0);
        foreign_each(world, all_tables(), &["compact"]);
    }),
    ("compacted and vacuumed by another tool", |world| {
        world.emulator.advance().unwrap();
        world.extract(&[], 0);
        foreign_each(world, all_tables(), &["compact"]);
        foreign_each(world, all_tables(), &["vacuum"]);
    }),
    ("of an older schema", |world| of_schema(world, "1")),
    ("of a newer schema", |world| of_schema(world, "9")),
    ("with a constraint of another tool", |world| {
        foreign(world, "msdyn_copilotevent", &["constraint", "ids", "msdyn_copiloteventid is not null"]);
    }),
    ("with deletion vectors", |world| {
        let protocol = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors"],"writerFeatures":["deletionVectors"]}}"#;
        commit(&world.lake().join("msdyn_copilotevent/_delta_log"), protocol);
    }),
    ("without a table", |world| std::fs::remove_dir_all(world.lake().join("payload")).unwrap()),
];

/// Lets a log end with this action.
fn commit(log: &Path, action: &str) {
    let version = std::fs::read_dir(log).unwrap().count();
    std::fs::write(log.join(format!("{version:020}.json")), action).unwrap();
}

/// Rewrites every log as one of another version of the schema.
fn of_schema(world: &World, version: &str) {
    for table in TABLES {
        let first = world.lake().join(table.name).join("_delta_log/00000000000000000000.json");
        let log = std::fs::read_to_string(&first).unwrap();
        let is = "\"copilotLake.schemaVersion\":\"2\"";
        assert!(log.contains(is), "{log}");
        std::fs::write(&first, log.replace(is, &is.replace('2', version))).unwrap();
    }
}

/// The commands that only read.
const READING: &[&[&str]] = &[
    &["status"],
    &["tables"],
    &["query", "scenario_usage"],
    &["query", "--sql", "SELECT count(*) FROM msdyn_copilotevent"],
    &["query", "--duckdb-views"],
    &["report"],
    &["plan"],
    &["check", "--read-only"],
];

#[test]
fn every_command_knows_every_state() {
    let mut scenario = String::from("seed = 4\nclock = 2025-11-05T12:00:00Z\n");
    for table in dataverse_tables() {
        write!(scenario, "[[table]]\nname = \"{}\"\nrows = 60\nweeks = 3\n", table.name).unwrap();
    }
    let mut seen = String::new();
    let archive = {
        let mut world = World::parse(&scenario);
        world.keys.insert("lake.archive_raw".to_owned(), true.into());
        world.extract(&[], 0);
        world
    };
    let raw = archive.lake().join("_raw");
    for (state, change) in STATES {
        let more = "generate = { table = \"msdyn_copilotevent\", rows = 20 }\n";
        let world = World::parse(&format!("{scenario}[[phase]]\nclock = 2025-11-06T12:00:00Z\n{more}"));
        world.extract(&[], 0);
        change(&world);
        writeln!(seen, "## {state}").unwrap();
        let made = world.folder.path().join("made");
        if world.lake().exists() {
            copy_folder(&world.lake(), &made);
        }
        let mut run = |arguments: &[&str]| {
            let output = world.run(&[arguments, &["--log", "json"]].concat());
            let code = output.status.code().unwrap();
            let flags = arguments.iter().filter(|argument| argument.starts_with("--"));
            let shown = arguments[..1].iter().chain(flags).copied().collect::<Vec<_>>().join(" ");
            writeln!(seen, "{shown} -> {code}{}", reason(&world, &text(&output.stderr), code)).unwrap();
            code
        };
        for arguments in READING {
            let before = world.lake().exists().then(|| listing(&world.lake()));
            run(arguments);
            let after = world.lake().exists().then(|| listing(&world.lake()));
            assert_eq!(before, after, "{state}: {arguments:?} changed the lake");
        }
        // It writes a file and removes it.
        let files = || world.lake().exists().then(|| listing(&world.lake()).into_keys().collect::<Vec<_>>());
        let before = files();
        run(&["check"]);
        assert_eq!(before, files(), "{state}: check left something behind");
        // The same state again, for each command that writes.
        let again = || {
            let _ = std::fs::remove_dir_all(world.lake());
            if made.exists() {
                copy_folder(&made, &world.lake());
            }
        };
        for flag in ["--full", "--repair"] {
            again();
            if run(&["extract", "-q", flag]) == 0 {
                world.check_lake();
            }
        }
        again();
        if run(&["extract", "-q"]) == 0 {
            world.check_lake();
            world.check_complete();
        }
        again();
        let before = world.lake().exists().then(|| listing(&world.lake()));
        run(&["maintain", "--dry-run"]);
        let after = world.lake().exists().then(|| listing(&world.lake()));
        assert_eq!(before, after, "{state}: maintain --dry-run changed the lake");
        let rows = rows_of(&world);
        let code = run(&["maintain", "-q"]);
        assert_eq!(rows, rows_of(&world), "{state}: maintain changed rows");
        if code == 0 {
            world.check_lake();
        }
        again();
        if run(&["replay", "-q", raw.to_str().unwrap()]) == 0 {
            world.check_lake();
        }
        seen.push('\n');
    }
    expect("lake_states.txt", &seen);
}

/// Rows by table; `None` of one that cannot be read. Every command that writes has rows of its own in `extraction_run`.
fn rows_of(world: &World) -> BTreeMap<&'static str, Option<u64>> {
    world.runtime.block_on(async {
        let lake = Lake::open(&world.lake_url(), world.lake_options()).await.unwrap();
        let mut rows = BTreeMap::new();
        for table in TABLES.iter().filter(|table| table.name != EXTRACTION_RUN.name) {
            let batches = async { lake.scan(table, Scan::default()).await?.try_collect::<Vec<_>>().await };
            let count = |batches: Vec<RecordBatch>| batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
            rows.insert(table.name, batches.await.ok().map(count));
        }
        rows
    })
}

/// The first error of a command that has failed, without its places.
fn reason(world: &World, told: &str, code: i32) -> String {
    if code == 0 {
        return String::new();
    }
    let events = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let failure = events.into_iter().find(|event| event["level"] == "error").unwrap_or_else(|| panic!("{told}"));
    let message = failure["message"].as_str().unwrap();
    format!(": {}", message.replace(world.folder.path().to_str().unwrap(), "DIR"))
}
