//! Files that are visible in a table's folder and not part of the table yet.

use std::sync::Arc;

use object_store::path::Path;

use crate::delta::log::Log;

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
