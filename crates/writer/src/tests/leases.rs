//! Leases: one writing run at a time in a store that several machines reach.

use std::fmt;

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::watch;
use tokio::time::{Duration, Instant as Moment};

use super::*;
use crate::Error;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;

/// One machine's way to a store that several reach.
#[derive(Debug)]
struct Machine {
    store: Arc<InMemory>,
    /// Commits wait while it is true, as in a process that is paused between its look at the lease and the request.
    is_stalled: watch::Sender<bool>,
    /// Whether the store replaces whatever is there.
    ignores_conditions: bool,
}

impl Machine {
    fn new(store: &Arc<InMemory>) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), is_stalled: watch::channel(false).0, ignores_conditions: false })
    }

    fn lake(self: &Arc<Self>) -> Lake {
        let store: Arc<dyn ObjectStore> = Arc::<Self>::clone(self);
        let url = paths::memory_url().unwrap();
        Lake::at(Location { url, store, local: None, lock_kind: LockKind::Lease }, &LakeOptions::default()).unwrap()
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("machine")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Machine {
    async fn put_opts(&self, path: &StorePath, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if path.as_ref().contains(paths::LOG) {
            self.is_stalled.subscribe().wait_for(|stalled| !stalled).await.unwrap();
        }
        if self.ignores_conditions {
            options.mode = PutMode::Overwrite;
        }
        self.store.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &StorePath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.store.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

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
    machine.is_stalled.send_replace(true);
    let committing = tokio::spawn(changes.commit("run-1"));
    // It has looked at the lease, and waits with its request.
    while machine.is_stalled.receiver_count() == 0 {
        tokio::task::yield_now().await;
    }
    let lock = other.lock("run-2").await.unwrap();
    machine.is_stalled.send_replace(false);
    match committing.await.unwrap() {
        Err(Error::LeaseLost { run_id, .. }) => assert_eq!(run_id, "run-2"),
        other => panic!("{other:?}"),
    }
    lock.release().await;
    assert_eq!(verbatims(&other).await.len(), 1, "a alone");
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
    let machine = Arc::new(Machine { store, is_stalled: watch::channel(false).0, ignores_conditions: true });
    assert!(matches!(machine.lake().lock("run-1").await, Err(Error::NoConditionalPut)));
    let options = LakeOptions {
        store: StoreOptions { single_writer: true, ..StoreOptions::default() },
        ..LakeOptions::default()
    };
    let url = paths::memory_url().unwrap();
    let location = Location { url, store: machine, local: None, lock_kind: LockKind::Lease };
    Lake::at(location, &options).unwrap().lock("run-1").await.unwrap().release().await;
}
