//! The Delta log of a table: what is committed, what it says of files, and how it grows by a commit.
//!
//! Knows log entries and paths; never opens a data file.

mod checkpoint;
pub(crate) mod commit_info;
pub(crate) mod data_file;
mod entry_put;
pub(crate) mod file_commit;
mod fingerprints;
pub(crate) mod instance;
pub(crate) mod log;
pub(crate) mod removed_file;
pub(crate) mod schema;
pub(crate) mod snapshot;
pub(crate) mod tombstones;
