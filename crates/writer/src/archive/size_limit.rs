//! How large the files of an archive may be.
//!
//! An archive may come from elsewhere, and a few bytes of zstd can stand for gigabytes: no more is decompressed than a
//! service could have sent.

use std::io::{Error, ErrorKind, Read, Result};

use copilot_lake_tables::{MAX_FILE_BYTES, MAX_PAGE_BYTES};

use crate::archive::index::EntryKind;

/// The most bytes that a file of an archive may have once it is decompressed.
#[derive(Debug, Clone, Copy)]
pub(super) struct SizeLimit {
    bytes: u64,
    /// What has so many at most.
    what: &'static str,
}

/// Base-2 logarithm of the largest window, in bytes: what zstd writes and reads unless told otherwise.
const MAX_WINDOW_LOG: u32 = 27;

impl SizeLimit {
    /// The limit of an entry.
    pub(super) const fn of(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Page => Self::PAGE,
            EntryKind::Payload => Self::PAYLOAD,
        }
    }

    pub(super) const PAGE: Self = Self { bytes: MAX_PAGE_BYTES, what: "a page" };
    pub(super) const PAYLOAD: Self = Self { bytes: MAX_FILE_BYTES, what: "a payload" };
    /// The description or the index of a slice: millions of keys or payloads.
    pub(super) const DESCRIPTION: Self = Self { bytes: 256 << 20, what: "a description" };

    /// Fails for a file that is too large even before it is decompressed.
    pub(super) fn check(self, file_size: u64, is_compressed: bool) -> Result<()> {
        let limit =
            if is_compressed { zstd::zstd_safe::compress_bound(self.bytes as usize) as u64 } else { self.bytes };
        if file_size > limit { Err(self.exceeded()) } else { Ok(()) }
    }

    /// Decompresses a file, and stops at the limit.
    pub(super) fn decompress(self, compressed: &[u8]) -> Result<Vec<u8>> {
        if compressed.is_empty() {
            return Err(Error::new(ErrorKind::UnexpectedEof, "it is empty"));
        }
        let declared = zstd::zstd_safe::get_frame_content_size(compressed).ok().flatten().unwrap_or_default();
        if declared > self.bytes {
            return Err(self.exceeded());
        }
        let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed)?;
        decoder.window_log_max(MAX_WINDOW_LOG)?;
        let mut bytes = Vec::with_capacity(declared as usize);
        // One more byte tells a file that is too large from one that just fits.
        decoder.take(self.bytes + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.bytes { Err(self.exceeded()) } else { Ok(bytes) }
    }

    /// Decompresses one frame of a bundle to that many bytes, in the memory of `bytes` if that is enough.
    pub(super) fn decompress_frame(
        self,
        decompressor: &mut zstd::bulk::Decompressor<'_>,
        frame: &[u8],
        size: u64,
        mut bytes: Vec<u8>,
    ) -> Result<Vec<u8>> {
        bytes.clear();
        if bytes.capacity() < size as usize {
            bytes = Vec::with_capacity(size as usize);
        }
        decompressor.decompress_to_buffer(frame, &mut bytes)?;
        let is_whole = bytes.len() as u64 == size;
        if is_whole { Ok(bytes) } else { Err(Error::new(ErrorKind::InvalidData, "it has another size")) }
    }

    /// Fails for an entry of a bundle that is too large, going by its size and that of its frame.
    pub(super) fn check_entry(self, size: u64, frame_bytes: u64) -> Result<()> {
        self.check(size, false)?;
        self.check(frame_bytes, true)
    }

    fn exceeded(self) -> Error {
        let reason = format!("it has more than {} MiB, the limit for {}", self.bytes >> 20, self.what);
        Error::new(ErrorKind::FileTooLarge, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: SizeLimit = SizeLimit { bytes: 4 << 20, what: "a test" };

    /// Blocks of 128 KiB of one repeated byte, each of which takes four bytes.
    fn repeated(window: u8, blocks: usize) -> Vec<u8> {
        const BLOCK: u32 = 128 << 10;
        // A frame that declares its window and no content size.
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0, window];
        for number in 1..=blocks {
            let header = BLOCK << 3 | 1 << 1 | u32::from(number == blocks);
            frame.extend_from_slice(&header.to_le_bytes()[..3]);
            frame.push(b' ');
        }
        frame
    }

    /// The descriptor of a window of 2^log bytes.
    fn window(log: u8) -> u8 {
        (log - 10) << 3
    }

    #[test]
    fn a_table_of_cases() {
        let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).unwrap();
        let limit = LIMIT.bytes as usize;
        let text = zstd(b"some text that is compressed");
        let concatenated = [repeated(window(17), 20), repeated(window(17), 20)].concat();
        let unknown_size = zstd::stream::encode_all(&vec![b'x'; limit + 1][..], 1).unwrap();
        for (file, expected, what) in [
            (zstd(b""), Ok(0), "nothing"),
            (text.clone(), Ok(28), "a text"),
            ([text.clone(), text.clone()].concat(), Ok(56), "two frames"),
            (zstd(&vec![b'x'; limit]), Ok(limit), "what just fits"),
            (repeated(window(17), 32), Ok(limit), "what just fits, without a declared size"),
            (zstd(&vec![b'x'; limit + 1]), Err("more than 4 MiB, the limit for a test"), "one byte more"),
            (unknown_size, Err("more than 4 MiB"), "one byte more, without a declared size"),
            (repeated(window(17), 100_000), Err("more than 4 MiB"), "13 GB in 400 KB"),
            (concatenated, Err("more than 4 MiB"), "frames that are too large together"),
            (repeated(window(27), 1), Ok(128 << 10), "a large window"),
            (repeated(window(28), 1), Err("too much memory"), "a window that is too large"),
            (repeated(window(31), 1), Err("too much memory"), "a window of 2 GiB"),
            (vec![], Err("it is empty"), "a file without a frame"),
            (text[..text.len() - 1].to_vec(), Err("incomplete frame"), "a truncated file"),
            (repeated(window(17), 3)[..10].to_vec(), Err("incomplete frame"), "a file that ends after a block"),
            (b"no frame at all".to_vec(), Err("Unknown frame descriptor"), "another format"),
        ] {
            match (LIMIT.decompress(&file), expected) {
                (Ok(bytes), Ok(length)) => assert_eq!(bytes.len(), length, "{what}"),
                (Err(error), Err(reason)) => assert!(error.to_string().contains(reason), "{what}: {error}"),
                (found, _) => panic!("{what}: {found:?}"),
            }
        }
    }

    #[test]
    fn files_are_compared_with_the_limit_before_they_are_read() {
        for (limit, on_wire) in [(SizeLimit::PAGE, 64 << 20), (SizeLimit::PAYLOAD, 32 << 20)] {
            assert!(limit.check(on_wire, false).is_ok() && limit.check(on_wire + 1, false).is_err());
            // What cannot be compressed takes a little more.
            assert!(limit.check(on_wire + 1, true).is_ok() && limit.check(on_wire + (1 << 20), true).is_err());
        }
    }
}
