//! Files that another tool compacts and vacuums while they are read: what reads them goes on with the newest version.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde_json::json;

use super::counting::{Counting, Replacement};
use super::foreign::{add, remove};
use super::*;
use crate::delta::commit_info::FolderState;
use crate::{Compaction, Error, SmallFileLimits};

/// Ids and texts of the events of [`grown`].
const GROWN: &[(&str, &str)] = &[("a", "a"), ("b", "b"), ("c", "c"), ("d", "d")];

/// A lake with two files of events in a week.
async fn grown() -> (Arc<Counting>, Lake) {
    let (store, lake) = Counting::lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    put(&lake, &[("c", 3, 1, "c"), ("d", 4, 1, "d")]).await;
    (store, lake)
}

/// What another tool does that replaces these files by copies and deletes them.
async fn replacement(store: &Counting, paths: &[String], after: usize) -> Replacement {
    let folder = format!("{}/", COPILOT_EVENT.name);
    let log: Vec<_> = store.list(Some(&format!("{folder}_delta_log").into())).try_collect().await.unwrap();
    let version = log.iter().filter(|entry| entry.location.as_ref().ends_with(".json")).count();
    let mut actions = vec![json!({ "commitInfo": { "operation": "OPTIMIZE" } })];
    let (mut puts, mut deletes) = (Vec::new(), Vec::new());
    for (number, path) in paths.iter().enumerate() {
        let path = StorePath::from(path.as_str());
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        let in_table = |path: &StorePath| path.as_ref().strip_prefix(&folder).unwrap().to_owned();
        let (week, _) = path.as_ref().rsplit_once('/').unwrap();
        let name = format!("part-{number:05}-11111111-2222-3333-4444-{version:012}-c000.zstd.parquet");
        let copy = StorePath::from(format!("{week}/{name}"));
        actions.push(remove(&in_table(&path), crate::clock::now_millis()));
        let mut added = add(&in_table(&copy), bytes.len() as u64);
        added["add"]["partitionValues"]["week_start"] = json!(week.rsplit_once('=').unwrap().1);
        actions.push(added);
        puts.push((copy, bytes));
        deletes.push(path);
    }
    let lines: Vec<String> = actions.iter().map(ToString::to_string).collect();
    puts.push((format!("{folder}_delta_log/{version:020}.json").into(), lines.join("\n").into()));
    Replacement { after, puts, deletes }
}

/// Does something on a lake whose files are replaced before the first read of a data file that it makes, before the
/// second, and so on. Returns how many reads that were. The lake has these events then.
async fn at_each_read(act: impl AsyncFn(&Lake), events: &[(&str, &str)]) -> usize {
    for after in 0.. {
        let (store, lake) = grown().await;
        let files = logged(&lake, &COPILOT_EVENT).await;
        store.replace(replacement(&store, &files, after).await);
        act(&lake).await;
        let is_over = store.is_unreplaced();
        let rows: Vec<_> = verbatims(&lake).await;
        let rows: Vec<_> = rows.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
        assert_eq!(rows, events, "{after}");
        if is_over {
            return after;
        }
        assert!(logged(&lake, &COPILOT_EVENT).await.iter().all(|path| !files.contains(path)), "{after}");
    }
    unreachable!()
}

#[tokio::test]
async fn a_merge_begins_again_wherever_it_is() {
    let merge = async |lake: &Lake| {
        let committed = put(lake, &[("a", 1, 2, "new"), ("b", 2, 1, "b"), ("e", 5, 1, "e")]).await;
        assert_eq!((committed.rows_written, committed.rows_unchanged), (2, 1));
    };
    let reads = at_each_read(merge, &[("a", "new"), ("b", "b"), ("c", "c"), ("d", "d"), ("e", "e")]).await;
    assert!(reads > 3, "keys, versions and rows are read: {reads}");
}

#[tokio::test]
async fn what_only_reads_goes_on_with_the_newest_version() {
    let scan = async |lake: &Lake| {
        let ids: Vec<_> = verbatims(lake).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a", "b", "c", "d"]);
    };
    assert!(at_each_read(scan, GROWN).await >= 2);
    let of_ids = async |lake: &Lake| {
        let ids = BTreeSet::from(["a".to_owned(), "d".to_owned()]);
        let found = lake.rows_of(&COPILOT_EVENT, &ids).await.unwrap();
        assert_eq!(versions(&found).into_keys().collect::<Vec<_>>(), ["a", "d"]);
    };
    assert!(at_each_read(of_ids, GROWN).await > 2);
    let of_versions = async |lake: &Lake| {
        let rows = events(&[("a", 1, 1, "a"), ("x", 1, 1, "x")]);
        let found = lake.versions_of(&COPILOT_EVENT, &rows, None).await.unwrap();
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    };
    assert!(at_each_read(of_versions, GROWN).await > 1);
    let of_duplicates = async |lake: &Lake| {
        let log = lake.inner.log(&COPILOT_EVENT);
        assert_eq!(crate::merge::dedupe::remove_duplicates(&lake.inner.storage, &log).await.unwrap(), 0);
    };
    assert!(at_each_read(of_duplicates, GROWN).await >= 2);
    let check = async |lake: &Lake| lake.check_rows(&COPILOT_EVENT).await.unwrap();
    assert!(at_each_read(check, GROWN).await >= 2);
}

#[tokio::test]
async fn files_that_are_to_be_merged_may_go() {
    let small = async |lake: &Lake| {
        let merged = lake.merge_small_files(&COPILOT_EVENT, SmallFileLimits::FEWEST, at(0), "run-1", &|| false).await;
        assert!(merged.unwrap().files_removed >= 2);
    };
    assert!(at_each_read(small, GROWN).await >= 2);
    let week = Some(week());
    let of = Compaction { week, key: None, max_rows: 100, few_rows: 100, max_files: 10 };
    let newest = async |lake: &Lake| {
        let merged = lake.compact(&COPILOT_EVENT, &of, "run-1").await.unwrap();
        assert!(merged == 0 || merged == 2, "{merged}");
    };
    assert!(at_each_read(newest, GROWN).await >= 2);
}

#[tokio::test]
async fn a_scan_does_not_return_rows_twice() {
    let (store, lake) = Counting::lake().await;
    let ids: Vec<String> = (0..1_200).map(|number| format!("id-{number:04}")).collect();
    let many: Vec<_> = ids.iter().zip(0..).map(|(id, seconds)| (id.as_str(), seconds, 1, "x")).collect();
    put(&lake, &many).await;
    put(&lake, &[("late", 500_000, 1, "late")]).await;
    let path_of = async |is_large: bool| {
        let files = lake.files(&COPILOT_EVENT).await.unwrap();
        files.into_iter().find(|file| (file.rows == 1_200) == is_large).unwrap().path
    };
    // It is opened after the rows of the other file were returned.
    store.replace(replacement(&store, &[path_of(true).await], 1).await);
    assert_eq!(verbatims(&lake).await.len(), 1_201);
    assert!(!store.is_unreplaced());

    let (store, lake) = Counting::lake().await;
    put(&lake, &many).await;
    put(&lake, &[("late", 500_000, 1, "late")]).await;
    let files = logged(&lake, &COPILOT_EVENT).await;
    store.replace(replacement(&store, &files, 1).await);
    let batches: Vec<_> = lake.scan(&COPILOT_EVENT, Scan::default()).await.unwrap().collect().await;
    let told = batches.last().unwrap().as_ref().unwrap_err();
    assert!(matches!(told, Error::FileRemoved { table: "msdyn_copilotevent", .. }), "{told}");
    assert!(told.is_transient() && told.stops_table().is_none() && told.remedy().is_none());
    assert_eq!(verbatims(&lake).await.len(), 1_201, "the next scan reads the newest version");
}

#[tokio::test]
async fn a_file_that_the_newest_version_names_is_lost() {
    for after in 0..2 {
        let (store, lake) = grown().await;
        let deletes = logged(&lake, &COPILOT_EVENT).await.iter().map(|path| path.as_str().into()).collect();
        store.replace(Replacement { after, puts: vec![], deletes });
        let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
        changes.push(Some(week()), events(&[("a", 1, 2, "new")])).await.unwrap();
        let told = changes.commit("run-1").await.unwrap_err();
        assert_eq!(told.stops_table(), Some("msdyn_copilotevent"), "{told}");
        let told = lake.scan(&COPILOT_EVENT, Scan::default()).await.unwrap().try_collect::<Vec<_>>().await;
        assert_eq!(told.unwrap_err().stops_table(), Some("msdyn_copilotevent"));
    }
}

#[tokio::test]
async fn what_a_commit_after_the_listing_has_changed_is_listed_again() {
    let (store, lake) = grown().await;
    let files = logged(&lake, &COPILOT_EVENT).await;
    // It is read because its size differs from the log, and then it is gone.
    store.replace(replacement(&store, &files, 0).await);
    let path = StorePath::from(files[0].as_str());
    store.put(&path, "truncated".into()).await.unwrap();
    lake.remove_orphan_files(&COPILOT_EVENT).await.unwrap();
    assert!(!store.is_unreplaced());
    assert_eq!(lake.inner.log(&COPILOT_EVENT).folder_state(), FolderState::Unknown);
    assert_eq!(verbatims(&lake).await.len(), GROWN.len());
}
