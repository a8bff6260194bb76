//! Files that prove an identity: read for every sign-in, because they are replaced while a run goes on.

use std::path::Path;

use crate::error::Error;

/// The bytes of the file that `setting` names.
pub(super) fn read(setting: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let text = error.to_string();
        // Without the error number.
        let reason = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        Error::Usage { what: format!("cannot read `{}`, the file of `{setting}`: {reason}", path.display()) }
    })
}
