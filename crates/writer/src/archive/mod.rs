//! The archive: pages and payloads as the service sent them, for replay.
//!
//! A folder per archive: bundles, of which each is a series of zstd frames, one per page or payload; `index.jsonl.zst`, a
//! line for each of them; and `slice.json`, a line for each slice, without which the folder is ignored. Knows nothing of
//! tables, Parquet or the log.

pub(crate) mod archived_folder;
mod blocking;
mod finished;
pub(crate) mod index;
mod merge;
pub(crate) mod reader;
pub(crate) mod run_archive;
mod size_limit;
pub(crate) mod writer;
