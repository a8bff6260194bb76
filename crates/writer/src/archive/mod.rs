//! The archive: pages and payloads as the service sent them, for replay.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error as IoError, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::Error;
use crate::storage::local_store::LocalStore;
use crate::storage::location::Location;
use crate::storage::paths::{self, ArchivedFile};

/// Slices whose description is read at a time.
const SLICES: usize = 8;

/// The archive of one slice while it is written. Incomplete, and ignored, until [`Archive::finish`].
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    /// The same store, when it is a local folder.
    local: Option<LocalStore>,
    folder: Path,
    /// Files written so far: any other file in the folder is from an earlier attempt.
    written: Mutex<BTreeSet<Path>>,
}

/// An archived slice.
pub struct ArchivedSlice {
    /// Its folder, within the location that was searched.
    pub path: String,
    store: Arc<dyn ObjectStore>,
    folder: Path,
    slice_json: String,
    has_index: bool,
    pages: BTreeMap<u32, Path>,
    payloads: BTreeMap<u32, Path>,
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
        let compressed = blocking(action, move || zstd::bulk::compress(&bytes, 1)).await?;
        self.put(path, compressed.into()).await
    }

    /// Writes a file without syncing it: there may be very many, and all become durable with the slice.
    async fn put(&self, path: Path, bytes: Bytes) -> Result<(), Error> {
        let store = self.local.as_ref().map_or_else(|| Arc::clone(&self.store), LocalStore::without_sync);
        store.put(&path, bytes.into()).await.map_err(Error::store(format!("write {path}")))?;
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

/// Finds every complete slice at or below a location, sorted by path.
///
/// The location is a local path or a `file://` URL: a lake, its archive, a part of that, or a copy elsewhere.
///
/// # Errors
/// [`Error::Unsupported`] for other URLs, [`Error::File`] when nothing is there.
pub async fn archived(path_or_url: &str) -> Result<Vec<ArchivedSlice>, Error> {
    let location = Location::parse(path_or_url)?;
    let action = format!("read the archive at {path_or_url}");
    let Some(local) = &location.local else {
        let reason = "nothing is kept there".to_owned();
        return Err(Error::Unsupported { url: path_or_url.to_owned(), reason });
    };
    std::fs::metadata(local.root()).map_err(Error::file(action.clone()))?;
    let store = Arc::clone(&location.store);
    // In a lake most files belong to the tables: do not list those.
    let top = store.list_with_delimiter(None).await.map_err(Error::store(action.clone()))?;
    let raw = paths::raw();
    let from = top.common_prefixes.contains(&raw).then_some(&raw);
    let mut folders: BTreeMap<Path, Vec<Path>> = BTreeMap::new();
    let mut files = store.list(from).map_ok(|meta| meta.location);
    while let Some(path) = files.try_next().await.map_err(Error::store(action.clone()))? {
        folders.entry(paths::folder(&path)).or_default().push(path);
    }
    let slices = stream::iter(folders).map(|(folder, files)| slice(Arc::clone(&store), folder, files));
    let slices: Vec<_> = slices.buffered(SLICES).try_collect().await?;
    Ok(slices.into_iter().flatten().collect())
}

/// The slice in a folder; `None` when its archive is incomplete.
async fn slice(store: Arc<dyn ObjectStore>, folder: Path, files: Vec<Path>) -> Result<Option<ArchivedSlice>, Error> {
    let (mut described, mut has_index) = (false, false);
    let (mut pages, mut payloads) = (BTreeMap::new(), BTreeMap::new());
    for path in files {
        match paths::archived(&path) {
            Some(ArchivedFile::Slice) => described = true,
            Some(ArchivedFile::Index) => has_index = true,
            Some(ArchivedFile::Page(number)) => drop(pages.insert(number, path)),
            Some(ArchivedFile::Payload(number)) => drop(payloads.insert(number, path)),
            None => {}
        }
    }
    if !described {
        return Ok(None);
    }
    // Whoever parses it reports damage.
    let slice_json = String::from_utf8_lossy(&read(&store, paths::archived_slice(&folder)).await?).into_owned();
    Ok(Some(ArchivedSlice { path: folder.to_string(), store, folder, slice_json, has_index, pages, payloads }))
}

impl ArchivedSlice {
    /// The description of the slice, as JSON.
    pub fn slice_json(&self) -> &str {
        &self.slice_json
    }

    /// One line for every payload; empty when there is none.
    ///
    /// # Errors
    /// Reading it.
    pub async fn index(&self) -> Result<String, Error> {
        if self.has_index { text(&self.store, &paths::archived_index(&self.folder)).await } else { Ok(String::new()) }
    }

    /// The numbers of its pages, ascending.
    pub fn page_numbers(&self) -> Vec<u32> {
        self.pages.keys().copied().collect()
    }

    /// The numbers of its payloads, ascending.
    pub fn payload_numbers(&self) -> Vec<u32> {
        self.payloads.keys().copied().collect()
    }

    /// The body of a page.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing or truncated; [`Error::Store`] when it cannot be read.
    pub async fn page(&self, number: u32) -> Result<Bytes, Error> {
        let path = self.pages.get(&number).cloned();
        read(&self.store, path.ok_or_else(|| missing(&paths::archived_page(&self.folder, number)))?).await
    }

    /// The bytes of a payload.
    ///
    /// # Errors
    /// As [`ArchivedSlice::page`].
    pub async fn payload(&self, number: u32) -> Result<Bytes, Error> {
        let path = self.payloads.get(&number).cloned();
        read(&self.store, path.ok_or_else(|| missing(&paths::archived_payload(&self.folder, number)))?).await
    }
}

fn missing(path: &Path) -> Error {
    Error::file(format!("read {path}"))(IoError::new(ErrorKind::NotFound, "it is not in the archive"))
}

/// A file's content, decompressed.
async fn read(store: &Arc<dyn ObjectStore>, path: Path) -> Result<Bytes, Error> {
    let error = || Error::store(format!("read {path}"));
    let bytes = store.get(&path).await.map_err(error())?.bytes().await.map_err(error())?;
    if !paths::is_compressed(&path) {
        return Ok(bytes);
    }
    let action = format!("decompress {path}");
    blocking(action, move || zstd::decode_all(&*bytes)).await.map(Bytes::from)
}

async fn text(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<String, Error> {
    let bytes = read(store, path.clone()).await?;
    String::from_utf8(bytes.into())
        .map_err(|e| Error::file(format!("read {path}"))(IoError::new(ErrorKind::InvalidData, e)))
}

/// Runs blocking work away from the runtime's threads.
async fn blocking<T: Send + 'static>(
    action: String,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Error::file(action)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::file(action)(IoError::other(error))),
        },
    }
}
