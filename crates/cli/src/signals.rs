//! Ctrl-C and SIGTERM: the first requests a shutdown, the second exits at once.

use std::time::Duration;

use crate::output::console::Console;
use crate::problem::ExitCode;

/// The grace period after the first signal, in which complete slices are committed.
pub(crate) const GRACE: Duration = Duration::from_secs(20);

/// Signals this soon after the first one count as the same one: `timeout` and some shells send it to a process and then to
/// its group.
const SAME: Duration = Duration::from_millis(500);

/// Waits for a signal that requests a shutdown.
#[cfg(unix)]
pub(crate) async fn stop_requested() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        // Without a handler, the system's default ends the process.
        Err(_) => std::future::pending().await,
    }
}

/// Waits for a signal that requests a shutdown.
#[cfg(not(unix))]
pub(crate) async fn stop_requested() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits for the next signal, half a second from now or later.
pub(crate) async fn next_requested() {
    tokio::time::sleep(SAME).await;
    stop_requested().await;
}

/// Ends the process at the next signal, half a second from now or later.
pub(crate) fn exit_at_the_next(console: &Console) {
    let console = console.clone();
    tokio::spawn(async move {
        next_requested().await;
        console.warning("stopped at once; what was committed stays, and a rerun does the rest");
        std::process::exit(ExitCode::Partial as i32);
    });
}
