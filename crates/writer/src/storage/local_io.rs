//! What the files of the local store share: waiting for the disk away from the runtime, and errors that name the file.

use std::io::Error as IoError;
use std::path::{Path, PathBuf};

/// The name of this store in errors of `object_store`.
pub(super) const NAME: &str = "local file system";

/// Runs work on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> object_store::Result<T> + Send + 'static,
) -> object_store::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// An error of the file system, with the action and the path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
struct FileError {
    action: &'static str,
    path: PathBuf,
    source: IoError,
}

/// An error of the file system as one of the store; `NotFound` and `AlreadyExists` keep their meaning.
pub(super) fn error(action: &'static str, path: &Path) -> impl FnOnce(IoError) -> object_store::Error {
    move |source| {
        let (path, kind) = (path.to_owned(), source.kind());
        let shown = path.display().to_string();
        let source = Box::new(FileError { action, path, source });
        match kind {
            std::io::ErrorKind::NotFound => object_store::Error::NotFound { path: shown, source },
            std::io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path: shown, source },
            _ => object_store::Error::Generic { store: NAME, source },
        }
    }
}
