//! Compression away from the runtime's threads.

use std::io::Error as IoError;

use crate::error::Error;

/// Runs blocking work away from the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    action: String,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Error::file(action)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::file(action)(IoError::other(error))),
        },
    }
}
