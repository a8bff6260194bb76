//! Queries over a lake from which another tool, or another run, removes files meanwhile.

use anyhow::Result;
use copilot_lake_query::Error as QueryError;
use copilot_lake_writer::{Error as LakeError, Lake};

/// Times that something is computed before it is given up.
pub(crate) const ATTEMPTS: usize = 5;

/// Computes something from sessions over the lake; again where a file was removed after a session was opened.
pub(crate) async fn recomputed<T, F: Future<Output = Result<T>>>(
    lake: &Lake,
    mut compute: impl FnMut() -> F,
) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match compute().await {
            Err(error) if is_outdated(lake, &error).await => {}
            result => return result,
        }
    }
    compute().await
}

/// Whether an error says that a file is missing which is no more part of the lake. A new session does without it.
pub(crate) async fn is_outdated(lake: &Lake, error: &anyhow::Error) -> bool {
    if let Some(QueryError::FileMissing { path, .. }) = error.downcast_ref() {
        return lake.is_removed(path).await.unwrap_or(false);
    }
    matches!(error.downcast_ref(), Some(LakeError::FileRemoved { .. }))
}
