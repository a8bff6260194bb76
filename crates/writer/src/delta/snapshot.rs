//! A table as committed.

use std::sync::Arc;

use copilot_lake_tables::Table;
use deltalake::kernel::Metadata;

use crate::delta::data_file::DataFile;
use crate::error::Error;

/// A version of a table: its metadata and its files.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) table: &'static Table,
    pub(crate) version: u64,
    pub(crate) metadata: Metadata,
    pub(crate) files: Vec<Arc<DataFile>>,
    /// Why this program must not write to the table.
    pub(crate) unwritable: Option<String>,
}

impl Snapshot {
    /// Rows, as far as the log gives their number.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().filter_map(|file| file.rows).sum()
    }

    /// Whether the error says that a file of this version is missing.
    pub(crate) fn lacks(&self, error: &Error) -> bool {
        let Error::FileRemoved { path, .. } = error else { return false };
        self.files.iter().any(|file| file.path.as_ref() == path)
    }

    /// Whether a file is part of this version.
    pub(crate) fn names(&self, file: &DataFile) -> bool {
        self.files.iter().any(|of| of.path == file.path)
    }
}
