//! Parts of a lake: lakes of their own inside it, written by several processes at a time, whose rows then become the
//! lake's.

use std::sync::Arc;

use bytes::Bytes;
use copilot_lake_tables::Table;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};

use crate::error::Error;
use crate::lake::{Lake, LakeOptions};
use crate::lake_storage::LakeStorage;
use crate::merge::delete_keys::DeleteKeys;
use crate::merge::mode::MergeMode;
use crate::merge::pending_rows::PendingRows;
use crate::merge::transaction::{Committed, Transaction};
use crate::merge::visible_files::VisibleFiles;
use crate::parquet::writer::StagedDataFile;
use crate::storage::file_rights::FileRights;
use crate::storage::location::Location;
use crate::storage::paths;

impl Lake {
    /// A part of this lake, by name. Nothing is written, and nothing is requested.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the lake's path is no text.
    pub fn part(&self, name: &str) -> Result<Self, Error> {
        let storage = &self.inner.storage;
        let mut options = LakeOptions {
            removed_files: Some(std::time::Duration::ZERO),
            memory: storage.memory.limit(),
            rights: storage.local.as_ref().map_or(FileRights::Private, |local| local.rights()),
            ..LakeOptions::default()
        };
        options.store.single_writer = storage.single_writer;
        Self::at(Location::within(storage, &paths::part(name))?, &options)
    }

    /// Removes what a part has, but for its lock.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Store`].
    pub async fn clear_part(&self, name: &str) -> Result<(), Error> {
        self.remove_below(paths::part(name), |file| file.filename() != Some(paths::LOCK)).await
    }

    /// Removes all parts, and what was noted of them. No other process may be writing one.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Store`].
    pub async fn remove_parts(&self) -> Result<(), Error> {
        self.remove_below(Path::from(paths::PARTS), |_| true).await
    }

    async fn remove_below(&self, folder: Path, is_removed: impl Fn(&Path) -> bool) -> Result<(), Error> {
        let LakeStorage { store, local, .. } = &*self.inner.storage;
        let failed = || Error::store(format!("remove {folder}"));
        let found: Vec<_> =
            store.list(Some(&folder)).map_ok(|file| file.location).try_collect().await.map_err(failed())?;
        let removed = found.into_iter().filter(|file| is_removed(file)).map(Ok).collect::<Vec<_>>();
        store
            .delete_stream(futures::stream::iter(removed).boxed())
            .try_for_each(|_| async { Ok(()) })
            .await
            .map_err(failed())?;
        if let Some(local) = local.as_ref().filter(|_| is_removed(&paths::part(paths::LOCK))) {
            // Empty folders, and staged files, which the store hides.
            match std::fs::remove_dir_all(local.root().join(folder.as_ref())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::file(format!("remove {folder}"))(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What was noted of the parts; `None` when nothing was.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn parts_note(&self) -> Result<Option<Bytes>, Error> {
        let (store, path) = (&self.inner.storage.store, paths::parts_note());
        match store.get(&path).await {
            Ok(found) => found.bytes().await.map(Some).map_err(Error::store(format!("read {path}"))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(Error::store(format!("read {path}"))(error)),
        }
    }

    /// Notes something of the parts. `false`: something is noted already, and stays.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn note_parts(&self, note: Bytes) -> Result<bool, Error> {
        let (store, path) = (&self.inner.storage.store, paths::parts_note());
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&path, note.into(), create).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(Error::store(format!("write {path}"))(error)),
        }
    }

    /// Whether the rows of a table of a part are this lake's already.
    ///
    /// # Errors
    /// Reading the log.
    pub async fn has_taken(&self, part: &str, table: &'static Table) -> Result<bool, Error> {
        let log = self.inner.log(table);
        if log.reload().await?.is_none() {
            return Ok(false);
        }
        log.has_committed(&id_of(part)).await
    }

    /// Makes the rows of a table of a part this lake's, in one commit, once and for all: one row per key afterwards, the
    /// newest version. The files of the part move; those without superseded rows stay as they are.
    ///
    /// The caller must hold the lock, and have prepared the table.
    ///
    /// # Errors
    /// Nothing is committed, except perhaps on [`Error::CommitUnknown`]. The part may have lost files: it has to be
    /// written again.
    pub async fn take_part(&self, part: &str, table: &'static Table, run_id: &str) -> Result<Committed, Error> {
        let of_part = self.part(part)?.inner.log(table).files().await?;
        let (storage, log) = (&self.inner.storage, self.inner.log(table));
        let mut visible = VisibleFiles::new(Arc::clone(&log));
        let mut inputs = Vec::with_capacity(of_part.len());
        if !log.has_committed(&id_of(part)).await? {
            for file in of_part {
                let from = Path::from_iter(paths::part(part).parts().chain(file.path.parts()));
                visible.add([file.path.clone()]);
                let moved = storage.store.rename(&from, &file.path).await;
                moved.map_err(Error::store(format!("move {from}")))?;
                inputs.push(PendingRows::InFile { staged: StagedDataFile::published((*file).clone()), keys: None });
            }
        }
        let transaction = Transaction {
            lake: Arc::clone(storage),
            consumers: Arc::clone(&self.inner.consumers),
            delete_keys: DeleteKeys::new(table),
            mode: MergeMode::UpsertReread,
            carry: None,
            unchanged: 0,
            once: Some(id_of(part)),
            log,
            inputs,
            visible,
        };
        transaction.commit(run_id).await
    }
}

/// What the log knows the commit of a part by.
fn id_of(part: &str) -> String {
    format!("copilot-lake/part/{part}")
}
