//! Uploads the encoder's output, which comes from a thread of its own, to the store part by part.

use std::io::{Error as IoError, Write};

use object_store::Result;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::storage::part_upload::{PartUpload, UploadTarget};

/// Full parts in memory, beside the one that is filled and those whose memory the upload reserves.
const FULL_PARTS: usize = 1;

/// The encoder's output; blocks until the upload has room for another part.
pub(crate) struct PartWriter {
    part: Vec<u8>,
    size: usize,
    parts: Sender<Vec<u8>>,
    /// One for each part that may be made.
    room: Receiver<()>,
    has_sent: bool,
}

/// An upload of the encoder's output. Dropping it discards what was sent.
pub(crate) struct Upload {
    upload: PartUpload,
    parts: Receiver<Vec<u8>>,
    room: Sender<()>,
}

impl Upload {
    /// An upload, and the writer for its bytes. All parts but the last have `size` bytes.
    pub(crate) fn new(to: UploadTarget, size: usize) -> (PartWriter, Self) {
        let (sender, parts) = channel(FULL_PARTS);
        let (freed, room) = channel(FULL_PARTS);
        let upload = Self { upload: PartUpload::new(to), parts, room: freed };
        (0..FULL_PARTS).for_each(|_| upload.make_room());
        (PartWriter { part: Vec::new(), size, parts: sender, room, has_sent: false }, upload)
    }

    /// Begins the upload in parts, whatever the file's size will be.
    pub(crate) async fn begin(&mut self) -> Result<()> {
        self.upload.begin().await.map(drop)
    }

    /// Sends parts while `work` makes them. A part that was not sent fails it at one of the next, or the completion.
    pub(crate) async fn send_while<T>(&mut self, work: impl Future<Output = T>) -> Result<T> {
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

    async fn put(&mut self, part: Vec<u8>) -> Result<()> {
        self.upload.put(part).await?;
        self.make_room();
        Ok(())
    }

    /// Lets the encoder make another part.
    fn make_room(&self) {
        // It fails only when nobody encodes any more.
        let _ = self.room.try_send(());
    }

    /// Sends the last part; a short file waits until it is published.
    pub(crate) async fn put_last(&mut self, part: Vec<u8>) -> Result<()> {
        self.upload.put_last(part).await
    }

    /// Publishes the file of `size` bytes under its name.
    pub(crate) async fn complete(mut self, size: u64) -> Result<()> {
        self.upload.complete(size).await
    }
}

impl PartWriter {
    /// Takes the rest, which is too short for a part.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.part)
    }

    /// Bytes in memory, at most, without those that the upload reserves: of a large file a part is being sent while the
    /// next one is filled.
    pub(crate) fn memory(&self) -> usize {
        self.part.capacity() + if self.has_sent { FULL_PARTS * self.size } else { 0 }
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = self.size - self.part.len();
        let taken = bytes.len().min(room);
        self.part.extend_from_slice(&bytes[..taken]);
        if self.part.len() == self.size {
            let cancelled = || IoError::other("the upload was cancelled");
            self.room.blocking_recv().ok_or_else(cancelled)?;
            self.has_sent = true;
            let part = std::mem::replace(&mut self.part, Vec::with_capacity(self.size));
            self.parts.blocking_send(part).map_err(|_| cancelled())?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
