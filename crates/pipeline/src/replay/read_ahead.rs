//! Reading pages and payloads of the archive ahead of their decoding, in bounded memory.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use copilot_lake_writer::ArchivedContent;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::read_description::IndexedArchive;
use crate::background::in_background;

/// Bytes of pages, decompressed, that are in memory at most, unless a single one has more: of those that two cores
/// decode, and as many that are read meanwhile.
const BYTES: u32 = 32 << 20;
/// What a page of unknown size counts for.
const USUAL_BYTES: u64 = 8 << 20;
/// Buffers of decoded pages that wait for further ones, and the most bytes of each.
const BUFFERS: usize = 4;
const BUFFER_BYTES: usize = 12 << 20;
/// Buffers are that much larger than needed at most: then most of them fit other pages, too.
const BUFFER_STEP: usize = 1 << 20;

/// The memory of pages that are read and not decoded yet.
#[derive(Clone)]
pub(super) struct ReadAhead {
    budget: Arc<Semaphore>,
    buffers: Arc<Buffers>,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self { budget: Arc::new(Semaphore::new(BYTES as usize)), buffers: Arc::default() }
    }
}

/// Memory of decoded pages. New memory of 7 MB for every page would cost the system as much as decompressing it.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A buffer of at least that many bytes; an empty one for more than buffers may have.
    fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes > BUFFER_BYTES {
            return Vec::new();
        }
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let fits = last.filter(|buffer| buffer.capacity() >= bytes);
        fits.unwrap_or_else(|| Vec::with_capacity(bytes.next_multiple_of(BUFFER_STEP)))
    }

    fn put(&self, page: Bytes) {
        if !page.is_unique() {
            return;
        }
        let buffer = Vec::from(page);
        if buffer.capacity() > BUFFER_BYTES {
            return;
        }
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS {
            buffers.push(buffer);
        }
    }
}

/// The bytes of a page, which count against the memory until they are dropped.
struct BudgetedBytes {
    page: Bytes,
    buffers: Arc<Buffers>,
    #[expect(dead_code, reason = "dropping it returns the memory")]
    permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for BudgetedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

impl Drop for BudgetedBytes {
    fn drop(&mut self) {
        self.buffers.put(std::mem::take(&mut self.page));
    }
}

impl ReadAhead {
    /// Reads a page on a task of its own once there is memory for it. Its bytes count until the last clone is dropped.
    pub(super) async fn page(self, archive: Arc<IndexedArchive>, content: ArchivedContent) -> Result<Bytes, String> {
        let permit = self.permit(content.size()).await;
        in_background(async move {
            let buffer = self.buffers.take(usize::try_from(content.size()).unwrap_or(usize::MAX));
            let mut read = archive.folder.read_into(&[content], buffer).await;
            let page = read.pop().unwrap_or_else(|| unreachable!("one entry was read")).map_err(|e| e.to_string())?;
            Ok(Bytes::from_owner(BudgetedBytes { page, buffers: self.buffers, permit }))
        })
        .await
    }
}

impl ReadAhead {
    /// Waits for the memory of a page of that size, in the order in which pages are asked for: a page that has it is never
    /// waited for by one that is decoded before it.
    async fn permit(&self, size: u64) -> Option<OwnedSemaphorePermit> {
        let size = if size == 0 { USUAL_BYTES } else { size };
        let bytes = u32::try_from(size).unwrap_or(BYTES).min(BYTES);
        // It is never closed.
        Arc::clone(&self.budget).acquire_many_owned(bytes).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn pages_get_their_memory_in_order() {
        let ahead = ReadAhead::default();
        let size = u64::from(BYTES) / 4 * 3;
        // Three slices, two pages of each ahead: none but the first page of all has memory.
        let slices = [ahead.clone(), ahead.clone(), ahead];
        let mut slices = slices.map(|ahead| {
            let pages = stream::iter(0..5).map(move |_| {
                let ahead = ahead.clone();
                async move { ahead.permit(size).await }
            });
            pages.buffered(2).boxed()
        });
        let mut read = 0;
        while read < 15 {
            let before = read;
            for slice in &mut slices {
                // What is read is decoded, and gives its memory back.
                while let Some(Some(permit)) = slice.next().now_or_never() {
                    drop(permit);
                    read += 1;
                }
            }
            assert!(read > before, "nobody gets on after {read} pages");
        }
    }

    #[test]
    fn the_memory_of_a_page_serves_the_next_one() {
        let buffers = Arc::new(Buffers::default());
        let page = |bytes: usize| {
            let mut buffer = buffers.take(bytes);
            buffer.resize(bytes, 0);
            let page = Bytes::from(buffer);
            let at = page.as_ptr();
            (BudgetedBytes { page, buffers: Arc::clone(&buffers), permit: None }, at)
        };
        let (first, at) = page(5_000_000);
        drop(first);
        let (second, reused) = page(5_200_000);
        assert_eq!(at, reused, "a little more fits");
        let others: Vec<_> = (0..2 * BUFFERS).map(|_| page(5_000_000)).collect();
        drop((second, others));
        assert_eq!(buffers.0.lock().unwrap().len(), BUFFERS);
        drop(page(BUFFER_BYTES + 1));
        assert_eq!(buffers.take(BUFFER_BYTES + 1).capacity(), 0);
        assert_eq!(buffers.0.lock().unwrap().len(), BUFFERS, "large ones are not kept");
    }
}
