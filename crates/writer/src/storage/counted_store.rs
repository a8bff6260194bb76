//! A store that counts its requests: they are what a store in a cloud bills, besides bytes. Deletes are repeated.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::storage::repeated_deletes;

/// Objects in a page of a listing, as S3 has them.
pub(crate) const PAGE_OBJECTS: u64 = 1_000;

/// Requests to the store of a lake, without those that were repeated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreRequests {
    /// Reads of objects, or of parts of them.
    pub reads: u64,
    /// Writes of objects or of parts of them, and what begins and ends an upload.
    pub writes: u64,
    /// Pages of listings.
    pub lists: u64,
    /// Objects that were deleted.
    pub deletes: u64,
}

#[derive(Debug, Default)]
struct RequestCounters {
    reads: AtomicU64,
    writes: AtomicU64,
    lists: AtomicU64,
    deletes: AtomicU64,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// A store, and how many requests it was sent. Clones are the same store.
#[derive(Debug, Clone)]
pub(crate) struct CountedStore {
    inner: Arc<dyn ObjectStore>,
    page: u64,
    counters: Arc<RequestCounters>,
}

impl CountedStore {
    /// A store whose listings have pages of so many objects.
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, page: u64) -> Self {
        Self { inner, page, counters: Arc::default() }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> StoreRequests {
        let RequestCounters { reads, writes, lists, deletes } = &*self.counters;
        let [reads, writes, lists, deletes] =
            [reads, writes, lists, deletes].map(|counter| counter.load(Ordering::Relaxed));
        StoreRequests { reads, writes, lists, deletes }
    }

    /// Counts the pages of a listing while it is read.
    fn listed(&self, objects: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (page, counters) = (self.page, Arc::clone(&self.counters));
        add(&counters.lists);
        let mut objects_read = 0;
        let count = move |_: &Result<ObjectMeta>| {
            objects_read += 1;
            if objects_read > page && objects_read % page == 1 {
                add(&counters.lists);
            }
        };
        objects.inspect(count).boxed()
    }
}

impl fmt::Display for CountedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for CountedStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        add(&self.counters.writes);
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        add(&self.counters.writes);
        let upload = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(CountedUpload { upload, counters: Arc::clone(&self.counters) }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        add(&self.counters.reads);
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let counters = Arc::clone(&self.counters);
        let paths = paths.inspect(move |_| add(&counters.deletes)).boxed();
        repeated_deletes::delete_stream(Arc::clone(&self.inner), paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        add(&self.counters.lists);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        add(&self.counters.writes);
        self.inner.copy_opts(from, to, options).await
    }
}

/// An upload whose parts are counted.
#[derive(Debug)]
struct CountedUpload {
    upload: Box<dyn MultipartUpload>,
    counters: Arc<RequestCounters>,
}

#[async_trait::async_trait]
impl MultipartUpload for CountedUpload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        add(&self.counters.writes);
        self.upload.put_part(payload)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        add(&self.counters.writes);
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}
