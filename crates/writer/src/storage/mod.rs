//! Where the files of a lake are: the place, every path in it, its lock, and the local file system as an object store whose
//! commits survive a power cut.
//!
//! Knows files and folders; knows neither rows nor the log of a table. Reading local files is left to `object_store`'s own
//! local store.

mod folders;
pub(crate) mod listing;
mod local_store;
mod local_upload;
pub(crate) mod location;
pub(crate) mod lock;
pub(crate) mod paths;
mod probe;
mod publish;
pub(crate) mod readers;
mod staged_file;

pub(crate) use folders::make_folders;
pub(crate) use local_store::LocalStore;

#[cfg(test)]
mod tests;

use std::io::Error as IoError;
use std::path::{Path, PathBuf};

/// The name of this store in errors of `object_store`.
const NAME: &str = "local file system";

/// Works on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> object_store::Result<T> + Send + 'static,
) -> object_store::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// What the file system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
struct FileError {
    action: &'static str,
    path: PathBuf,
    source: IoError,
}

/// An error of the file system as one of the store; `NotFound` and `AlreadyExists` keep their meaning.
fn error(action: &'static str, path: &Path) -> impl FnOnce(IoError) -> object_store::Error {
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
