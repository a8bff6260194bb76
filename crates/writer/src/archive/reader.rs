//! Reading archived slices.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io::{Error as IoError, ErrorKind};
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::archive::blocking::blocking;
use crate::archive::size_limit::SizeLimit;
use crate::error::Error;
use crate::storage::file_rights::{FileRights, is_a_link};
use crate::storage::local_store::LocalStore;
use crate::storage::location::Location;
use crate::storage::paths::{self, ArchivedFile};
use crate::storage::shown_location::shown_location;
use crate::storage::store_options::StoreOptions;

/// An archived slice.
pub struct ArchivedSlice {
    /// Its folder, within the location that was searched.
    pub path: String,
    store: Arc<dyn ObjectStore>,
    folder: Path,
    has_index: bool,
    pages: BTreeMap<u32, Path>,
    payloads: BTreeMap<u32, Path>,
}

/// Finds every complete slice at or below a location, sorted by path.
///
/// The location is a path or a URL: a lake, its archive, a part of that, or a copy elsewhere. It may be a
/// symbolic link; below it none is followed, so that an archive from elsewhere cannot have other files read.
///
/// # Errors
/// [`Error::Unsupported`] for a URL of no known store, [`Error::File`] when nothing is there, or a symbolic link below it.
pub async fn archived(path_or_url: &str, options: &StoreOptions) -> Result<Vec<ArchivedSlice>, Error> {
    let location = Location::parse(path_or_url, FileRights::default(), options)?;
    let action = format!("read the archive at {}", shown_location(path_or_url));
    let store = Arc::clone(&location.store);
    let files = match &location.local {
        Some(local) => files_in(local, action)?,
        None => objects_in(&*store).await.map_err(Error::store(action))?,
    };
    let mut folders: BTreeMap<Path, Vec<Path>> = BTreeMap::new();
    for path in files {
        folders.entry(paths::folder(&path)).or_default().push(path);
    }
    Ok(folders.into_iter().filter_map(|(folder, files)| slice(Arc::clone(&store), folder, files)).collect())
}

/// The files of an archive in a store: those of the lake's archive, if it is a lake.
async fn objects_in(store: &dyn ObjectStore) -> object_store::Result<Vec<Path>> {
    let list = |folder: Option<Path>| store.list(folder.as_ref()).map_ok(|object| object.location).try_collect();
    let files: Vec<Path> = list(Some(paths::archive_root())).await?;
    if files.is_empty() { list(None).await } else { Ok(files) }
}

/// The files of an archive in a folder: those of the lake's archive, if it is a lake.
fn files_in(local: &LocalStore, action: String) -> Result<Vec<Path>, Error> {
    std::fs::metadata(local.root()).map_err(Error::file(action))?;
    let mut files = Vec::new();
    // In a lake most files belong to the tables: do not list those.
    let archive = local.root().join(paths::archive_root().as_ref());
    let from = match std::fs::symlink_metadata(&archive) {
        Ok(found) if found.is_symlink() => return Err(Error::file(format!("read {}", archive.display()))(is_a_link())),
        Ok(found) if found.is_dir() => archive,
        _ => local.root().to_owned(),
    };
    let mut waiting = vec![from];
    while let Some(folder) = waiting.pop() {
        let entries = entries(&folder).map_err(Error::file(format!("read {}", folder.display())))?;
        for (entry, is_folder) in entries {
            if is_folder {
                waiting.push(entry.path());
            } else if let Some(path) = path_in(local.root(), &entry) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// The entries of a folder, and whether each is a folder, too. A symbolic link is an error.
fn entries(folder: &FilePath) -> std::io::Result<Vec<(DirEntry, bool)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            return Err(IoError::other(format!("{}: {}", entry.file_name().display(), is_a_link())));
        }
        found.push((entry, kind.is_dir()));
    }
    Ok(found)
}

/// The path of a file within the location; `None` for a name that an archive does not have.
fn path_in(root: &FilePath, entry: &DirEntry) -> Option<Path> {
    let path = entry.path();
    let parts: Option<Vec<_>> = path.strip_prefix(root).ok()?.iter().map(|part| part.to_str()).collect();
    Path::parse(parts?.join("/")).ok()
}

/// The slice in a folder; `None` when its archive is incomplete.
fn slice(store: Arc<dyn ObjectStore>, folder: Path, files: Vec<Path>) -> Option<ArchivedSlice> {
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
    described.then(|| ArchivedSlice { path: folder.to_string(), store, folder, has_index, pages, payloads })
}

impl ArchivedSlice {
    /// The description of the slice, as JSON.
    ///
    /// # Errors
    /// As [`ArchivedSlice::page`].
    pub async fn slice_json(&self) -> Result<String, Error> {
        text(&self.store, &paths::archived_slice(&self.folder)).await
    }

    /// One line for every payload; empty when there is none.
    ///
    /// # Errors
    /// As [`ArchivedSlice::page`].
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
    /// [`Error::File`] when it is missing, damaged, or larger than a service could have sent it; [`Error::Store`] when it
    /// cannot be read.
    pub async fn page(&self, number: u32) -> Result<Bytes, Error> {
        let path = self.pages.get(&number).cloned();
        let path = path.ok_or_else(|| missing(&paths::archived_page(&self.folder, number)))?;
        read(&self.store, path, SizeLimit::PAGE).await
    }

    /// The bytes of a payload.
    ///
    /// # Errors
    /// As [`ArchivedSlice::page`].
    pub async fn payload(&self, number: u32) -> Result<Bytes, Error> {
        let path = self.payloads.get(&number).cloned();
        let path = path.ok_or_else(|| missing(&paths::archived_payload(&self.folder, number)))?;
        read(&self.store, path, SizeLimit::PAYLOAD).await
    }
}

fn missing(path: &Path) -> Error {
    Error::file(format!("read {path}"))(IoError::new(ErrorKind::NotFound, "not in the archive"))
}

/// A file's content, decompressed.
async fn read(store: &Arc<dyn ObjectStore>, path: Path, limit: SizeLimit) -> Result<Bytes, Error> {
    let error = || Error::store(format!("read {path}"));
    let is_compressed = paths::is_compressed(&path);
    let file = store.get(&path).await.map_err(error())?;
    limit.check(file.meta.size, is_compressed).map_err(Error::file(format!("read {path}")))?;
    let bytes = file.bytes().await.map_err(error())?;
    if !is_compressed {
        return Ok(bytes);
    }
    let action = format!("decompress {path}");
    blocking(action, move || limit.decompress(&bytes)).await.map(Bytes::from)
}

async fn text(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<String, Error> {
    let bytes = read(store, path.clone(), SizeLimit::DESCRIPTION).await?;
    String::from_utf8(bytes.into())
        .map_err(|e| Error::file(format!("read {path}"))(IoError::new(ErrorKind::InvalidData, e)))
}
