//! The bridge from tokio to rayon: CPU work leaves the runtime and comes back as a future.

use tokio::sync::oneshot;

/// Runs `work` on a rayon thread. Its panic is resumed here.
pub(crate) async fn run_on_rayon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = oneshot::channel();
    rayon::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // The receiver is gone when the run was stopped.
        drop(send.send(result));
    });
    match receive.await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => unreachable!("the sender is only dropped after sending"),
    }
}
