//! Merging the small files of a table, week by week, each time in one commit that changes no row.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use copilot_lake_tables::{Instant, Table};
use futures::TryStreamExt as _;
use object_store::path::Path;

use crate::delta::data_file::DataFile;
use crate::delta::file_commit::CommitKind;
use crate::delta::log::Log;
use crate::delta::removed_file::expect_removed;
use crate::error::Error;
use crate::lake::Lake;
use crate::maintenance::COMMIT_ATTEMPTS;
use crate::maintenance::merge_files::{Merged, merge_files};
use crate::maintenance::small_files::{
    SmallFileLimits, SmallFiles, bytes, described, merged_files, next_merged, small_files,
};
use crate::merge::pending_rows::PendingRows;
use crate::merge::replace_files::replace_files;
use crate::merge::row_buffer::RowBuffer;
use crate::parquet::reader::FileReader;
use crate::parquet::writer::StagedDataFile;

/// What merging the small files of a table did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedSmallFiles {
    /// Weeks of which files were merged; a table without weeks counts as one.
    pub weeks: usize,
    /// Files that were replaced.
    pub files_removed: usize,
    /// Their bytes.
    pub bytes_removed: u64,
    /// Files that replaced them.
    pub files_added: usize,
    /// Their bytes.
    pub bytes_added: u64,
    /// Files that stay as they are: they have columns that this program does not know.
    pub files_kept: usize,
    /// Whether it was stopped before its end.
    pub is_stopped: bool,
}

impl Lake {
    /// The small files of a table that are more than the limits. Nothing is read but the log, and that only once.
    pub async fn small_files(
        &self,
        table: &'static Table,
        limits: SmallFileLimits,
        now: Instant,
    ) -> Result<Vec<SmallFiles>, Error> {
        let files = self.inner.log(table).files().await?;
        Ok(small_files(files.iter(), limits, now).into_iter().map(described).collect())
    }

    /// Merges small files of weeks, or of a table without weeks, that have more of them than the limits, into files of
    /// 128 to 256 MiB, or one where that is all there is. Rows and their order stay. `is_stopped` is asked before each
    /// commit.
    ///
    /// # Errors
    /// Reading the log or a file; writing. [`Error::Contended`] when another tool keeps committing. The table's rows are
    /// the same in any case.
    pub async fn merge_small_files(
        &self,
        table: &'static Table,
        limits: SmallFileLimits,
        now: Instant,
        run_id: &str,
        is_stopped: &(dyn Fn() -> bool + Sync),
    ) -> Result<MergedSmallFiles, Error> {
        let log = self.inner.log(table);
        let mut done = MergedSmallFiles::default();
        let (mut kept, mut weeks, mut lost_races) = (HashSet::<Path>::new(), BTreeSet::new(), 0);
        loop {
            let mut keys = log.writing.lock().await;
            let Some(snapshot) = log.snapshot().await? else { break };
            log.check_writable(&snapshot)?;
            let candidates = snapshot.files.iter().filter(|file| !kept.contains(&file.path));
            let Some((week, files)) = small_files(candidates, limits, now).into_iter().next() else { break };
            if is_stopped() {
                done.is_stopped = true;
                break;
            }
            let mut old = next_merged(files);
            let parts = merged_files(bytes(&old));
            let replaced = match self.merged(&log, &mut old, parts).await {
                Ok(Some(staged)) => {
                    let added = (staged.len(), staged.iter().map(|staged| staged.file.size).sum::<u64>());
                    let kind = CommitKind::Compaction;
                    replace_files(&log, &mut keys, &snapshot, kind, staged, &old, run_id).await?.then_some(added)
                }
                Ok(None) => {
                    kept.extend(old.iter().map(|file| file.path.clone()));
                    continue;
                }
                Err(error) => expect_removed(&log, error).await.map(|()| None)?,
            };
            let Some((files_added, bytes_added)) = replaced else {
                lost_races += 1;
                if lost_races >= COMMIT_ATTEMPTS {
                    return Err(Error::Contended { table: table.name, attempts: lost_races });
                }
                continue;
            };
            weeks.insert(week);
            done.files_removed += old.len();
            done.bytes_removed += bytes(&old);
            done.files_added += files_added;
            done.bytes_added += bytes_added;
        }
        (done.weeks, done.files_kept) = (weeks.len(), kept.len());
        Ok(done)
    }

    /// The rows of these files, sorted; if one of them is not, `old` is that one alone. `None`: it has columns that this
    /// program does not know.
    async fn merged(
        &self,
        log: &Arc<Log>,
        old: &mut Vec<Arc<DataFile>>,
        parts: usize,
    ) -> Result<Option<Vec<StagedDataFile>>, Error> {
        match merge_files(&self.inner.storage, log, old, parts).await? {
            Merged::Files(staged) => Ok(Some(staged)),
            Merged::UnknownColumns(file) => {
                *old = vec![file];
                Ok(None)
            }
            // Files of other tools may be in any order.
            Merged::Unsorted(file) => {
                *old = vec![file];
                self.sorted(log, &old[0]).await.map(Some)
            }
        }
    }

    /// The rows of a file, sorted.
    async fn sorted(&self, log: &Arc<Log>, file: &DataFile) -> Result<Vec<StagedDataFile>, Error> {
        let storage = &self.inner.storage;
        let reader = FileReader::open(&storage.store, file).await?;
        let mut rows = reader.read_as(log.table.layout().schema(), None, None)?;
        let buffer = RowBuffer::new(Arc::clone(storage), Arc::clone(&self.inner.consumers), Arc::clone(log));
        while let Some(batch) = rows.try_next().await? {
            buffer.push(file.week, batch).await?;
        }
        let staged = buffer.finish().await?.into_iter().filter_map(|rows| match rows {
            PendingRows::InFile { staged, .. } => Some(staged),
            PendingRows::InMemory { .. } => None,
        });
        let staged: Vec<_> = staged.collect();
        let written: u64 = staged.iter().filter_map(|staged| staged.file.rows).sum();
        if written != reader.rows() as u64 {
            let reason = format!("{} has {} rows, {written} of which were sorted", file.path, reader.rows());
            return Err(Error::Interrupted { table: log.table.name, reason });
        }
        Ok(staged)
    }
}
