//! Requests to a store in a cloud: few, and no more of them as a lake grows old.

use object_store::memory::InMemory;

use super::*;
use crate::StoreRequests;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;

fn opened(store: &Arc<InMemory>) -> Lake {
    let url = paths::memory_url().unwrap();
    let uploads = AbandonedUploads::Unlisted;
    let location =
        Location { url, store: Arc::<InMemory>::clone(store), local: None, lock_kind: LockKind::Process, uploads };
    Lake::at(location, &LakeOptions::default()).unwrap()
}

/// The requests that the lake makes meanwhile.
async fn requests<T>(lake: &Lake, work: impl Future<Output = T>) -> StoreRequests {
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

/// Commits an event of the week that is so many after the first.
async fn put_in_week(lake: &Lake, n: i64) {
    let week = (0..n).fold(week(), |week, _| week.next());
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week), events(&[(&format!("w{n}"), n * 7 * Instant::DAY_SECONDS, 1, "x")])).await.unwrap();
    changes.commit("run-1").await.unwrap();
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
    // Each of the twenty commits that there may be since the last checkpoint is read five times.
    assert!(costs[1].reads <= costs[0].reads + 100, "{costs:?}");
    assert!(
        costs[1].reads <= 250 && costs[1].lists <= 30,
        "of {} tables: {costs:?}",
        copilot_lake_tables::TABLES.len()
    );
}
