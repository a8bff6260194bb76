//! Long or blocking work, away from the runtime's threads.

use tokio::task::JoinError;

/// Runs work on a thread that may block. A panic of the work becomes the caller's.
///
/// # Errors
/// When the runtime shuts down before the work begins.
pub(crate) async fn run_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(error),
        },
    }
}
