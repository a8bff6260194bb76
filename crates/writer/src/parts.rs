//! Parts of a lake: lakes of their own inside it, each written by one process, whose rows then become the lake's.
//!
//! A process holds the lock of its part for as long as it needs what is in there. Names are never used again: a part
//! whose lock is free is what a killed process left.

use std::path::Path as FilePath;
use std::sync::Arc;

use copilot_lake_tables::Table;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStoreExt};

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::lake::{Lake, LakeOptions};
use crate::lake_storage::LakeStorage;
use crate::maintenance::maintain::OrphanFiles;
use crate::merge::delete_keys::DeleteKeys;
use crate::merge::mode::MergeMode;
use crate::merge::pending_rows::PendingRows;
use crate::merge::transaction::{CONCURRENT_FILES, Committed, Transaction};
use crate::merge::visible_files::VisibleFiles;
use crate::parquet::writer::StagedDataFile;
use crate::storage::counted_store::PAGE_OBJECTS;
use crate::storage::file_rights::FileRights;
use crate::storage::location::Location;
use crate::storage::paths;
use crate::storage::store_options::StoreOptions;

/// Parts whose locks are taken at the same time: on a store each is watched for a while.
const CONCURRENT_PARTS: usize = 16;

/// A part of a lake.
pub struct LakePart {
    name: String,
    /// The part as a lake of its own.
    pub lake: Lake,
}

impl Lake {
    /// A part of this lake, by a name that no part had before. Nothing is written, and nothing is requested.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when its place has no URL.
    pub fn part(&self, name: &str) -> Result<LakePart, Error> {
        let storage = &self.inner.storage;
        let options = LakeOptions {
            removed_files: Some(std::time::Duration::ZERO),
            memory: storage.memory.limit(),
            rights: storage.local.as_ref().map_or(FileRights::Private, |local| local.rights()),
            store: StoreOptions { single_writer: storage.single_writer, ..StoreOptions::default() },
        };
        let lake = Self::at(location(storage, &paths::part(name))?, &options)?;
        Ok(LakePart { name: name.to_owned(), lake })
    }

    /// Makes the rows of a table of a part this lake's, in one commit: one row per key afterwards, the newest version.
    /// The part loses its files. `app_id`: application id of the Delta `txn` action; if the log has one, nothing is done.
    ///
    /// The caller must hold the locks of the lake and of the part, have prepared the table, and have written the part
    /// through this value: its files are those that this value knows of, whatever became of the part since.
    ///
    /// # Errors
    /// Nothing is committed, except perhaps on [`Error::CommitUnknown`].
    pub async fn commit_part(
        &self,
        part: &LakePart,
        table: &'static Table,
        app_id: &str,
        run_id: &str,
    ) -> Result<Committed, Error> {
        let of_part = part.lake.inner.log(table).files().await?;
        let (storage, log) = (&self.inner.storage, self.inner.log(table));
        if of_part.is_empty() || log.has_committed(app_id).await? {
            return Ok(Committed::default());
        }
        let mut visible = VisibleFiles::new(Arc::clone(&log));
        visible.add(of_part.iter().map(|file| file.path.clone()));
        let folder = paths::part(&part.name);
        let moves: Vec<_> = of_part.iter().map(|file| move_out(storage, &folder, &file.path)).collect();
        // All of them end before an error is returned: none may appear after the others were deleted.
        let moved: Vec<_> = stream::iter(moves).buffer_unordered(CONCURRENT_FILES).collect().await;
        if let Some(error) = moved.into_iter().find_map(Result::err) {
            visible.delete().await;
            return Err(error);
        }
        let published = |file: &Arc<DataFile>| PendingRows::InFile {
            staged: StagedDataFile::published(DataFile::clone(file)),
            keys: None,
        };
        let transaction = Transaction {
            lake: Arc::clone(storage),
            consumers: Arc::clone(&self.inner.consumers),
            log,
            mode: MergeMode::UpsertReread,
            inputs: of_part.iter().map(published).collect(),
            delete_keys: DeleteKeys::new(table),
            carry: None,
            visible,
            unchanged: 0,
            app_id: Some(app_id.to_owned()),
        };
        transaction.commit(run_id).await
    }

    /// Removes a part. The caller holds its lock, or has held it: nobody writes it any more. Returns what was removed.
    ///
    /// # Errors
    /// Reading or writing the store.
    pub async fn remove_part(&self, part: &LakePart) -> Result<OrphanFiles, Error> {
        let (LakeStorage { store, local, .. }, folder) = (&*self.inner.storage, paths::part(&part.name));
        let files = files_below(&self.inner.storage, &folder).await?;
        let removed = counted(&files);
        if let Some(local) = local {
            // With empty folders and staged files, which the store hides.
            remove_folder(&local.root().join(folder.as_ref())).map_err(Error::file(format!("remove {folder}")))?;
        } else {
            let found = stream::iter(files.into_iter().map(|file| Ok(file.location))).boxed();
            let deleted: Result<Vec<Path>, _> = store.delete_stream(found).try_collect().await;
            deleted.map_err(Error::store(format!("remove {folder}")))?;
        }
        Ok(removed)
    }

    /// The files of all parts, those included that processes are writing.
    ///
    /// # Errors
    /// Reading the store.
    pub async fn files_of_parts(&self) -> Result<OrphanFiles, Error> {
        Ok(counted(&files_below(&self.inner.storage, &Path::from(paths::PARTS)).await?))
    }

    /// Removes the parts whose names begin with this, except those that a process is writing. Returns what was removed. A
    /// part that cannot be removed stays, with a warning.
    ///
    /// # Errors
    /// Listing the parts.
    pub async fn remove_abandoned_parts(&self, prefix: &str, run_id: &str) -> Result<OrphanFiles, Error> {
        let LakeStorage { store, local, .. } = &*self.inner.storage;
        let mut removed = OrphanFiles::default();
        let folder = Path::from(paths::PARTS);
        let listed = store.list_with_delimiter(Some(&folder)).await.map_err(Error::store(format!("list {folder}")))?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename).filter(|name| name.starts_with(prefix));
        let removals: Vec<_> =
            names.map(|name| async move { (name, self.remove_abandoned_part(name, run_id).await) }).collect();
        let mut removals = stream::iter(removals).buffer_unordered(CONCURRENT_PARTS);
        while let Some((part, of_part)) = removals.next().await {
            match of_part {
                Ok(of_part) => {
                    removed.files += of_part.files;
                    removed.bytes += of_part.bytes;
                }
                Err(error) => tracing::warn!(part, %error, "could not remove what a killed shard left"),
            }
        }
        if let Some(local) = local.as_ref().filter(|_| prefix.is_empty()) {
            // It stays if it is not empty.
            let _ = std::fs::remove_dir(local.root().join(paths::PARTS));
        }
        Ok(removed)
    }

    /// Removes a part unless a process is writing it.
    async fn remove_abandoned_part(&self, name: &str, run_id: &str) -> Result<OrphanFiles, Error> {
        let part = self.part(name)?;
        match part.lake.lock(run_id).await {
            Err(Error::Held { .. }) => return Ok(OrphanFiles::default()),
            // Who held it before never holds it again.
            taken => taken?.release().await,
        }
        self.remove_part(&part).await
    }
}

/// The location of a folder of a lake.
fn location(lake: &LakeStorage, folder: &Path) -> Result<Location, Error> {
    let mut url = lake.url.clone();
    url.set_path(&format!("{}/{folder}/", lake.url.path().trim_end_matches('/')));
    if let Some(local) = &lake.local {
        return Location::parse(url.as_str(), local.rights(), &StoreOptions::default());
    }
    let store = Arc::new(PrefixStore::new(Arc::clone(&lake.store), folder.clone()));
    let (lock_kind, uploads) = (lake.lock_kind.clone(), lake.uploads.below(folder));
    Ok(Location { url, store, page: PAGE_OBJECTS, local: None, lock_kind, uploads })
}

/// Moves a file of a part to where the lake has it.
async fn move_out(lake: &LakeStorage, part: &Path, file: &Path) -> Result<(), Error> {
    let from = Path::from_iter(part.parts().chain(file.parts()));
    lake.store.rename(&from, file).await.map_err(Error::store(format!("move {from}")))
}

/// The files below a folder, without staged ones.
async fn files_below(lake: &LakeStorage, folder: &Path) -> Result<Vec<ObjectMeta>, Error> {
    lake.store.list(Some(folder)).try_collect().await.map_err(Error::store(format!("list {folder}")))
}

fn counted(files: &[ObjectMeta]) -> OrphanFiles {
    OrphanFiles { files: files.len(), bytes: files.iter().map(|file| file.size).sum() }
}

/// Removes a folder with all that is in it; a missing one is none.
fn remove_folder(folder: &FilePath) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
