//! Fingerprints of a week's rows, before and after another tool has compacted its files.

use std::collections::BTreeSet;

use serde_json::json;

use super::foreign::{add, commit};
use super::rewrites::write_foreign;
use super::*;

async fn fingerprint(lake: &Lake) -> u64 {
    lake.week_fingerprints(&COPILOT_EVENT).await.unwrap()[&week()]
}

async fn across_compactions(lake: &Lake) -> BTreeSet<u64> {
    let weeks = BTreeSet::from([week()]);
    lake.fingerprints_across_compactions(&COPILOT_EVENT, &weeks).await.unwrap().remove(&week()).unwrap()
}

/// Replaces the files of the week by one with these rows, as another tool does; `changes_rows` is what it says. Returns the
/// lake as the next run finds it.
async fn compact(root: &Path, lake: &Lake, name: &str, rows: &RecordBatch, changes_rows: bool) -> Lake {
    write_foreign(root, name, rows, None);
    // Its log says a size that is not the file's: the next run corrects it.
    let mut actions = vec![add(&format!("week_start=2025-06-22/{name}"), 10_000)];
    for file in logged(lake, &COPILOT_EVENT).await {
        let path = file.strip_prefix("msdyn_copilotevent/").unwrap();
        let values = json!({ "week_start": "2025-06-22" });
        let now = crate::clock::now_millis();
        actions.push(json!({ "remove": { "path": path, "partitionValues": values, "deletionTimestamp": now } }));
    }
    for action in &mut actions {
        action.as_object_mut().unwrap().values_mut().next().unwrap()["dataChange"] = changes_rows.into();
    }
    commit(root, "msdyn_copilotevent", &actions);
    let next = open(root, LakeOptions::default()).await;
    next.prepare(&instance(), false).await.unwrap();
    next
}

#[tokio::test]
async fn a_compaction_by_another_tool_is_told_from_a_change() {
    let (folder, lake) = lake().await;
    let [a, b, c] = [("a", 1, 1, "a"), ("b", 2, 1, "b"), ("c", 3, 1, "c")];
    put(&lake, &[a]).await;
    put(&lake, &[b]).await;
    let first = fingerprint(&lake).await;
    assert_eq!(across_compactions(&lake).await, BTreeSet::from([first]), "all files are this program's");

    let lake = compact(folder.path(), &lake, "theirs-1.parquet", &events(&[a, b]), false).await;
    let second = fingerprint(&lake).await;
    assert_ne!(second, first);
    assert_eq!(across_compactions(&lake).await, BTreeSet::from([first, second]));

    put(&lake, &[c]).await;
    let third = fingerprint(&lake).await;
    assert_eq!(across_compactions(&lake).await, BTreeSet::from([third]), "a row has come");

    let lake = compact(folder.path(), &lake, "theirs-2.parquet", &events(&[a, b, c]), false).await;
    let fourth = fingerprint(&lake).await;
    assert_eq!(across_compactions(&lake).await, BTreeSet::from([third, fourth]), "and stays");

    let lake = compact(folder.path(), &lake, "theirs-3.parquet", &events(&[a, c]), true).await;
    let fifth = fingerprint(&lake).await;
    assert_eq!(across_compactions(&lake).await, BTreeSet::from([fifth]), "a row is gone");
}
