//! The store as the Parquet reader's source of bytes.

use std::ops::Range;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::ArrowReaderOptions;
use ::parquet::arrow::async_reader::AsyncFileReader;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::ObjectStore;
use object_store::path::Path;

/// Bytes fetched from the end of a file: mostly they hold the footer and the page index.
const FOOTER_BYTES: usize = 64 << 10;

/// A file of known size, read by bounded ranges only, which every store supports.
///
/// The library asks its users to implement [`AsyncFileReader`] like this: its own reader for object stores,
/// `ParquetObjectReader`, is deprecated since 59.2.
#[derive(Clone)]
pub(crate) struct StoreReader {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) size: u64,
}

impl AsyncFileReader for StoreReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        // A local store opens and reads in one step then, not in two as by `get_range`.
        let bytes = self.get_byte_ranges(vec![range]);
        bytes.map_ok(|ranges| ranges.into_iter().next().unwrap_or_default()).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            reader.with_prefetch_hint(Some(FOOTER_BYTES)).load_and_finish(self, size).await.map(Arc::new)
        }
        .boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
