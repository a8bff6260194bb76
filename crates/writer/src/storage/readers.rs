//! Active readers of a table's files, so that no file is deleted under a reader.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::lake_storage::LeaseSlot;
use crate::storage::local_store::LocalStore;

/// The active readers of a table's files, and removed files that wait for them to end.
pub(crate) struct Readers {
    store: Arc<dyn ObjectStore>,
    /// The same store, when it is a local folder.
    local: Option<LocalStore>,
    /// The lease, once it is taken.
    lease: LeaseSlot,
    inner: Mutex<ReaderState>,
    /// Whether a removed file is still in the folder because it could not be deleted.
    has_undeleted: AtomicBool,
}

#[derive(Default)]
struct ReaderState {
    reading: usize,
    waiting: Vec<Path>,
}

/// An active reader, until dropped.
pub(crate) struct ReadGuard(Arc<Readers>);

impl Readers {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, local: Option<LocalStore>, lease: LeaseSlot) -> Self {
        Self { store, local, lease, inner: Mutex::default(), has_undeleted: AtomicBool::new(false) }
    }

    pub(crate) fn register(self: &Arc<Self>) -> ReadGuard {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).reading += 1;
        ReadGuard(Arc::clone(self))
    }

    /// Deletes files that are no longer part of the table: now, or when the last reader has ended.
    ///
    /// A file that cannot be deleted is logged as a warning, and the next run lists the folder.
    pub(crate) async fn delete(&self, paths: Vec<Path>) {
        {
            let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            if inner.reading > 0 {
                inner.waiting.extend(paths);
                return;
            }
        }
        self.delete_now(paths).await;
    }

    async fn delete_now(&self, paths: Vec<Path>) {
        for path in paths {
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => self.note_undeleted(&path, &error),
            }
        }
    }

    fn note_undeleted(&self, path: &Path, error: &dyn std::fmt::Display) {
        self.has_undeleted.store(true, Ordering::Relaxed);
        // The table may have had its last commit.
        if let Some(lease) = self.lease.get() {
            lease.require_fence();
        }
        tracing::warn!(%path, %error, "could not delete a removed file");
    }

    /// Whether a file that is no longer part of the table is still in its folder.
    pub(crate) fn has_undeleted(&self) -> bool {
        self.has_undeleted.load(Ordering::Relaxed)
    }
}

impl Drop for ReadGuard {
    fn drop(&mut self) {
        let mut inner = self.0.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.reading -= 1;
        if inner.reading > 0 || inner.waiting.is_empty() {
            return;
        }
        let paths = std::mem::take(&mut inner.waiting);
        drop(inner);
        match (&self.0.local, tokio::runtime::Handle::try_current()) {
            // Synchronously, so that the folder equals the log when the last reader is gone.
            (Some(local), _) => {
                for path in paths {
                    match local.remove(&local.root().join(path.as_ref())) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            self.0.note_undeleted(&path, &error);
                        }
                        _ => {}
                    }
                }
            }
            (None, Ok(runtime)) => {
                let readers = Arc::clone(&self.0);
                drop(runtime.spawn(async move { readers.delete_now(paths).await }));
            }
            (None, Err(_)) => {}
        }
    }
}
