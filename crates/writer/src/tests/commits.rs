//! What commits do to a table.

use futures::TryStreamExt;

use super::*;

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test]
async fn rows_come_back_as_they_went_in() {
    let (folder, lake) = lake().await;
    let given = events(&[("a", 1, 1, "one"), ("b", 2, 1, "zwei ü"), ("c", 3, 1, "")]);
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), given.clone()).await.unwrap();
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.version, done.rows_written, done.rows_unchanged), (Some(1), 3, 0));
    assert_eq!((done.files_added, done.files_removed), (1, 0));
    assert!(done.bytes > 0);

    let batches: Vec<_> = lake.scan(&COPILOT_EVENT, Scan::default()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].columns(), given.columns());
    assert_eq!(lake.weeks(&COPILOT_EVENT).await.unwrap(), vec![week()]);
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn rows_are_sorted_and_the_newest_of_a_key_stays() {
    let (folder, lake) = lake().await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    for rows in [
        [("c", 30, 1, "c"), ("a", 10, 2, "new"), ("b", 10, 1, "b")],
        [("a", 10, 1, "old"), ("d", 5, 1, "d"), ("c", 30, 1, "same version, later")],
    ] {
        changes.push(Some(week()), events(&rows)).await.unwrap();
    }
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!(done.rows_written, 4);
    assert_eq!(verbatims(&lake).await, owned(&[("a", "new"), ("b", "b"), ("c", "same version, later"), ("d", "d")]));
    assert_eq!(assert_sorted_and_unique(folder.path(), &logged(&lake, &COPILOT_EVENT).await), 4);
}

#[tokio::test]
async fn the_newest_version_wins_across_commits() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 5, "first"), ("b", 2, 5, "b"), ("c", 3, 5, "c")]).await;
    let done = put(&lake, &[("a", 1, 6, "second"), ("b", 2, 4, "older"), ("d", 2, 1, "d")]).await;
    assert_eq!((done.rows_written, done.rows_unchanged), (2, 1));
    assert_eq!((done.files_added, done.files_removed), (2, 1));
    assert_eq!(verbatims(&lake).await, owned(&[("a", "second"), ("b", "b"), ("c", "c"), ("d", "d")]));
    assert_sorted_and_unique(folder.path(), &logged(&lake, &COPILOT_EVENT).await);
    // Removed files are gone at once in a local lake.
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn what_is_known_already_makes_no_commit() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 5, "a"), ("b", 2, 5, "b")]).await;
    let before = logged(&lake, &COPILOT_EVENT).await;
    let done = put(&lake, &[("b", 2, 5, "b"), ("a", 1, 5, "a")]).await;
    assert_eq!(done, crate::Committed { rows_unchanged: 2, ..Default::default() });
    assert_eq!(logged(&lake, &COPILOT_EVENT).await, before);
    assert_glob_is_log(folder.path(), &lake).await;
    let nothing = lake.changes(&COPILOT_EVENT, MergeMode::Upsert).commit("run-1").await.unwrap();
    assert_eq!(nothing, crate::Committed::default());
}

#[tokio::test]
async fn only_files_that_lose_rows_are_rewritten() {
    let (_folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    put(&lake, &[("c", 100, 1, "c"), ("d", 200, 1, "d")]).await;
    let before = logged(&lake, &COPILOT_EVENT).await;
    // Meets the second file's times, but none of its keys; replaces a row of the first.
    let done = put(&lake, &[("b", 2, 2, "b2"), ("e", 150, 1, "e")]).await;
    assert_eq!(done.files_removed, 1);
    let after = logged(&lake, &COPILOT_EVENT).await;
    assert!(!after.contains(&before[0]) && after.contains(&before[1]));
    assert_eq!(verbatims(&lake).await.len(), 5);
}

#[tokio::test]
async fn without_versions_values_decide() {
    let (folder, lake) = lake().await;
    let put = async |rows: &[(&str, i64, &str)]| {
        let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
        changes.push(Some(week()), payloads(rows)).await.unwrap();
        changes.commit("run-1").await.unwrap()
    };
    put(&[("a", 1, "failed"), ("b", 2, "decoded")]).await;
    let kept = rows_as_is(&lake, "extracted_at").await;
    let done = put(&[("a", 1, "decoded"), ("b", 2, "decoded")]).await;
    assert_eq!((done.rows_written, done.rows_unchanged), (1, 1));
    assert_eq!(rows(&lake, &PAYLOAD, "source_id", "status").await, owned(&[("a", "decoded"), ("b", "decoded")]));
    // The row that did not change keeps the time at which it was read.
    assert!(rows_as_is(&lake, "extracted_at").await.contains(&kept[1]));
    // In one push the later row counts.
    let done = put(&[("c", 3, "failed"), ("c", 3, "decoded")]).await;
    assert_eq!(done.rows_written, 1);
    let found = rows(&lake, &PAYLOAD, "source_id", "status").await;
    assert_eq!(found[2], ("c".to_owned(), "decoded".to_owned()));
    assert_glob_is_log(folder.path(), &lake).await;
}

async fn rows_as_is(lake: &Lake, column: &'static str) -> Vec<i64> {
    let scan = Scan { columns: vec!["source_id", column], ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(&PAYLOAD, scan).await.unwrap().try_collect().await.unwrap();
    let values = batches.iter().flat_map(|batch| batch.column(1).as_primitive::<TimestampMicrosecondType>().values());
    values.copied().collect()
}

#[tokio::test]
async fn a_key_is_found_by_key_when_its_time_changes() {
    let (folder, lake) = lake().await;
    let put = async |rows: &[(&str, i64, &str)]| {
        let mut changes = lake.changes(&EXTRACTION_SLICE, MergeMode::Upsert);
        changes.push(None, slices(rows)).await.unwrap();
        changes.commit("run-1").await.unwrap()
    };
    put(&[("run-1", 10, "failed"), ("run-2", 20, "done")]).await;
    let done = put(&[("run-1", 500, "done")]).await;
    assert_eq!((done.rows_written, done.files_removed), (1, 1));
    let done = put(&[("run-3", 600, "failed"), ("run-3", 700, "done")]).await;
    assert_eq!((done.rows_written, done.files_removed), (1, 0));
    let found = rows(&lake, &EXTRACTION_SLICE, "run_id", "status").await;
    assert_eq!(found, owned(&[("run-1", "done"), ("run-2", "done"), ("run-3", "done")]));
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn a_key_that_comes_in_another_week_leaves_the_old_one() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "old"), ("b", 1, 1, "b")]).await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week().next()), events(&[("a", 8 * 86_400, 2, "new")])).await.unwrap();
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.files_added, done.files_removed), (2, 1));
    assert_eq!(verbatims(&lake).await, owned(&[("a", "new"), ("b", "b")]));
    assert_eq!(lake.weeks(&COPILOT_EVENT).await.unwrap(), vec![week(), week().next()]);
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn changes_that_are_open_together_do_not_double_a_key() {
    let (folder, lake) = lake().await;
    let mut first = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    let mut second = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    first.push(Some(week()), events(&[("a", 1, 1, "first"), ("b", 2, 1, "b")])).await.unwrap();
    second.push(Some(week()), events(&[("a", 1, 2, "second"), ("c", 3, 1, "c")])).await.unwrap();
    let (first, second) = tokio::join!(first.commit("run-1"), second.commit("run-1"));
    let versions = [first.unwrap().version, second.unwrap().version];
    assert!(versions.contains(&Some(1)) && versions.contains(&Some(2)));
    assert_eq!(verbatims(&lake).await, owned(&[("a", "second"), ("b", "b"), ("c", "c")]));
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn a_commit_of_another_writer_is_read_before_trying_again() {
    let (folder, lake) = lake().await;
    // Another handle that does not know of the first one's commits.
    let other = open(folder.path(), LakeOptions::default()).await;
    assert!(other.files(&COPILOT_EVENT).await.unwrap().is_empty());
    put(&lake, &[("a", 1, 1, "first"), ("b", 2, 1, "b")]).await;
    let done = put(&other, &[("a", 1, 2, "second"), ("b", 2, 1, "b")]).await;
    assert_eq!((done.version, done.rows_written, done.rows_unchanged), (Some(2), 1, 1));
    assert_eq!(verbatims(&other).await, owned(&[("a", "second"), ("b", "b")]));
    assert_glob_is_log(folder.path(), &other).await;
}

#[tokio::test]
async fn a_reader_keeps_removed_files_until_it_is_dropped() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "first")]).await;
    let before = logged(&lake, &COPILOT_EVENT).await;
    let scan = Scan { columns: vec!["msdyn_copiloteventid", "msdyn_verbatim"], week: Some(week()), ..Scan::default() };
    let stream = lake.scan(&COPILOT_EVENT, scan).await.unwrap();
    put(&lake, &[("a", 1, 2, "second")]).await;
    assert!(folder.path().join(&before[0]).exists());
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(pairs(&batches[0]), owned(&[("a", "first")]));
    assert!(!folder.path().join(&before[0]).exists());
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn removed_files_stay_as_long_as_asked() {
    let folder = TempDir::new().unwrap();
    let day = std::time::Duration::from_hours(24);
    let options = LakeOptions { removed_files: Some(day), ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();
    put(&lake, &[("a", 1, 1, "first")]).await;
    let before = logged(&lake, &COPILOT_EVENT).await;
    put(&lake, &[("a", 1, 2, "second")]).await;
    assert_eq!(glob(folder.path(), "msdyn_copilotevent").len(), 2);
    lake.prepare(&instance(), true).await.unwrap();
    assert!(folder.path().join(&before[0]).exists());
    // Another opening keeps nothing.
    let lake = open(folder.path(), LakeOptions::default()).await;
    lake.prepare(&instance(), true).await.unwrap();
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn rows_that_do_not_fit_are_refused() {
    let (_folder, lake) = lake().await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    let wrong = payloads(&[("a", 1, "decoded")]);
    let error = changes.push(Some(week()), wrong).await.unwrap_err();
    assert!(matches!(error, crate::Error::Rows { table: "msdyn_copilotevent", .. }), "{error}");
    assert!(changes.push(None, events(&[("a", 1, 1, "")])).await.is_err());
}

#[tokio::test]
async fn keys_that_are_to_go_are_looked_for_at_their_times() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    put(&lake, &[("a2", 100, 1, "x"), ("y", 200, 1, "y")]).await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove_within(&events(&[("a", 1, 0, ""), ("y", 3, 0, "")])).unwrap();
    changes.push(Some(week()), events(&[("c", 50, 1, "c")])).await.unwrap();
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.rows_written, done.files_added, done.files_removed), (1, 2, 1));
    assert_eq!(verbatims(&lake).await, owned(&[("a2", "x"), ("b", "b"), ("c", "c"), ("y", "y")]), "y has another time");
    // What is new is not looked for, unless something is to go.
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Append);
    changes.push(Some(week()), events(&[("d", 60, 1, "d")])).await.unwrap();
    changes.commit("run-1").await.unwrap();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("d", 60, 2, "again")])).await.unwrap();
    changes.commit("run-1").await.unwrap();
    let now = verbatims(&lake).await;
    assert!(now.contains(&("d".to_owned(), "again".to_owned())) && now.len() == 5, "{now:?}");
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn keys_that_are_to_go_take_their_rows_along() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    put(&lake, &[("x", 100, 1, "x"), ("y", 200, 1, "y")]).await;
    let before = logged(&lake, &COPILOT_EVENT).await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove(&events(&[("a", 0, 0, ""), ("c", 0, 0, "")])).unwrap();
    changes.push(Some(week()), events(&[("c", 3, 1, "c")])).await.unwrap();
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.rows_written, done.files_added, done.files_removed), (1, 2, 1));
    assert_eq!(verbatims(&lake).await, owned(&[("b", "b"), ("c", "c"), ("x", "x"), ("y", "y")]));
    assert!(logged(&lake, &COPILOT_EVENT).await.contains(&before[1]));

    // Without new rows it is a commit too; what is not there changes nothing.
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove(&events(&[("b", 0, 0, "")])).unwrap();
    assert!(changes.commit("run-1").await.unwrap().version.is_some());
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove(&events(&[("b", 0, 0, "")])).unwrap();
    assert_eq!(changes.commit("run-1").await.unwrap().version, None);
    assert_eq!(verbatims(&lake).await, owned(&[("c", "c"), ("x", "x"), ("y", "y")]));
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn an_equal_version_with_other_values_replaces_the_row() {
    let (_folder, lake) = lake().await;
    put(&lake, &[("a", 1, 5, "as decoded then"), ("b", 2, 5, "b")]).await;
    let done = put(&lake, &[("a", 1, 5, "as decoded now"), ("b", 2, 5, "b")]).await;
    assert_eq!((done.rows_written, done.rows_unchanged), (1, 1));
    assert_eq!(verbatims(&lake).await, owned(&[("a", "as decoded now"), ("b", "b")]));
}

#[tokio::test]
async fn a_commit_waits_for_what_has_to_be_there_before() {
    let (folder, lake) = lake().await;
    let changes = |status| {
        let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
        async move {
            changes.push(Some(week()), payloads(&[("1", 1, status)])).await.unwrap();
            changes
        }
    };
    let (committed, before) = tokio::sync::oneshot::channel();
    let first = changes("decoded").await;
    let mut commit = std::pin::pin!(first.commit_after(before, "run-1"));
    // Its file is written, and it is not part of the table.
    while glob(folder.path(), "payload").is_empty() {
        tokio::select! {
            done = &mut commit => panic!("it did not wait: {done:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(logged(&lake, &PAYLOAD).await.is_empty());
    committed.send(()).unwrap();
    assert_eq!(commit.await.unwrap().rows_written, 1);

    let (committed, before) = tokio::sync::oneshot::channel();
    drop(committed);
    let error = changes("failed").await.commit_after(before, "run-1").await.unwrap_err();
    assert!(error.to_string().contains("what has to be committed before was not"), "{error}");
    assert_eq!(rows(&lake, &PAYLOAD, "source_id", "status").await, [("1".to_owned(), "decoded".to_owned())]);
    assert_glob_is_log(folder.path(), &lake).await;
}
