//! The library of `preload/disk.c`, built once with the system's C compiler, and the real binary under it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::harness::{World, package};

static LIBRARY: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::TempDir::new().unwrap();
    let library = folder.path().join("disk.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&library)
        .arg(package().join("preload/disk.c"))
        .args(["-ldl", "-lpthread"])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    (folder, library)
});

/// What is written down of a program's changes to files below a folder, or refused.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disk<'a> {
    /// Every change is appended to that file.
    Journal(&'a Path),
    /// The same, until the program is dead after so many of them.
    JournalUntil(&'a Path, u32),
    /// There are no hard links.
    WithoutLinks,
    /// The sync of that number fails, counted from 1.
    FailingSync(u32),
}

/// The command of a world with the library under it, watching the world's folder.
pub(crate) fn preloaded(world: &World, disk: Disk<'_>, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("LD_PRELOAD", &LIBRARY.1).env("DISK_ROOT", world.folder.path());
    match disk {
        Disk::Journal(path) => command.env("DISK_JOURNAL", path),
        Disk::JournalUntil(path, last) => command.env("DISK_JOURNAL", path).env("DISK_DIE", last.to_string()),
        Disk::WithoutLinks => command.env("DISK_REFUSE", "link"),
        Disk::FailingSync(number) => command.env("DISK_FAIL_SYNC", number.to_string()),
    };
    command
}
