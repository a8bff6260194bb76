//! Compression away from the runtime's threads.

use std::io::Error as IoError;

use crate::blocking::run_blocking;
use crate::error::Error;

/// Runs work that may block; `action` says what it is in its error.
pub(super) async fn blocking<T: Send + 'static>(
    action: String,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = run_blocking(work).await.unwrap_or_else(|error| Err(IoError::other(error)));
    done.map_err(Error::file(action))
}
