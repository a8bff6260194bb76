//! The archive of a run: begins archives, and merges small ones, so that few objects stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::archive::finished::{FinishedArchive, FinishedArchives};
use crate::archive::merge;
use crate::archive::writer::Archive;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::storage::paths;

/// The archive of a run. Clones are the same.
#[derive(Clone)]
pub struct RunArchive {
    lake: Arc<LakeStorage>,
    run_id: String,
    /// The number of the archive that was begun last.
    begun: Arc<AtomicU32>,
    finished: Arc<FinishedArchives>,
}

impl RunArchive {
    pub(crate) fn new(lake: Arc<LakeStorage>, run_id: String) -> Self {
        Self { lake, run_id, begun: Arc::default(), finished: Arc::default() }
    }

    /// Starts an archive of a table. Nothing is written yet.
    ///
    /// `name` describes it; characters that are not safe in a path are replaced.
    pub fn begin(&self, table: &str, name: &str) -> Archive {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let folder = paths::numbered_archive(table, &self.run_id, number..=number, name);
        Archive::new(Arc::clone(&self.lake), folder, number..=number)
    }

    /// Completes an archive of that table with its description: one line of JSON for each slice.
    ///
    /// # Errors
    /// As [`Archive::push`].
    pub async fn finish(&self, table: &str, archive: Archive, slice_json: String) -> Result<(), Error> {
        let finished = archive.finish(slice_json).await?;
        self.finished.push(table, finished);
        Ok(())
    }

    /// Whether the small archives of a table would make up a bundle.
    pub fn is_merge_due(&self, table: &str) -> bool {
        self.finished.fill_a_bundle(table)
    }

    /// Merges the small archives of a table. None of the table may be unfinished that was begun before the last finished
    /// one.
    ///
    /// # Errors
    /// Those of the store. What was not merged stays as it was.
    pub async fn merge(&self, table: &str) -> Result<(), Error> {
        for group in self.finished.take_small(table) {
            let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
            let numbers = *first.numbers.start()..=*last.numbers.end();
            let folder = paths::numbered_archive(table, &self.run_id, numbers.clone(), "merged");
            let archive = Archive::new(Arc::clone(&self.lake), folder, numbers);
            let merged = merge::merge(&self.lake.store, archive, &group).await?;
            self.finished.push(table, merged);
            for archive in &group {
                self.remove(archive).await?;
            }
        }
        Ok(())
    }

    /// Merges the small archives of all tables, once all are complete.
    ///
    /// # Errors
    /// As [`RunArchive::merge`].
    pub async fn merge_all(&self) -> Result<(), Error> {
        for table in self.finished.tables() {
            self.merge(&table).await?;
        }
        Ok(())
    }

    /// Removes an archive that was merged: its description first, without which it is ignored.
    async fn remove(&self, archive: &FinishedArchive) -> Result<(), Error> {
        merge::remove(&self.lake.store, archive).await?;
        if let Some(local) = &self.lake.local {
            // A folder that stays is empty.
            let _ = local.path_of(&archive.folder).map(std::fs::remove_dir);
        }
        Ok(())
    }
}
