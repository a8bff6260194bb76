//! One machine's way to a store that several reach, with the faults of a network.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::sync::watch;

use super::*;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::counted_store::PAGE_OBJECTS;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;

/// What happens to a put, or to the completion of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// It fails, and is not done.
    NotDone,
    /// It is done, and fails.
    AnswerLost,
    /// It is done, not answered, and sent again by the client, which is refused because of the first one.
    RetriedAfterDone,
    /// It fails, and is done later.
    Late,
    /// It is neither done nor answered.
    Hangs,
}

/// What becomes of the parts of uploads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum PartFate {
    #[default]
    Sent,
    /// They are in flight until it is another one.
    Held,
    Failed,
}

/// One machine's way to a store that several reach.
#[derive(Debug)]
pub(super) struct Machine {
    store: Arc<InMemory>,
    /// Commits wait while it is true, as in a process that is paused between its look at the lease and the request.
    is_stalled: watch::Sender<bool>,
    /// Every request waits while it is true.
    is_cut_off: watch::Sender<bool>,
    /// Whether the store replaces whatever is there.
    ignores_conditions: bool,
    /// What happens to the next puts of objects whose path contains a text.
    faults: Mutex<(String, VecDeque<Fault>)>,
    /// What happens to the next deletes.
    delete_faults: Arc<Mutex<VecDeque<Fault>>>,
    late: Mutex<Vec<(StorePath, PutPayload, PutOptions)>>,
    uploads: Arc<Uploads>,
}

#[derive(Debug, Default)]
struct Uploads {
    begun: AtomicUsize,
    ended: watch::Sender<usize>,
    parts: watch::Sender<PartFate>,
    parts_in_flight: watch::Sender<usize>,
    /// Whether none can be aborted.
    aborts_fail: AtomicBool,
}

impl Machine {
    pub(super) fn new(store: &Arc<InMemory>) -> Arc<Self> {
        Arc::new(Self::of(store, false))
    }

    /// A machine whose store ignores conditions.
    pub(super) fn careless(store: &Arc<InMemory>) -> Arc<Self> {
        Arc::new(Self::of(store, true))
    }

    fn of(store: &Arc<InMemory>, ignores_conditions: bool) -> Self {
        let (is_stalled, is_cut_off) = (watch::channel(false).0, watch::channel(false).0);
        let (store, faults, late, uploads) = (Arc::clone(store), Mutex::default(), Mutex::default(), Arc::default());
        let delete_faults = Arc::default();
        Self { store, is_stalled, is_cut_off, ignores_conditions, faults, delete_faults, late, uploads }
    }

    /// Another machine's way to the same store.
    pub(super) fn another(&self) -> Arc<Self> {
        Self::new(&self.store)
    }

    pub(super) fn lake(self: &Arc<Self>) -> Lake {
        self.lake_with(&LakeOptions::default(), AbandonedUploads::Unlisted)
    }

    /// The lake opened like this, whose abandoned uploads are found there.
    pub(super) fn lake_with(self: &Arc<Self>, options: &LakeOptions, uploads: AbandonedUploads) -> Lake {
        let store: Arc<dyn ObjectStore> = Arc::<Self>::clone(self);
        let url = paths::memory_url().unwrap();
        let (page, lock_kind) = (PAGE_OBJECTS, LockKind::Lease);
        Lake::at(Location { url, store, page, local: None, lock_kind, uploads }, options).unwrap()
    }

    /// Sets what happens to the next puts of objects whose path contains `text`.
    pub(super) fn fail(&self, text: &str, faults: &[Fault]) {
        *self.faults.lock().unwrap() = (text.to_owned(), faults.iter().copied().collect());
    }

    /// Sets what happens to the next deletes.
    pub(super) fn fail_deletes(&self, faults: &[Fault]) {
        *self.delete_faults.lock().unwrap() = faults.iter().copied().collect();
    }

    pub(super) fn stall(&self, is_stalled: bool) {
        self.is_stalled.send_replace(is_stalled);
    }

    /// Waits until a commit waits.
    pub(super) async fn stalled(&self) {
        while self.is_stalled.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) fn cut_off(&self, is_cut_off: bool) {
        self.is_cut_off.send_replace(is_cut_off);
    }

    /// Does what failed before.
    pub(super) async fn deliver(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for (path, payload, options) in late {
            let _ = self.store.put_opts(&path, payload, options).await;
        }
    }

    /// Uploads that were begun, and those of them that were completed or aborted.
    pub(super) fn uploads(&self) -> (usize, usize) {
        (self.uploads.begun.load(Ordering::Relaxed), *self.uploads.ended.borrow())
    }

    /// Sets what becomes of the parts of uploads from now on.
    pub(super) fn set_parts(&self, fate: PartFate) {
        self.uploads.parts.send_replace(fate);
    }

    /// Parts that are in flight.
    pub(super) fn parts_in_flight(&self) -> usize {
        *self.uploads.parts_in_flight.borrow()
    }

    /// Waits until this many parts are in flight.
    pub(super) async fn parts_are_in_flight(&self, parts: usize) {
        self.uploads.parts_in_flight.subscribe().wait_for(|in_flight| *in_flight == parts).await.unwrap();
    }

    /// Sets whether uploads cannot be aborted.
    pub(super) fn fail_aborts(&self, fails: bool) {
        self.uploads.aborts_fail.store(fails, Ordering::Relaxed);
    }

    /// Waits until every upload has ended.
    pub(super) async fn uploads_ended(&self) {
        let begun = self.uploads().0;
        self.uploads.ended.subscribe().wait_for(|ended| *ended == begun).await.unwrap();
    }

    fn next_fault(&self, path: &StorePath) -> Fault {
        let mut faults = self.faults.lock().unwrap();
        let (text, faults) = &mut *faults;
        if path.as_ref().contains(text.as_str()) { faults.pop_front().unwrap_or(Fault::None) } else { Fault::None }
    }

    async fn reach(&self) {
        self.is_cut_off.subscribe().wait_for(|cut_off| !cut_off).await.unwrap();
    }
}

fn failed() -> StoreError {
    StoreError::Generic { store: "machine", source: "the answer was lost".into() }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("machine")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Machine {
    async fn put_opts(&self, path: &StorePath, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        self.reach().await;
        if path.as_ref().contains(paths::LOG) {
            self.is_stalled.subscribe().wait_for(|stalled| !stalled).await.unwrap();
        }
        if self.ignores_conditions {
            options.mode = PutMode::Overwrite;
        }
        match self.next_fault(path) {
            Fault::None => self.store.put_opts(path, payload, options).await,
            Fault::NotDone => Err(failed()),
            Fault::Hangs => std::future::pending().await,
            Fault::Late => {
                self.late.lock().unwrap().push((path.clone(), payload, options));
                Err(failed())
            }
            Fault::AnswerLost => {
                self.store.put_opts(path, payload, options).await?;
                Err(failed())
            }
            Fault::RetriedAfterDone => {
                self.store.put_opts(path, payload.clone(), options.clone()).await?;
                self.store.put_opts(path, payload, options).await
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &StorePath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.store.put_multipart_opts(path, options).await?;
        self.uploads.begun.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Upload { upload, fault: self.next_fault(path), uploads: Arc::clone(&self.uploads) }))
    }

    async fn get_opts(&self, path: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.reach().await;
        self.store.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        let (store, faults) = (Arc::clone(&self.store), Arc::clone(&self.delete_faults));
        let delete = move |path: Result<StorePath>| {
            let (store, fault) = (Arc::clone(&store), faults.lock().unwrap().pop_front());
            async move {
                let path = path?;
                if fault != Some(Fault::NotDone) {
                    store.head(&path).await?;
                    store.delete(&path).await?;
                }
                if fault.is_some() { Err(failed()) } else { Ok(path) }
            }
        };
        paths.then(delete).boxed()
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

/// An upload whose completion may fail.
#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    fault: Fault,
    uploads: Arc<Uploads>,
}

#[async_trait::async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (sending, uploads) = (self.upload.put_part(data), Arc::clone(&self.uploads));
        let part = async move {
            uploads.parts_in_flight.send_modify(|parts| *parts += 1);
            let fate = *uploads.parts.subscribe().wait_for(|fate| *fate != PartFate::Held).await.unwrap();
            uploads.parts_in_flight.send_modify(|parts| *parts -= 1);
            if fate == PartFate::Failed { Err(failed()) } else { sending.await }
        };
        part.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        if self.fault == Fault::NotDone {
            return Err(failed());
        }
        let completed = self.upload.complete().await?;
        self.uploads.ended.send_modify(|ended| *ended += 1);
        if self.fault == Fault::AnswerLost { Err(failed()) } else { Ok(completed) }
    }

    async fn abort(&mut self) -> Result<()> {
        if self.uploads.aborts_fail.load(Ordering::Relaxed) {
            return Err(failed());
        }
        self.upload.abort().await?;
        self.uploads.ended.send_modify(|ended| *ended += 1);
        Ok(())
    }
}
