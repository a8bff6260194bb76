//! Maintenance of tables by the run that holds the lock: survey, preparation and repair when a run starts, migration of
//! what older versions wrote, and compaction. Knows the log and data files; never sees new rows.
//!
//! Which files of a folder are deleted is decided in [`storage::recovery`](crate::storage::recovery), which knows no
//! log; this folder reads the log for it.

mod adapt;
pub(crate) mod compaction;
mod kept_files;
pub(crate) mod lost;
pub(crate) mod maintain;
pub(crate) mod merge_files;
pub(crate) mod merge_small_files;
mod migrate;
pub(crate) mod orphan_files;
mod prepare;
mod repair;
pub(crate) mod small_files;
mod sorted_merge;
pub(crate) mod survey;
mod table_folder;
mod unfinished_archives;

/// Commit attempts before giving up on a contended table.
const COMMIT_ATTEMPTS: usize = 5;
