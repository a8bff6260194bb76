//! What the status of a lake says, as values.

use copilot_lake_tables::Instant;
use copilot_lake_writer::Remedy;
use serde::{Serialize, Serializer};

use crate::ledger::runs::reads_service;
use crate::ledger::windows::BEGINNING;
use crate::report::SliceStatus;
use crate::views::view_maker::ViewDefinition;

/// What the runs of a lake make besides rows. Nothing is due of what they do not make.
#[derive(Debug, Clone, Copy)]
pub struct StatusOptions {
    /// Whether payloads are fetched.
    pub payloads: bool,
    /// The definition of the materialized views that are made; `None`: none are.
    pub views: Option<ViewDefinition>,
}

/// The status of a lake.
#[derive(Debug, Serialize)]
pub struct LakeStatus {
    /// When it was found out, by this machine's clock.
    #[serde(serialize_with = "as_text")]
    pub at: Instant,
    /// When the last complete run ended; `None` if there was none.
    #[serde(serialize_with = "as_text_or_null")]
    pub last_complete_at: Option<Instant>,
    /// The tables that have rows, slices or a problem.
    pub tables: Vec<TableStatus>,
    /// The last runs, newest first.
    pub runs: Vec<RunStatus>,
}

/// The status of a table.
#[derive(Debug, Default, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table: &'static str,
    /// Rows, as the log says.
    pub rows: u64,
    /// Data files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that should be fewer: small ones of the same week or table.
    pub small_files: u64,
    /// How far its slices reach; `None` for tables that are not read in slices.
    #[serde(flatten)]
    pub freshness: Freshness,
    /// Slices that failed or were skipped, and that no later one has read.
    #[serde(flatten)]
    pub open: OpenFailures,
    /// Users, where slices are users' own.
    pub users: Option<UserCounts>,
    /// The payloads that its rows name; `None` where they name none, or payloads are not fetched.
    pub payloads: Option<PayloadStatus>,
    /// Weeks of a materialized view that are older than the rows that it is made from: the next run rebuilds them.
    /// `None` for other tables, or where views are not made.
    pub stale_weeks: Option<u64>,
    /// Why the table cannot be used.
    pub problem: Option<String>,
    /// What to do about it.
    #[serde(skip)]
    pub remedy: Option<Remedy>,
}

/// How far the gapless chain of windows reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// Rows created before this time may be missing. Midnight of 1753-01-01, the earliest time of Dataverse: none are.
    #[serde(serialize_with = "as_text_or_null")]
    pub read_from: Option<Instant>,
    /// Everything before this time has been read.
    #[serde(serialize_with = "as_text_or_null")]
    pub read_until: Option<Instant>,
    /// How long ago that is.
    pub age_seconds: Option<i64>,
}

impl Freshness {
    /// Whether nothing is missing that is older.
    pub fn is_from_beginning(&self) -> bool {
        self.read_from == Some(BEGINNING)
    }
}

/// Slices that failed or were skipped, and that no later one has read.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct OpenFailures {
    /// Slices that failed: the next run requests them again.
    #[serde(rename = "failed_slices")]
    pub failed: u64,
    /// Slices that cannot be read and do not have to be.
    #[serde(rename = "skipped_slices")]
    pub skipped: u64,
    /// The same by reason: those with the most slices.
    #[serde(rename = "failures")]
    pub groups: Vec<FailureGroup>,
}

/// Open failures with a reason in common.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FailureGroup {
    /// How the slices ended.
    pub status: SliceStatus,
    /// Why.
    pub reason: String,
    /// How many.
    pub slices: u64,
    /// The earliest start of their windows.
    #[serde(serialize_with = "as_text")]
    pub window_start: Instant,
    /// The latest end of their windows.
    #[serde(serialize_with = "as_text")]
    pub window_end: Instant,
    /// When one of them failed last.
    #[serde(serialize_with = "as_text")]
    pub last_failed_at: Instant,
}

impl FailureGroup {
    /// Whether the first of the windows has no beginning.
    pub fn is_from_beginning(&self) -> bool {
        self.window_start == BEGINNING
    }
}

/// Users whose histories are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct UserCounts {
    /// Users whose history was requested since the last complete run began.
    pub in_scope: u64,
    /// Those among them whose last history was read.
    pub done: u64,
}

/// The payloads that rows of a table name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PayloadStatus {
    /// Weeks with rows.
    pub weeks: u64,
    /// Weeks that have all their payloads.
    pub complete_weeks: u64,
    /// Payloads that the next run requests: new ones, failed ones, and missing ones that may still come.
    pub due: u64,
    /// Payloads among them that were requested and not received.
    pub failed: u64,
}

/// A run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// The run.
    pub run_id: String,
    /// The command.
    pub command: String,
    /// When it started.
    #[serde(serialize_with = "as_text_or_null")]
    pub started_at: Option<Instant>,
    /// When it ended; `None` while it runs and after it was killed.
    #[serde(serialize_with = "as_text_or_null")]
    pub finished_at: Option<Instant>,
    /// Seconds from start to end.
    pub seconds: Option<i64>,
    /// How it ended; `None` while it runs and after it was killed.
    pub outcome: Option<String>,
    /// Rows that were new or changed.
    pub rows_written: Option<i64>,
    /// Slices that failed.
    pub slices_failed: Option<i64>,
    /// Slices that were skipped.
    pub slices_skipped: Option<i64>,
    /// Payloads that were written.
    pub payloads: Option<i64>,
    /// Payloads that could not be fetched.
    pub payloads_failed: Option<i64>,
}

impl RunStatus {
    /// Whether such runs read a service: others say nothing of the schedule, or of how far tables reach.
    pub fn reads_service(&self) -> bool {
        reads_service(&self.command)
    }
}

fn as_text<S: Serializer>(at: &Instant, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn as_text_or_null<S: Serializer>(at: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}
