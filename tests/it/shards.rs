//! An archive that several processes replay in shards gives the lake that one process gives, in whatever order, however
//! often a shard is repeated, and when it is killed.

use std::path::Path;

use crate::harness::{World, text};
use crate::kill::kill_when;
use crate::replayed::{LEDGER, archived_world, assert_equal};

/// Replays into `again`, and returns what was said.
fn replay(world: &World, arguments: &[&str], code: i32) -> String {
    let output = world.run(&replay_of(world, arguments));
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    message
}

fn replay_of<'a>(world: &World, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["replay", "lake/_raw", "--lake", "again"];
    assert!(world.lake().ends_with("lake"));
    all.extend(arguments);
    all
}

/// Versions of a table's log.
fn commits(lake: &Path, table: &str) -> usize {
    let entries = std::fs::read_dir(lake.join(table).join("_delta_log"));
    let is_entry = |name: &str| name.len() == 25 && name.ends_with(".json");
    entries.map_or(0, |all| all.filter(|entry| is_entry(entry.as_ref().unwrap().file_name().to_str().unwrap())).count())
}

/// Whether a part of the lake has a table with rows.
fn has_part_with(lake: &Path, ending: &str, table: &str) -> bool {
    let Ok(parts) = std::fs::read_dir(lake.join("_parts")) else { return false };
    let is_part = |path: &Path| path.to_str().unwrap().ends_with(ending);
    parts.map(|entry| entry.unwrap().path()).any(|part| is_part(&part) && commits(&part, table) > 1)
}

#[test]
fn shards_give_the_lake_of_one_process() {
    let world = archived_world();
    let again = world.folder.path().join("again");
    assert!(replay(&world, &["--finish"], 2).contains("no shard was replayed into this lake"));
    assert!(replay(&world, &["--shard", "5/4"], 2).contains("as in `1/4`"));
    replay(&world, &["--shard", "4/4"], 0);
    let told = replay(&world, &["--shard", "1/3"], 2);
    assert!(told.contains("this lake has 4 shards, not 3"), "{told}");
    let told = replay(&world, &["--finish"], 3);
    assert!(told.contains("3 of 4 shards are not in the lake: 1, 2, 3"), "{told}");

    // One is killed while it decodes, and while its rows become the lake's.
    let second = replay_of(&world, &["--shard", "2/4"]);
    kill_when(&world, &second, |_| has_part_with(&again, "-2-of-4", "msdyn_copilotevent"));
    let before = commits(&again, "msdyn_copilotinteraction");
    kill_when(&world, &second, |_| commits(&again, "msdyn_copilotinteraction") > before);
    replay(&world, &["--shard", "2/4"], 0);
    // Two at once; one of them is repeated.
    let mut first = world.command(&replay_of(&world, &["--shard", "1/4"])).spawn().unwrap();
    replay(&world, &["--shard", "3/4"], 0);
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let rows = world.sql_of(&again, "SELECT count(*) FROM msdyn_copilotevent");
    let versions = commits(&again, "msdyn_copilotevent");
    let told = replay(&world, &["--shard", "3/4"], 0);
    assert!(told.contains("is in the lake already"), "{told}");
    assert_eq!(
        (world.sql_of(&again, "SELECT count(*) FROM msdyn_copilotevent"), versions),
        (rows, commits(&again, "msdyn_copilotevent"))
    );

    replay(&world, &["--finish"], 0);
    assert_equal(&world, &again);
    assert_eq!(world.sql(LEDGER), world.sql_of(&again, LEDGER), "the ledger");
    assert!(!again.join("_parts").exists(), "the parts are gone");
    assert!(replay(&world, &["--finish"], 2).contains("no shard was replayed into this lake"));
    // It is a lake like others: what was read is not read again.
    let output = world.run(&["extract", "--lake", "again"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_equal(&world, &again);
}

#[test]
fn shards_fill_a_new_lake_only() {
    let world = archived_world();
    let told = text(&world.run(&["replay", "lake/_raw", "--lake", "lake", "--shard", "1/2"]).stderr);
    assert!(told.contains("the lake has rows already; shards fill a new one"), "{told}");
    assert!(!world.lake().join("_parts").exists());
    let told = replay(&world, &["--shard", "1/2", "--finish"], 2);
    assert!(told.contains("cannot be used with"), "{told}");
}
