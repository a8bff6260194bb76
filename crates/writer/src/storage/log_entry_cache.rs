//! A store that keeps log entries in memory once it has read them: whoever opens a table reads each of them several
//! times, and an entry never changes.
//!
//! Only what the store has answered is kept: never that an entry is missing, and never what was to be written.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::storage::paths;

/// Bytes of all entries that are kept: those since the last checkpoints of all tables are much smaller.
const KEPT_BYTES: usize = 8 << 20;

/// Bytes of the largest entry that is kept.
const LARGEST_ENTRY: u64 = 1 << 20;

/// A store whose log entries are kept in memory. Clones share what is kept.
#[derive(Debug, Clone)]
pub(crate) struct LogEntryCache {
    inner: Arc<dyn ObjectStore>,
    kept: Arc<Mutex<CachedEntries>>,
}

/// The entries that are kept.
#[derive(Debug, Default)]
struct CachedEntries {
    by_path: HashMap<Path, CachedEntry>,
    /// By the time at which they were read.
    oldest_first: VecDeque<Path>,
    bytes: usize,
}

/// A log entry as the store answered it.
#[derive(Debug, Clone)]
struct CachedEntry {
    meta: ObjectMeta,
    attributes: Attributes,
    bytes: Bytes,
}

impl LogEntryCache {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, kept: Arc::default() }
    }

    fn kept(&self) -> MutexGuard<'_, CachedEntries> {
        lock(&self.kept)
    }

    /// Compares what is kept with a listing while that is read: at the same path there may be another lake by now.
    fn compared(&self, listed: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let kept = Arc::clone(&self.kept);
        listed.inspect_ok(move |listed| lock(&kept).compare(listed)).boxed()
    }
}

fn lock(entries: &Mutex<CachedEntries>) -> MutexGuard<'_, CachedEntries> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CachedEntries {
    /// Keeps an entry. The oldest ones make room for it.
    fn keep(&mut self, path: &Path, entry: CachedEntry) {
        self.forget(path);
        self.bytes += entry.bytes.len();
        self.by_path.insert(path.clone(), entry);
        self.oldest_first.push_back(path.clone());
        while self.bytes > KEPT_BYTES {
            let Some(oldest) = self.oldest_first.front().cloned() else { break };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, path: &Path) {
        if let Some(entry) = self.by_path.remove(path) {
            self.bytes -= entry.bytes.len();
            self.oldest_first.retain(|kept| kept != path);
        }
    }

    /// Forgets an entry if the listed one of that path is another.
    fn compare(&mut self, listed: &ObjectMeta) {
        let is_other = |kept: &CachedEntry| {
            let tags = (e_tag(&kept.meta), e_tag(listed));
            kept.meta.size != listed.size || matches!(tags, (Some(kept), Some(listed)) if kept != listed)
        };
        if self.by_path.get(&listed.location).is_some_and(is_other) {
            self.forget(&listed.location);
        }
    }
}

/// The ETag without quotes: Azure lists it without them.
fn e_tag(meta: &ObjectMeta) -> Option<&str> {
    meta.e_tag.as_deref().map(|tag| tag.trim_start_matches("W/").trim_matches('"'))
}

impl CachedEntry {
    fn into_result(self) -> GetResult {
        let Self { meta, attributes, bytes } = self;
        let range = 0..bytes.len() as u64;
        let payload = GetResultPayload::Stream(stream::once(std::future::ready(Ok(bytes))).boxed());
        GetResult { payload, meta, range, attributes }
    }
}

/// Whether a request wants an object as it is, and the whole of it.
fn is_plain(options: &GetOptions) -> bool {
    matches!(
        options,
        GetOptions {
            if_match: None,
            if_none_match: None,
            if_modified_since: None,
            if_unmodified_since: None,
            range: None,
            version: None,
            head: false,
            ..
        }
    )
}

impl fmt::Display for LogEntryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for LogEntryCache {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(path, payload, options).await;
        // Whether it was written or not, the next answer is the store's.
        self.kept().forget(path);
        put
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if !is_plain(&options) || paths::log_version(path.as_ref()).is_none() {
            return self.inner.get_opts(path, options).await;
        }
        let kept = self.kept().by_path.get(path).cloned();
        if let Some(entry) = kept {
            return Ok(entry.into_result());
        }
        let found = self.inner.get_opts(path, options).await?;
        if found.meta.size > LARGEST_ENTRY {
            return Ok(found);
        }
        let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
        let entry = CachedEntry { meta, attributes, bytes: found.bytes().await? };
        if entry.bytes.len() as u64 == entry.meta.size {
            self.kept().keep(path, entry.clone());
        }
        Ok(entry.into_result())
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let kept = Arc::clone(&self.kept);
        self.inner.delete_stream(paths.inspect_ok(move |path| lock(&kept).forget(path)).boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.compared(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.compared(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copied = self.inner.copy_opts(from, to, options).await;
        self.kept().forget(to);
        copied
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use object_store::{Error as StoreError, ObjectStoreExt as _, PutMode};

    use super::*;
    use crate::storage::counted_store::CountedStore;

    /// A store, how it is counted, and what is kept of it.
    fn cached() -> (Arc<InMemory>, CountedStore, LogEntryCache) {
        let store = Arc::new(InMemory::new());
        let counted = CountedStore::new(Arc::<InMemory>::clone(&store));
        (store, counted.clone(), LogEntryCache::new(Arc::new(counted)))
    }

    fn entry(version: u64) -> Path {
        Path::from_iter(["payload".to_owned(), paths::LOG.to_owned(), format!("{version:020}.json")])
    }

    async fn text(store: &LogEntryCache, path: &Path) -> String {
        String::from_utf8(store.get(path).await.unwrap().bytes().await.unwrap().into()).unwrap()
    }

    #[tokio::test]
    async fn an_entry_is_read_once() {
        let (store, counted, cache) = cached();
        store.put(&entry(1), "first".into()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(text(&cache, &entry(1)).await, "first");
            let listed: Vec<_> = cache.list(None).try_collect().await.unwrap();
            assert_eq!(listed.len(), 1);
        }
        assert_eq!(counted.requests().reads, 1);
        let found = cache.get(&entry(1)).await.unwrap();
        assert_eq!((found.range, found.meta.size), (0..5, 5));
        // Parts of it, and what a condition is about, are the store's.
        assert_eq!(&cache.get_range(&entry(1), 1..3).await.unwrap()[..], b"ir");
        cache.head(&entry(1)).await.unwrap();
        assert_eq!(counted.requests().reads, 3);
    }

    #[tokio::test]
    async fn what_is_no_entry_is_read_each_time() {
        let (store, counted, cache) = cached();
        let path = Path::from_iter(["payload", paths::LOG, "_last_checkpoint"]);
        store.put(&path, "1".into()).await.unwrap();
        for _ in 0..2 {
            text(&cache, &path).await;
        }
        assert_eq!(counted.requests().reads, 2);
    }

    #[tokio::test]
    async fn an_entry_that_was_missing_is_looked_for_again() {
        let (store, _, cache) = cached();
        assert!(matches!(cache.get(&entry(1)).await, Err(StoreError::NotFound { .. })));
        store.put(&entry(1), "of another writer".into()).await.unwrap();
        let refused = cache.put_opts(&entry(1), "own".into(), PutMode::Create.into()).await.unwrap_err();
        assert!(matches!(refused, StoreError::AlreadyExists { .. }), "{refused}");
        assert_eq!(text(&cache, &entry(1)).await, "of another writer");
    }

    #[tokio::test]
    async fn what_was_replaced_or_deleted_is_read_again() {
        let (store, counted, cache) = cached();
        cache.put(&entry(1), "a".into()).await.unwrap();
        assert_eq!((text(&cache, &entry(1)).await, counted.requests().reads), ("a".to_owned(), 1));
        cache.put(&entry(1), "b".into()).await.unwrap();
        assert_eq!(text(&cache, &entry(1)).await, "b");
        // Another lake takes its place: the listing with which a table is opened shows that.
        store.put(&entry(1), "c".into()).await.unwrap();
        let _: Vec<_> = cache.list_with_offset(Some(&Path::from("payload")), &entry(0)).try_collect().await.unwrap();
        assert_eq!(text(&cache, &entry(1)).await, "c");
        cache.delete(&entry(1)).await.unwrap();
        assert!(matches!(cache.get(&entry(1)).await, Err(StoreError::NotFound { .. })));
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let (store, counted, cache) = cached();
        let largest = Bytes::from(vec![b' '; LARGEST_ENTRY as usize]);
        let fit = KEPT_BYTES as u64 / LARGEST_ENTRY;
        for version in 0..=fit {
            store.put(&entry(version), largest.clone().into()).await.unwrap();
            text(&cache, &entry(version)).await;
        }
        assert_eq!(cache.kept().bytes, KEPT_BYTES);
        assert_eq!(cache.kept().oldest_first.len() as u64, fit);
        text(&cache, &entry(fit)).await;
        assert_eq!(counted.requests().reads, fit + 1, "it is kept");
        text(&cache, &entry(0)).await;
        assert_eq!(counted.requests().reads, fit + 2, "it had made room");
        let larger = Bytes::from(vec![b' '; LARGEST_ENTRY as usize + 1]);
        store.put(&entry(100), larger.into()).await.unwrap();
        text(&cache, &entry(100)).await;
        assert!(!cache.kept().by_path.contains_key(&entry(100)));
    }

    #[test]
    fn tags_are_compared_without_quotes() {
        let meta = |tag: &str| ObjectMeta {
            location: entry(1),
            last_modified: std::time::UNIX_EPOCH.into(),
            size: 1,
            e_tag: Some(tag.to_owned()),
            version: None,
        };
        let kept = CachedEntry { meta: meta("\"0x1\""), attributes: Attributes::default(), bytes: "x".into() };
        let mut entries = CachedEntries::default();
        entries.keep(&entry(1), kept);
        entries.compare(&meta("0x1"));
        assert!(entries.by_path.contains_key(&entry(1)));
        entries.compare(&meta("0x2"));
        assert!(entries.by_path.is_empty() && entries.oldest_first.is_empty() && entries.bytes == 0);
    }
}
