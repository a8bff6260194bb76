//! Maintenance of tables by the run that holds the lock: the survey and repair when a run starts, orphan files, migration of
//! what older versions wrote, and compaction. Knows the log and data files; never sees new rows.

mod adapt;
pub(crate) mod compaction;
pub(crate) mod lost;
mod migrate;
mod orphan_files;
pub(crate) mod survey;
