//! What the operating system or an object store refuses: a matter of the machine, not of the lake or of one of its tables.

use std::error::Error;
use std::io;

use object_store::Error as StoreError;
use parquet::errors::ParquetError;

use crate::error_text::without_number;
use crate::store_request::{self, RequestFailure};

/// Why the operating system or an object store refused, by what a person has to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemFailure {
    /// The disk, or the quota of this user, is full.
    NoSpace,
    /// A file would become larger than the file system or a limit of this process allows.
    FileTooLarge,
    /// The file system is mounted read-only.
    ReadOnly,
    /// This user may not.
    PermissionDenied,
    /// The process, or the system, may open no more files.
    TooManyOpenFiles,
    /// There is not enough memory.
    OutOfMemory,
    /// The device failed.
    Device,
    /// The object store does not answer, or answers that it cannot.
    StoreUnavailable,
    /// The object store refuses this identity, or the request as such.
    StoreRefuses,
}

/// EMFILE and ENFILE have the same numbers on all Unix systems; on Windows it is ERROR_TOO_MANY_OPEN_FILES.
const TOO_MANY_OPEN_FILES: &[i32] = if cfg!(windows) { &[4] } else { &[23, 24] };

/// EIO; ERROR_CRC and ERROR_IO_DEVICE.
const DEVICE: &[i32] = if cfg!(windows) { &[23, 1117] } else { &[5] };

impl SystemFailure {
    /// The failure among an error and its causes; `None` if the system refused nothing.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(failure) = error.downcast_ref().and_then(Self::of_io) {
                return Some(failure);
            }
            match store_request::failure(error) {
                Some(RequestFailure::Unavailable) => return Some(Self::StoreUnavailable),
                Some(RequestFailure::Refused) => return Some(Self::StoreRefuses),
                None => {}
            }
            // These have a meaning of their own where the system's error is behind a library's.
            match error.downcast_ref() {
                Some(StoreError::PermissionDenied { .. }) => return Some(Self::PermissionDenied),
                Some(StoreError::NotFound { .. } | StoreError::AlreadyExists { .. }) => return None,
                _ => {}
            }
            next = cause(error);
        }
        None
    }

    fn of_io(error: &io::Error) -> Option<Self> {
        use io::ErrorKind;
        Some(match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            ErrorKind::FileTooLarge => Self::FileTooLarge,
            ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            ErrorKind::PermissionDenied => Self::PermissionDenied,
            ErrorKind::OutOfMemory => Self::OutOfMemory,
            _ => match error.raw_os_error() {
                Some(number) if TOO_MANY_OPEN_FILES.contains(&number) => Self::TooManyOpenFiles,
                Some(number) if DEVICE.contains(&number) => Self::Device,
                // A library's error in the clothes of one of the system.
                Some(_) => return None,
                None => return error.get_ref().and_then(|inner| Self::of(inner)),
            },
        })
    }
}

/// An error in words. Of a store's answer only the status; of what the system refuses, only what names the file and says
/// why: libraries wrap it several times.
pub(crate) fn in_words(error: &(dyn Error + 'static)) -> String {
    if let Some(words) = store_request::in_words(error) {
        return words;
    }
    if SystemFailure::of(error).is_none() {
        return error.to_string();
    }
    let mut named = error;
    while let Some(source) = cause(named).filter(|source| !source.is::<io::Error>()) {
        named = source;
    }
    without_number(&named.to_string())
}

/// What is behind an error.
fn cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    match error.downcast_ref() {
        Some(ParquetError::External(inner)) => Some(inner.as_ref()),
        _ => error.source(),
    }
}
