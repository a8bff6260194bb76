//! Data files that are missing while a snapshot is read: another tool has removed them since, or they are lost.

use crate::delta::log::Log;
use crate::error::Error;

/// Reads the log again if a data file is missing: [`Error::Damaged`] when the newest version names it too.
pub(crate) async fn judged(log: &Log, error: Error) -> Error {
    let Error::FileRemoved { table, path } = error else { return error };
    match log.reload().await {
        Ok(now) if now.iter().flat_map(|now| &now.files).any(|file| file.path.as_ref() == path) => {
            Error::Damaged { table, what: format!("{path} is missing") }
        }
        Ok(_) => Error::FileRemoved { table, path },
        Err(error) => error,
    }
}

/// `Ok` when another tool removed a file that was to be read, so that the newest snapshot does not name it; any other
/// error is returned.
pub(crate) async fn expect_removed(log: &Log, error: Error) -> Result<(), Error> {
    match judged(log, error).await {
        Error::FileRemoved { .. } => Ok(()),
        error => Err(error),
    }
}
