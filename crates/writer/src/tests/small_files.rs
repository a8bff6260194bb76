//! The small files of a week become few, with the same rows.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::keys::Random;
use super::rewrites::{commit_foreign, foreign_events, write_foreign};
use super::*;
use crate::maintenance::merge_files::{Merged, merge_files};
use crate::{Error, MergedSmallFiles, SmallFileLimits};

/// A time at which the week is over.
fn later() -> Instant {
    at(8 * Instant::DAY_SECONDS)
}

async fn merged(lake: &Lake, limits: SmallFileLimits, now: Instant) -> MergedSmallFiles {
    lake.merge_small_files(&COPILOT_EVENT, limits, now, "run-2", &|| false).await.unwrap()
}

async fn version(lake: &Lake) -> u64 {
    lake.inner.log(&COPILOT_EVENT).snapshot().await.unwrap().unwrap().version
}

/// Commits files of the week whose rows lie between those of the others.
async fn scattered(lake: &Lake, files: usize, rows: usize) {
    let mut random = Random(7);
    for file in 0..files {
        let rows: Vec<_> = (0..rows)
            .map(|row| (format!("{file}-{row}"), random.below(600_000) as i64, format!("text of {file} {row}")))
            .collect();
        let rows: Vec<_> = rows.iter().map(|(id, at, text)| (id.as_str(), *at, 1, text.as_str())).collect();
        put(lake, &rows).await;
    }
}

#[tokio::test]
async fn small_files_become_one_with_the_same_rows_and_properties() {
    let (folder, lake) = lake().await;
    scattered(&lake, 12, 50).await;
    let (before, ids) = (verbatims(&lake).await, lake.week_fingerprints(&COPILOT_EVENT).await.unwrap());
    let old = version(&lake).await;
    let said = lake.small_files(&COPILOT_EVENT, SmallFileLimits::FEWEST, later()).await.unwrap();
    assert_eq!((said.len(), said[0].files, said[0].merged_files), (1, 12, 1));

    let done = merged(&lake, SmallFileLimits::FEWEST, later()).await;
    assert_eq!((done.weeks, done.files_removed, done.files_added), (1, 12, 1));
    let files = logged(&lake, &COPILOT_EVENT).await;
    assert_eq!(files.len(), 1);
    assert_eq!(assert_sorted_and_unique(folder.path(), &files), 600);
    assert_eq!(verbatims(&lake).await, before);
    assert_eq!(lake.week_fingerprints(&COPILOT_EVENT).await.unwrap(), ids, "the rows are the same");
    assert_glob_is_log(folder.path(), &lake).await;

    let (_, metadata) = read(&folder.path().join(&files[0]));
    let layout = COPILOT_EVENT.layout();
    for group in metadata.row_groups() {
        let sorting: Vec<usize> = group.sorting_columns().unwrap().iter().map(|c| c.column_idx as usize).collect();
        assert_eq!(sorting, layout.sort());
        let blooms = group.columns().iter().map(|column| column.bloom_filter_offset().is_some());
        assert!(blooms.eq(layout.fields().iter().map(|field| field.bloom)));
    }
    let entry = folder.path().join(format!("msdyn_copilotevent/_delta_log/{:020}.json", old + 1));
    let entry = std::fs::read_to_string(entry).unwrap();
    let actions = entry.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes = actions.filter_map(|action| Some(action.get("add").or(action.get("remove"))?["dataChange"].clone()));
    assert!(changes.eq(std::iter::repeat_n(Value::Bool(false), 13)));

    // A row that changes makes the week another one; and keys are found in the new file.
    assert_eq!(merged(&lake, SmallFileLimits::FEWEST, later()).await, MergedSmallFiles::default());
    put(&lake, &[(before[0].0.as_str(), 604_000, 2, "changed")]).await;
    assert_eq!(verbatims(&lake).await.len(), 600);
    assert_ne!(lake.week_fingerprints(&COPILOT_EVENT).await.unwrap(), ids);
    let again = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(verbatims(&again).await[0].1, "changed");
}

#[tokio::test]
async fn what_is_tolerated_stays() {
    let (_folder, lake) = lake().await;
    scattered(&lake, 3, 2).await;
    assert_eq!(merged(&lake, SmallFileLimits::TOLERATED, at(5)).await.weeks, 0, "the week is not over");
    assert_eq!(merged(&lake, SmallFileLimits::TOLERATED, later()).await.files_removed, 3);
    put(&lake, &[("new", 1, 1, "new")]).await;
    assert_eq!(merged(&lake, SmallFileLimits::TOLERATED, later()).await.weeks, 0);
}

#[tokio::test]
async fn a_merge_gives_as_many_files_as_asked_with_one_sum_of_ids() {
    let (folder, lake) = lake().await;
    scattered(&lake, 4, 100).await;
    let log = lake.inner.log(&COPILOT_EVENT);
    let old = log.files().await.unwrap();
    let Merged::Files(mut staged) = merge_files(&lake.inner.storage, &log, &old, 3).await.unwrap() else { panic!() };
    let rows: Vec<_> = staged.iter().map(|staged| staged.file.rows.unwrap()).collect();
    assert_eq!(rows, [134, 134, 132]);
    let sum = |files: &mut dyn Iterator<Item = &crate::delta::data_file::DataFile>| {
        files.fold(0u64, |sum, file| sum.wrapping_add(crate::storage::paths::rows_id(&file.path)))
    };
    assert_eq!(sum(&mut staged.iter().map(|of| &of.file)), sum(&mut old.iter().map(|of| &**of)));
    let bounds: Vec<_> = staged.iter().map(|staged| staged.file.bounds.time.unwrap()).collect();
    assert!(bounds.is_sorted_by(|a, b| a.1 <= b.0 + 999), "one after the other: {bounds:?}");
    for staged in &mut staged {
        staged.complete().await.unwrap();
    }
    let paths: Vec<_> = staged.iter().map(|staged| staged.file.path.to_string()).collect();
    assert_eq!(assert_sorted_and_unique(folder.path(), &paths), 400);
}

#[tokio::test]
async fn files_of_other_tools_are_sorted_or_left_alone() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 5, 1, "a")]).await;
    put(&lake, &[("b", 3, 1, "b")]).await;
    // Newest first, once with a column of its own.
    let rows: Vec<_> = (0..300).rev().map(|at| (format!("f{at:03}"), at)).collect();
    let rows: Vec<_> = rows.iter().map(|(id, at)| (id.as_str(), *at, 1, "theirs")).collect();
    let theirs = foreign_events(&rows);
    let known = theirs.schema().index_of("their_note").map(|at| (0..theirs.num_columns()).filter(move |of| *of != at));
    write_foreign(folder.path(), "theirs.parquet", &theirs.project(&known.unwrap().collect::<Vec<_>>()).unwrap(), None);
    write_foreign(folder.path(), "noted.parquet", &foreign_events(&[("n", 9, 1, "noted")]), None);
    commit_foreign(folder.path(), "theirs.parquet", version(&lake).await + 1, 300);
    commit_foreign(folder.path(), "noted.parquet", version(&lake).await + 2, 1);
    let lake = open(folder.path(), LakeOptions::default()).await;
    lake.prepare(&instance(), false).await.unwrap();
    let before = verbatims(&lake).await;
    assert_eq!(before.len(), 303);

    let done = merged(&lake, SmallFileLimits::FEWEST, later()).await;
    assert_eq!((done.files_kept, done.weeks), (1, 1), "{done:?}");
    let files = logged(&lake, &COPILOT_EVENT).await;
    let own: Vec<_> = files.iter().filter(|file| !file.ends_with("/noted.parquet")).cloned().collect();
    assert_eq!((files.len(), own.len()), (2, 1), "{files:?}");
    assert_eq!(assert_sorted_and_unique(folder.path(), &own), 302);
    assert_eq!(verbatims(&lake).await, before);
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn what_was_merged_before_a_stop_stays_merged() {
    let (folder, lake) = lake().await;
    scattered(&lake, 300, 1).await;
    let before = verbatims(&lake).await;
    let asked = AtomicUsize::new(0);
    let is_stopped = || asked.fetch_add(1, Ordering::Relaxed) >= 1;
    let limits = SmallFileLimits::FEWEST;
    let done = lake.merge_small_files(&COPILOT_EVENT, limits, later(), "run-2", &is_stopped).await.unwrap();
    assert!(done.is_stopped && done.files_added == 1, "{done:?}");
    assert_eq!(verbatims(&lake).await, before);
    assert_eq!(merged(&lake, limits, later()).await.files_added, 1);
    assert_eq!(logged(&lake, &COPILOT_EVENT).await.len(), 1);
    assert_eq!(verbatims(&lake).await, before);
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn a_log_that_counts_other_rows_than_its_files_have_is_not_merged() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 5, 1, "a"), ("b", 6, 1, "b")]).await;
    put(&lake, &[("c", 3, 1, "c")]).await;
    let log = folder.path().join("msdyn_copilotevent/_delta_log");
    for entry in std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&entry).unwrap();
        std::fs::write(entry, text.replace(r#"\"numRecords\":2"#, r#"\"numRecords\":3"#)).unwrap();
    }
    let lake = open(folder.path(), LakeOptions::default()).await;
    let result = lake.merge_small_files(&COPILOT_EVENT, SmallFileLimits::FEWEST, later(), "run-2", &|| false).await;
    assert!(matches!(&result, Err(Error::Parquet { .. })), "{result:?}");
    assert_glob_is_log(folder.path(), &lake).await;
}
