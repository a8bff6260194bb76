//! What happens during a run, for progress lines and logs.

use std::sync::Arc;

use serde::Serialize;

use crate::report::SliceStatus;

/// Something that happened. No event holds a secret or anybody's text.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run starts.
    Started {
        /// The run.
        run_id: String,
        /// Whether it resumes another one.
        continued: bool,
    },
    /// A shard of an archive was in the lake already.
    ShardKnown {
        /// Which one, as in `1/4`.
        shard: String,
    },
    /// Nothing of a shard is in the lake, since not all of it could be replayed.
    ShardLeftOut {
        /// Which one, as in `1/4`.
        shard: String,
    },
    /// All shards of an archive are in the lake.
    ShardsComplete {
        /// How many there are.
        shards: u32,
    },
    /// The slices of a table are planned.
    Planned {
        /// The table.
        table: &'static str,
        /// How many.
        slices: usize,
    },
    /// A page was decoded.
    Page {
        /// The table.
        table: &'static str,
        /// Its rows.
        rows: u64,
        /// Seconds of throttling by the service.
        throttled_seconds: f64,
    },
    /// A slice was committed.
    SliceDone {
        /// The table.
        table: &'static str,
        /// Its window.
        window: String,
        /// Rows received.
        rows_received: u64,
        /// Rows that were new or changed.
        rows_written: u64,
    },
    /// Slices of a table ended; those that are done were committed.
    SlicesEnded {
        /// The table.
        table: &'static str,
        /// How many were done.
        done: u64,
        /// How many failed.
        failed: u64,
        /// How many were skipped.
        skipped: u64,
        /// Rows received.
        rows_received: u64,
        /// Rows that were new or changed.
        rows_written: u64,
    },
    /// A slice failed or was skipped; the run goes on.
    SliceNotDone {
        /// The table.
        table: &'static str,
        /// Its window.
        window: String,
        /// `failed` or `skipped`.
        status: SliceStatus,
        /// Why.
        reason: String,
    },
    /// Slices failed or were skipped for the same reason; sent once per reason.
    SlicesNotDone {
        /// The table.
        table: &'static str,
        /// `failed` or `skipped`.
        status: SliceStatus,
        /// Why.
        reason: String,
        /// How many, so far.
        slices: u64,
    },
    /// Rows were deleted at the service.
    Deleted {
        /// The table.
        table: &'static str,
        /// How many were marked or removed.
        rows: u64,
    },
    /// Payloads were committed.
    Payloads {
        /// The table whose rows name them.
        table: &'static str,
        /// How many.
        payloads: u64,
        /// How many of them could not be fetched.
        failed: u64,
    },
}

/// Called with every event, from any thread.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;
