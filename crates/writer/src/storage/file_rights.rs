//! Who may read what is written to the local file system.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error as IoError, Result as IoResult, Write};
use std::path::Path;

/// Who may read files and folders that the program creates. Windows has no such modes: there, all inherit their rights
/// from the folder above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileRights {
    /// This user alone: files 0600 and folders 0700, less what the umask takes away.
    #[default]
    Private,
    /// Everyone whom the umask admits.
    Shared,
}

impl FileRights {
    const fn file_mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Shared => 0o666,
        }
    }

    #[cfg(unix)]
    const fn folder_mode(self) -> u32 {
        match self {
            Self::Private => 0o700,
            Self::Shared => 0o777,
        }
    }

    /// The mode of a file that takes the place of one with mode `replaced`: the stricter of both.
    pub(crate) const fn mode(self, replaced: Option<u32>) -> u32 {
        match replaced {
            Some(replaced) => self.file_mode() & replaced,
            None => self.file_mode(),
        }
    }

    /// Options for a file that is created with these rights. A symbolic link at its name is not followed: opening it
    /// fails, see [`refused_link`].
    pub(crate) fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        restrict(&mut options, self.mode(None));
        options
    }

    /// Creates a file that will take the place of `target`, if there is one: it gets the stricter rights of both. A file
    /// of its name, such as one that a killed process left, is removed before; a symbolic link is an error.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create_for(self, path: &Path, target: &Path) -> IoResult<File> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.is_symlink() => return Err(is_a_link()),
            Ok(_) => std::fs::remove_file(path)?,
            Err(_) => {}
        }
        let mut options = OpenOptions::new();
        restrict(&mut options, self.mode(mode_of(target)));
        // Fails if somebody else creates the file right now.
        options.write(true).create_new(true).open(path)
    }

    /// Writes a whole file in place: a new one gets these rights, another keeps its own where they are stricter.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(self, path: &Path, content: &[u8]) -> IoResult<()> {
        let mut options = OpenOptions::new();
        // What the path names may be a link, such as /dev/stdout.
        create_with(&mut options, self.mode(None));
        let mut file = options.write(true).create(true).truncate(true).open(path)?;
        tighten(&file, self);
        file.write_all(content)?;
        file.flush()
    }

    /// Creates a folder and its missing parents.
    pub(crate) fn create_folders(self, folder: &Path) -> IoResult<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, self.folder_mode());
        builder.create(folder)
    }
}

/// The error of a file that was opened by [`FileRights::options`]: a symbolic link is named as such.
pub(crate) fn refused_link(error: IoError) -> IoError {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        return is_a_link();
    }
    error
}

/// The error of a symbolic link where none is followed.
pub(crate) fn is_a_link() -> IoError {
    IoError::other("it is a symbolic link, which is not followed")
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, mode: u32) {
    use std::os::unix::fs::OpenOptionsExt;
    create_with(options, mode);
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
}

#[cfg(unix)]
fn create_with(options: &mut OpenOptions, mode: u32) {
    std::os::unix::fs::OpenOptionsExt::mode(options, mode);
}

/// The mode of a file, without its type.
#[cfg(unix)]
fn mode_of(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).ok().map(|file| file.permissions().mode() & 0o777)
}

/// Takes rights away from an open file that has more; not from a pipe or a device, and not from somebody else's file.
#[cfg(unix)]
fn tighten(file: &File, rights: FileRights) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(found) = file.metadata() else { return };
    let mode = found.permissions().mode() & 0o777;
    let wanted = rights.mode(Some(mode));
    if found.is_file() && wanted != mode {
        let _ = file.set_permissions(std::fs::Permissions::from_mode(wanted));
    }
}

#[cfg(not(unix))]
fn restrict(_: &mut OpenOptions, _: u32) {}

#[cfg(not(unix))]
fn create_with(_: &mut OpenOptions, _: u32) {}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> Option<u32> {
    None
}

#[cfg(not(unix))]
fn tighten(_: &File, _: FileRights) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_stricter_rights_win() {
        let cases = [
            (FileRights::Private, None, 0o600),
            (FileRights::Private, Some(0o644), 0o600),
            (FileRights::Private, Some(0o666), 0o600),
            (FileRights::Private, Some(0o400), 0o400),
            (FileRights::Shared, None, 0o666),
            (FileRights::Shared, Some(0o644), 0o644),
            (FileRights::Shared, Some(0o640), 0o640),
            (FileRights::Shared, Some(0o600), 0o600),
        ];
        for (rights, replaced, mode) in cases {
            assert_eq!(rights.mode(replaced), mode, "{rights:?} {replaced:?}");
        }
    }

    #[test]
    fn a_file_that_takes_the_place_of_another_is_as_closed_as_that() {
        let folder = tempfile::tempdir().unwrap();
        let (target, partial) = (folder.path().join("x"), folder.path().join("x.partial"));
        std::fs::write(&target, "old").unwrap();
        for (rights, old, new) in [
            (FileRights::Private, 0o644, 0o600),
            (FileRights::Shared, 0o640, 0o640),
            (FileRights::Shared, 0o600, 0o600),
        ] {
            set_mode(&target, old);
            // What a killed process left does not lend its rights.
            std::fs::write(&partial, "left").unwrap();
            set_mode(&partial, 0o666);
            drop(rights.create_for(&partial, &target).unwrap());
            assert_eq!(
                (mode_of(&partial), std::fs::read(&partial).unwrap().len()),
                (Some(new), 0),
                "{rights:?} {old:o}"
            );
        }
    }

    #[test]
    fn a_file_that_is_written_in_place_loses_rights_and_gains_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        FileRights::Private.write(&path, b"a").unwrap();
        assert_eq!(mode_of(&path), Some(0o600));
        for (rights, old, new) in [
            (FileRights::Private, 0o644, 0o600),
            (FileRights::Shared, 0o644, 0o644),
            (FileRights::Shared, 0o600, 0o600),
        ] {
            set_mode(&path, old);
            rights.write(&path, b"b").unwrap();
            assert_eq!(mode_of(&path), Some(new), "{rights:?} {old:o}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), b"b");
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
        std::fs::write(&victim, "mine").unwrap();
        symlink(&victim, &link).unwrap();
        let opened = FileRights::Private.options().write(true).create(true).truncate(true).open(&link);
        let error = refused_link(opened.unwrap_err()).to_string();
        assert_eq!(error, "it is a symbolic link, which is not followed");
        let error = FileRights::Private.create_for(&link, &folder.path().join("x")).unwrap_err().to_string();
        assert_eq!(error, "it is a symbolic link, which is not followed");
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
    }

    #[test]
    fn missing_folders_are_private_and_others_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        FileRights::Private.create_folders(&folder.path().join("a/b")).unwrap();
        let modes = ["", "a", "a/b"].map(|name| mode_of(&folder.path().join(name)).unwrap());
        assert_eq!(modes, [0o755, 0o700, 0o700]);
    }
}
