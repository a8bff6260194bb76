//! A store that keeps entries and checkpoints of logs in memory once it has read them: opening a table reads each entry
//! several times, and a checkpoint in a dozen ranges. Entries never change; a checkpoint that was written again is noticed
//! by a listing.
//!
//! Only what the store has answered is kept: never that a file is missing, and never what was to be written.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::storage::paths;

/// Bytes of all files that are kept.
const KEPT_BYTES: usize = 16 << 20;

/// Bytes of the largest file that is kept. A larger checkpoint is read in parts, as few as its reader needs.
const LARGEST_FILE: u64 = 1 << 20;

/// A store whose log files are kept in memory. Clones share what is kept.
#[derive(Debug, Clone)]
pub(crate) struct LogCache {
    inner: Arc<dyn ObjectStore>,
    kept: Arc<Mutex<CachedFiles>>,
}

/// The files that are kept.
#[derive(Debug, Default)]
struct CachedFiles {
    by_path: HashMap<Path, CachedFile>,
    /// By the time at which they were read.
    oldest_first: VecDeque<Path>,
    bytes: usize,
    /// Files that are too large to be kept.
    too_large: HashSet<Path>,
}

/// A file as the store answered it.
#[derive(Debug, Clone)]
struct CachedFile {
    meta: ObjectMeta,
    attributes: Attributes,
    bytes: Bytes,
}

impl LogCache {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, kept: Arc::default() }
    }

    fn kept(&self) -> MutexGuard<'_, CachedFiles> {
        lock(&self.kept)
    }

    /// A file as it is kept, read if it is not; `None`: it is too large to be kept.
    async fn read(&self, path: &Path) -> Result<Option<CachedFile>> {
        {
            let kept = self.kept();
            if let Some(file) = kept.by_path.get(path) {
                return Ok(Some(file.clone()));
            }
            if kept.too_large.contains(path) {
                return Ok(None);
            }
        }
        let found = self.inner.get_opts(path, GetOptions::default()).await?;
        if found.meta.size > LARGEST_FILE {
            self.kept().too_large.insert(path.clone());
            return Ok(None);
        }
        let (meta, attributes) = (found.meta.clone(), found.attributes.clone());
        let file = CachedFile { meta, attributes, bytes: found.bytes().await? };
        if file.bytes.len() as u64 == file.meta.size {
            self.kept().keep(path, file.clone());
        }
        Ok(Some(file))
    }

    /// Compares what is kept with a listing while that is read: at the same path there may be another lake by now.
    fn compared(&self, listed: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        let kept = Arc::clone(&self.kept);
        listed.inspect_ok(move |listed| lock(&kept).compare(listed)).boxed()
    }
}

fn lock(files: &Mutex<CachedFiles>) -> MutexGuard<'_, CachedFiles> {
    files.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CachedFiles {
    /// Keeps a file. The oldest ones make room for it.
    fn keep(&mut self, path: &Path, file: CachedFile) {
        self.forget(path);
        self.bytes += file.bytes.len();
        self.by_path.insert(path.clone(), file);
        self.oldest_first.push_back(path.clone());
        while self.bytes > KEPT_BYTES {
            let Some(oldest) = self.oldest_first.front().cloned() else { break };
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, path: &Path) {
        if let Some(file) = self.by_path.remove(path) {
            self.bytes -= file.bytes.len();
            self.oldest_first.retain(|kept| kept != path);
        }
    }

    /// Forgets a file if the listed one of that path is another.
    fn compare(&mut self, listed: &ObjectMeta) {
        let is_other = |kept: &CachedFile| {
            let tags = (e_tag(&kept.meta), e_tag(listed));
            kept.meta.size != listed.size || matches!(tags, (Some(kept), Some(listed)) if kept != listed)
        };
        if self.by_path.get(&listed.location).is_some_and(is_other) {
            self.forget(&listed.location);
        }
        if listed.size > LARGEST_FILE {
            self.too_large.insert(listed.location.clone());
        } else {
            self.too_large.remove(&listed.location);
        }
    }
}

/// The ETag without quotes: Azure lists it without them.
fn e_tag(meta: &ObjectMeta) -> Option<&str> {
    meta.e_tag.as_deref().map(|tag| tag.trim_start_matches("W/").trim_matches('"'))
}

impl CachedFile {
    /// A part of it; `None`: it has no such part.
    fn part(&self, range: &Range<u64>) -> Option<Bytes> {
        let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
        (start <= end && end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }

    /// The answer to a request; `None`: it has no such part.
    fn into_result(self, range: Option<&GetRange>) -> Option<GetResult> {
        let size = self.bytes.len() as u64;
        let range = range.map_or(Ok(0..size), |range| range.as_range(size)).ok()?;
        let bytes = self.part(&range)?;
        let payload = GetResultPayload::Stream(stream::once(std::future::ready(Ok(bytes))).boxed());
        Some(GetResult { payload, meta: self.meta, range, attributes: self.attributes })
    }
}

/// Whether a request is for an object, or a part of it, whatever it is.
fn is_unconditional(options: &GetOptions) -> bool {
    matches!(
        options,
        GetOptions {
            if_match: None,
            if_none_match: None,
            if_modified_since: None,
            if_unmodified_since: None,
            version: None,
            head: false,
            ..
        }
    )
}

/// Whether a file never changes once it is written.
fn is_immutable(path: &Path) -> bool {
    paths::log_version(path.as_ref()).is_some() || paths::is_checkpoint(path.as_ref())
}

impl fmt::Display for LogCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait::async_trait]
impl ObjectStore for LogCache {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.inner.put_opts(path, payload, options).await;
        // Whether it was written or not, the next answer is the store's.
        self.kept().forget(path);
        put
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.kept().forget(path);
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if is_immutable(path)
            && is_unconditional(&options)
            && let Some(file) = self.read(path).await?
            && let Some(result) = file.into_result(options.range.as_ref())
        {
            return Ok(result);
        }
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if is_immutable(path)
            && let Some(file) = self.read(path).await?
            && let Some(parts) = ranges.iter().map(|range| file.part(range)).collect::<Option<Vec<_>>>()
        {
            return Ok(parts);
        }
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
    use crate::storage::counted_store::{CountedStore, PAGE_OBJECTS};

    /// A store, how it is counted, and what is kept of it.
    fn cached() -> (Arc<InMemory>, CountedStore, LogCache) {
        let store = Arc::new(InMemory::new());
        let counted = CountedStore::new(Arc::<InMemory>::clone(&store), PAGE_OBJECTS);
        (store, counted.clone(), LogCache::new(Arc::new(counted)))
    }

    fn entry(version: u64) -> Path {
        Path::from_iter(["payload".to_owned(), paths::LOG.to_owned(), format!("{version:020}.json")])
    }

    async fn text(store: &LogCache, path: &Path) -> String {
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
        let found = cache.get(&entry(1)).await.unwrap();
        assert_eq!((found.range, found.meta.size), (0..5, 5));
        assert_eq!(counted.requests().reads, 1);
        cache.head(&entry(1)).await.unwrap();
        assert_eq!(counted.requests().reads, 2, "its metadata is the store's");
    }

    #[tokio::test]
    async fn the_parts_of_a_checkpoint_are_read_together() {
        let (store, counted, cache) = cached();
        let path = Path::from_iter(["payload", paths::LOG, "00000000000000000019.checkpoint.parquet"]);
        store.put(&path, "0123456789".into()).await.unwrap();
        let part = async |range: Option<GetRange>| {
            let found = cache.get_opts(&path, GetOptions { range, ..GetOptions::default() }).await?;
            Ok::<_, StoreError>((found.range.clone(), found.bytes().await?))
        };
        assert_eq!(part(Some(GetRange::Suffix(4))).await.unwrap(), (6..10, Bytes::from("6789")));
        assert_eq!(part(Some(GetRange::Bounded(2..4))).await.unwrap(), (2..4, Bytes::from("23")));
        assert_eq!(part(Some(GetRange::Offset(9))).await.unwrap(), (9..10, Bytes::from("9")));
        assert_eq!(part(None).await.unwrap(), (0..10, Bytes::from("0123456789")));
        assert_eq!(cache.get_ranges(&path, &[0..2, 8..10]).await.unwrap(), ["01", "89"]);
        assert_eq!(counted.requests().reads, 1);
        part(Some(GetRange::Bounded(10..12))).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_may_change_is_read_each_time() {
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
        let largest = Bytes::from(vec![b' '; LARGEST_FILE as usize]);
        let fit = KEPT_BYTES as u64 / LARGEST_FILE;
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
        let larger = Bytes::from(vec![b' '; LARGEST_FILE as usize + 1]);
        store.put(&entry(100), larger.into()).await.unwrap();
        let before = counted.requests().reads;
        let _: Vec<_> = cache.list(None).try_collect().await.unwrap();
        for _ in 0..2 {
            assert_eq!(cache.get_range(&entry(100), 0..2).await.unwrap(), "  ");
        }
        assert_eq!(counted.requests().reads, before + 2, "only what was requested");
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
        let kept = CachedFile { meta: meta("\"0x1\""), attributes: Attributes::default(), bytes: "x".into() };
        let mut files = CachedFiles::default();
        files.keep(&entry(1), kept);
        files.compare(&meta("0x1"));
        assert!(files.by_path.contains_key(&entry(1)));
        files.compare(&meta("0x2"));
        assert!(files.by_path.is_empty() && files.oldest_first.is_empty() && files.bytes == 0);
    }
}
