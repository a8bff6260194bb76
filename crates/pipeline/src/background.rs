//! Work in the background.

use tokio::task::JoinSet;

/// Work on a task of its own, which is aborted when this is dropped.
pub(crate) struct BackgroundWork<T>(JoinSet<T>);

impl<T: Send + 'static> BackgroundWork<T> {
    /// Begins work, which goes on whether anybody waits for it or not.
    pub(crate) fn begin(work: impl Future<Output = T> + Send + 'static) -> Self {
        let mut task = JoinSet::new();
        task.spawn(work);
        Self(task)
    }

    /// Waits for its end.
    pub(crate) async fn finish(mut self) -> T {
        let joined = self.0.join_next().await.unwrap_or_else(|| unreachable!("one task was spawned"));
        joined.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => unreachable!("nobody aborts it"),
        })
    }
}

/// Runs work on a task of its own, which begins when this is first polled and is aborted when this is dropped.
pub(crate) async fn in_background<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    BackgroundWork::begin(work).finish().await
}
