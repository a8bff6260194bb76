//! Finding archives.

use std::collections::BTreeMap;
use std::fs::DirEntry;
use std::io::Error as IoError;
use std::ops::RangeInclusive;
use std::path::Path as FilePath;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::path::Path;

use crate::archive::archived_folder::ArchivedFolder;
use crate::error::Error;
use crate::storage::file_rights::{FileRights, is_a_link};
use crate::storage::local_store::LocalStore;
use crate::storage::location::Location;
use crate::storage::paths::{self, ArchivedFile};
use crate::storage::shown_location::shown_location;
use crate::storage::store_options::StoreOptions;

/// Finds every complete archive at or below a location, sorted by path.
///
/// The location is a path or a URL: a lake, its archive, a part of that, or a copy elsewhere. It may be a
/// symbolic link; below it none is followed, so that an archive from elsewhere cannot have other files read.
///
/// # Errors
/// [`Error::Unsupported`] for a URL of no known store, [`Error::File`] when nothing is there, or a symbolic link below it.
pub async fn archived(path_or_url: &str, options: &StoreOptions) -> Result<Vec<ArchivedFolder>, Error> {
    let location = Location::parse(path_or_url, FileRights::default(), options)?;
    let action = format!("read the archive at {}", shown_location(path_or_url));
    let (files, store) = match &location.local {
        Some(local) => (files_in(local, action)?, location.store),
        None => {
            let files = objects_in(&*location.store).await.map_err(Error::store(action))?;
            (files, Location::parse(path_or_url, FileRights::default(), &options.answered())?.store)
        }
    };
    let mut folders: BTreeMap<Path, Vec<(Path, u64)>> = BTreeMap::new();
    for (path, bytes) in files {
        folders.entry(paths::folder(&path)).or_default().push((path, bytes));
    }
    let complete =
        |(folder, files): (Path, _)| Some((folder.clone(), archived_folder(Arc::clone(&store), folder, files)?));
    let mut archives = folders.into_iter().filter_map(complete).collect();
    leave_out_merged(&mut archives);
    Ok(archives.into_values().collect())
}

/// The files of an archive in a store, with their sizes: those of the lake's archive, if it is a lake.
async fn objects_in(store: &dyn ObjectStore) -> object_store::Result<Vec<(Path, u64)>> {
    let list = |folder: Option<Path>| {
        store.list(folder.as_ref()).map_ok(|object| (object.location, object.size)).try_collect()
    };
    let files: Vec<_> = list(Some(paths::archive_root())).await?;
    if files.is_empty() { list(None).await } else { Ok(files) }
}

/// The files of an archive in a folder, with their sizes: those of the lake's archive, if it is a lake.
fn files_in(local: &LocalStore, action: String) -> Result<Vec<(Path, u64)>, Error> {
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
                let found = entry.metadata().map_err(Error::file(format!("read {}", entry.path().display())))?;
                files.push((path, found.len()));
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

/// The archive in a folder; `None` when it is incomplete.
fn archived_folder(store: Arc<dyn ObjectStore>, folder: Path, files: Vec<(Path, u64)>) -> Option<ArchivedFolder> {
    let mut archived = ArchivedFolder::new(store, folder);
    let mut is_described = false;
    for (path, bytes) in files {
        is_described |= archived.add_file(path, bytes) == Some(ArchivedFile::Slice);
    }
    is_described.then_some(archived)
}

/// Leaves out archives that were merged into another one, and that a killed run did not remove.
fn leave_out_merged(archives: &mut BTreeMap<Path, ArchivedFolder>) {
    let mut merged: BTreeMap<Path, Vec<RangeInclusive<u32>>> = BTreeMap::new();
    for folder in archives.keys() {
        if let Some(numbers) = paths::archive_numbers(folder).filter(|numbers| numbers.start() < numbers.end()) {
            merged.entry(paths::folder(folder)).or_default().push(numbers);
        }
    }
    archives.retain(|folder, _| {
        let Some(own) = paths::archive_numbers(folder) else { return true };
        let has = |other: &RangeInclusive<u32>| other.contains(own.start()) && other.contains(own.end());
        !merged.get(&paths::folder(folder)).is_some_and(|merged| merged.iter().any(|other| *other != own && has(other)))
    });
}
