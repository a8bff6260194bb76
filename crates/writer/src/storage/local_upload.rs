//! A multipart upload into a local file.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use crate::storage::file_rights::FileRights;
use crate::storage::folders::Folders;
use crate::storage::local_io::{blocking, error};
use crate::storage::staged_file::StagedFile;

/// A file that is being uploaded. Dropping it discards what was sent.
#[derive(Debug)]
pub(super) struct LocalUpload {
    folders: Arc<Folders>,
    target: PathBuf,
    /// `None` once it was completed or aborted.
    file: Arc<Mutex<Option<StagedFile>>>,
    end: u64,
}

impl LocalUpload {
    pub(super) fn create(folders: Arc<Folders>, target: PathBuf, rights: FileRights) -> Result<Self> {
        let file = StagedFile::create(&target, rights)?;
        Ok(Self { folders, target, file: Arc::new(Mutex::new(Some(file))), end: 0 })
    }
}

#[async_trait]
impl MultipartUpload for LocalUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let offset = self.end;
        self.end += part.content_length() as u64;
        let (file, target) = (Arc::clone(&self.file), self.target.clone());
        let write = move || match file.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            Some(file) => file.write(offset, &part),
            None => Err(ended_upload(&target)),
        };
        blocking(write).boxed()
    }

    /// Publishes the file when its content is durable; the name is durable once the next put returns.
    async fn complete(&mut self) -> Result<PutResult> {
        let (file, folders, target) = (Arc::clone(&self.file), Arc::clone(&self.folders), self.target.clone());
        let complete = move || {
            folders.check()?;
            let file = file.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut file = file.ok_or_else(|| ended_upload(&target))?;
            file.sync()?;
            file.replace()?;
            folders.note_change(target.parent().unwrap_or(&target));
            Ok(PutResult { e_tag: None, version: None })
        };
        blocking(complete).await
    }

    async fn abort(&mut self) -> Result<()> {
        drop(self.file.lock().unwrap_or_else(PoisonError::into_inner).take());
        Ok(())
    }
}

fn ended_upload(target: &Path) -> object_store::Error {
    error("write", target)(std::io::Error::other("the upload was completed or aborted"))
}
