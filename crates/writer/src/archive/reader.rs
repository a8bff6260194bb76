//! Reading archived slices.

use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::archive::blocking::blocking;
use crate::error::Error;
use crate::storage::location::Location;
use crate::storage::paths::{self, ArchivedFile};

/// Slices whose descriptions are read concurrently.
const CONCURRENT_SLICES: usize = 8;

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
        let reason = "an archive is read from a folder".to_owned();
        return Err(Error::Unsupported { url: path_or_url.to_owned(), reason });
    };
    std::fs::metadata(local.root()).map_err(Error::file(action.clone()))?;
    let store = Arc::clone(&location.store);
    // In a lake most files belong to the tables: do not list those.
    let top = store.list_with_delimiter(None).await.map_err(Error::store(action.clone()))?;
    let archive = paths::archive_root();
    let from = top.common_prefixes.contains(&archive).then_some(&archive);
    let mut folders: BTreeMap<Path, Vec<Path>> = BTreeMap::new();
    let mut files = store.list(from).map_ok(|meta| meta.location);
    while let Some(path) = files.try_next().await.map_err(Error::store(action.clone()))? {
        folders.entry(paths::folder(&path)).or_default().push(path);
    }
    let slices = stream::iter(folders).map(|(folder, files)| slice(Arc::clone(&store), folder, files));
    let slices: Vec<_> = slices.buffered(CONCURRENT_SLICES).try_collect().await?;
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
    // The parser reports damage.
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
    Error::file(format!("read {path}"))(IoError::new(ErrorKind::NotFound, "not in the archive"))
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
