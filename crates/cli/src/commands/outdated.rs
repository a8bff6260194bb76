//! Queries over a lake from which another tool, or another run, removes files meanwhile.

use anyhow::{Error, Result};
use copilot_lake_query::Error as QueryError;
use copilot_lake_writer::{Error as LakeError, Lake};

/// `Ok` when a file is missing that is no longer part of the lake: a new session does without it. Any other error is
/// returned.
pub(crate) async fn expect_outdated(lake: &Lake, error: Error) -> Result<()> {
    let is_outdated = match error.downcast_ref() {
        Some(QueryError::FileMissing { path, .. }) => lake.is_removed(path).await.unwrap_or(false),
        _ => matches!(error.downcast_ref(), Some(LakeError::FileRemoved { .. })),
    };
    if is_outdated { Ok(()) } else { Err(error) }
}
