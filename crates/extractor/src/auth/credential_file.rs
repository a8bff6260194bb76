//! Files that prove an identity, read at every sign-in because they may be renewed during a run.

use std::path::Path;

use crate::error::Error;
use crate::text_file::text_of;

/// The text of the file that `setting` names, without its byte-order mark.
pub(super) fn read_text(setting: &str, path: &Path) -> Result<String, Error> {
    let bytes = read(setting, path)?;
    let text = text_of(&bytes).map_err(|not_text| Error::Usage {
        what: format!("`{}`, the file of `{setting}`, {not_text}", path.display()),
    });
    text.map(str::to_owned)
}

/// The bytes of the file that `setting` names.
pub(super) fn read(setting: &str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| {
        let text = error.to_string();
        // Without the error number.
        let reason = text.split(" (os error").next().unwrap_or_default().to_lowercase();
        // Instead of a file's name, it may be the secret itself.
        Error::Usage { what: format!("cannot read the file of `{setting}`: {reason}") }
    })
}
