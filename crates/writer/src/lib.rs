//! Puts weekly record batches into sorted Parquet files on an object store and commits them to a Delta log, merged by
//! key.
//!
//! A [`Lake`] is a folder of tables. [`Changes`] collect the rows of one slice in bounded memory, several at a time;
//! [`Changes::commit`] makes them part of their table in one atomic step, after which the table has one row per key,
//! the newest version. Changes that are dropped leave no trace.

mod archive;
mod blocking;
mod clock;
mod delta;
mod error;
mod error_text;
mod fnv1a;
mod key_filter;
mod keys;
mod lake;
mod lake_storage;
mod log_failure;
mod maintenance;
mod memory;
mod merge;
mod parquet;
mod parts;
mod reread;
mod scan;
mod storage;
mod store_request;
mod system_failure;
mod table_keys;
mod versions;

pub use archive::archived_folder::{ArchivedContent, ArchivedEntry, ArchivedFolder};
pub use archive::index::EntryKind;
pub use archive::reader::archived;
pub use archive::run_archive::RunArchive;
pub use archive::writer::{Archive, ArchiveEntry};
pub use delta::instance::Instance;
pub use error::{Error, Remedy, missing_file};
pub use error_text::without_number;
pub use fnv1a::fnv1a;
pub use lake::{Lake, LakeFile, LakeOptions};
pub use maintenance::compaction::Compaction;
pub use maintenance::lost::{Extent, LostRows};
pub use maintenance::maintain::OrphanFiles;
pub use maintenance::merge_small_files::MergedSmallFiles;
pub use maintenance::small_files::{SmallFileLimits, SmallFiles};
pub use maintenance::survey::{Absent, Survey};
pub use merge::carry::Carry;
pub use merge::changes::{Changes, SortedChanges};
pub use merge::mode::MergeMode;
pub use merge::transaction::Committed;
#[cfg(feature = "azure")]
pub use object_store::azure::AzureCredentialProvider;
pub use parts::LakePart;
pub use reread::{READ_ATTEMPTS, reread};
pub use scan::{FileRows, Scan};
pub use storage::counted_store::StoreRequests;
pub use storage::file_rights::FileRights;
pub use storage::lock::Lock;
pub use storage::shown_location::shown_location;
pub use storage::store_options::StoreOptions;
pub use storage::stored_file::StoredFile;
pub use store_request::in_words as store_failure_in_words;
pub use system_failure::SystemFailure;
pub use versions::{RowVersion, version_columns};

#[cfg(test)]
mod tests;
