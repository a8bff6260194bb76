//! Preparing tables for a run: they are created, recovered, migrated and brought up to date. A table that cannot be
//! written stops no other.

use copilot_lake_tables::{TABLES, Table};

use crate::delta::commit_info::NewestCommit;
use crate::delta::instance::Instance;
use crate::delta::schema;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::adapt::adapt;
use crate::maintenance::migrate;
use crate::maintenance::orphan_files;
use crate::maintenance::survey::Survey;
use crate::maintenance::table_folder::damaged;
use crate::merge::dedupe;
use crate::storage::paths;

impl Lake {
    /// Prepares tables for a run that holds the lock: creates missing ones, adds missing columns, and deletes orphan
    /// files where there may be some. Returns tables that cannot be written, which are left alone.
    ///
    /// `list_folders`: list their folders in any case, as after a run that was killed; otherwise only after a commit of
    /// another tool, and where the folder of a week is missing.
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
        // A table without partitions is one folder, cheap to list. It is written when a run ends: what that left is
        // found now.
        let list_folder = list_folders || !table.is_partitioned();
        let newest = log.newest(&snapshot).await?;
        if newest != NewestCommit::Clean || list_folder || self.lacks_week_folder(&snapshot) {
            let missing = orphan_files::remove(&self.inner.storage, &log).await?;
            if !missing.is_empty() {
                return Err(damaged(table, &missing, snapshot.files.len()));
            }
        }
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        migrate::migrate(&self.inner.storage, &log, schema::version(&snapshot.metadata)).await?;
        if newest == NewestCommit::Foreign {
            dedupe::remove_duplicates(&self.inner.storage, &log).await?;
        }
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        adapt(&log, snapshot, instance).await
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
