//! `maintain`: files become few, and nothing else changes for any reader, whatever happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use copilot_lake_tables::{EXTRACTION_RUN, TABLES};
use serde_json::Value;

use crate::foreign::{all_tables, foreign, foreign_each};
use crate::harness::{Numbers, World, copy_folder, is_soak, package, python, text};
use crate::mutation::history;

/// A lake whose weeks have files of several runs, with histories of users.
fn grown(seed: u64) -> World {
    let graph = "[graph]\nusers = 20\ninteractions = 300\n";
    let mut world = World::parse(&format!("{}{graph}", history(seed, 5, false)));
    for (key, value) in [("graph.users", "licensed"), ("graph.since", "1970-01-01")] {
        world.keys.insert(key.to_owned(), value.into());
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    let _ = world.run(&["extract", "-q"]);
    for _ in 0..4 {
        world.emulator.advance().unwrap();
        let _ = world.run(&["extract", "-q"]);
    }
    world.extract(&[], 0);
    world
}

fn maintain(world: &World, arguments: &[&str], code: i32) -> (String, String) {
    let output = world.run(&[&["maintain"], arguments].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    (text(&output.stdout), told)
}

/// The rows of every table as each reader has them; a glob has those of the log. Every writing command has rows of its own
/// in `extraction_run`.
fn rows(world: &World) -> BTreeMap<String, Value> {
    let output = Command::new(python()).arg(package().join("python/rows.py")).arg(world.lake()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let mut found: BTreeMap<String, Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (table, readers) in &found {
        let readers = readers.as_object().unwrap();
        let different: BTreeSet<String> = readers.values().map(ToString::to_string).collect();
        assert_eq!(different.len(), 1, "{table}: {readers:?}");
    }
    found.remove(EXTRACTION_RUN.name);
    found
}

/// Files of a lake with their sizes.
fn files(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path().display().to_string(), entry.metadata().unwrap().len());
        }
    }
    found
}

/// The data files of each week, or of a table without weeks.
fn data_files(world: &World) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for path in files(&world.lake()).into_keys().filter(|path| path.ends_with(".parquet")) {
        if !path.contains("_delta_log") {
            *found.entry(path.rsplit_once('/').unwrap().0.to_owned()).or_default() += 1;
        }
    }
    found
}

/// What the log says that was done since a version: whether rows changed, by file.
fn data_changes(world: &World, table: &str, since: usize) -> Vec<bool> {
    let log = world.lake().join(table).join("_delta_log");
    let mut found = Vec::new();
    for version in since.. {
        let Ok(entry) = std::fs::read_to_string(log.join(format!("{version:020}.json"))) else { break };
        for line in entry.lines() {
            let action: Value = serde_json::from_str(line).unwrap();
            let of_file = action.get("add").or(action.get("remove"));
            found.extend(of_file.map(|file| file["dataChange"].as_bool().unwrap()));
        }
    }
    found
}

fn commits(world: &World, table: &str) -> usize {
    let entries = std::fs::read_dir(world.lake().join(table).join("_delta_log")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".json")).count()
}

/// Weeks of each table that have all their payloads.
fn complete_weeks(world: &World) -> Vec<(String, Value)> {
    let status: Value = serde_json::from_slice(&world.run(&["status", "--format", "json"]).stdout).unwrap();
    let tables = status["tables"].as_array().unwrap().iter();
    let of_table = |table: &Value| (table["table"].as_str().unwrap().to_owned(), table["payloads"].clone());
    tables.map(of_table).filter(|(_, payloads)| !payloads.is_null()).collect()
}

#[test]
fn files_become_few_and_every_reader_sees_the_same_rows() {
    let world = grown(11).with_views();
    world.extract(&[], 0);
    let (before, many) = (rows(&world), data_files(&world));
    let listing = files(&world.lake());
    let (plan, told) = maintain(&world, &["--dry-run"], 0);
    assert!(plan.contains("small files") && plan.contains("nothing was changed"), "{plan}{told}");
    assert_eq!(files(&world.lake()), listing, "a dry run changes nothing");

    let weekly = || TABLES.iter().filter(|table| table.is_partitioned()).map(|table| table.name);
    let since: Vec<_> = weekly().map(|table| (table, commits(&world, table))).collect();
    let (_, told) = maintain(&world, &[], 0);
    for line in plan.lines().filter(|line| line.contains("small files")) {
        assert!(told.contains(line.split_once(": ").unwrap().0), "{line} was said, and done was {told}");
    }
    assert_eq!(rows(&world), before);
    world.check_lake();
    let few = data_files(&world);
    for (folder, count) in &few {
        let limit = if folder.contains("extraction_") { 4 } else { 1 };
        assert!(*count <= limit, "{folder} has {count} files");
    }
    let sum = |files: &BTreeMap<String, usize>| files.values().sum::<usize>();
    assert!(sum(&few) + 10 <= sum(&many), "{} files became {}", sum(&many), sum(&few));
    let changes: Vec<_> = since.iter().flat_map(|&(table, since)| data_changes(&world, table, since)).collect();
    assert!(!changes.is_empty() && !changes.contains(&true), "{changes:?}");

    let listing = files(&world.lake());
    assert!(maintain(&world, &[], 0).1.starts_with("nothing to do"));
    let (_, told) = maintain(&world, &["--log", "json"], 0);
    let summary: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!((&summary["event"], &summary["outcome"]), (&"summary".into(), &"complete".into()));
    assert_eq!(files(&world.lake()), listing, "what is done is not done again");

    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
    world.check_views();
}

#[test]
fn archives_that_nobody_finished_are_removed_and_the_others_stay() {
    let table = "[[table]]\nname = \"msdyn_copilotevent\"\nrows = 60\nweeks = 3\n";
    let mut world = World::parse(&format!("clock = 2025-11-05T12:00:00Z\n{table}"));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let raw = world.lake().join("_raw");
    let complete = files(&raw);
    let description = complete.keys().find(|path| path.ends_with("/slice.json")).unwrap();
    let archive = raw.join(description).parent().unwrap().to_owned();
    // As runs are killed: before the description, and while a bundle is written; and when archives were being removed
    // that had been merged.
    let of_run = archive.parent().unwrap().with_file_name("20250101T000000Z-0001");
    let unfinished = of_run.join("000001-000001-killed");
    copy_folder(&archive, &unfinished);
    std::fs::remove_file(unfinished.join("slice.json")).unwrap();
    std::fs::write(unfinished.join("bundle-0002.zst#1"), "cut").unwrap();
    std::fs::write(archive.join("bundle-0009.zst#1"), "cut").unwrap();
    let killed = of_run.join("000002-000002-killed");
    std::fs::create_dir_all(&killed).unwrap();
    std::fs::write(killed.join("slice.json#1"), "{").unwrap();
    let left = files(&raw).len() - complete.len();
    // What somebody else has put there is theirs.
    let foreign = of_run.with_file_name("mine");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("notes.txt"), "").unwrap();

    let (plan, _) = maintain(&world, &["--dry-run"], 0);
    let said = format!("{left} files (");
    assert!(plan.lines().any(|line| line.contains(&said) && line.contains("of unfinished archives")), "{plan}");
    world.keys.insert("lake.removed_files".to_owned(), "1d".into());
    assert!(!maintain(&world, &[], 0).1.contains("unfinished archives"), "they are not old enough");
    world.keys.remove("lake.removed_files");
    let (_, told) = maintain(&world, &[], 0);
    assert!(told.contains(&said), "{told}");
    std::fs::remove_dir_all(&foreign).expect("it stays");
    assert_eq!(files(&raw), complete);
    assert!(!of_run.exists(), "its folders are empty");
    let output = world.run(&["replay", "-q", raw.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn the_next_run_requests_and_reads_nothing_for_it() {
    let world = grown(12);
    let requests = || world.emulator.served().requests;
    let of_run = || {
        let before = requests();
        world.extract(&[], 0);
        let count = |(kind, count): (_, u64)| (kind, count - before.get(kind).copied().unwrap_or_default());
        requests().into_iter().map(count).filter(|(_, count)| *count > 0).collect::<Vec<_>>()
    };
    let (usual, complete) = (of_run(), complete_weeks(&world));
    assert!(complete.iter().any(|(_, payloads)| payloads["complete_weeks"].as_u64() > Some(1)), "{complete:?}");
    maintain(&world, &[], 0);
    assert_eq!(complete_weeks(&world), complete, "their rows are known to be the same");
    assert_eq!(of_run(), usual);
}

#[test]
fn a_maintenance_that_is_killed_is_completed_by_the_next_command() {
    let world = grown(13);
    let before = rows(&world);
    let kept = world.folder.path().join("kept");
    copy_folder(&world.lake(), &kept);
    let mut numbers = Numbers(13);
    let mut killed = 0;
    for kill in 0..if is_soak() { 100 } else { 5 } {
        std::fs::remove_dir_all(world.lake()).unwrap();
        copy_folder(&kept, &world.lake());
        let all = || TABLES.iter().map(|table| commits(&world, table.name)).sum::<usize>();
        let until = all() + 1 + numbers.next(60) as usize;
        let mut run = world.command(&["maintain", "-q"]).stderr(Stdio::null()).spawn().unwrap();
        if world.wait_until(&mut run, || all() >= until) {
            // A little later than a commit: files are written and deleted between them.
            for _ in 0..numbers.next(2_000_000) {
                std::hint::spin_loop();
            }
            killed += usize::from(run.try_wait().unwrap().is_none());
            let _ = run.kill();
            run.wait().unwrap();
        }
        match kill % 2 {
            0 => world.extract(&[], 0),
            _ => maintain(&world, &[], 0).1.into(),
        };
        world.check_lake();
        let mut after = rows(&world);
        if kill % 2 == 0 {
            // That run has slices of its own.
            after.insert("extraction_slice".to_owned(), before["extraction_slice"].clone());
        }
        assert_eq!(after, before);
    }
    assert!(killed >= 2, "only {killed} were killed");
}

#[test]
fn other_tools_compact_and_vacuum_before_and_meanwhile() {
    let world = grown(14);
    let before = rows(&world);
    foreign_each(&world, all_tables(), &["compact"]);
    foreign(&world, "msdyn_copilotevent", &["zorder", "msdyn_copiloteventid"]);
    maintain(&world, &[], 0);
    world.check_lake();
    assert_eq!(rows(&world), before);
    assert_eq!(foreign_each(&world, all_tables(), &["vacuum"]), vec!["0"; TABLES.len()], "nothing was left");
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    let before = rows(&world);
    let mut run = world.command(&["maintain"]).stderr(Stdio::piped()).spawn().unwrap();
    for table in TABLES.iter().filter(|table| !table.is_bookkeeping()) {
        foreign(&world, table.name, &["compact"]);
        foreign(&world, table.name, &["vacuum-removed"]);
    }
    assert_eq!(run.wait().unwrap().code(), Some(0));
    maintain(&world, &[], 0);
    world.check_lake();
    assert_eq!(rows(&world), before);
    world.extract(&[], 0);
    world.check_complete();
}

#[test]
fn what_cannot_be_maintained_is_said() {
    let world = grown(15);
    let (_, told) = maintain(&world, &["--table", "payloads"], 2);
    assert!(told.contains("no table `payloads`") && told.contains("the nearest table is `payload`"), "{told}");
    let (_, told) = maintain(&world, &["--lake", "nowhere"], 2);
    assert!(told.contains("no lake at `nowhere`"), "{told}");

    let held = std::fs::OpenOptions::new().write(true).open(world.lake().join("_lock")).unwrap();
    held.lock().unwrap();
    maintain(&world, &["--dry-run"], 0);
    assert!(maintain(&world, &[], 4).1.contains("another run holds the lake"));
    drop(held);

    let others = data_files(&world);
    let (_, told) = maintain(&world, &["--table", "msdyn_copilotevent"], 0);
    assert!(told.contains("msdyn_copilotevent: "), "{told}");
    let is_other =
        |(folder, _): &(&String, &usize)| !folder.contains("copilotevent") && !folder.contains("extraction_run");
    let counts = |files: &BTreeMap<String, usize>| files.iter().filter(is_other).map(|(_, n)| *n).collect::<Vec<_>>();
    assert_eq!(counts(&data_files(&world)), counts(&others), "other tables stay as they are");

    let of_payload = |path: &String| path.contains("/payload/week_start") && path.ends_with(".parquet");
    let lost = files(&world.lake()).into_keys().find(of_payload).unwrap();
    std::fs::remove_file(&lost).unwrap();
    let (_, told) = maintain(&world, &[], 3);
    assert!(told.contains("table payload is damaged") && told.contains("--repair"), "{told}");
    assert!(told.contains("msdyn_copilotinteraction: "), "{told}");
    maintain(&world, &["--table", "payload"], 1);
    world.extract(&["--repair"], 0);
    maintain(&world, &[], 0);
    world.check_lake();
    world.check_complete();
}
