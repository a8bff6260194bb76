//! Reading the lake again, from the beginning, when another tool removed files of a table meanwhile.

use std::error::Error as StdError;
use std::future::ready;

use copilot_lake_writer::Error as LakeError;

use crate::error::Error;

/// The result of a read that changes nothing, made again when another tool removed a file that it was to read.
pub(crate) async fn reread<T, E: StdError + 'static, F: Future<Output = Result<T, E>>>(
    read: impl FnMut() -> F,
) -> Result<T, E> {
    let expect_outdated = |error: E| ready(if is_outdated(&error) { Ok(()) } else { Err(error) });
    copilot_lake_writer::reread(read, expect_outdated).await
}

/// Whether the error says that another tool removed such a file.
pub(crate) fn is_outdated(error: &(dyn StdError + 'static)) -> bool {
    matches!(lake_error(error), Some(LakeError::FileRemoved { .. }))
}

/// The error of the lake that it is, if so.
pub(crate) fn lake_error<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e LakeError> {
    match error.downcast_ref() {
        Some(Error::Lake(error)) => Some(error),
        _ => error.downcast_ref(),
    }
}
