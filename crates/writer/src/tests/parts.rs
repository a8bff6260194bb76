//! Parts of a lake, whose rows become the lake's once and for all.

use object_store::memory::InMemory;

use super::machine::Machine;
use super::*;
use crate::{Committed, Error, LakePart};

/// A part with these rows.
async fn part_with(lake: &Lake, name: &str, rows: &[(&str, i64, i64, &str)]) -> LakePart {
    let part = lake.part(name).unwrap();
    part.lake.prepare(&instance(), false).await.unwrap();
    put(&part.lake, rows).await;
    part
}

async fn has_committed(lake: &Lake, app_id: &str) -> bool {
    lake.inner.log(&COPILOT_EVENT).has_committed(app_id).await.unwrap()
}

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The parts of a lake in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder.join("_parts")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_newest_version_stays_whatever_the_order() {
    for order in [[0, 1], [1, 0]] {
        let (folder, lake) = lake().await;
        let parts = [
            part_with(&lake, "one", &[("a", 1, 1, "old"), ("b", 2, 1, "b"), ("c", 3, 2, "new")]).await,
            part_with(&lake, "two", &[("a", 1, 2, "new"), ("c", 3, 1, "old"), ("d", 4, 1, "d")]).await,
        ];
        for at in order {
            lake.commit_part(&parts[at], &COPILOT_EVENT, &format!("shard {at}"), "run-1").await.unwrap();
        }
        assert_eq!(verbatims(&lake).await, owned(&[("a", "new"), ("b", "b"), ("c", "new"), ("d", "d")]));
        assert_eq!(assert_sorted_and_unique(folder.path(), &logged(&lake, &COPILOT_EVENT).await), 4);
        assert_glob_is_log(folder.path(), &lake).await;
    }
}

#[tokio::test]
async fn what_the_log_knows_is_not_committed_again() {
    let (folder, lake) = lake().await;
    let part = part_with(&lake, "one", &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    let done = lake.commit_part(&part, &COPILOT_EVENT, "shard", "run-1").await.unwrap();
    assert_eq!((done.rows_written, done.files_added), (2, 1));
    assert_eq!(logged(&part.lake, &COPILOT_EVENT).await, logged(&lake, &COPILOT_EVENT).await, "it has moved");
    // A row that another run changed, and another process that replayed the same.
    put(&lake, &[("a", 1, 2, "changed")]).await;
    let again = open(folder.path(), LakeOptions::default()).await;
    let part = part_with(&again, "two", &[("a", 1, 3, "again"), ("e", 5, 1, "e")]).await;
    let done = again.commit_part(&part, &COPILOT_EVENT, "shard", "run-2").await.unwrap();
    assert_eq!(done, Committed::default());
    assert_eq!(verbatims(&again).await, owned(&[("a", "changed"), ("b", "b")]));

    // Of rows that the lake has already, the log learns what they are known by.
    let part = part_with(&again, "three", &[("b", 2, 1, "b")]).await;
    let done = again.commit_part(&part, &COPILOT_EVENT, "another", "run-3").await.unwrap();
    assert_eq!((done.rows_written, done.rows_unchanged, done.files_added), (0, 1, 0));
    assert_glob_is_log(folder.path(), &again).await;

    // It knows it after a checkpoint, too.
    again.inner.log(&COPILOT_EVENT).checkpoint().await.unwrap();
    let reopened = open(folder.path(), LakeOptions::default()).await;
    for (app_id, expected) in [("shard", true), ("another", true), ("a third", false)] {
        assert_eq!(has_committed(&reopened, app_id).await, expected, "{app_id}");
    }
}

#[tokio::test]
async fn a_part_without_rows_needs_no_commit() {
    let (_folder, lake) = lake().await;
    let part = lake.part("one").unwrap();
    part.lake.prepare(&instance(), false).await.unwrap();
    let done = lake.commit_part(&part, &COPILOT_EVENT, "shard", "run-1").await.unwrap();
    assert_eq!((done, has_committed(&lake, "shard").await), (Committed::default(), false));
}

#[tokio::test]
async fn nothing_is_committed_of_a_part_that_lost_a_file() {
    let (folder, lake) = lake().await;
    let part = part_with(&lake, "one", &[("a", 1, 1, "a")]).await;
    put(&part.lake, &[("b", 100, 1, "b")]).await;
    let files = logged(&part.lake, &COPILOT_EVENT).await;
    assert_eq!(files.len(), 2);
    std::fs::remove_file(folder.path().join("_parts/one").join(&files[1])).unwrap();
    lake.commit_part(&part, &COPILOT_EVENT, "shard", "run-1").await.unwrap_err();
    assert_eq!(verbatims(&lake).await, owned(&[]));
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn parts_are_removed_unless_a_process_writes_them() {
    let (folder, lake) = lake().await;
    let running = part_with(&lake, "a-running", &[("a", 1, 1, "a")]).await;
    let held = running.lake.lock("run-1").await.unwrap();
    for name in ["a-killed", "b-killed"] {
        part_with(&lake, name, &[("b", 2, 1, "b")]).await;
    }
    let all = lake.files_of_parts().await.unwrap();
    let removed = lake.remove_abandoned_parts("a-", "run-2").await.unwrap();
    assert!(removed.files > 0 && removed.bytes > 0 && removed.files < all.files, "{removed:?} of {all:?}");
    assert_eq!(names(folder.path()), ["a-running", "b-killed"]);
    lake.remove_abandoned_parts("", "run-2").await.unwrap();
    assert_eq!(names(folder.path()), ["a-running"]);
    lake.commit_part(&running, &COPILOT_EVENT, "shard", "run-1").await.unwrap();
    assert_eq!(verbatims(&lake).await, owned(&[("a", "a")]));

    held.release().await;
    lake.remove_part(&running).await.unwrap();
    assert_eq!(names(folder.path()).len(), 0);
    lake.remove_abandoned_parts("", "run-2").await.unwrap();
    assert!(!folder.path().join("_parts").exists());
    assert_eq!(lake.remove_abandoned_parts("", "run-2").await.unwrap().files, 0);
}

#[tokio::test(start_paused = true)]
async fn who_was_paused_for_too_long_commits_no_part_afterwards() {
    let store = Arc::new(InMemory::new());
    let (lake, other) = (Machine::new(&store).lake(), Machine::new(&store).lake());
    let part = lake.part("one").unwrap();
    std::mem::forget(part.lake.lock("run-1").await.unwrap());
    part.lake.prepare(&instance(), false).await.unwrap();
    put(&part.lake, &[("a", 1, 1, "a")]).await;
    part.lake.inner.storage.lease.get().unwrap().pause();
    // Somebody watches its lease, and takes it for killed.
    assert!(other.remove_abandoned_parts("", "run-2").await.unwrap().files > 0);
    let lock = lake.lock("run-1").await.unwrap();
    lake.prepare(&instance(), false).await.unwrap();
    match lake.commit_part(&part, &COPILOT_EVENT, "shard", "run-1").await {
        Err(Error::Store { .. }) => {}
        other => panic!("{other:?}"),
    }
    lock.release().await;
    let fresh = Machine::new(&store).lake();
    assert_eq!(verbatims(&fresh).await, owned(&[]));
    assert_eq!(fresh.files_of_parts().await.unwrap().files, 0);
}
