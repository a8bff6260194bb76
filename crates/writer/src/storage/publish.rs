//! Giving a finished file its name only if no file has it: what a commit of the log relies on.

use std::fs::OpenOptions;
use std::io::{Error as IoError, ErrorKind, Result};
use std::path::Path;

/// Renames a file unless the new name is taken.
///
/// A hard link refuses to replace on every file system that has links. Where there are none (SMB, Azure Files, FAT, most
/// FUSE file systems) a rename is asked to refuse; where that is not possible either, the name is taken by an empty file
/// first, which the rename then replaces.
///
/// # Errors
/// [`ErrorKind::AlreadyExists`] when the name is taken.
pub(super) fn rename_if_absent(from: &Path, to: &Path) -> Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => {
            // It has its name: what is left of the other one is hidden, and removed with other leftovers.
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

/// Whether the file system, rather than this file, is the reason. "Permission denied" may mean both.
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

/// For a moment, and after a crash in it, the file is there and empty: a log entry without actions, which changes nothing.
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
