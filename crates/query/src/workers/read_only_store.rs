//! The lake's store as a worker has it: for reading alone, whatever a plan says.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tonic::codegen::Bytes;

/// A store that refuses every write.
#[derive(Debug)]
pub(crate) struct ReadOnlyStore(pub(crate) Arc<dyn ObjectStore>);

fn read_only() -> Error {
    Error::NotSupported { source: "a worker writes nothing".into() }
}

impl fmt::Display for ReadOnlyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadOnlyStore({})", self.0)
    }
}

#[async_trait]
impl ObjectStore for ReadOnlyStore {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        paths.map(|_| Err(read_only())).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn reads_go_through_and_writes_are_refused() {
        let (inner, path, other) = (Arc::new(InMemory::new()), Path::from("a"), Path::from("b"));
        inner.put(&path, "abc".into()).await.unwrap();
        let store = ReadOnlyStore(Arc::<InMemory>::clone(&inner));
        assert_eq!(store.get_ranges(&path, &[0..1, 1..2]).await.unwrap(), ["a", "b"]);
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "abc");
        assert_eq!(store.list(None).count().await, 1);
        for refused in [
            store.put(&path, "x".into()).await.map(drop),
            store.put_multipart(&other).await.map(drop),
            store.delete(&path).await,
            store.copy(&path, &other).await,
            store.rename(&path, &other).await,
        ] {
            assert!(matches!(refused, Err(Error::NotSupported { .. })), "{refused:?}");
        }
        assert_eq!(inner.get(&path).await.unwrap().bytes().await.unwrap(), "abc");
        assert_eq!(inner.list(None).count().await, 1);
    }
}
