//! An upload to a store, part by part: nobody sees the file before it is complete, and what is not completed is aborted.

use std::sync::{Arc, Mutex, PoisonError};

use object_store::path::Path;
use object_store::{Error as StoreError, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::memory::MemoryPool;
use crate::storage::lease::Unsettled;
use crate::store_request::{self, RequestFailure};

/// Parts of an upload in flight, at most: one connection to a store carries less than a machine sends.
const PARTS_IN_FLIGHT: usize = 4;

/// An upload in progress. Dropping it discards what was sent.
pub(crate) struct PartUpload {
    to: UploadTarget,
    state: UploadState,
    /// Parts in flight, whose memory is reserved.
    in_flight: JoinSet<Result<()>>,
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
    /// The memory of parts in flight while the next one is made; `None`: they are sent one after another.
    pub(crate) memory: Option<MemoryPool>,
}

enum UploadState {
    /// Nothing was sent.
    Waiting,
    /// The upload in parts was requested, and may have begun.
    Beginning,
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
        Self { to, state: UploadState::Waiting, in_flight: JoinSet::new() }
    }

    /// The upload in parts, begun if it was not yet.
    pub(crate) async fn begin(&mut self) -> Result<&mut dyn MultipartUpload> {
        if !matches!(self.state, UploadState::InParts(_)) {
            self.state = UploadState::Beginning;
            self.state = UploadState::InParts(Mutex::new(self.to.store.put_multipart(&self.to.path).await?));
        }
        match &mut self.state {
            UploadState::InParts(upload) => Ok(upload.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()),
            _ => unreachable!("it was just begun"),
        }
    }

    /// Sends a part, and returns when the next one may be made: at once if memory can be reserved for this one, else when
    /// it is sent. Fails if any part before was not sent. All but the last have the same size.
    pub(crate) async fn put(&mut self, part: Vec<u8>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        while let Some(sent) = self.in_flight.try_join_next() {
            sent??;
        }
        while self.in_flight.len() >= PARTS_IN_FLIGHT {
            self.join_next().await?;
        }
        let reserved = self.to.memory.as_ref().and_then(|memory| memory.try_reserve(part.len()));
        let sending = self.begin().await?.put_part(PutPayload::from(part));
        let Some(reserved) = reserved else { return sending.await };
        self.in_flight.spawn(async move {
            let sent = sending.await;
            drop(reserved);
            sent
        });
        Ok(())
    }

    /// Sends the last part; a short file waits until it is published.
    pub(crate) async fn put_last(&mut self, part: Vec<u8>) -> Result<()> {
        if matches!(self.state, UploadState::Waiting) && part.len() <= self.to.single_bytes {
            self.state = UploadState::Single(part);
            return Ok(());
        }
        self.put(part).await
    }

    /// Publishes the file of `size` bytes under its name, once all parts are sent. If that fails, it is to be discarded.
    pub(crate) async fn complete(&mut self, size: u64) -> Result<()> {
        let published = if let UploadState::Single(file) = &mut self.state {
            let file = PutPayload::from(std::mem::take(file));
            self.state = UploadState::Sent;
            self.to.store.put(&self.to.path, file).await.map(drop)
        } else {
            while !self.in_flight.is_empty() {
                self.join_next().await?;
            }
            self.begin().await?.complete().await.map(drop)
        };
        if let Err(failure) = published {
            // It may have been done, and not answered. Where no name is used twice, a file of this one is this file.
            if self.to.replaces || !self.to.store.head(&self.to.path).await.is_ok_and(|there| there.size == size) {
                if let (UploadState::Sent, Some(unsettled)) = (&self.state, &self.to.unsettled)
                    && store_request::failure(&failure) != Some(RequestFailure::Refused)
                {
                    // A single request cannot be aborted.
                    unsettled.may_arrive();
                }
                return Err(failure);
            }
        }
        self.state = UploadState::Sent;
        self.settle();
        Ok(())
    }

    /// Discards what was sent, and waits until the store has.
    pub(crate) async fn discard(mut self) {
        let in_flight = std::mem::take(&mut self.in_flight);
        if let Some(upload) = self.take_parts()
            && abort(upload, in_flight, self.to.path.clone()).await
        {
            self.settle();
        }
    }

    /// Waits until one of the parts in flight is sent.
    async fn join_next(&mut self) -> Result<()> {
        match self.in_flight.join_next().await {
            Some(sent) => sent?,
            None => Ok(()),
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
        let in_flight = std::mem::take(&mut self.in_flight);
        if let Some(upload) = self.take_parts() {
            let aborted = abort(upload, in_flight, self.to.path.clone());
            match self.to.unsettled.take() {
                Some(unsettled) => unsettled.end_with(aborted),
                None => drop(runtime.spawn(aborted)),
            }
        }
    }
}

/// Discards an upload, after the parts in flight are given up; `false`: parts of it may be left.
async fn abort(mut upload: Box<dyn MultipartUpload>, mut in_flight: JoinSet<Result<()>>, path: Path) -> bool {
    // A store may keep a part that it gets after the upload was aborted.
    in_flight.shutdown().await;
    match upload.abort().await {
        // One that the store does not have was completed, or aborted before.
        Ok(()) | Err(StoreError::NotFound { .. }) => true,
        Err(error) => {
            tracing::warn!(%path, %error, "an upload was not aborted");
            false
        }
    }
}
