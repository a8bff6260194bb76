//! Leases: one writing run at a time in a store that several machines reach.

use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use tokio::time::{Duration, Instant as Moment};

use super::machine::{Fault, Machine};
use super::*;
use crate::Error;
use crate::maintenance::orphan_files;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::counted_store::PAGE_OBJECTS;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;

#[tokio::test(start_paused = true)]
async fn a_second_run_learns_that_the_first_still_runs() {
    let store = Arc::new(InMemory::new());
    let (first, second) = (Machine::new(&store).lake(), Machine::new(&store).lake());
    let lock = first.lock("run-1").await.unwrap();
    let began = Moment::now();
    match second.lock("run-2").await {
        Err(Error::Held { run_id, .. }) => assert_eq!(run_id, "run-1"),
        other => panic!("{:?}", other.err()),
    }
    assert!(began.elapsed() <= Duration::from_secs(14), "the next renewal shows it: {:?}", began.elapsed());
    lock.release().await;
    let began = Moment::now();
    second.lock("run-2").await.unwrap().release().await;
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing to watch");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_while_it_is_watched_is_not_waited_for() {
    let store = Arc::new(InMemory::new());
    let (first, second) = (Machine::new(&store).lake(), Machine::new(&store).lake());
    let lock = first.lock("run-1").await.unwrap();
    let ending = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        lock.release().await;
    });
    second.lock("run-2").await.unwrap().release().await;
    ending.await.unwrap();
}

/// A lake with a row, whose writer is paused, and another machine.
async fn paused() -> (Arc<Machine>, Lake, Lake) {
    let store = Arc::new(InMemory::new());
    let machine = Machine::new(&store);
    let (paused, other) = (machine.lake(), Machine::new(&store).lake());
    std::mem::forget(paused.lock("run-1").await.unwrap());
    paused.prepare(&instance(), false).await.unwrap();
    put(&paused, &[("a", 1, 1, "a")]).await;
    paused.inner.storage.lease.get().unwrap().pause();
    (machine, paused, other)
}

#[tokio::test(start_paused = true)]
async fn who_was_paused_for_too_long_commits_nothing_afterwards() {
    let (_machine, paused, other) = paused().await;
    let began = Moment::now();
    let lock = other.lock("run-2").await.unwrap();
    let watched = began.elapsed();
    assert!(watched >= Duration::from_secs(30) && watched < Duration::from_secs(40), "{watched:?}");
    put(&other, &[("b", 2, 1, "b")]).await;
    let mut changes = paused.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("c", 3, 1, "c")])).await.unwrap();
    match changes.commit("run-1").await {
        Err(Error::LeaseLost { run_id, .. }) => assert_eq!(run_id, "run-2"),
        other => panic!("{other:?}"),
    }
    lock.release().await;
    assert_eq!(verbatims(&other).await.len(), 2, "a and b");
}

#[tokio::test(start_paused = true)]
async fn who_was_paused_between_the_look_and_the_commit_commits_nothing_either() {
    let (machine, paused, other) = paused().await;
    let mut changes = paused.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("c", 3, 1, "c")])).await.unwrap();
    machine.stall(true);
    let committing = tokio::spawn(changes.commit("run-1"));
    // It has looked at the lease, and waits with its request.
    machine.stalled().await;
    let lock = other.lock("run-2").await.unwrap();
    machine.stall(false);
    match committing.await.unwrap() {
        Err(Error::LeaseLost { run_id, .. }) => assert_eq!(run_id, "run-2"),
        other => panic!("{other:?}"),
    }
    lock.release().await;
    assert_eq!(verbatims(&other).await.len(), 1, "a alone");
}

/// The data files of events in the store.
async fn data_files(lake: &Lake) -> Vec<String> {
    let files: Vec<_> = lake.store().list(Some(&COPILOT_EVENT.name.into())).try_collect().await.unwrap();
    let paths = files.into_iter().map(|file| file.location.to_string());
    paths.filter(|path| !path.contains(paths::LOG)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_given_up_leaves_files_only_if_it_was_made() {
    for is_taken_over in [true, false] {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        let (lake, other) = (machine.lake(), Machine::new(&store).lake());
        let lock = lake.lock("run-1").await.unwrap();
        lake.prepare(&instance(), false).await.unwrap();
        put(&lake, &[("a", 1, 1, "a")]).await;
        let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
        changes.push(Some(week()), events(&[("c", 3, 1, "c")])).await.unwrap();
        machine.stall(true);
        let committing = tokio::spawn(changes.commit("run-1"));
        machine.stalled().await;
        // As a run does that ends because another table failed.
        committing.abort();
        assert!(committing.await.unwrap_err().is_cancelled());
        if is_taken_over {
            lake.inner.storage.lease.get().unwrap().pause();
            std::mem::forget(other.lock("run-2").await.unwrap());
        }
        assert_eq!(data_files(&other).await.len(), 2, "it waits with its entry");
        machine.stall(false);
        lock.release().await;
        let fresh = Machine::new(&store).lake();
        let rows = if is_taken_over { 1 } else { 2 };
        assert_eq!(verbatims(&fresh).await.len(), rows);
        assert_eq!(data_files(&fresh).await, logged(&fresh, &COPILOT_EVENT).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_costs_nothing() {
    let (_machine, paused, _) = paused().await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    put(&paused, &[("b", 2, 1, "b")]).await;
    assert_eq!(verbatims(&paused).await.len(), 2);
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    let store = Arc::new(InMemory::new());
    let machine = Machine::careless(&store);
    assert!(matches!(machine.lake().lock("run-1").await, Err(Error::NoConditionalPut)));
    let options = LakeOptions {
        store: StoreOptions { single_writer: true, ..StoreOptions::default() },
        ..LakeOptions::default()
    };
    let url = paths::memory_url().unwrap();
    let location = Location {
        url,
        store: machine,
        page: PAGE_OBJECTS,
        local: None,
        lock_kind: LockKind::Lease,
        uploads: AbandonedUploads::Unlisted,
    };
    Lake::at(location, &options).unwrap().lock("run-1").await.unwrap().release().await;
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_was_not_answered_fences_all_the_same() {
    let (machine, paused, _) = paused().await;
    let mut changes = paused.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("c", 3, 1, "c")])).await.unwrap();
    machine.stall(true);
    let committing = tokio::spawn(changes.commit("run-1"));
    machine.stalled().await;
    let taker = machine.another();
    // Its client puts the lease if absent, then in place of the other's: that is done, and the answer is lost.
    taker.fail(paths::LOCK, &[Fault::None, Fault::RetriedAfterDone]);
    let other = taker.lake();
    let lock = other.lock("run-2").await.unwrap();
    machine.stall(false);
    assert!(matches!(committing.await.unwrap(), Err(Error::LeaseLost { .. })));
    lock.release().await;
    assert_eq!(verbatims(&other).await.len(), 1, "a alone");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_deleted_is_fenced_like_one_that_was_taken_over() {
    let (machine, paused, other) = paused().await;
    let mut changes = paused.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("c", 3, 1, "c")])).await.unwrap();
    machine.stall(true);
    let committing = tokio::spawn(changes.commit("run-1"));
    machine.stalled().await;
    machine.delete(&StorePath::from(paths::LOCK)).await.unwrap();
    let lock = other.lock("run-2").await.unwrap();
    machine.stall(false);
    assert!(matches!(committing.await.unwrap(), Err(Error::LeaseLost { .. })));
    lock.release().await;
    assert_eq!(verbatims(&other).await.len(), 1, "a alone");
}

#[tokio::test(start_paused = true)]
async fn renewals_that_are_not_answered_cost_nothing() {
    let store = Arc::new(InMemory::new());
    let machine = Machine::new(&store);
    let (lake, other) = (machine.lake(), Machine::new(&store).lake());
    let lock = lake.lock("run-1").await.unwrap();
    lake.prepare(&instance(), false).await.unwrap();
    machine.fail(paths::LOCK, &[Fault::AnswerLost, Fault::RetriedAfterDone, Fault::NotDone, Fault::Hangs]);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert!(matches!(other.lock("run-2").await, Err(Error::Held { .. })));
    put(&lake, &[("a", 1, 1, "a")]).await;
    // The release is not answered either.
    machine.fail(paths::LOCK, &[Fault::RetriedAfterDone]);
    lock.release().await;
    let began = Moment::now();
    other.lock("run-2").await.unwrap().release().await;
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing to watch");
}

#[tokio::test(start_paused = true)]
async fn a_holder_waits_for_a_store_that_is_away() {
    let store = Arc::new(InMemory::new());
    let machine = Machine::new(&store);
    let lake = machine.lake();
    let lock = lake.lock("run-1").await.unwrap();
    lake.prepare(&instance(), false).await.unwrap();
    machine.fail(paths::LOCK, &[Fault::NotDone; 30]);
    tokio::time::sleep(Duration::from_secs(16)).await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    lock.release().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_store_does_not_answer_nobody_is_taken_over() {
    let store = Arc::new(InMemory::new());
    let (first, second) = (Machine::new(&store), Machine::new(&store));
    let (lake, other) = (first.lake(), second.lake());
    let lock = lake.lock("run-1").await.unwrap();
    let waiting = tokio::spawn(async move { other.lock("run-2").await.err() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Both are cut off for longer than a lease is watched.
    for machine in [&first, &second] {
        machine.cut_off(true);
    }
    tokio::time::sleep(Duration::from_secs(90)).await;
    for machine in [&second, &first] {
        machine.cut_off(false);
    }
    assert!(matches!(waiting.await.unwrap(), Some(Error::Held { .. })));
    lock.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_arrives_after_it_failed_is_not_doubled() {
    for faults in [&[Fault::AnswerLost][..], &[Fault::RetriedAfterDone], &[Fault::Late], &[Fault::Late, Fault::NotDone]]
    {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        let lake = machine.lake();
        let lock = lake.lock("run-1").await.unwrap();
        lake.prepare(&instance(), false).await.unwrap();
        machine.fail(&format!("{}/{}", COPILOT_EVENT.name, paths::LOG), faults);
        put(&lake, &[("a", 1, 1, "a")]).await;
        machine.deliver().await;
        lock.release().await;
        let fresh = Machine::new(&store).lake();
        assert_eq!(verbatims(&fresh).await.len(), 1, "{faults:?}");
        let began = Moment::now();
        fresh.lock("run-2").await.unwrap().release().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{faults:?}: nothing to watch");
    }
}

#[tokio::test(start_paused = true)]
async fn files_stay_until_it_is_known_whether_they_are_committed() {
    for arrives_in_time in [true, false] {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        let lake = machine.lake();
        let lock = lake.lock("run-1").await.unwrap();
        lake.prepare(&instance(), false).await.unwrap();
        machine.fail(&format!("{}/{}", COPILOT_EVENT.name, paths::LOG), &[Fault::Late, Fault::Late, Fault::Late]);
        let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
        changes.push(Some(week()), events(&[("a", 1, 1, "a")])).await.unwrap();
        assert!(matches!(changes.commit("run-1").await, Err(Error::CommitUnknown { .. })));
        lock.release().await;
        if arrives_in_time {
            machine.deliver().await;
        }
        let other = Machine::new(&store).lake();
        let began = Moment::now();
        let lock = other.lock("run-2").await.unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO, "the first has ended, so nothing is watched");
        machine.deliver().await;
        // Whatever is not committed is an orphan now, and what is committed is there.
        other.prepare(&instance(), true).await.unwrap();
        assert_eq!(verbatims(&other).await.len(), usize::from(arrives_in_time));
        lock.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_paused_for_too_long_deletes_no_files_of_the_other() {
    let (_machine, paused, other) = paused().await;
    let lock = other.lock("run-2").await.unwrap();
    put(&other, &[("b", 2, 1, "b")]).await;
    // Its snapshot is from before; the file of b looks like an orphan.
    let log = paused.inner.log(&COPILOT_EVENT);
    match orphan_files::remove(&paused.inner.storage, &log).await {
        Err(Error::LeaseLost { run_id, .. }) => assert_eq!(run_id, "run-2"),
        other => panic!("{:?}", other.map(|missing| missing.len())),
    }
    assert_eq!(verbatims(&other).await.len(), 2, "a and b");
    lock.release().await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_is_not_answered_is_sent_again() {
    let store = Arc::new(InMemory::new());
    let machine = Machine::new(&store);
    let lake = machine.lake();
    lake.prepare(&instance(), false).await.unwrap();
    for faults in [&[Fault::NotDone, Fault::NotDone][..], &[Fault::AnswerLost], &[Fault::NotDone, Fault::AnswerLost]] {
        let path = StorePath::from("msdyn_copilotevent/left.parquet");
        lake.store().put(&path, "rows".into()).await.unwrap();
        machine.fail_deletes(faults);
        lake.store().delete(&path).await.unwrap();
        assert!(store.head(&path).await.is_err(), "{faults:?}");
    }
    machine.fail_deletes(&[Fault::NotDone; 20]);
    assert!(lake.store().delete(&StorePath::from("a")).await.is_err(), "not for ever");
}

/// A text whose file is too long for one request, since it hardly compresses.
fn long_text() -> String {
    (0..40_000).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect()
}

#[tokio::test]
async fn an_upload_that_is_given_up_is_aborted() {
    let store = Arc::new(InMemory::new());
    let machine = Machine::new(&store);
    let lake = machine.lake();
    lake.prepare(&instance(), false).await.unwrap();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("a", 1, 1, &long_text())])).await.unwrap();
    machine.fail("week_start", &[Fault::NotDone]);
    changes.commit("run-1").await.unwrap_err();
    machine.uploads_ended().await;
    let (begun, ended) = machine.uploads();
    assert!(begun > 0 && begun == ended, "{begun} begun, {ended} aborted or completed");
}

#[tokio::test]
async fn an_upload_whose_completion_is_not_answered_is_complete() {
    for text in ["in one request", &long_text()] {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        let lake = machine.lake();
        lake.prepare(&instance(), false).await.unwrap();
        machine.fail("week_start", &[Fault::AnswerLost]);
        put(&lake, &[("a", 1, 1, text)]).await;
        assert_eq!(verbatims(&lake).await.len(), 1);
    }
}
