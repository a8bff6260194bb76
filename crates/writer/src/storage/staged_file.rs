//! A staged file: written under a temporary name.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use object_store::{PutPayload, Result};

use crate::storage::file_rights::FileRights;
use crate::storage::local_io::error;
use crate::storage::paths;
use crate::storage::publish;

/// A file with a temporary name beside its target, hidden from listings. Deleted when dropped before it is published.
#[derive(Debug)]
pub(super) struct StagedFile {
    /// `None` once it is published.
    file: Option<File>,
    path: PathBuf,
    target: PathBuf,
}

impl StagedFile {
    /// Creates the staged file for a target path, and its folders.
    pub(super) fn create(target: &Path, rights: FileRights) -> Result<Self> {
        let mut number = 1;
        loop {
            let path = paths::staged(target, number);
            match rights.options().read(true).write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Self { file: Some(file), path, target: target.to_owned() }),
                Err(source) if source.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(source) if source.kind() == ErrorKind::NotFound => {
                    let folder = target.parent().unwrap_or(target);
                    rights.create_folders(folder).map_err(error("create the folder", folder))?;
                }
                Err(source) => return Err(error("create", &path)(source)),
            }
        }
    }

    fn file(&mut self) -> Result<&mut File> {
        self.file.as_mut().ok_or_else(|| error("write", &self.target)(ErrorKind::NotFound.into()))
    }

    /// Writes bytes at that offset.
    pub(super) fn write(&mut self, offset: u64, bytes: &PutPayload) -> Result<()> {
        let file = self.file()?;
        let written = file.seek(SeekFrom::Start(offset)).and_then(|_| bytes.iter().try_for_each(|b| file.write_all(b)));
        written.map_err(error("write", &self.path))
    }

    /// Waits until the content is durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file()?.sync_data().map_err(error("sync", &self.path))
    }

    /// Publishes the file, replacing another of its name.
    pub(super) fn replace(self) -> Result<()> {
        self.rename(|from, to| std::fs::rename(from, to))
    }

    /// Publishes the file, unless another has its name.
    pub(super) fn publish(self) -> Result<()> {
        self.rename(publish::rename_if_absent)
    }

    fn rename(mut self, rename: impl FnOnce(&Path, &Path) -> std::io::Result<()>) -> Result<()> {
        // Close it first: some file systems (Blobfuse) upload a file when it is closed.
        let open = self.file.take();
        let is_open = open.is_some();
        drop(open);
        let renamed = if is_open { rename(&self.path, &self.target) } else { Err(ErrorKind::NotFound.into()) };
        renamed.map_err(|source| {
            let _ = std::fs::remove_file(&self.path);
            error("publish", &self.target)(source)
        })
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            // If it stays, it is hidden and removed with orphan files.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
