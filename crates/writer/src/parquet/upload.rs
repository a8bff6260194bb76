//! Uploads the encoder's output, which comes from a thread of its own, to the store part by part.

use std::io::{Error as IoError, Write};
use std::sync::{Mutex, PoisonError};

use object_store::{MultipartUpload, PutPayload};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Maximum parts that wait in memory.
const MAX_WAITING: usize = 1;

/// The encoder's output; blocks while too many parts wait.
pub(crate) struct PartWriter {
    part: Vec<u8>,
    size: usize,
    parts: Sender<Vec<u8>>,
}

/// An upload in progress. Dropping it discards what was sent.
pub(crate) struct Upload {
    /// In a mutex that is never locked, because an upload alone is not `Sync`.
    upload: Mutex<Box<dyn MultipartUpload>>,
    parts: Receiver<Vec<u8>>,
}

impl Upload {
    /// An upload, and the writer for its bytes. All parts but the last have `size` bytes.
    pub(crate) fn new(upload: Box<dyn MultipartUpload>, size: usize) -> (PartWriter, Self) {
        let (sender, parts) = channel(MAX_WAITING);
        (PartWriter { part: Vec::new(), size, parts: sender }, Self { upload: Mutex::new(upload), parts })
    }

    fn inner(&mut self) -> &mut dyn MultipartUpload {
        self.upload.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut()
    }

    /// Sends parts while `work` makes them; fails as soon as sending does.
    pub(crate) async fn send_while<T>(&mut self, work: impl Future<Output = T>) -> Result<T, object_store::Error> {
        tokio::pin!(work);
        let made = loop {
            tokio::select! {
                biased;
                Some(part) = self.parts.recv() => self.put(part).await?,
                made = &mut work => break made,
            }
        };
        while let Ok(part) = self.parts.try_recv() {
            self.put(part).await?;
        }
        Ok(made)
    }

    pub(crate) async fn put(&mut self, part: Vec<u8>) -> Result<(), object_store::Error> {
        if part.is_empty() {
            return Ok(());
        }
        self.inner().put_part(PutPayload::from(part)).await
    }

    /// Publishes the file under its name.
    pub(crate) async fn complete(mut self) -> Result<(), object_store::Error> {
        self.inner().complete().await.map(drop)
    }
}

impl PartWriter {
    /// Takes the rest, which is too short for a part.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.part)
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        self.part.capacity()
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.size - self.part.len();
        let taken = bytes.len().min(room);
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == self.size {
            let part = std::mem::replace(&mut self.part, Vec::with_capacity(self.size));
            self.parts.blocking_send(part).map_err(|_| IoError::other("the upload was cancelled"))?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
