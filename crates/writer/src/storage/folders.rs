//! Folders whose entries are not durable yet.
//!
//! Syncing a file makes its data durable; syncing its folder makes it durable that the file has a name there, or no
//! longer has one. The same holds for a folder's own name in its parent.

use std::collections::{BTreeSet, HashSet};
use std::io::{ErrorKind, Result as IoResult};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use object_store::Result;

use crate::storage::file_rights::FileRights;
use crate::storage::local_io::{NAME, error};

/// The folders of a store that have to be synced.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    changed: Mutex<Changed>,
    /// Held while folders are synced: a caller that finds nothing to sync must wait for the others.
    syncing: Mutex<()>,
    /// The error of a sync that failed.
    failure: OnceLock<String>,
}

#[derive(Debug)]
struct Changed {
    /// To be synced.
    folders: BTreeSet<PathBuf>,
    /// Known to be durable, with all its parents.
    durable: HashSet<PathBuf>,
}

impl Folders {
    pub(super) fn new(root: PathBuf) -> Self {
        // This store creates nothing above the root's parent.
        let durable = root.parent().map(Path::to_owned).into_iter().collect();
        Self {
            root,
            changed: Mutex::new(Changed { folders: BTreeSet::new(), durable }),
            syncing: Mutex::new(()),
            failure: OnceLock::new(),
        }
    }

    /// Notes that a folder gained or lost an entry. The first time, its parents are noted too: its creator may
    /// have been killed before it was durable.
    pub(super) fn note_change(&self, folder: &Path) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in folder.ancestors() {
            changed.folders.insert(folder.to_owned());
            if changed.durable.contains(folder) {
                break;
            }
        }
    }

    /// Waits until every change noted so far is durable.
    pub(super) fn sync(&self) -> Result<()> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.check()?;
        let folders = {
            let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut changed.folders)
        };
        let mut synced = Vec::with_capacity(folders.len());
        for folder in folders {
            match self.sync_one(&folder) {
                Ok(true) => synced.push(folder),
                Ok(false) => {}
                Err(source) => {
                    let failure = error("sync the folder", &folder)(source);
                    let _ = self.failure.set(failure.to_string());
                    return Err(failure);
                }
            }
        }
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.durable.extend(synced);
        Ok(())
    }

    /// Fails once a sync has failed: data may then never reach the disk, even if a later sync succeeds.
    pub(super) fn check(&self) -> Result<()> {
        match self.failure.get() {
            Some(failure) => {
                let source = format!("nothing more is written after a failed sync: {failure}").into();
                Err(object_store::Error::Generic { store: NAME, source })
            }
            None => Ok(()),
        }
    }

    /// `false`: it was removed in the meantime, and may be created again.
    fn sync_one(&self, folder: &Path) -> IoResult<bool> {
        match sync_folder(folder) {
            // Somebody else's folder, where this user may create entries but not open the folder.
            Err(source) if source.kind() == ErrorKind::PermissionDenied && !folder.starts_with(&self.root) => Ok(true),
            Err(source) if source.kind() == ErrorKind::NotFound => Ok(false),
            synced => synced.map(|()| true),
        }
    }
}

/// Creates a folder and its missing parents durably. Returns those that were missing, the innermost first.
pub(crate) fn make_folders(folder: &Path, rights: FileRights) -> IoResult<Vec<PathBuf>> {
    let missing: Vec<PathBuf> = folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
    rights.create_folders(folder)?;
    for made in &missing {
        let above = made.parent().unwrap_or(made);
        match sync_folder(above) {
            Err(source) if source.kind() != ErrorKind::PermissionDenied => return Err(source),
            _ => {}
        }
    }
    Ok(missing)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> IoResult<()> {
    match std::fs::File::open(folder)?.sync_all() {
        // The file system does not support it.
        Err(source) if matches!(source.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Elsewhere a folder cannot be opened, and its entries are durable with the file system's journal.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> IoResult<()> {
    Ok(())
}
