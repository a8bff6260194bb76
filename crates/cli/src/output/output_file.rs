//! Files that get their names once they are complete.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use copilot_lake_writer::FileRights;

use crate::config::text_file::reason;
use crate::problem::usage;

/// The name that a file gets when it is complete. Until then it has a temporary one; a file that never gets its name is
/// removed.
pub(crate) struct PendingName {
    partial: PathBuf,
    path: PathBuf,
}

impl PendingName {
    /// Names the file, which is written to its end.
    pub(crate) fn give(self) -> Result<()> {
        std::fs::rename(&self.partial, &self.path).with_context(|| format!("cannot name `{}`", self.path.display()))
    }
}

impl Drop for PendingName {
    fn drop(&mut self) {
        // After the renaming there is none.
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// Opens a file under a temporary name, so that a partial one is never taken for a complete one. A pipe or a device keeps
/// its name.
pub(crate) fn create(path: &Path, rights: FileRights) -> Result<(File, Option<PendingName>)> {
    open(path, rights).map_err(|error| {
        let partial = partial_name(path);
        let refused = if partial.is_symlink() { &partial } else { path };
        usage(format!("cannot write `{}`: {}", refused.display(), reason(&error)))
            .hint("name a file in a directory that exists and can be written")
            .into()
    })
}

fn open(path: &Path, rights: FileRights) -> std::io::Result<(File, Option<PendingName>)> {
    // A pipe or a device cannot be renamed over.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok((File::options().write(true).open(path)?, None));
    }
    let partial = partial_name(path);
    Ok((rights.create_for(&partial, path)?, Some(PendingName { partial, path: path.to_owned() })))
}

/// The name of a file until it is complete.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
