//! Publishing a staged file only if no file has its name: commits of the log rely on it.

use std::fs::OpenOptions;
use std::io::{Error as IoError, ErrorKind, Result};
use std::path::Path;

/// Renames a file unless the new name is taken.
///
/// A hard link never replaces a file, on any file system that has links. Without links (SMB, Azure Files, FAT, most
/// FUSE file systems) a no-replace rename is used; where that is missing too, an empty file reserves the name and the
/// rename replaces that.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when the name is taken.
pub(super) fn rename_if_absent(from: &Path, to: &Path) -> Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {
            // The file is published; if its temporary name stays, it is hidden and removed with orphan files.
            let _ = std::fs::remove_file(from);
            Ok(())
        }
        Err(error) if is_unsupported(&error) => match rename_without_replacing(from, to) {
            Err(error) if is_unsupported(&error) => rename_over_reservation(from, to),
            renamed => renamed,
        },
        Err(error) => Err(error),
    }
}

/// Whether the file system does not support the call. "Permission denied" may mean that, too.
fn is_unsupported(error: &IoError) -> bool {
    use ErrorKind::{InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported | TooManyLinks | InvalidInput)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_without_replacing(from: &Path, to: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(IoError::from)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_without_replacing(_: &Path, _: &Path) -> Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Briefly, or for good after a crash, the file exists and is empty: a log entry without actions changes nothing.
fn rename_over_reservation(from: &Path, to: &Path) -> Result<()> {
    OpenOptions::new().write(true).create_new(true).open(to)?;
    std::fs::rename(from, to).inspect_err(|_| {
        let _ = std::fs::remove_file(to);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way gives the name once, and leaves nothing else.
    fn check(rename: fn(&Path, &Path) -> Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| folder.path().join(name);
        std::fs::write(name("first#1"), "first").unwrap();
        std::fs::write(name("second#1"), "second").unwrap();
        rename(&name("first#1"), &name("entry")).unwrap();
        let refused = rename(&name("second#1"), &name("entry")).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(name("entry")).unwrap(), "first");
        assert!(name("second#1").exists() && !name("first#1").exists());
    }

    #[test]
    fn a_name_that_is_taken_is_not_taken_again() {
        check(rename_if_absent);
        check(rename_over_reservation);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_rename_can_refuse_to_replace() {
        check(rename_without_replacing);
    }
}
