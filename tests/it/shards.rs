//! An archive that several processes replay in shards gives the lake that one process gives, in whatever order, however
//! often a shard is started, and when it is killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use copilot_lake_tables::TABLES;
use copilot_lake_writer::StoreOptions;
use serde_json::Value;

use crate::harness::{World, is_soak, text};
use crate::replayed::{LEDGER, archived_world, assert_equal};
use crate::store_servers::{BOTH, Kind, rows, signal, world};

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["replay", "lake/_raw", "--lake", "again"], more].concat()
}

/// Replays into `again`, which must end with this exit code. Returns what was said.
fn replay(world: &World, more: &[&str], code: i32) -> String {
    let output = world.run(&arguments(more));
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{more:?}: {message}");
    message
}

/// Begins to replay into `again`, until something holds.
fn under_way(world: &World, more: &[&str], holds: impl Fn() -> bool) -> Child {
    let mut run = world.command(&arguments(more)).stderr(Stdio::null()).spawn().unwrap();
    assert!(world.wait_until(&mut run, holds), "it ended before");
    run
}

/// Begins to replay a shard, until it waits for the lake.
fn waiting(world: &World, shard: &str, log: &Path) -> Child {
    let stderr = std::fs::File::create(log).unwrap();
    let mut run = world.command(&arguments(&["--shard", shard])).stderr(stderr).spawn().unwrap();
    let waits = || std::fs::read_to_string(log).unwrap().contains("waiting until it ends");
    assert!(world.wait_until(&mut run, waits), "it ended before");
    run
}

fn kill(mut run: Child) {
    run.kill().unwrap();
    run.wait().unwrap();
}

/// The entries of a table's log.
fn entries(lake: &Path, table: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(lake.join(table).join("_delta_log")) else { return vec![] };
    // One that is being written has another name.
    let is_entry = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    entries.flatten().map(|entry| entry.path()).filter(is_entry).collect()
}

fn commits(lake: &Path, table: &str) -> usize {
    entries(lake, table).len()
}

/// What the commits of a table are known by, if they are made once.
fn transactions(lake: &Path, table: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in entries(lake, table) {
        let text = std::fs::read_to_string(entry).unwrap();
        let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        found.extend(actions.filter_map(|action| Some(action["txn"]["appId"].as_str()?.to_owned())));
    }
    found.sort();
    found
}

/// The parts of a lake that are a shard's, as in `1-of-4`.
fn parts(lake: &Path, shard: &str) -> Vec<PathBuf> {
    let Ok(parts) = std::fs::read_dir(lake.join("_parts")) else { return vec![] };
    let is_of = |part: &PathBuf| part.to_str().unwrap().contains(&format!("-{shard}-"));
    parts.flatten().map(|entry| entry.path()).filter(is_of).collect()
}

#[test]
fn shards_give_the_lake_of_one_process() {
    let mut world = archived_world();
    let again = world.folder.path().join("again");
    assert!(replay(&world, &["--finish"], 2).contains("no shard was replayed into this lake"));
    assert!(replay(&world, &["--shard", "5/4"], 2).contains("as in `1/4`"));
    assert!(replay(&world, &["--shard", "1/4", "--finish"], 2).contains("cannot be used with"));
    assert!(!again.exists());
    replay(&world, &["--shard", "4/4"], 0);
    let told = replay(&world, &["--shard", "1/3"], 2);
    assert!(told.contains("4 shards fill this lake, not 3"), "{told}");
    let lacks = |world: &World, missing: &str| {
        let told = replay(world, &["--finish"], 3);
        assert!(told.contains(&format!("of 4 shards, the lake lacks {missing}\n")), "{told}");
    };
    lacks(&world, "1, 2, 3");

    // One is killed before its rows are the lake's. While it runs, nobody takes what it wrote for abandoned.
    let second = ["--shard", "2/4"];
    let has_rows = || parts(&again, "2-of-4").iter().any(|part| commits(part, "msdyn_copilotevent") > 1);
    let run = under_way(&world, &second, has_rows);
    signal(&run, "-STOP");
    let maintain = || text(&world.run(&["maintain", "--lake", "again"]).stderr);
    let told = maintain();
    assert!(!told.contains("killed shards") && parts(&again, "2-of-4").len() == 1, "{told}");
    kill(run);
    lacks(&world, "1, 2, 3");
    let told = maintain();
    assert!(told.contains("killed shards: ") && parts(&again, "2-of-4").is_empty(), "{told}");
    // Between the commits of two tables, and then before it is recorded.
    for table in ["msdyn_copilotevent", "extraction_slice"] {
        let before = commits(&again, table);
        kill(under_way(&world, &second, || commits(&again, table) > before));
        if table == "msdyn_copilotevent" {
            lacks(&world, "1, 2, 3");
        }
    }
    replay(&world, &second, 0);
    assert!(parts(&again, "2-of-4").is_empty(), "files of killed shards are gone");
    lacks(&world, "1, 3");

    // They wait for the lake, and one is started twice meanwhile.
    let held = std::fs::OpenOptions::new().write(true).open(again.join("_lock")).unwrap();
    held.lock().unwrap();
    let versions = || TABLES.iter().map(|table| commits(&again, table.name)).collect::<Vec<_>>();
    let before = versions();
    let mut runs = [("1/4", "first"), ("3/4", "third"), ("3/4", "third again")]
        .map(|(shard, name)| waiting(&world, shard, &world.folder.path().join(name)));
    assert_eq!(parts(&again, "3-of-4").len(), 2);
    assert!(runs.iter_mut().all(|run| run.try_wait().unwrap().is_none()) && versions() == before);
    drop(held);
    for mut run in runs {
        assert_eq!(run.wait().unwrap().code(), Some(0));
    }
    let before = versions();
    let told = replay(&world, &["--shard", "3/4"], 0);
    assert!(told.contains("shard 3/4 is in the lake already") && versions() == before, "{told}");

    for _ in 0..2 {
        let told = replay(&world, &["--finish"], 0);
        assert!(told.contains("4 shards in the lake, and none is missing"), "{told}");
    }
    assert!(!again.join("_parts").exists());
    for table in TABLES {
        let found = transactions(&again, table.name);
        let mut distinct = found.clone();
        distinct.dedup();
        assert_eq!(found, distinct, "{}", table.name);
    }
    assert_eq!(transactions(&again, "payload").len(), 4);
    assert_equal(&world, &again);
    assert_eq!(world.sql(LEDGER), world.sql_of(&again, LEDGER), "the ledger");
    let runs = "SELECT run_id FROM extraction_run WHERE command = 'extract' ORDER BY 1";
    assert_eq!(world.sql(runs), world.sql_of(&again, runs));

    // It is a lake like others, and what was read is not read again.
    let pages = |world: &World| world.emulator.request_counts().get("page").copied();
    let before = pages(&world);
    world.store = Some((again.to_str().unwrap().to_owned(), StoreOptions::default()));
    world.check_listing();
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
    assert!(pages(&world) < before.map(|pages| 2 * pages), "{before:?}, {:?}", pages(&world));
}

#[test]
fn shards_of_one_unchanged_archive_fill_a_new_lake() {
    let world = archived_world();
    let told = text(&world.run(&["replay", "lake/_raw", "--lake", "lake", "--shard", "1/2"]).stderr);
    assert!(told.contains("the lake has rows already; shards fill a new one"), "{told}");
    assert!(!world.lake().join("_parts").exists());

    replay(&world, &["--shard", "1/2"], 0);
    let copy = world.folder.path().join("copy");
    let archives = world.lake().join("_raw/graph_user");
    std::fs::rename(&archives, &copy).unwrap();
    for more in [&["--shard", "2/2"][..], &["--finish"]] {
        let told = replay(&world, more, 2);
        assert!(told.contains("are of another archive, or of this one before it changed"), "{told}");
    }
    std::fs::rename(&copy, &archives).unwrap();
    replay(&world, &["--shard", "2/2"], 0);

    // A shard has not all that a view is made from: the last command makes them.
    let mut world = world.with_views();
    replay(&world, &["--finish"], 0);
    let again = world.folder.path().join("again");
    assert_equal(&world, &again);
    let runs = world.sql_of(&again, "SELECT count(*) FROM extraction_run");
    replay(&world, &["--finish"], 0);
    assert_eq!(world.sql_of(&again, "SELECT count(*) FROM extraction_run"), runs, "the views are made once");
    world.store = Some((again.to_str().unwrap().to_owned(), StoreOptions::default()));
    world.check_views();
}

#[test]
fn a_shard_is_in_the_lake_as_a_whole_or_not_at_all() {
    let world = archived_world();
    let folders =
        |path: PathBuf| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let runs = folders(world.lake().join("_raw/payload"));
    let archive = runs.into_iter().flat_map(folders).find(|archive| archive.join("bundle-0001.zst").exists()).unwrap();
    let bundle = archive.join("bundle-0001.zst");
    let bytes = std::fs::read(&bundle).unwrap();
    std::fs::write(&bundle, &bytes[..bytes.len() / 2]).unwrap();
    let told = replay(&world, &["--shard", "1/1"], 3);
    assert!(told.contains("nothing of shard 1/1 is in the lake"), "{told}");
    assert!(replay(&world, &["--finish"], 2).contains("no shard was replayed into this lake"));
    std::fs::write(&bundle, bytes).unwrap();
    replay(&world, &["--shard", "1/1"], 0);
    replay(&world, &["--finish"], 0);
    assert_equal(&world, &world.folder.path().join("again"));
}

#[test]
fn shards_fill_a_lake_in_a_store_at_the_same_time() {
    // The server that stands for S3 takes a minute of processor time for this.
    for kind in if is_soak() { &Kind::ALL[..] } else { &[Kind::S3] } {
        let (kind, server) = (*kind, kind.serve());
        let mut world = world(kind, &server.url, BOTH);
        world.keys.insert("lake.archive_raw".to_owned(), true.into());
        world.extract(&[], 0);
        let (from, again) = (world.lake_url(), kind.url("again"));
        let of = |more: &[&str]| world.command(&[&["replay", &from, "--lake", &again], more].concat());
        // One is started twice. All are configured before the first one starts: each writes the configuration.
        let shards: &[&str] = if matches!(kind, Kind::S3) { &["1/2", "2/2", "2/2"] } else { &["1/2", "2/2"] };
        let commands: Vec<_> = shards.iter().map(|shard| of(&["--shard", shard])).collect();
        let spawn = |mut command: Command| command.stderr(Stdio::piped()).spawn().unwrap();
        let runs: Vec<_> = commands.into_iter().map(spawn).collect();
        for run in runs {
            let output = run.wait_with_output().unwrap();
            assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        }
        let output = of(&["--finish"]).output().unwrap();
        assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        let first = rows(&world);
        world.store.as_mut().unwrap().0 = again;
        let second = rows(&world);
        for table in TABLES.iter().filter(|table| !table.name.starts_with("extraction_")) {
            assert_eq!(first[table.name], second[table.name], "{kind:?}: {}", table.name);
        }
        world.check_lake();
        world.check_complete();
    }
}
