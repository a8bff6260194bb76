//! Removed files that are kept for readers of older versions: they are deleted in time, and a store's folder is not listed
//! for that.

use std::time::Duration;

use copilot_lake_tables::TABLES;
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde_json::{Value, json};

use super::foreign::{add, remove};
use super::machine::{Fault, Machine};
use super::requests::{opened, requests};
use super::*;
use crate::StoreRequests;
use crate::storage::paths;

/// Listings of a run that lists no folder: one of each log.
fn logs() -> u64 {
    TABLES.len() as u64
}

/// More than files are kept, in milliseconds.
const EIGHT_DAYS: i64 = 8 * 24 * 60 * 60 * 1_000;

fn entry(version: u64) -> StorePath {
    StorePath::from(format!("{}/_delta_log/{version:020}.json", COPILOT_EVENT.name))
}

async fn actions(store: &InMemory, version: u64) -> Option<Vec<Value>> {
    let bytes = store.get(&entry(version)).await.ok()?.bytes().await.unwrap();
    let lines = bytes.split(|byte| *byte == b'\n');
    Some(lines.map(|line| serde_json::from_slice(line).unwrap()).collect())
}

async fn put_entry(store: &InMemory, version: u64, actions: &[Value]) {
    let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
    store.put(&entry(version), lines.join("\n").into()).await.unwrap();
}

/// A lake in which an event was replaced that many times: by version 2 for the first time.
async fn replaced(store: &Arc<InMemory>, times: i64) {
    let lake = opened(store);
    lake.prepare(&instance(), false).await.unwrap();
    for version in 0..=times {
        put(&lake, &[("a", 1, version, "x")]).await;
    }
}

/// Makes the removals of the first versions that removed something eight days older.
async fn make_old(store: &InMemory, removals: u64) {
    for version in 2.. {
        let Some(mut actions) = actions(store, version).await else { break };
        for action in &mut actions {
            let is_old = version < 2 + removals;
            for (time, is_old) in [("/commitInfo/copilotLake.keptSince", true), ("/remove/deletionTimestamp", is_old)] {
                if let Some(at) = action.pointer_mut(time).filter(|_| is_old) {
                    *at = json!(at.as_i64().unwrap() - EIGHT_DAYS);
                }
            }
        }
        put_entry(store, version, &actions).await;
    }
}

/// The data files of events in the store.
async fn data_files(store: &InMemory) -> Vec<String> {
    let files: Vec<_> = store.list(Some(&COPILOT_EVENT.name.into())).try_collect().await.unwrap();
    let paths = files.into_iter().map(|file| file.location.to_string());
    paths.filter(|path| !path.contains(paths::LOG)).collect()
}

/// A run that starts, and its requests.
async fn started(store: &Arc<InMemory>) -> (Lake, StoreRequests) {
    let lake = opened(store);
    let cost = requests(&lake, async { lake.prepare(&instance(), false).await.unwrap() }).await;
    (lake, cost)
}

/// Listings, writes and deletes of a run that starts.
async fn start(store: &Arc<InMemory>) -> (u64, u64, u64) {
    let StoreRequests { lists, writes, deletes, .. } = started(store).await.1;
    (lists, writes, deletes)
}

#[tokio::test]
async fn they_are_deleted_by_what_the_log_says() {
    let store = Arc::default();
    replaced(&store, 3).await;
    assert_eq!(data_files(&store).await.len(), 4);
    assert_eq!(start(&store).await, (logs(), 0, 0), "their time is not over");
    make_old(&store, 2).await;
    let (lake, cost) = started(&store).await;
    assert_eq!((cost.lists, cost.writes, cost.deletes), (logs(), 0, 2));
    assert_eq!(data_files(&store).await.len(), 2);
    // The next commit says so.
    put(&lake, &[("b", 2, 1, "b")]).await;
    assert_eq!(start(&store).await, (logs(), 0, 0));
    assert_eq!(data_files(&store).await.len(), 3);
    assert_eq!(verbatims(&lake).await.len(), 2);
}

#[tokio::test]
async fn what_costs_each_run_as_much_is_recorded() {
    // A folder that holds the table's files alone, and one with many commits that were read.
    for (times, removals) in [(3, 3), (13, 12)] {
        let store = Arc::default();
        replaced(&store, times).await;
        make_old(&store, removals).await;
        // Its own commit is read.
        assert_eq!(start(&store).await, (logs() + 1, 1, removals));
        assert_eq!(data_files(&store).await.len() as u64, 1 + times as u64 - removals);
        let recorded = actions(&store, times as u64 + 2).await.unwrap();
        assert_eq!(recorded.len(), 1);
        assert_eq!(recorded[0]["commitInfo"]["copilotLake.clean"], json!(removals == times as u64));
        assert_eq!(start(&store).await, (logs(), 0, 0));
    }
}

#[tokio::test]
async fn a_folder_is_listed_when_the_log_no_longer_says_it() {
    let store = Arc::default();
    replaced(&store, 25).await;
    make_old(&store, 5).await;
    // As a checkpoint lets old entries be removed.
    for version in 2..10 {
        store.delete(&entry(version)).await.unwrap();
    }
    let (lists, writes, deletes) = start(&store).await;
    assert!(lists > logs());
    assert_eq!((writes, deletes), (0, 0), "by the checkpoint their time is not over");
    assert_eq!(data_files(&store).await.len(), 26);
}

#[tokio::test]
async fn after_a_commit_of_another_tool_a_folder_is_listed_once() {
    let store: Arc<InMemory> = Arc::default();
    replaced(&store, 1).await;
    let old = logged(&opened(&store), &COPILOT_EVENT).await.remove(0);
    let bytes = store.get(&old.as_str().into()).await.unwrap().bytes().await.unwrap();
    let path = "week_start=2025-06-22/part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet";
    let size = bytes.len() as u64;
    store.put(&format!("{}/{path}", COPILOT_EVENT.name).into(), bytes.into()).await.unwrap();
    let info = json!({ "commitInfo": { "operation": "OPTIMIZE" } });
    let old = old.strip_prefix("msdyn_copilotevent/").unwrap();
    put_entry(&store, 3, &[info, remove(old, crate::clock::now_millis()), add(path, size)]).await;
    let (lists, writes, deletes) = start(&store).await;
    assert!(lists > logs());
    assert_eq!((writes, deletes), (1, 0));
    assert_eq!(data_files(&store).await.len(), 3);
    assert_eq!(start(&store).await, (logs(), 0, 0));
    make_old(&store, 2).await;
    assert_eq!(start(&store).await, (logs() + 1, 1, 2), "also those that another tool removed");
    assert_eq!(data_files(&store).await, logged(&opened(&store), &COPILOT_EVENT).await);
}

#[tokio::test]
async fn one_whose_removal_has_no_time_was_removed_when_its_commit_was_made() {
    for list_folders in [false, true] {
        let store: Arc<InMemory> = Arc::default();
        replaced(&store, 1).await;
        for age in [0, EIGHT_DAYS] {
            let mut lines = actions(&store, 2).await.unwrap();
            for line in &mut lines {
                if let Some(remove) = line.get_mut("remove") {
                    remove["deletionTimestamp"] = Value::Null;
                }
                for time in ["/commitInfo/copilotLake.keptSince", "/commitInfo/timestamp"] {
                    if let Some(at) = line.pointer_mut(time) {
                        *at = json!(at.as_i64().unwrap() - age);
                    }
                }
            }
            put_entry(&store, 2, &lines).await;
            opened(&store).prepare(&instance(), list_folders).await.unwrap();
            let kept = if age == 0 { 2 } else { 1 };
            assert_eq!(data_files(&store).await.len(), kept, "{age} {list_folders}");
        }
    }
}

#[tokio::test]
async fn a_file_that_was_restored_stays_as_long_as_any_other() {
    let store: Arc<InMemory> = Arc::default();
    replaced(&store, 1).await;
    let new = logged(&opened(&store), &COPILOT_EVENT).await.remove(0);
    let old = data_files(&store).await.into_iter().find(|path| *path != new).unwrap();
    let size = store.head(&old.as_str().into()).await.unwrap().size;
    let in_table = |path: &str| path.strip_prefix("msdyn_copilotevent/").unwrap().to_owned();
    let info = json!({ "commitInfo": { "operation": "RESTORE" } });
    let now = crate::clock::now_millis();
    put_entry(&store, 3, &[info, remove(&in_table(&new), now), add(&in_table(&old), size)]).await;
    let (lake, cost) = started(&store).await;
    assert!(cost.lists > logs());
    assert_eq!((cost.writes, cost.deletes), (0, 0));
    put(&lake, &[("a", 1, 9, "y")]).await;
    assert!(!logged(&lake, &COPILOT_EVENT).await.contains(&old));
    // The older of its two removals is long ago.
    make_old(&store, 1).await;
    let (lists, _, deletes) = start(&store).await;
    assert!(lists > logs() && deletes == 0, "only a listing tells");
    assert!(data_files(&store).await.contains(&old));
}

#[tokio::test(start_paused = true)]
async fn what_a_killed_run_left_in_a_store_is_found() {
    let store = Arc::new(InMemory::new());
    let killed = Machine::new(&store).lake();
    std::mem::forget(killed.lock("run-1").await.unwrap());
    killed.prepare(&instance(), false).await.unwrap();
    put(&killed, &[("a", 1, 1, "a")]).await;
    put(&killed, &[("a", 1, 2, "b")]).await;
    let orphans = [paths::data_file(&COPILOT_EVENT, Some(week()), 1), paths::data_file(&EXTRACTION_SLICE, None, 1)];
    for orphan in &orphans {
        store.put(orphan, "rows".into()).await.unwrap();
    }
    killed.inner.storage.lease.get().unwrap().pause();
    let next = Machine::new(&store).lake();
    let lock = next.lock("run-2").await.unwrap();
    // The ledger need not know that run.
    next.prepare(&instance(), false).await.unwrap();
    for orphan in &orphans {
        assert!(store.head(orphan).await.is_err(), "{orphan}");
    }
    assert_eq!(data_files(&store).await.len(), 2, "what was replaced is kept");
    lock.release().await;
    let third = Machine::new(&store).lake();
    let cost = requests(&third, async { third.prepare(&instance(), false).await.unwrap() }).await;
    assert_eq!((cost.lists, cost.writes, cost.deletes), (logs(), 0, 0), "the second one has recorded what it found");
}

#[tokio::test(start_paused = true)]
async fn what_a_run_that_ended_may_have_left_in_a_store_is_found() {
    for arrives_late in [false, true] {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        let lake = machine.lake();
        let lock = lake.lock("run-1").await.unwrap();
        lake.prepare(&instance(), false).await.unwrap();
        put(&lake, &[("a", 1, 1, "a")]).await;
        if arrives_late {
            machine.fail("week_start", &[Fault::Late]);
            let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
            changes.push(Some(week()), events(&[("b", 2, 1, "b")])).await.unwrap();
            changes.commit("run-1").await.unwrap_err();
        } else {
            let removed = paths::data_file(&COPILOT_EVENT, Some(week()), 1);
            store.put(&removed, "rows".into()).await.unwrap();
            machine.fail_deletes(&[Fault::NotDone; 8]);
            lake.inner.log(&COPILOT_EVENT).readers.delete(vec![removed]).await;
        }
        lock.release().await;
        machine.deliver().await;
        assert_eq!(data_files(&store).await.len(), 2);
        let next = Machine::new(&store).lake();
        let lock = next.lock("run-2").await.unwrap();
        next.prepare(&instance(), false).await.unwrap();
        assert_eq!(data_files(&store).await, logged(&next, &COPILOT_EVENT).await);
        lock.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_a_store_does_not_delete_stops_no_run() {
    let store: Arc<InMemory> = Arc::default();
    replaced(&store, 2).await;
    make_old(&store, 2).await;
    let machine = Machine::new(&store);
    machine.fail_deletes(&[Fault::NotDone; 100]);
    let lake = machine.lake();
    lake.prepare(&instance(), false).await.unwrap();
    assert_eq!(data_files(&store).await.len(), 3);
    // The next commit still says that it is there.
    put(&lake, &[("b", 2, 1, "b")]).await;
    assert_eq!(start(&store).await, (logs() + 1, 1, 2), "the next run deletes them");
    assert_eq!(data_files(&store).await, logged(&opened(&store), &COPILOT_EVENT).await);
}

#[tokio::test]
async fn those_in_a_local_folder_are_deleted_alike() {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions { removed_files: Some(Duration::from_hours(24)), ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();
    put(&lake, &[("a", 1, 1, "a")]).await;
    put(&lake, &[("a", 1, 2, "b")]).await;
    assert_eq!(glob(folder.path(), COPILOT_EVENT.name).len(), 2);
    // Another opening keeps nothing; the one after it finds nothing.
    for _ in 0..2 {
        let lake = open(folder.path(), LakeOptions::default()).await;
        lake.prepare(&instance(), false).await.unwrap();
        assert_glob_is_log(folder.path(), &lake).await;
    }
}
