//! Writing the archive of a slice: its files first, and last the description that makes it complete.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::archive::blocking::blocking;
use crate::error::Error;
use crate::storage::local_store::LocalStore;
use crate::storage::paths;

/// The archive of one slice while it is written. Incomplete, and ignored, until [`Archive::finish`].
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    /// The same store, when it is a local folder.
    local: Option<LocalStore>,
    folder: Path,
    /// Files written so far: any other file in the folder is from an earlier attempt.
    written: Mutex<BTreeSet<Path>>,
}

impl Archive {
    /// Starts the archive of a slice in that folder.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, local: Option<LocalStore>, folder: Path) -> Self {
        Self { store, local, folder, written: Mutex::default() }
    }

    /// Writes the body of a page.
    ///
    /// # Errors
    /// [`Error::Store`]: the slice may continue, but its archive must not be finished then.
    pub async fn page(&self, number: u32, body: Bytes) -> Result<(), Error> {
        self.put_compressed(paths::archived_page(&self.folder, number), body).await
    }

    /// Writes the bytes of a payload.
    ///
    /// # Errors
    /// As [`Archive::page`].
    pub async fn payload(&self, number: u32, bytes: Bytes) -> Result<(), Error> {
        self.put_compressed(paths::archived_payload(&self.folder, number), bytes).await
    }

    /// Writes the index of the payloads, if there is one, and last the description of the slice, which makes the
    /// archive complete.
    ///
    /// # Errors
    /// As [`Archive::page`].
    pub async fn finish(self, slice_json: String, index: String) -> Result<(), Error> {
        if !index.is_empty() {
            self.put(paths::archived_index(&self.folder), index.into()).await?;
        }
        self.remove_strays().await?;
        let path = paths::archived_slice(&self.folder);
        let error = || Error::store(format!("write {path}"));
        if let Some(local) = &self.local {
            let written = self.written.lock().unwrap_or_else(PoisonError::into_inner).clone();
            local.sync(&written).await.map_err(error())?;
        }
        self.store.put(&path, slice_json.into()).await.map(drop).map_err(error())
    }

    async fn put_compressed(&self, path: Path, bytes: Bytes) -> Result<(), Error> {
        let action = format!("compress {path}");
        let compress = move || {
            let mut compressor = zstd::bulk::Compressor::new(1)?;
            // Replay has nothing else by which to tell a damaged file.
            compressor.include_checksum(true)?;
            compressor.compress(&bytes)
        };
        let compressed = blocking(action, compress).await?;
        self.put(path, compressed.into()).await
    }

    /// Writes a file without syncing it: there may be very many, and all become durable with the slice.
    async fn put(&self, path: Path, bytes: Bytes) -> Result<(), Error> {
        let written = match &self.local {
            Some(local) => local.put_without_sync(&path, bytes.into()).await,
            None => self.store.put(&path, bytes.into()).await.map(drop),
        };
        written.map_err(Error::store(format!("write {path}")))?;
        self.written.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        Ok(())
    }

    /// Removes files that an earlier attempt at this slice left.
    async fn remove_strays(&self) -> Result<(), Error> {
        let error = || Error::store(format!("clean up {}", self.folder));
        let found: Vec<Path> =
            self.store.list(Some(&self.folder)).map_ok(|m| m.location).try_collect().await.map_err(error())?;
        for path in found {
            let stray = !self.written.lock().unwrap_or_else(PoisonError::into_inner).contains(&path);
            if stray {
                self.store.delete(&path).await.map_err(error())?;
            }
        }
        Ok(())
    }
}
