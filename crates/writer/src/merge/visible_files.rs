//! Files that are visible in a table's folder and not part of the table yet.

use std::sync::Arc;

use futures::{StreamExt, stream};
use object_store::path::Path;

use crate::delta::log::Log;
use crate::error::Error;
use crate::parquet::writer::StagedDataFile;

/// Files published concurrently.
const CONCURRENT_FILES: usize = 4;

/// Their paths. In a store, those that are dropped are deleted before the lease is released: after it was lost, nobody
/// looks for them. A local folder is listed by the next run.
pub(crate) struct VisibleFiles {
    log: Arc<Log>,
    paths: Vec<Path>,
}

impl VisibleFiles {
    pub(crate) fn new(log: Arc<Log>) -> Self {
        Self { log, paths: vec![] }
    }

    pub(crate) fn add(&mut self, paths: impl IntoIterator<Item = Path>) {
        self.paths.extend(paths);
    }

    /// Publishes a file under its name, and remembers it in case the commit fails.
    pub(crate) async fn publish(&mut self, staged: &mut StagedDataFile) -> Result<(), Error> {
        self.publish_all(std::iter::once(staged)).await
    }

    /// As [`VisibleFiles::publish`], several at a time.
    pub(crate) async fn publish_all(&mut self, files: impl Iterator<Item = &mut StagedDataFile>) -> Result<(), Error> {
        let files: Vec<&mut StagedDataFile> = files.filter(|staged| !staged.is_complete()).collect();
        self.add(files.iter().map(|staged| staged.file.path.clone()));
        let completed = stream::iter(files).map(StagedDataFile::complete).buffer_unordered(CONCURRENT_FILES);
        // All of them end before an error is returned: none may be published after the others were deleted.
        completed.collect::<Vec<_>>().await.into_iter().collect()
    }

    /// Those for which it does not hold are part of the table now.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Path) -> bool) {
        self.paths.retain(keep);
    }

    /// Deletes them.
    pub(crate) async fn delete(mut self) {
        let paths = std::mem::take(&mut self.paths);
        self.log.readers.delete(paths).await;
    }

    /// Leaves them where they are: they may be part of the table.
    pub(crate) fn keep(mut self) {
        self.paths.clear();
    }
}

impl Drop for VisibleFiles {
    fn drop(&mut self) {
        let paths = std::mem::take(&mut self.paths);
        if let Some(lease) = self.log.lease().filter(|_| !paths.is_empty()) {
            let readers = Arc::clone(&self.log.readers);
            lease.background.spawn(async move { readers.delete(paths).await });
        }
    }
}
