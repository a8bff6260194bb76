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

/// Opens a file under a temporary name, so that a partial one is never taken for a complete one. A pipe, a device or another
/// name of the standard output keeps its name.
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
    if let Some(stream) = standard_stream(path) {
        return Ok((stream, None));
    }
    // A pipe or a device cannot be renamed over.
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Ok((File::options().write(true).open(path)?, None));
    }
    let partial = partial_name(path);
    Ok((rights.create_for(&partial, path)?, Some(PendingName { partial, path: path.to_owned() })))
}

/// The standard output or error, if that is what a path such as `/dev/stdout` names. A file that took the place of the link
/// would be seen by nobody, and what is behind it may hold more than this process writes.
#[cfg(unix)]
fn standard_stream(path: &Path) -> Option<File> {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::MetadataExt as _;
    let named = std::fs::metadata(path).ok()?;
    let streams = [std::io::stdout().as_fd().try_clone_to_owned(), std::io::stderr().as_fd().try_clone_to_owned()];
    let is_named =
        |stream: &File| stream.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (named.dev(), named.ino()));
    streams.into_iter().flatten().map(File::from).find(is_named)
}

#[cfg(not(unix))]
const fn standard_stream(_: &Path) -> Option<File> {
    None
}

/// The name of a file until it is complete.
fn partial_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}
