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
mod conform;
mod data_file;
mod error;
mod file;
mod gone;
mod keys;
mod lake;
mod leftovers;
mod location;
mod lock;
mod log;
mod memory;
mod migrate;
mod page_reader;
mod paths;
mod probe;
mod properties;
mod read;
mod readers;
mod resolve;
mod rewrite;
mod run;
mod scan;
mod schema;
mod sought;
mod source;
mod spill;
mod stats;
mod store_reader;
mod upload;

pub use archive::{Archive, ArchivedSlice, archived};
pub use changes::Changes;
pub use commit::Committed;
pub use error::Error;
pub use lake::{Find, Instance, Lake, LakeFile, LakeOptions};
pub use lock::Lock;
pub use scan::{FileRows, Scan};

#[cfg(test)]
mod tests;
