//! Parts of a lake, whose rows become the lake's once and for all.

use bytes::Bytes;

use super::*;

/// A part with these rows.
async fn part_with(lake: &Lake, name: &str, rows: &[(&str, i64, i64, &str)]) {
    lake.clear_part(name).await.unwrap();
    let part = lake.part(name).unwrap();
    part.prepare(&instance(), false).await.unwrap();
    put(&part, rows).await;
}

async fn version(lake: &Lake) -> u64 {
    lake.inner.log(&COPILOT_EVENT).snapshot().await.unwrap().unwrap().version
}

fn owned(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn the_newest_version_stays_whatever_the_order() {
    for order in [["one", "two"], ["two", "one"]] {
        let (folder, lake) = lake().await;
        part_with(&lake, "one", &[("a", 1, 1, "old"), ("b", 2, 1, "b"), ("c", 3, 2, "new")]).await;
        part_with(&lake, "two", &[("a", 1, 2, "new"), ("c", 3, 1, "old"), ("d", 4, 1, "d")]).await;
        for part in order {
            assert!(!lake.has_taken(part, &COPILOT_EVENT).await.unwrap());
            lake.take_part(part, &COPILOT_EVENT, "run-1").await.unwrap();
            assert!(lake.has_taken(part, &COPILOT_EVENT).await.unwrap());
        }
        assert_eq!(verbatims(&lake).await, owned(&[("a", "new"), ("b", "b"), ("c", "new"), ("d", "d")]));
        assert_eq!(assert_sorted_and_unique(folder.path(), &logged(&lake, &COPILOT_EVENT).await), 4);
        assert_glob_is_log(folder.path(), &lake).await;
    }
}

#[tokio::test]
async fn a_part_is_taken_once_even_without_rows() {
    let (folder, lake) = lake().await;
    part_with(&lake, "one", &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    lake.take_part("one", &COPILOT_EVENT, "run-1").await.unwrap();
    let taken = version(&lake).await;
    // A row that another run changed, and a process that takes the part again.
    put(&lake, &[("a", 1, 2, "changed")]).await;
    part_with(&lake, "one", &[("a", 1, 3, "again"), ("e", 5, 1, "e")]).await;
    let other = open(folder.path(), LakeOptions::default()).await;
    other.take_part("one", &COPILOT_EVENT, "run-2").await.unwrap();
    assert_eq!(verbatims(&other).await, owned(&[("a", "changed"), ("b", "b")]));
    assert_eq!(version(&other).await, taken + 1, "the change alone");

    part_with(&lake, "none", &[]).await;
    lake.take_part("none", &COPILOT_EVENT, "run-1").await.unwrap();
    assert!(lake.has_taken("none", &COPILOT_EVENT).await.unwrap());
    assert_eq!(version(&lake).await, taken + 2);

    // The log knows it after a checkpoint, too.
    lake.inner.log(&COPILOT_EVENT).checkpoint().await.unwrap();
    let reopened = open(folder.path(), LakeOptions::default()).await;
    assert!(reopened.has_taken("one", &COPILOT_EVENT).await.unwrap());
    assert!(!reopened.has_taken("two", &COPILOT_EVENT).await.unwrap());
}

#[tokio::test]
async fn what_is_noted_of_parts_stays_until_they_are_removed() {
    let (folder, lake) = lake().await;
    assert_eq!(lake.parts_note().await.unwrap(), None);
    assert!(lake.note_parts(Bytes::from_static(b"first")).await.unwrap());
    assert!(!lake.note_parts(Bytes::from_static(b"second")).await.unwrap());
    assert_eq!(lake.parts_note().await.unwrap().unwrap(), "first");
    part_with(&lake, "one", &[("a", 1, 1, "a")]).await;
    lake.remove_parts().await.unwrap();
    assert_eq!(lake.parts_note().await.unwrap(), None);
    assert!(!folder.path().join("_parts").exists());
    lake.remove_parts().await.unwrap();
}
