//! What every part of a replay needs: a run into the lake that requests nothing, and the memory for what is read.

use copilot_lake_tables::{Instant, PAYLOAD, table};
use tokio::sync::Mutex;

use super::description::SliceFile;
use super::open_histories::OpenHistories;
use super::read_ahead::ReadAhead;
use super::read_description::left_out;
use super::shard::Shard;
use crate::event::Event;
use crate::ledger::windows;
use crate::report::SliceStatus;
use crate::run::context::RunContext;

/// Reasons that the report of a table lists one by one.
pub(super) const REASONS: usize = 50;

/// A replay into a lake.
pub(super) struct Replayer {
    pub(super) run: RunContext,
    /// The shard of the archive that it replays; `None`: all of it.
    pub(super) shard: Option<Shard>,
    /// Whether the lake had payloads before: some may be newer than the archive's.
    pub(super) had_payloads: bool,
    pub(super) ahead: ReadAhead,
    pub(super) histories: Mutex<OpenHistories>,
}

impl Replayer {
    /// Whether what is known by this key is to be replayed: the pages of a table, the payloads of a row, a history.
    pub(super) fn replays(&self, key: &str) -> bool {
        self.shard.is_none_or(|shard| shard.has(key))
    }

    /// Reports that a slice could not be replayed, or not all of it.
    pub(super) async fn record_failure(&self, about: &SliceFile, reason: String) {
        let known = table(&about.table).map_or(PAYLOAD.name, |table| table.name);
        let window = match (Instant::parse(&about.window_start), Instant::parse(&about.window_end)) {
            (Some(start), Some(end)) => windows::in_words(&about.time_column, start, end),
            _ => format!("{} of an unknown window", about.time_column),
        };
        let scope = if about.scope.is_empty() { String::new() } else { format!(" of {}", about.scope) };
        let window = format!("{window}{scope}");
        {
            let mut reports = self.run.reports.lock().await;
            let report = reports.table(known);
            report.slices_failed += 1;
            if report.reasons.len() < REASONS {
                report.reasons.push(reason.clone());
            }
        }
        (self.run.observe)(&Event::SliceNotDone { table: known, window, status: SliceStatus::Failed, reason });
    }

    /// Reports an archive whose table is not known, since its description cannot be read.
    pub(super) async fn record_unread(&self, reason: &str) {
        let mut reports = self.run.reports.lock().await;
        let report = reports.table(PAYLOAD.name);
        report.slices_failed += 1;
        report.reasons.push(left_out(reason, "slice"));
    }
}

/// Why a part of a slice is not replayed, and what becomes of the rest.
pub(super) fn partly(failures: &[String], what: &str) -> String {
    let first = failures.first().map_or("", String::as_str);
    let more = match failures.len() {
        0 | 1 => String::new(),
        several => format!(", and {} more", several - 1),
    };
    format!("{first}{more}; the other {what} of the slice are replayed, and the slice does not count as read")
}
