//! Maintenance of tables by the run that holds the lock: survey, preparation and repair when a run starts, migration of
//! what older versions wrote, and compaction. Knows the log and data files; never sees new rows.
//!
//! Which files of a folder are deleted is decided in [`storage::recovery`](crate::storage::recovery), which knows no
//! log; this folder reads the log for it.

mod adapt;
pub(crate) mod compaction;
pub(crate) mod lost;
mod migrate;
mod orphan_files;
mod prepare;
mod repair;
pub(crate) mod survey;
mod table_folder;

/// Commit attempts before giving up on a contended table.
const COMMIT_ATTEMPTS: usize = 5;
