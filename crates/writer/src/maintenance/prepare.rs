//! Preparing tables for a run: they are created, recovered, migrated and brought up to date. A table that cannot be
//! written stops no other.

use copilot_lake_tables::{TABLES, Table};

use crate::delta::commit_info::{FolderState, NewestCommit};
use crate::delta::instance::Instance;
use crate::delta::log::Log;
use crate::delta::schema;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::adapt::adapt;
use crate::maintenance::kept_files;
use crate::maintenance::migrate;
use crate::maintenance::orphan_files;
use crate::maintenance::survey::Survey;
use crate::maintenance::table_folder::damaged;
use crate::merge::dedupe;
use crate::storage::paths;

/// Commits that a run may read again for the files they removed, before it records that those were deleted.
const COMMITS_READ_AGAIN: u64 = 10;

impl Lake {
    /// Prepares tables for a run that holds the lock: creates missing ones, adds missing columns, and deletes orphan
    /// files where there may be some. Returns tables that cannot be written, which are left alone.
    ///
    /// `list_folders`: list their folders in any case, as after a run that was killed; otherwise only after a commit of
    /// another tool, and where the folder of a week is missing. Removed files whose time is over are deleted by what the
    /// log says of them.
    pub async fn ready(
        &self,
        instance: &Instance,
        tables: &[&'static Table],
        list_folders: bool,
    ) -> Result<Vec<(&'static Table, Error)>, Error> {
        let mut stopped = Vec::new();
        for &table in tables {
            match self.ready_one(instance, table, list_folders).await {
                Ok(()) => {}
                // Another writer got in the way: the next run prepares the table.
                Err(error @ Error::Contended { .. }) => stopped.push((table, error)),
                Err(error) if error.stops_table() == Some(table.name) => stopped.push((table, error)),
                Err(error) => return Err(error),
            }
        }
        Ok(stopped)
    }

    async fn ready_one(&self, instance: &Instance, table: &'static Table, list_folders: bool) -> Result<(), Error> {
        let log = self.inner.log(table);
        let Some(snapshot) = log.snapshot().await? else {
            return log.create(instance, &self.inner.storage.url, []).await;
        };
        // Nothing is deleted from a folder that is somebody else's.
        log.check_writable(&snapshot)?;
        let newest = log.newest(&snapshot).await?;
        let is_worth_recording = self.clear_folder(&log, &snapshot, newest, list_folders).await?;
        let Some(cleared) = log.snapshot().await? else { return Ok(()) };
        migrate::migrate(&self.inner.storage, &log, schema::version(&cleared.metadata)).await?;
        if newest == NewestCommit::Foreign {
            dedupe::remove_duplicates(&self.inner.storage, &log).await?;
        }
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        adapt(&log, snapshot, instance).await?;
        match log.snapshot().await? {
            // No other commit has recorded it.
            Some(now) if is_worth_recording && now.version == cleared.version => log.record_folder_state(&now).await,
            _ => Ok(()),
        }
    }

    /// Deletes what a table's folder need not hold. Returns whether what is known of it then is worth a commit, since the
    /// next run would have as much to do.
    async fn clear_folder(
        &self,
        log: &Log,
        snapshot: &Snapshot,
        newest: NewestCommit,
        list_folders: bool,
    ) -> Result<bool, Error> {
        let (storage, table) = (&self.inner.storage, log.table);
        let commits_read = match newest {
            _ if list_folders || self.is_always_listed(table) || self.lacks_week_folder(snapshot) => None,
            NewestCommit::Own(FolderState::Clean) => Some(0),
            NewestCommit::Own(FolderState::KeepsRemoved(kept)) => {
                kept_files::delete_expired(storage, log, snapshot, kept).await?
            }
            NewestCommit::Own(FolderState::Unknown) | NewestCommit::Foreign => None,
        };
        if commits_read.is_none() {
            let missing = orphan_files::remove(storage, log).await?;
            if !missing.is_empty() {
                return Err(damaged(table, &missing, snapshot.files.len()));
            }
        }
        let state = log.folder_state();
        let saves_work = match newest {
            NewestCommit::Own(FolderState::Unknown) | NewestCommit::Foreign => true,
            NewestCommit::Own(_) => state == FolderState::Clean || commits_read >= Some(COMMITS_READ_AGAIN),
        };
        let is_new = state != FolderState::Unknown && newest != NewestCommit::Own(state);
        // A local folder is listed at no cost.
        Ok(saves_work && is_new && storage.root.is_none())
    }

    /// Whether the folder of a table is listed by every run: one without partitions, which is written until a run ends.
    /// In a store the lease tells of a run that was killed, and where removed files are kept, a run that ends deletes
    /// nothing.
    fn is_always_listed(&self, table: &Table) -> bool {
        let storage = &self.inner.storage;
        !table.is_partitioned() && (storage.root.is_some() || storage.removed_files.is_zero())
    }

    /// Whether the folder of a week that should have files is missing on the local disk.
    fn lacks_week_folder(&self, snapshot: &Snapshot) -> bool {
        let Some(root) = &self.inner.storage.root else { return false };
        let mut folders: Vec<_> = snapshot.files.iter().map(|file| paths::folder(&file.path)).collect();
        folders.sort_unstable();
        folders.dedup();
        folders.iter().any(|folder| !root.join(folder.as_ref()).exists())
    }

    /// [`Lake::survey`] and [`Lake::ready`], for callers that need every table.
    ///
    /// # Errors
    /// That of the first table that cannot be written.
    pub async fn prepare(&self, instance: &Instance, list_folders: bool) -> Result<(), Error> {
        let Survey { absent, mut stopped, .. } = self.survey(instance).await?;
        stopped.extend(absent.iter().filter_map(|absent| Some((absent.table, absent.not_a_table(self)?))));
        if stopped.is_empty() {
            stopped = self.ready(instance, TABLES, list_folders).await?;
        }
        stopped.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }
}
