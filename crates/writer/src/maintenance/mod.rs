//! Care for tables by whoever holds the lock: what is wrong when a run starts, which files are no part of a table, what is
//! lost, what an older program wrote, and small files that become large ones.

mod adapt;
pub(crate) mod compaction;
pub(crate) mod lost;
mod migrate;
mod orphan_files;
pub(crate) mod survey;
