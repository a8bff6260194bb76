//! Uploads a file of unknown size. The part that is filled is in memory, and as many as are in flight.

use object_store::Result;

use crate::storage::part_upload::{PartUpload, UploadTarget};

/// A file that nobody sees before [`FileUpload::finish`]. Dropping it discards what was sent.
pub(crate) struct FileUpload {
    upload: PartUpload,
    /// Bytes of a part; all but the last have as many.
    part_bytes: usize,
    part: Vec<u8>,
    length: u64,
}

impl FileUpload {
    pub(crate) fn new(to: UploadTarget, part_bytes: usize) -> Self {
        Self { upload: PartUpload::new(to), part_bytes, part: Vec::new(), length: 0 }
    }

    /// Bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.part_bytes - self.part.len()));
            self.part.extend_from_slice(now);
            self.length += now.len() as u64;
            bytes = later;
            if self.part.len() == self.part_bytes {
                self.upload.put(std::mem::take(&mut self.part)).await?;
            }
        }
        Ok(())
    }

    /// Publishes the file under its name. If that fails, it is to be discarded.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.upload.put_last(std::mem::take(&mut self.part)).await?;
        self.upload.complete(self.length).await
    }

    /// Discards what was sent, and waits until the store has.
    pub(crate) async fn discard(self) {
        self.upload.discard().await;
    }
}
