//! Work in the background.

use tokio::task::JoinSet;

/// Runs work on a task of its own, which is aborted when this is dropped.
pub(crate) async fn in_background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let mut task = JoinSet::new();
    task.spawn(work);
    let joined = task.join_next().await.unwrap_or_else(|| unreachable!("one task was spawned"));
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => unreachable!("nobody aborts it"),
    })
}
