//! The real binary with `preload/disk.c` preloaded, which is built once with the system's C compiler.

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

/// What the library does with a program's changes to files below a folder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disk<'a> {
    /// Appends every change to a journal.
    Journal(&'a Path),
    /// The same, and kills the program after this many changes.
    JournalUntil(&'a Path, u32),
    /// Refuses hard links.
    WithoutLinks,
    /// Fails the sync with this number, counted from 1.
    FailingSync(u32),
    /// Never ends the sync of a file whose path holds this text.
    StalledSync(&'a str),
}

/// A command of a world with the library preloaded, watching the world's folder.
pub(crate) fn preloaded(world: &World, disk: Disk<'_>, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("LD_PRELOAD", &LIBRARY.1).env("DISK_ROOT", world.folder.path());
    match disk {
        Disk::Journal(path) => command.env("DISK_JOURNAL", path),
        Disk::JournalUntil(path, last) => command.env("DISK_JOURNAL", path).env("DISK_DIE", last.to_string()),
        Disk::WithoutLinks => command.env("DISK_REFUSE", "link"),
        Disk::FailingSync(number) => command.env("DISK_FAIL_SYNC", number.to_string()),
        Disk::StalledSync(text) => command.env("DISK_STALL_SYNC", text),
    };
    command
}
