//! What happens during a run, for progress lines and logs.

use std::sync::Arc;

use serde::Serialize;

use crate::report::SliceStatus;

/// Something that happened. No event holds a secret or people's text.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run starts, or continues one that did not end.
    Started {
        /// The run.
        run_id: String,
        /// Whether it continues one.
        continued: bool,
    },
    /// So many slices of a table are to be read.
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
        /// Seconds that the service made it wait.
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
    /// Slices of a table ended, and what is complete of them was committed.
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
    /// A slice failed or was skipped; the others go on.
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
    /// So many slices failed or were skipped for the same reason; told once for each.
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
    /// Rows were found to be gone at the service.
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
        /// How many of them were tried and not got.
        failed: u64,
    },
}

/// Called with every event, from any thread.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;
