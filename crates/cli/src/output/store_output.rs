//! A result on its way to a file in a store: what a format writes waits until it is sent.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use copilot_lake_writer::StoredFile;

/// Bytes that were written and not sent yet.
type Waiting = Arc<Mutex<Vec<u8>>>;

/// Where a format writes.
pub(crate) struct StoreSink(Waiting);

impl Write for StoreSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The file in the store.
pub(crate) struct StoreOutput {
    waiting: Waiting,
    file: StoredFile,
}

impl StoreOutput {
    pub(crate) fn new(file: StoredFile) -> (StoreSink, Self) {
        let waiting = Waiting::default();
        (StoreSink(Arc::clone(&waiting)), Self { waiting, file })
    }

    /// Sends what waits.
    pub(crate) async fn send(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(self.file.write(&bytes).await?)
    }

    /// Publishes the file.
    pub(crate) async fn finish(mut self) -> Result<()> {
        match self.send().await {
            Ok(()) => Ok(self.file.finish().await?),
            Err(error) => {
                self.discard().await;
                Err(error)
            }
        }
    }

    /// Discards what was sent.
    pub(crate) async fn discard(self) {
        self.file.discard().await;
    }
}
