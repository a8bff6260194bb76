//! What `maintain` does besides merging small files: orphan files, checkpoints, and uploads that were never ended.

use copilot_lake_tables::Table;

use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::orphan_files;
use crate::maintenance::table_folder::damaged;
use crate::storage::listing::ListedFile;

/// Commits since the last checkpoint that are worth another one: with fewer, a log opens as fast without it.
const CHECKPOINT_COMMITS: u64 = 10;

/// Files that nothing reads any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrphanFiles {
    /// How many.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl OrphanFiles {
    pub(crate) fn from_listed(files: &[ListedFile]) -> Self {
        Self { files: files.len(), bytes: files.iter().map(|file| file.size).sum() }
    }
}

impl Lake {
    /// What [`Lake::remove_orphan_files`] would delete, unless a command is writing to the lake.
    ///
    /// # Errors
    /// Reading the log or the store.
    pub async fn orphan_files(&self, table: &'static Table) -> Result<OrphanFiles, Error> {
        let found = orphan_files::find(&self.inner.storage, &self.inner.log(table)).await?;
        Ok(found.map(|orphans| OrphanFiles::from_listed(&orphans.files)).unwrap_or_default())
    }

    /// Deletes what killed commands left in a table's folder, and removed files whose time is over. The caller must hold
    /// the lock.
    ///
    /// # Errors
    /// [`Error::Damaged`] when files of the table are missing: then nothing is deleted; reading or writing the store.
    pub async fn remove_orphan_files(&self, table: &'static Table) -> Result<OrphanFiles, Error> {
        let (storage, log) = (&self.inner.storage, self.inner.log(table));
        let Some(orphans) = orphan_files::find(storage, &log).await? else { return Ok(OrphanFiles::default()) };
        let counts = OrphanFiles::from_listed(&orphans.files);
        let missing = orphans.remove(storage, &log).await?;
        if missing.is_empty() {
            return Ok(counts);
        }
        Err(damaged(table, &missing, log.files().await?.len()))
    }

    /// How many uploads [`Lake::abort_uploads`] would abort, unless a command is writing to the lake. Where the store does
    /// not list them, a warning says so.
    pub async fn abandoned_uploads(&self) -> usize {
        self.inner.storage.uploads.count().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not look for uploads that killed runs left");
            0
        })
    }

    /// Aborts uploads of this program's files that were begun and never ended, and returns how many. The caller must hold
    /// the lock. What fails is a warning, and left to the next command that writes.
    pub async fn abort_uploads(&self) -> usize {
        self.inner.storage.abort_uploads().await
    }

    /// Whether the log of a table has so many commits since its last checkpoint that opening it takes longer than it
    /// must.
    ///
    /// # Errors
    /// Reading the log.
    pub async fn is_checkpoint_due(&self, table: &'static Table) -> Result<bool, Error> {
        Ok(self.inner.log(table).commits_since_checkpoint().await? >= CHECKPOINT_COMMITS)
    }

    /// Writes a checkpoint of the newest version, and removes entries of the log that are older than the table's
    /// retention (30 days by default).
    ///
    /// # Errors
    /// Reading or writing the log.
    pub async fn checkpoint(&self, table: &'static Table) -> Result<(), Error> {
        let log = self.inner.log(table);
        let _writing = log.writing.lock().await;
        log.checkpoint().await
    }
}
