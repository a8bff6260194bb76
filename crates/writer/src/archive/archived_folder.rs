//! Reading an archive: its description, its index, and pages and payloads.

use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::archive::blocking::blocking;
use crate::archive::index::{EntryFrame, EntryKind, IndexLine, hash};
use crate::archive::size_limit::SizeLimit;
use crate::error::Error;
use crate::storage::paths::{self, ArchivedFile};

/// The most bytes between two entries that are read with one request nevertheless.
const GAP_BYTES: u64 = 4 << 10;

/// An archive in a folder: of one slice or of several.
pub struct ArchivedFolder {
    /// The folder, within the location that was searched.
    pub path: String,
    store: Arc<dyn ObjectStore>,
    folder: Path,
    index: Option<Path>,
    /// Bundles, with their sizes.
    bundles: BTreeMap<u32, (Path, u64)>,
    /// Pages and payloads of the older form, which has a file for each.
    pages: BTreeMap<u32, Path>,
    payloads: BTreeMap<u32, Path>,
}

/// Where a page or a payload is.
#[derive(Debug, Clone)]
pub enum ArchivedContent {
    /// In a bundle.
    InBundle(EntryFrame),
    /// In a file of its own, by number: a page or a payload of the older form.
    InFile(EntryKind, u32),
}

impl ArchivedContent {
    /// Its bytes, as far as the index says.
    pub fn size(&self) -> u64 {
        match self {
            Self::InBundle(frame) => frame.size,
            Self::InFile(..) => 0,
        }
    }
}

/// A page or a payload, going by the index.
#[derive(Debug)]
pub struct ArchivedEntry {
    /// The slice that it belongs to, as a line of the description, from 0.
    pub slice: u32,
    /// What it is.
    pub kind: EntryKind,
    /// What the index says of it: JSON.
    pub about: Box<str>,
    /// Where its bytes are, if it has any.
    pub content: Option<ArchivedContent>,
}

impl ArchivedFolder {
    pub(super) fn new(store: Arc<dyn ObjectStore>, folder: Path) -> Self {
        let (bundles, pages, payloads) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { path: folder.to_string(), store, folder, index: None, bundles, pages, payloads }
    }

    /// Adds a file of the folder. Returns what it is.
    pub(super) fn add_file(&mut self, path: Path, bytes: u64) -> Option<ArchivedFile> {
        let kind = paths::archived(&path)?;
        match kind {
            ArchivedFile::Slice => {}
            ArchivedFile::Index => self.index = Some(path),
            ArchivedFile::Bundle(number) => drop(self.bundles.insert(number, (path, bytes))),
            ArchivedFile::Page(number) => drop(self.pages.insert(number, path)),
            ArchivedFile::Payload(number) => drop(self.payloads.insert(number, path)),
        }
        Some(kind)
    }

    /// The description: one line of JSON for each slice.
    ///
    /// # Errors
    /// [`Error::File`] when it is damaged or too large; [`Error::Store`] when it cannot be read.
    pub async fn slice_json(&self) -> Result<String, Error> {
        self.text(&paths::archived_slice(&self.folder)).await
    }

    /// The lines of the index as they are; empty when there is none.
    ///
    /// # Errors
    /// As [`ArchivedFolder::slice_json`].
    pub async fn index(&self) -> Result<String, Error> {
        match &self.index {
            Some(path) => self.text(path).await,
            None => Ok(String::new()),
        }
    }

    /// What the index lists.
    ///
    /// # Errors
    /// As [`ArchivedFolder::slice_json`]; [`Error::File`] also for an index that lists bytes twice.
    pub async fn entries(&self) -> Result<Vec<ArchivedEntry>, Error> {
        let index = self.index().await?;
        let damaged = |number: usize, reason: &str| {
            let action = format!("read line {} of the index of {}", number + 1, self.folder);
            Error::file(action)(IoError::new(ErrorKind::InvalidData, reason))
        };
        let mut entries = Vec::new();
        let mut read_until = BTreeMap::new();
        for (number, line) in index.lines().enumerate() {
            // The parser's own message would quote what stands there.
            let line: IndexLine<'_> =
                serde_json::from_str(line).map_err(|_| damaged(number, "it is not as it was written"))?;
            let frame = line.frame().map_err(|reason| damaged(number, reason))?;
            if let Some(frame) = &frame {
                // Nobody wrote an entry twice: it would be decompressed as often.
                let end = read_until.entry(frame.bundle).or_default();
                if frame.offset < *end {
                    return Err(damaged(number, "it lists what another line lists"));
                }
                *end = frame.end();
            }
            let content = frame.map(ArchivedContent::InBundle);
            entries.push(ArchivedEntry { slice: line.slice, kind: line.kind, about: line.about.get().into(), content });
        }
        Ok(entries)
    }

    /// The numbers of the payloads that have a file each, in the older form.
    pub fn payload_files(&self) -> impl Iterator<Item = u32> {
        self.payloads.keys().copied()
    }

    /// The bytes of entries, in their order; each may fail by itself. Neighbours in a bundle are read together.
    ///
    /// # Errors
    /// [`Error::File`] when it is missing, damaged, or larger than a service could have sent it; [`Error::Store`] when it
    /// cannot be read.
    pub async fn read(&self, contents: &[ArchivedContent]) -> Vec<Result<Bytes, Error>> {
        self.read_into(contents, Vec::new()).await
    }

    /// As [`ArchivedFolder::read`]. The first entry of a bundle is read into the memory of `buffer` if that is enough.
    ///
    /// # Errors
    /// As [`ArchivedFolder::read`].
    pub async fn read_into(&self, contents: &[ArchivedContent], mut buffer: Vec<u8>) -> Vec<Result<Bytes, Error>> {
        let mut read = Vec::with_capacity(contents.len());
        let together = |a: &ArchivedContent, b: &ArchivedContent| match (a, b) {
            (ArchivedContent::InBundle(a), ArchivedContent::InBundle(b)) => {
                a.bundle == b.bundle && a.end() <= b.offset && b.offset - a.end() <= GAP_BYTES
            }
            _ => false,
        };
        for group in contents.chunk_by(together) {
            if let [ArchivedContent::InFile(kind, number)] = group {
                read.push(self.file(*kind, *number).await);
                continue;
            }
            let frames: Vec<_> = group
                .iter()
                .filter_map(|content| match content {
                    ArchivedContent::InBundle(frame) => Some(frame.clone()),
                    ArchivedContent::InFile(..) => None,
                })
                .collect();
            self.read_frames(frames, std::mem::take(&mut buffer), &mut read).await;
        }
        read
    }

    /// Reads frames that follow one another.
    async fn read_frames(&self, frames: Vec<EntryFrame>, buffer: Vec<u8>, read: &mut Vec<Result<Bytes, Error>>) {
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else { return };
        let bundle = first.bundle;
        let path = paths::archived_bundle(&self.folder, bundle);
        let at = |frame: &EntryFrame| format!("read {path} at {}", frame.offset);
        let checked: Vec<_> = frames.iter().map(|frame| self.check(frame)).collect();
        if checked.iter().any(Result::is_err) {
            // Those that are whole are read one by one.
            for (frame, checked) in frames.into_iter().zip(checked) {
                match checked {
                    Err(reason) => read.push(Err(Error::file(at(&frame))(reason))),
                    Ok(()) => Box::pin(self.read_frames(vec![frame], Vec::new(), read)).await,
                }
            }
            return;
        }
        let (begin, end) = (first.offset, last.end());
        let bytes = match self.store.get_range(&path, begin..end).await {
            Ok(bytes) => bytes,
            Err(cause) => {
                if let [frame] = &frames[..] {
                    read.push(Err(Error::store(at(frame))(cause)));
                } else {
                    for frame in frames {
                        Box::pin(self.read_frames(vec![frame], Vec::new(), read)).await;
                    }
                }
                return;
            }
        };
        let wanted = frames.clone();
        let decompress = move || {
            let mut decompressor = zstd::bulk::Decompressor::new()?;
            let mut buffer = buffer;
            let each = |frame: &EntryFrame| {
                let from = (frame.offset - begin) as usize;
                let range = from..from.saturating_add(frame.length as usize);
                let piece = bytes.get(range).ok_or_else(|| IoError::new(ErrorKind::UnexpectedEof, "it ends before"))?;
                if hash(piece) != frame.hash {
                    let reason = "it is not what was archived: its hash is not that of the index";
                    return Err(IoError::new(ErrorKind::InvalidData, reason));
                }
                SizeLimit::of(frame.kind).decompress_frame(
                    &mut decompressor,
                    piece,
                    frame.size,
                    std::mem::take(&mut buffer),
                )
            };
            Ok(wanted.iter().map(each).collect::<Vec<_>>())
        };
        match blocking(format!("decompress {path}"), decompress).await {
            Ok(contents) => read.extend(
                frames
                    .iter()
                    .zip(contents)
                    .map(|(frame, content)| content.map(Bytes::from).map_err(|reason| Error::file(at(frame))(reason))),
            ),
            Err(error) => {
                let reason = error.to_string();
                read.extend(frames.iter().map(|frame| Err(Error::file(at(frame))(IoError::other(reason.clone())))));
            }
        }
    }

    /// Fails for a frame that cannot be read, going by its bundle and its size.
    fn check(&self, frame: &EntryFrame) -> std::io::Result<()> {
        SizeLimit::of(frame.kind).check_entry(frame.size, frame.length)?;
        match self.bundles.get(&frame.bundle) {
            None => Err(missing()),
            Some((_, bytes)) if frame.end() > *bytes => {
                let reason = format!("the bundle is cut: it ends at {bytes}");
                Err(IoError::new(ErrorKind::UnexpectedEof, reason))
            }
            Some(_) => Ok(()),
        }
    }

    /// A file of the older form, decompressed.
    async fn file(&self, kind: EntryKind, number: u32) -> Result<Bytes, Error> {
        let (files, name): (_, fn(&Path, u32) -> Path) = match kind {
            EntryKind::Page => (&self.pages, paths::archived_page),
            EntryKind::Payload => (&self.payloads, paths::archived_payload),
        };
        match files.get(&number) {
            Some(path) => self.file_at(path, SizeLimit::of(kind)).await,
            None => Err(Error::file(format!("read {}", name(&self.folder, number)))(missing())),
        }
    }

    async fn file_at(&self, path: &Path, limit: SizeLimit) -> Result<Bytes, Error> {
        let error = || Error::store(format!("read {path}"));
        let is_compressed = paths::is_compressed(path);
        let file = self.store.get(path).await.map_err(error())?;
        limit.check(file.meta.size, is_compressed).map_err(Error::file(format!("read {path}")))?;
        let bytes = file.bytes().await.map_err(error())?;
        if !is_compressed {
            return Ok(bytes);
        }
        let action = format!("decompress {path}");
        blocking(action, move || limit.decompress(&bytes)).await.map(Bytes::from)
    }

    async fn text(&self, path: &Path) -> Result<String, Error> {
        let bytes = self.file_at(path, SizeLimit::DESCRIPTION).await?;
        String::from_utf8(bytes.into())
            .map_err(|e| Error::file(format!("read {path}"))(IoError::new(ErrorKind::InvalidData, e)))
    }
}

fn missing() -> IoError {
    IoError::new(ErrorKind::NotFound, "not in the archive")
}
