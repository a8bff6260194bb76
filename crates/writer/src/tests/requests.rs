//! Requests to a store in a cloud: few, and no more of them as a lake grows old.

use copilot_lake_tables::TRANSCRIPT_MESSAGE;
use object_store::memory::InMemory;

use super::*;
use crate::StoreRequests;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;

/// The lake in a store.
pub(super) fn opened(store: &Arc<InMemory>) -> Lake {
    let url = paths::memory_url().unwrap();
    let uploads = AbandonedUploads::Unlisted;
    let store = Arc::<InMemory>::clone(store);
    // So few that a listing that grows is seen.
    let page = 50;
    let location = Location { url, store, page, local: None, lock_kind: LockKind::Process, uploads };
    Lake::at(location, &LakeOptions::default()).unwrap()
}

/// The requests that the lake makes meanwhile.
pub(super) async fn requests<T>(lake: &Lake, work: impl Future<Output = T>) -> StoreRequests {
    let before = lake.store_requests().unwrap();
    work.await;
    let after = lake.store_requests().unwrap();
    StoreRequests {
        reads: after.reads - before.reads,
        writes: after.writes - before.writes,
        lists: after.lists - before.lists,
        deletes: after.deletes - before.deletes,
    }
}

#[tokio::test]
async fn a_commit_writes_its_file_and_its_entry() {
    let store = Arc::default();
    let lake = opened(&store);
    lake.prepare(&instance(), false).await.unwrap();
    put(&lake, &[("a", 1, 1, "a")]).await;
    let of_new = requests(&lake, put(&lake, &[("b", 500_000, 1, "b")])).await;
    assert_eq!(of_new, StoreRequests { reads: 0, writes: 2, lists: 0, deletes: 0 });
    // The replaced row's file: its keys, and its rows. It stays for readers of older versions.
    let of_changed = requests(&lake, put(&lake, &[("a", 600_000, 2, "new")])).await;
    assert!(of_changed.reads <= 8 && of_changed.writes == 2 && of_changed.lists == 0, "{of_changed:?}");
}

#[tokio::test]
async fn a_run_that_starts_asks_no_more_of_an_old_lake() {
    let store = Arc::default();
    let mut costs = Vec::new();
    let mut commits = 0;
    for until in [50, 410] {
        let lake = opened(&store);
        lake.prepare(&instance(), false).await.unwrap();
        for commit in commits..until {
            put_in_week(&lake, commit % (until / 10)).await;
            let _ = put(&lake, &[("again", 1, commit, "x")]).await;
        }
        commits = until;
        let next = opened(&store);
        costs.push(requests(&next, async { next.prepare(&instance(), false).await.unwrap() }).await);
    }
    assert_eq!((costs[1].lists, costs[1].writes), (costs[0].lists, 0), "{costs:?}");
    // Each of the twenty commits that there may be since the last checkpoint is read once.
    assert!(costs[1].reads <= costs[0].reads + 20, "{costs:?}");
    // Of each log: one listing, what names its last checkpoint, that checkpoint, or the commit that made the table.
    let tables = copilot_lake_tables::TABLES.len() as u64;
    assert!(costs[1].reads <= 2 * tables + 20 && costs[1].lists == tables, "of {tables} tables: {costs:?}");
}

#[tokio::test]
async fn whether_a_table_exists_is_told_without_reading_it() {
    let store = Arc::default();
    let lake = opened(&store);
    let has_table = async |lake: &Lake, expected: bool| {
        let of_has = requests(lake, async { assert_eq!(lake.has(&EXTRACTION_SLICE).await.unwrap(), expected) }).await;
        (of_has.reads, of_has.lists)
    };
    assert_eq!(has_table(&lake, false).await, (0, 1));
    lake.prepare(&instance(), false).await.unwrap();
    assert_eq!(has_table(&lake, true).await, (0, 0), "it is known");
    assert_eq!(has_table(&opened(&store), true).await, (0, 1));
}

/// Commits two messages of a transcript, which replace all others of it.
async fn put_messages(lake: &Lake, transcript: &str, messages: [&str; 2]) -> crate::Committed {
    let rows = batch(
        &TRANSCRIPT_MESSAGE,
        &[
            ("transcript_data_id", texts(&[transcript; 2])),
            ("message_id", texts(&messages)),
            ("row_time", times([at(1), at(1)].into_iter())),
            ("extracted_at", times([at(2), at(2)].into_iter())),
        ],
    );
    let mut changes = lake.changes(&TRANSCRIPT_MESSAGE, MergeMode::Upsert);
    changes.remove(&rows.project(&[0]).unwrap().slice(0, 1)).unwrap();
    changes.push(Some(week()), rows).await.unwrap();
    changes.commit("run-1").await.unwrap()
}

#[tokio::test]
async fn messages_of_new_transcripts_are_not_searched_for_in_the_table() {
    let store = Arc::default();
    let lake = opened(&store);
    lake.prepare(&instance(), false).await.unwrap();
    for n in 0..12 {
        let of_new = requests(&lake, put_messages(&lake, &format!("t{n}"), ["a", "b"])).await;
        assert!(n == 0 || of_new.reads == 0, "transcript {n}: {of_new:?}");
    }
    // Those of a known one are found, by this lake and by one that begins to know its keys.
    let replaced = put_messages(&lake, "t3", ["b", "c"]).await;
    assert_eq!((replaced.rows_written, replaced.rows_unchanged), (1, 1));
    let next = opened(&store);
    next.prepare(&instance(), false).await.unwrap();
    for n in 0..4 {
        put_messages(&next, &format!("u{n}"), ["a", "b"]).await;
    }
    let replaced = put_messages(&next, "t3", ["c", "d"]).await;
    assert_eq!((replaced.rows_written, replaced.rows_unchanged), (1, 1));
    let mut found = rows(&next, &TRANSCRIPT_MESSAGE, "transcript_data_id", "message_id").await;
    found.retain(|(transcript, _)| transcript == "t3");
    assert_eq!(found, [("t3", "c"), ("t3", "d")].map(|(a, b)| (a.to_owned(), b.to_owned())));
}
