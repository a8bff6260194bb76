//! Writing an archive: its bundles first, then its index, and last the description that makes it complete.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::value::RawValue;
use tokio::sync::Mutex;

use crate::archive::blocking::blocking;
use crate::archive::finished::{BUNDLE_BYTES, FinishedArchive};
use crate::archive::index::{EntryFrame, EntryKind, IndexLine, hash};
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::storage::file_upload::FileUpload;
use crate::storage::paths;

/// A page or a payload to be archived.
#[derive(Debug)]
pub struct ArchiveEntry {
    /// The slice that it belongs to, as a line of the description, from 0.
    pub slice: u32,
    /// What it is.
    pub kind: EntryKind,
    /// What the index says of it.
    pub about: Box<RawValue>,
    /// Its bytes, if it has any.
    pub content: Option<Bytes>,
}

/// A line feed, as a frame of its own: between entries it keeps them apart when a bundle is decompressed as a whole.
const LINE_FEED: [u8; 10] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x01, 0x09, 0x00, 0x00, b'\n'];

/// An archive while it is written. Incomplete, and ignored, until [`Archive::finish`]; dropping it discards it.
pub struct Archive {
    lake: Arc<LakeStorage>,
    folder: Path,
    numbers: RangeInclusive<u32>,
    content: Mutex<ArchiveContent>,
}

/// What is written of it so far.
#[derive(Default)]
struct ArchiveContent {
    /// Bytes of the bundles that are complete.
    bundles: Vec<u64>,
    bundle: Option<FileUpload>,
    index: String,
    is_finished: bool,
}

/// Entries as frames, one after another, each with the bytes of its content and its hash.
struct CompressedEntries {
    bytes: Vec<u8>,
    frames: Vec<Option<(usize, u64, [u8; 32])>>,
}

impl Archive {
    /// Starts the archive in that folder, which has these numbers within its run.
    pub(super) fn new(lake: Arc<LakeStorage>, folder: Path, numbers: RangeInclusive<u32>) -> Self {
        Self { lake, folder, numbers, content: Mutex::default() }
    }

    /// Adds entries, in this order.
    ///
    /// # Errors
    /// [`Error::Store`]: the slice may continue, but its archive must not be finished then.
    pub async fn push(&self, entries: Vec<ArchiveEntry>) -> Result<(), Error> {
        let compress = move || Ok((compress(&entries)?, entries));
        let (compressed, entries) = blocking(format!("compress what goes to {}", self.folder), compress).await?;
        let mut content = self.content.lock().await;
        let mut from = 0;
        for (entry, frame) in entries.iter().zip(compressed.frames) {
            let placed = match frame {
                Some((length, size, hash)) => {
                    let frame = &compressed.bytes[from..from + length];
                    from += length;
                    let (bundle, offset) = self.write(&mut content, frame).await?;
                    Some(EntryFrame { bundle, offset, length: length as u64, size, hash, kind: entry.kind })
                }
                None => None,
            };
            content.add_line(&IndexLine::new(entry.slice, entry.kind, placed.as_ref(), &entry.about));
        }
        Ok(())
    }

    /// Adds what another archive has, whose slices are counted on from here. The bytes of its only bundle follow.
    pub(super) async fn append_index(&self, index: &str, slices_before: u32) -> Result<(), Error> {
        let mut content = self.content.lock().await;
        let begin = content.bundle.as_ref().map_or(0, FileUpload::length);
        let damaged = |reason: String| {
            let action = format!("merge what goes to {}", self.folder);
            Error::file(action)(std::io::Error::new(std::io::ErrorKind::InvalidData, reason))
        };
        for line in index.lines() {
            let line: IndexLine<'_> = serde_json::from_str(line).map_err(|error| damaged(error.to_string()))?;
            let frame = line.frame().map_err(|reason| damaged(reason.to_owned()))?;
            let frame = frame.map(|frame| EntryFrame { offset: begin + frame.offset, ..frame });
            content.add_line(&IndexLine::new(slices_before + line.slice, line.kind, frame.as_ref(), line.about));
        }
        Ok(())
    }

    /// Adds a piece of a bundle as it is.
    pub(super) async fn append(&self, piece: &[u8]) -> Result<(), Error> {
        let mut content = self.content.lock().await;
        let (number, bundle) = self.open_bundle(&mut content);
        bundle.write(piece).await.map_err(self.unwritten(number))
    }

    /// Writes the index and last the description, one line of JSON for each slice, which makes the archive complete.
    ///
    /// # Errors
    /// As [`Archive::push`].
    pub(super) async fn finish(self, slice_json: String) -> Result<FinishedArchive, Error> {
        let index = {
            let mut content = self.content.lock().await;
            self.finish_bundle(&mut content).await?;
            std::mem::take(&mut content.index)
        };
        let index_bytes = index.len() as u64;
        if !index.is_empty() {
            let path = paths::archived_index(&self.folder);
            let compressed = blocking(format!("compress {path}"), move || {
                let mut compressor = zstd::bulk::Compressor::new(1)?;
                compressor.include_checksum(true)?;
                compressor.compress(index.as_bytes())
            });
            let compressed = compressed.await?;
            self.lake.store.put(&path, compressed.into()).await.map_err(Error::store(format!("write {path}")))?;
        }
        let path = paths::archived_slice(&self.folder);
        self.lake.store.put(&path, slice_json.into()).await.map_err(Error::store(format!("write {path}")))?;
        let mut content = self.content.lock().await;
        content.is_finished = true;
        let bundles = content.bundles.clone();
        Ok(FinishedArchive { folder: self.folder.clone(), numbers: self.numbers.clone(), bundles, index_bytes })
    }

    /// The bundle that is written to, with its number.
    fn open_bundle<'c>(&self, content: &'c mut ArchiveContent) -> (u32, &'c mut FileUpload) {
        // More would take 500 GiB.
        let number = u32::try_from(content.bundles.len() + 1).unwrap_or(u32::MAX);
        let begin = || {
            // What is shorter than a part takes one request.
            let (path, part_bytes) = (paths::archived_bundle(&self.folder, number), self.lake.part_bytes());
            FileUpload::new(self.lake.upload_to(path, part_bytes), part_bytes)
        };
        (number, content.bundle.get_or_insert_with(begin))
    }

    fn unwritten(&self, bundle: u32) -> impl FnOnce(object_store::Error) -> Error + use<> {
        Error::store(format!("write {}", paths::archived_bundle(&self.folder, bundle)))
    }

    /// Writes a frame into a bundle that has room for it. Returns where it is.
    async fn write(&self, content: &mut ArchiveContent, frame: &[u8]) -> Result<(u32, u64), Error> {
        let bytes = (frame.len() + LINE_FEED.len()) as u64;
        if content.bundle.as_ref().is_some_and(|bundle| bundle.length() + bytes > BUNDLE_BYTES) {
            self.finish_bundle(content).await?;
        }
        let (number, bundle) = self.open_bundle(content);
        let offset = bundle.length();
        let written = async {
            bundle.write(frame).await?;
            bundle.write(&LINE_FEED).await
        };
        written.await.map_err(self.unwritten(number))?;
        Ok((number, offset))
    }

    async fn finish_bundle(&self, content: &mut ArchiveContent) -> Result<(), Error> {
        let Some(mut bundle) = content.bundle.take() else { return Ok(()) };
        content.bundles.push(bundle.length());
        bundle.finish().await.map_err(Error::store(format!("write a bundle of {}", self.folder)))
    }
}

impl ArchiveContent {
    fn add_line(&mut self, line: &IndexLine<'_>) {
        // Strings and numbers can always be written as JSON.
        self.index.push_str(&serde_json::to_string(line).unwrap_or_default());
        self.index.push('\n');
    }
}

impl Drop for Archive {
    /// Removes the bundles of an archive that was not finished.
    fn drop(&mut self) {
        let content = self.content.get_mut();
        let bundles = content.bundles.len();
        if content.is_finished || bundles == 0 {
            return;
        }
        let paths: Vec<_> = (1..=bundles as u32).map(|n| paths::archived_bundle(&self.folder, n)).collect();
        let store = Arc::clone(&self.lake.store);
        self.lake.spawn(async move {
            for path in paths {
                // If it stays, it is ignored.
                let _ = store.delete(&path).await;
            }
        });
    }
}

fn compress(entries: &[ArchiveEntry]) -> std::io::Result<CompressedEntries> {
    let mut compressor = zstd::bulk::Compressor::new(1)?;
    // Tools that do not know the index can tell a damaged entry.
    compressor.include_checksum(true)?;
    let mut bytes = Vec::new();
    let mut frames = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(content) = &entry.content else {
            frames.push(None);
            continue;
        };
        let frame = compressor.compress(content)?;
        frames.push(Some((frame.len(), content.len() as u64, hash(&frame))));
        bytes.extend_from_slice(&frame);
    }
    Ok(CompressedEntries { bytes, frames })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_feed_between_entries_is_a_frame() {
        assert_eq!(zstd::bulk::decompress(&LINE_FEED, 10).unwrap(), b"\n");
    }
}
