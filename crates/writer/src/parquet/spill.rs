//! Spills encoded pages of an open row group to an unnamed temporary file, so that row groups grow large in little
//! memory.
//!
//! A Parquet file has the columns of a row group one after the other, but their pages are made side by side: all have
//! to be kept until the row group is closed.

use std::fs::File;
use std::io::{Error as IoError, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ::parquet::arrow::arrow_writer::{PageKey, PageStore, PageStoreArgs, PageStoreFactory};
use ::parquet::errors::{ParquetError, Result};
use bytes::Bytes;

/// Bytes of pages, over all columns, that stay in memory: small files need no temporary file.
const MAX_RESIDENT: usize = 1 << 20;

/// Shorter pieces, such as page headers, always stay in memory.
const SHORT_BYTES: usize = 4 << 10;

/// Where the pages of one Parquet file are spilled.
#[derive(Debug, Clone)]
pub(crate) struct Spill(Arc<Mutex<SpillFile>>);

#[derive(Debug)]
struct SpillFile {
    /// The folder of the file; `None`: the system's folder for temporary files.
    folder: Option<PathBuf>,
    /// Created on first use; gone when closed, even if the process is killed.
    file: Option<File>,
    end: u64,
    resident: usize,
}

/// The pages of one column of an open row group.
struct ColumnPages {
    spill: Spill,
    pages: Vec<PageBlob>,
    resident: usize,
}

enum PageBlob {
    Memory(Bytes),
    Spilled { from: u64, len: usize },
}

impl Spill {
    pub(crate) fn new(folder: Option<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(SpillFile { folder, file: None, end: 0, resident: 0 })))
    }

    fn with<T>(&self, call: impl FnOnce(&mut SpillFile) -> std::io::Result<T>) -> Result<T> {
        call(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)).map_err(|error| {
            ParquetError::External(Box::new(IoError::new(error.kind(), format!("temporary file: {error}"))))
        })
    }
}

impl PageStoreFactory for Spill {
    fn create(&self, args: &PageStoreArgs<'_>) -> Result<Box<dyn PageStore>> {
        if args.column_index() == 0 {
            // A new row group: the pages of the one before are in the Parquet file by now.
            self.with(|file| {
                file.end = 0;
                Ok(())
            })?;
        }
        Ok(Box::new(ColumnPages { spill: self.clone(), pages: Vec::new(), resident: 0 }))
    }
}

impl SpillFile {
    fn append(&mut self, bytes: &[u8]) -> std::io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            }),
        };
        let from = self.end;
        file.seek(SeekFrom::Start(from))?;
        file.write_all(bytes)?;
        self.end += bytes.len() as u64;
        Ok(from)
    }

    fn read(&mut self, from: u64, len: usize) -> std::io::Result<Bytes> {
        let Some(file) = &mut self.file else { return Err(IoError::other("it was not created")) };
        let mut bytes = vec![0; len];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

impl PageStore for ColumnPages {
    fn put(&mut self, value: Bytes) -> Result<PageKey> {
        let len = value.len();
        let page = self.spill.with(|file| {
            if len < SHORT_BYTES || file.resident + len <= MAX_RESIDENT {
                file.resident += len;
                // A copy, because the encoder's buffers have spare capacity.
                return Ok(PageBlob::Memory(Bytes::copy_from_slice(&value)));
            }
            file.append(&value).map(|from| PageBlob::Spilled { from, len })
        })?;
        if let PageBlob::Memory(bytes) = &page {
            self.resident += bytes.len();
        }
        self.pages.push(page);
        Ok(PageKey::new(self.pages.len() as u64 - 1))
    }

    fn take(&mut self, key: PageKey) -> Result<Bytes> {
        let at = usize::try_from(key.get()).map_err(|error| ParquetError::External(Box::new(error)))?;
        let Some(page) = self.pages.get_mut(at) else {
            return Err(ParquetError::General(format!("there is no page {at}")));
        };
        match std::mem::replace(page, PageBlob::Memory(Bytes::new())) {
            PageBlob::Memory(bytes) => {
                self.resident -= bytes.len();
                self.spill.with(|file| {
                    file.resident -= bytes.len();
                    Ok(())
                })?;
                Ok(bytes)
            }
            PageBlob::Spilled { from, len } => self.spill.with(|file| file.read(from, len)),
        }
    }

    fn memory_size(&self) -> usize {
        self.resident
    }
}

impl Drop for ColumnPages {
    fn drop(&mut self) {
        let mut file = self.spill.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.resident -= self.resident;
    }
}
