//! A store in memory that counts the bytes that are read of every file, and in which another tool may replace files just
//! before one of them is read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::counted_store::PAGE_OBJECTS;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::paths;
use crate::{Lake, LakeOptions};

#[derive(Debug, Default)]
pub(super) struct Counting {
    inner: InMemory,
    read: Mutex<BTreeMap<String, u64>>,
    replacement: Mutex<Option<Replacement>>,
}

/// What another tool does before a data file is read.
#[derive(Debug)]
pub(super) struct Replacement {
    /// Reads of data files that come before.
    pub(super) after: usize,
    pub(super) puts: Vec<(Path, Bytes)>,
    pub(super) deletes: Vec<Path>,
}

impl Counting {
    /// A prepared lake in such a store.
    pub(super) async fn lake() -> (Arc<Self>, Lake) {
        let store = Arc::new(Self::default());
        let url = paths::memory_url().unwrap();
        let location = Location {
            url,
            store: Arc::<Self>::clone(&store),
            page: PAGE_OBJECTS,
            local: None,
            lock_kind: LockKind::Process,
            uploads: AbandonedUploads::Unlisted,
        };
        let lake = Lake::at(location, &LakeOptions::default()).unwrap();
        lake.prepare(&super::instance(), false).await.unwrap();
        (store, lake)
    }

    /// Lets another tool replace files later.
    pub(super) fn replace(&self, replacement: Replacement) {
        *self.replacement.lock().unwrap() = Some(replacement);
    }

    /// Whether it has not happened.
    pub(super) fn is_unreplaced(&self) -> bool {
        self.replacement.lock().unwrap().take().is_some()
    }

    async fn replace_before(&self, path: &Path) -> Result<()> {
        let due = {
            let mut replacement = self.replacement.lock().unwrap();
            match &mut *replacement {
                Some(_) if path.as_ref().contains("/_delta_log/") || !path.as_ref().ends_with(".parquet") => None,
                Some(of) if of.after > 0 => {
                    of.after -= 1;
                    None
                }
                due => due.take(),
            }
        };
        let Some(Replacement { puts, deletes, .. }) = due else { return Ok(()) };
        for (path, bytes) in puts {
            self.inner.put(&path, bytes.into()).await?;
        }
        for path in deletes {
            self.inner.delete(&path).await?;
        }
        Ok(())
    }

    /// Bytes that were read since the last call, by path within the lake.
    pub(super) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.read.lock().unwrap())
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("counting")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.replace_before(path).await?;
        let result = self.inner.get_opts(path, options).await?;
        *self.read.lock().unwrap().entry(path.to_string()).or_default() += result.range.end - result.range.start;
        Ok(result)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
