//! Puts weekly record batches into sorted Parquet files on an object store and commits them to a Delta log, merged by
//! key.
//!
//! A [`Lake`] is a folder of tables. [`Changes`] collect the rows of one slice in bounded memory, several at a time;
//! [`Changes::commit`] makes them part of their table in one atomic step, after which the table has one row per key, the
//! newest version. Nothing is to be seen of changes that are dropped.

mod archive;
mod changes;
mod clock;
mod commit;
mod commit_info;
mod compact;
mod conform;
mod data_file;
mod error;
mod file;
mod gone;
mod keys;
mod lake;
mod leftovers;
mod listing;
mod location;
mod lock;
mod log;
mod lost;
mod memory;
mod merge;
mod migrate;
mod page_reader;
mod paths;
mod probe;
mod properties;
mod read;
mod readers;
mod rewrite;
mod run;
mod scan;
mod schema;
mod small_file;
mod sought;
mod source;
mod spill;
mod stats;
mod storage;
mod store_reader;
mod survey;
mod upload;
mod versions;

pub use archive::{Archive, ArchivedSlice, archived};
pub use changes::{Changes, SortedChanges};
pub use commit::Committed;
pub use compact::Compaction;
pub use error::{Error, Remedy};
pub use lake::{Find, Instance, Lake, LakeFile, LakeOptions};
pub use lock::Lock;
pub use lost::{Extent, Lost};
pub use merge::carry::Carry;
pub use scan::{FileRows, Scan};
pub use survey::{Absent, Survey};
pub use versions::{RowVersion, version_columns};

#[cfg(test)]
mod tests;
