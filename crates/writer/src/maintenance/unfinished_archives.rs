//! Archives that killed runs left unfinished: without a description nothing reads them, and no run goes on with them.

use std::collections::HashSet;

use copilot_lake_tables::Table;

use crate::error::Error;
use crate::lake::Lake;
use crate::lake_storage::LakeStorage;
use crate::maintenance::maintain::OrphanFiles;
use crate::storage::listing::{ListedFile, list};
use crate::storage::paths::{self, ArchivedFile};
use crate::storage::recovery::{delete, kept_since};

impl Lake {
    /// What [`Lake::remove_unfinished_archives`] would delete, unless a command is writing to the lake.
    ///
    /// # Errors
    /// Reading the store.
    pub async fn unfinished_archives(&self, table: &'static Table) -> Result<OrphanFiles, Error> {
        Ok(OrphanFiles::from_listed(&find(&self.inner.storage, table).await?))
    }

    /// Deletes files of a table's archives that killed runs left, once they are older than removed files are kept. The
    /// caller must hold the lock.
    ///
    /// # Errors
    /// Reading or writing the store.
    pub async fn remove_unfinished_archives(&self, table: &'static Table) -> Result<OrphanFiles, Error> {
        let storage = &self.inner.storage;
        let files = find(storage, table).await?;
        if !files.is_empty() {
            storage.check_lease().await?;
        }
        for file in &files {
            delete(storage, &file.path).await?;
            tracing::info!(path = file.path, "deleted a file of an unfinished archive");
        }
        if let Some(root) = &storage.root {
            for folder in files.iter().map(folder) {
                // Those that are not empty stay: of the archive, then of its run.
                let folder = root.join(folder);
                let _ = std::fs::remove_dir(&folder);
                let _ = folder.parent().map(std::fs::remove_dir);
            }
        }
        Ok(OrphanFiles::from_listed(&files))
    }
}

/// The files of a table's archives that nothing reads, and that no longer have to be kept.
async fn find(lake: &LakeStorage, table: &'static Table) -> Result<Vec<ListedFile>, Error> {
    let mut files = list(lake, &paths::archives(table)).await?;
    let is_description = |file: &&ListedFile| matches!(paths::archived_file(&file.name), Some(ArchivedFile::Slice));
    let complete: HashSet<String> = files.iter().filter(is_description).map(|file| folder(file).to_owned()).collect();
    let kept_since = kept_since(lake);
    files.retain(|file| {
        let is_own = paths::archived_file(paths::published_name(&file.name)).is_some();
        let is_read = !paths::is_staged(&file.name) && complete.contains(folder(file));
        is_own && !is_read && kept_since.is_none_or(|since| file.modified < since)
    });
    Ok(files)
}

fn folder(file: &ListedFile) -> &str {
    file.path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
