//! What a run did.

use serde::Serialize;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was asked for is in the lake.
    Complete,
    /// Some slices or payloads failed, or the run was stopped; a rerun takes up the rest.
    Partial,
    /// No slice was done.
    Failed,
}

impl Outcome {
    /// The word in `extraction_run` and in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether a signal or the deadline stopped it.
    pub stopped: bool,
    /// Whether every slice failed because a permission is missing.
    pub permission_missing: bool,
    /// Seconds from start to end.
    pub seconds: f64,
    /// Requests to the service, retries included.
    pub requests: u64,
    /// Seconds spent waiting because the service said so.
    pub throttled_seconds: f64,
    /// The same per table.
    pub tables: Vec<TableReport>,
}

/// What a run did for one table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// Slices that were committed.
    pub slices_done: u64,
    /// Slices that failed.
    pub slices_failed: u64,
    /// Slices that could not be read and did not have to be.
    pub slices_skipped: u64,
    /// Pages received.
    pub pages: u64,
    /// Rows received.
    pub rows_received: u64,
    /// Rows that were new or changed.
    pub rows_written: u64,
    /// Rows that were marked or removed because the service does not have them any more.
    pub rows_deleted: u64,
    /// Values that did not fit.
    pub rejected: u64,
    /// Files added.
    pub files_added: u64,
    /// Payloads written.
    pub payloads: u64,
    /// Payloads that were tried and not got.
    pub payloads_failed: u64,
    /// Why slices failed or were skipped.
    pub reasons: Vec<String>,
}

impl Report {
    /// A total over the tables.
    pub fn total(&self, of: fn(&TableReport) -> u64) -> u64 {
        self.tables.iter().map(of).sum()
    }
}
