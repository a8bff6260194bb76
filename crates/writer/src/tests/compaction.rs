//! Neighbouring files become one.

use serde_json::Value;

use super::*;
use crate::Compaction;

const RULE: Compaction = Compaction { week: None, key: None, max_rows: 1_000, few_rows: 100, max_files: 100 };

async fn put_slices(lake: &Lake, rows: &[(&str, i64, &str)]) {
    let mut changes = lake.changes(&EXTRACTION_SLICE, MergeMode::Append);
    changes.push(None, slices(rows)).await.unwrap();
    changes.commit("run-1").await.unwrap();
}

async fn of_runs(lake: &Lake) -> Vec<(String, String)> {
    let scan = Scan { columns: vec!["run_id", "status"], ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(&EXTRACTION_SLICE, scan).await.unwrap().try_collect().await.unwrap();
    batches.iter().flat_map(pairs).collect()
}

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn neighbours_become_one_sorted_file() {
    let (folder, lake) = lake().await;
    put_slices(&lake, &[("a", 1, "1"), ("c", 30, "30")]).await;
    put_slices(&lake, &[("b", 2, "2"), ("d", 31, "31")]).await;
    put_slices(&lake, &[("b2", 2, "2"), ("e", 40, "40")]).await;
    put_slices(&lake, &[("f", 50, "50")]).await;
    let runs: Vec<String> = (60..360).map(|at| format!("g{at}")).collect();
    let of_many: Vec<_> = runs.iter().zip(60..).map(|(run, at)| (run.as_str(), at, "x")).collect();
    put_slices(&lake, &of_many).await;

    let version = lake.inner.log(&EXTRACTION_SLICE).snapshot().await.unwrap().unwrap().version;
    let rule = Compaction { max_files: 4, ..RULE };
    assert_eq!(lake.compact(&EXTRACTION_SLICE, &rule, "run-2").await.unwrap(), 4);
    assert_eq!(logged(&lake, &EXTRACTION_SLICE).await.len(), 2);
    assert_glob_is_log(folder.path(), &lake).await;
    let rows = of_runs(&lake).await;
    assert_eq!(rows.len(), 307);
    // The newest file first, each by ascending time.
    assert_eq!(rows[..5], owned(&[("b", "2"), ("b2", "2"), ("d", "31"), ("e", "40"), ("f", "50")]));
    assert_eq!(rows[305..], owned(&[("a", "1"), ("c", "30")]));

    let path = folder.path().join(format!("extraction_slice/_delta_log/{:020}.json", version + 1));
    let entry = std::fs::read_to_string(path).unwrap();
    let actions: Vec<Value> = entry.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let moved = actions.iter().filter_map(|action| action.get("add").or(action.get("remove")));
    assert!(moved.clone().count() == 5 && moved.into_iter().all(|file| file["dataChange"] == false), "{entry}");

    // Another process sees the same, and nothing is left to be done.
    let again = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(of_runs(&again).await, rows);
    assert_eq!(again.compact(&EXTRACTION_SLICE, &rule, "run-3").await.unwrap(), 2);
    assert_eq!(again.compact(&EXTRACTION_SLICE, &rule, "run-3").await.unwrap(), 0);
    assert_eq!(of_runs(&again).await.len(), 307);
}

#[tokio::test]
async fn rows_with_another_key_and_files_of_others_stay_apart() {
    let (folder, lake) = lake().await;
    for at in 0..4 {
        put_slices(&lake, &[(["a", "b"][at % 2], at as i64, "x")]).await;
    }
    let rule = Compaction { key: Some(("run_id", "a")), ..RULE };
    assert_eq!(lake.compact(&EXTRACTION_SLICE, &rule, "run-2").await.unwrap(), 2);
    assert_eq!(lake.compact(&EXTRACTION_SLICE, &rule, "run-2").await.unwrap(), 0);
    assert_eq!(logged(&lake, &EXTRACTION_SLICE).await.len(), 3);

    // A file with another writer's name.
    let ours = logged(&lake, &EXTRACTION_SLICE).await;
    let path = folder.path().join("extraction_slice/_delta_log");
    let last = lake.inner.log(&EXTRACTION_SLICE).snapshot().await.unwrap().unwrap().version;
    let entry = std::fs::read_to_string(path.join(format!("{last:020}.json"))).unwrap();
    let add = entry.lines().find(|line| line.starts_with("{\"add\"")).unwrap();
    let mut add: Value = serde_json::from_str(add).unwrap();
    let name = add["add"]["path"].as_str().unwrap().to_owned();
    add["add"]["path"] = "part-00000-of-another.parquet".into();
    let table = folder.path().join("extraction_slice");
    std::fs::copy(table.join(name), table.join("part-00000-of-another.parquet")).unwrap();
    std::fs::write(path.join(format!("{:020}.json", last + 1)), add.to_string()).unwrap();
    let again = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(logged(&again, &EXTRACTION_SLICE).await.len(), ours.len() + 1);
    let newest = Compaction { max_files: 2, ..RULE };
    put_slices(&again, &[("c", 100, "x")]).await;
    assert_eq!(again.compact(&EXTRACTION_SLICE, &newest, "run-3").await.unwrap(), 2, "those after it");
    assert_glob_is_log(folder.path(), &again).await;
}

#[tokio::test]
async fn large_files_are_merged_in_little_memory() {
    let (folder, lake) = lake().await;
    // Overlapping files of several batches each.
    for file in 0..3i64 {
        let runs: Vec<String> = (0..20_000).map(|row| format!("{file}-{row}")).collect();
        let rows: Vec<_> = runs.iter().enumerate().map(|(at, run)| (run.as_str(), at as i64 / 7, "x")).collect();
        put_slices(&lake, &rows).await;
    }
    let rule = Compaction { max_rows: 100_000, ..RULE };
    assert_eq!(lake.compact(&EXTRACTION_SLICE, &rule, "run-2").await.unwrap(), 3);
    let files = logged(&lake, &EXTRACTION_SLICE).await;
    assert_eq!(files.len(), 1);
    let (batches, _) = read(&folder.path().join(&files[0]));
    let keys = batches.iter().flat_map(|batch| {
        let runs = batch.column_by_name("run_id").unwrap().as_string::<i32>().clone();
        let times = batch.column_by_name("finished_at").unwrap().as_primitive::<TimestampMicrosecondType>().clone();
        (0..batch.num_rows()).map(move |row| (times.value(row), runs.value(row).to_owned())).collect::<Vec<_>>()
    });
    let keys: Vec<_> = keys.collect();
    assert_eq!(keys.len(), 60_000);
    assert!(keys.is_sorted_by(|a, b| a < b), "by time, then key");
}

#[tokio::test]
async fn the_version_that_the_table_has_is_told_by_key() {
    let (_folder, lake) = lake().await;
    put(&lake, &[("a", 1, 5, "a"), ("b", 2, 7, "b")]).await;
    let rows = events(&[("b", 9, 7, "other"), ("c", 3, 1, "c"), ("a", 1, 6, "a")]);
    let weeks = std::collections::BTreeSet::from([week()]);
    let found = lake.versions_of(&COPILOT_EVENT, &rows, Some(&weeks)).await.unwrap();
    let own = crate::RowVersion::from_batch(&COPILOT_EVENT, &rows).unwrap();
    let order: Vec<_> = own.iter().zip(found).map(|(own, found)| found.map(|found| own.compare(found))).collect();
    use std::cmp::Ordering::Greater;
    assert_eq!(order, [Some(Greater), None, Some(Greater)], "a later modifiedon is newer, so is a greater number");
    let found = lake.versions_of(&COPILOT_EVENT, &rows, Some(&std::collections::BTreeSet::new())).await.unwrap();
    assert_eq!(found, [None; 3], "of other weeks");
}
