//! Reads a file of the store page by page, for row groups too large to hold in memory. (The asynchronous reader fetches
//! all chosen column chunks of a row group first.)

use std::io::{Error as IoError, Read};
use std::ops::Range;

use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::{Buf, Bytes};
use object_store::ObjectStoreExt;
use tokio::runtime::Handle;

use crate::parquet::store_reader::StoreReader;

/// Bytes read for a page header.
const HEADER_BYTES: u64 = 8 << 10;

/// Reads ranges of a file, blocking: only for threads that may block.
pub(crate) struct PageReader {
    file: StoreReader,
    runtime: Handle,
}

/// Reads a file sequentially, a little at a time.
pub(crate) struct HeaderReader {
    pages: PageReader,
    at: u64,
    bytes: Bytes,
}

impl PageReader {
    /// # Errors
    /// When called outside a runtime.
    pub(crate) fn new(file: StoreReader) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|error| ParquetError::External(Box::new(error)))?;
        Ok(Self { file, runtime })
    }

    fn range(&self, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.runtime.block_on(self.file.store.get_range(&self.file.path, range));
        bytes.map_err(|error| ParquetError::External(Box::new(error)))
    }
}

impl Length for PageReader {
    fn len(&self) -> u64 {
        self.file.size
    }
}

impl ChunkReader for PageReader {
    type T = HeaderReader;

    fn get_read(&self, start: u64) -> Result<HeaderReader> {
        let pages = Self { file: self.file.clone(), runtime: self.runtime.clone() };
        Ok(HeaderReader { pages, at: start, bytes: Bytes::new() })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.range(start..start + length as u64)
    }
}

impl Read for HeaderReader {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        if self.bytes.is_empty() {
            let end = (self.at + HEADER_BYTES).min(self.pages.file.size);
            if end <= self.at {
                return Ok(0);
            }
            self.bytes = self.pages.range(self.at..end).map_err(IoError::other)?;
            self.at = end;
        }
        let length = to.len().min(self.bytes.len());
        self.bytes.copy_to_slice(&mut to[..length]);
        Ok(length)
    }
}
