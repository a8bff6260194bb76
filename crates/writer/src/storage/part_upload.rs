//! An upload to a store, part by part: nobody sees the file before it is complete, and what is not completed is aborted.

use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result};
use tokio::runtime::Handle;

use crate::storage::lease::Unsettled;

/// An upload in progress. Dropping it discards what was sent.
pub(crate) struct PartUpload {
    to: UploadTarget,
    state: UploadState,
}

/// Where an upload goes.
pub(crate) struct UploadTarget {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    /// Whether the store keeps the parts of an upload until it is aborted.
    pub(crate) keeps_parts: bool,
    /// A file of at most so many bytes is sent in one request when it is complete: an upload in parts takes three.
    pub(crate) single_bytes: usize,
    /// Whether a file of that name may be there already.
    pub(crate) replaces: bool,
    /// Counts the upload until it has ended.
    pub(crate) unsettled: Option<Unsettled>,
}

enum UploadState {
    /// Nothing was sent.
    Waiting,
    /// In a mutex that is never locked, because an upload alone is not `Sync`.
    InParts(Mutex<Box<dyn MultipartUpload>>),
    /// The whole of a short file.
    Single(Vec<u8>),
    /// The file is there, or may be.
    Sent,
}

impl PartUpload {
    /// An upload of which nothing is sent yet.
    pub(crate) fn new(to: UploadTarget) -> Self {
        Self { to, state: UploadState::Waiting }
    }

    /// The upload in parts, begun if it was not yet.
    pub(crate) async fn begin(&mut self) -> Result<&mut dyn MultipartUpload> {
        if !matches!(self.state, UploadState::InParts(_)) {
            self.state = UploadState::InParts(Mutex::new(self.to.store.put_multipart(&self.to.path).await?));
        }
        match &mut self.state {
            UploadState::InParts(upload) => Ok(upload.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()),
            _ => unreachable!("it was just begun"),
        }
    }

    /// Sends a part. All but the last have the same size.
    pub(crate) async fn put(&mut self, part: Vec<u8>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        self.begin().await?.put_part(PutPayload::from(part)).await
    }

    /// Sends the last part; a short file waits until it is published.
    pub(crate) async fn put_last(&mut self, part: Vec<u8>) -> Result<()> {
        if matches!(self.state, UploadState::Waiting) && part.len() <= self.to.single_bytes {
            self.state = UploadState::Single(part);
            return Ok(());
        }
        self.put(part).await
    }

    /// Publishes the file of `size` bytes under its name.
    pub(crate) async fn complete(mut self, size: u64) -> Result<()> {
        let published = if let UploadState::Single(file) = &mut self.state {
            let file = PutPayload::from(std::mem::take(file));
            self.state = UploadState::Sent;
            self.to.store.put(&self.to.path, file).await.map(drop)
        } else {
            self.begin().await?.complete().await.map(drop)
        };
        if let Err(failure) = published {
            // It may have been done, and not answered. Where no name is used twice, a file of this one is this file.
            if self.to.replaces || !self.to.store.head(&self.to.path).await.is_ok_and(|there| there.size == size) {
                return Err(failure);
            }
        }
        self.state = UploadState::Sent;
        self.settle();
        Ok(())
    }

    /// Discards what was sent, and waits until the store has.
    pub(crate) async fn discard(mut self) {
        if let Some(upload) = self.take_parts()
            && abort(upload, self.to.path.clone()).await
        {
            self.settle();
        }
    }

    /// The upload in parts, if it was begun and not published.
    fn take_parts(&mut self) -> Option<Box<dyn MultipartUpload>> {
        if !matches!(self.state, UploadState::InParts(_)) {
            return None;
        }
        match std::mem::replace(&mut self.state, UploadState::Sent) {
            UploadState::InParts(upload) => Some(upload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            _ => None,
        }
    }

    /// Nothing of the upload is left in the store but the file.
    fn settle(&mut self) {
        if let Some(unsettled) = self.to.unsettled.take() {
            unsettled.settle();
        }
    }
}

impl Drop for PartUpload {
    fn drop(&mut self) {
        if matches!(self.state, UploadState::Waiting | UploadState::Single(_)) {
            self.settle();
        }
        // Without a runtime, the next writing command finds it.
        let (true, Ok(runtime)) = (self.to.keeps_parts, Handle::try_current()) else { return };
        if let Some(upload) = self.take_parts() {
            let aborted = abort(upload, self.to.path.clone());
            match self.to.unsettled.take() {
                Some(unsettled) => unsettled.end_with(aborted),
                None => drop(runtime.spawn(aborted)),
            }
        }
    }
}

/// Discards an upload; `false`: parts of it may be left.
async fn abort(mut upload: Box<dyn MultipartUpload>, path: Path) -> bool {
    let aborted = upload.abort().await;
    if let Err(error) = &aborted {
        tracing::warn!(%path, %error, "an upload was not aborted");
    }
    aborted.is_ok()
}
