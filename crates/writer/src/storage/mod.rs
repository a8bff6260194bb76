//! The local file system as an object store whose commits survive a power cut.
//!
//! Knows files and folders, not tables: what is written, in which order it becomes durable, and how a file gets its name
//! without replacing another one. Reading is left to `object_store`'s own local store.

mod folders;
mod local;
mod publish;
mod staged;
mod upload;

pub(crate) use folders::make_folders;
pub(crate) use local::LocalStore;

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
