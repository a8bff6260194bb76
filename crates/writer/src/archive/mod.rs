//! The archive: pages and payloads as the service sent them, for replay.
//!
//! Knows files of a slice and their order; knows nothing of tables, Parquet or the log.

mod blocking;
pub(crate) mod reader;
mod size_limit;
pub(crate) mod writer;
