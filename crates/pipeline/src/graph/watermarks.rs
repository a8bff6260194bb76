//! The state of each user in the ledger: the watermark, and how the last slice ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::{AI_INTERACTION, EXTRACTION_SLICE, Instant, Service};
use copilot_lake_writer::{Lake, Scan};
use futures::TryStreamExt as _;

use super::scope_state::{NO_HISTORY, ScopeMember, ScopeState, UnreadableHistory};
use super::selection::HistorySelection;
use crate::error::Error;
use crate::report::SliceStatus;

/// Seconds by which the clocks of two services may differ.
const SLACK: i64 = 3600;

/// Rows of the ledger, newest first, that are searched for users who were deleted long ago.
const LOOKED_BACK: usize = 500_000;

/// How the state of users is read from the ledger.
pub(crate) struct StateQuery<'a> {
    /// The runs that are resumed.
    pub(crate) resumed: &'a BTreeSet<String>,
    /// The run that found a loss of the lake, and all later ones.
    pub(crate) since_loss: Option<&'a BTreeSet<String>>,
    /// Users who were deleted before have probably been tried once more since: they are not searched for far back.
    pub(crate) deleted_since: Option<Instant>,
}

impl StateQuery<'_> {
    /// Gives users the state of their newest rows. Files are opened only as long as a user who was known by then has
    /// none. Users who were deleted long ago and have no row in the newest files are dropped.
    pub(crate) async fn read_into(&self, lake: &Lake, users: &mut HashMap<String, ScopeMember>) -> Result<(), Error> {
        let names = COLUMNS.to_vec();
        let scan = Scan { columns: names, key: Some(("source", Service::Graph.name())), ..Scan::default() };
        let (selection, unreadable) = (BTreeMap::new(), HashMap::new());
        let mut reader = StateReader { users, query: self, selection, unreadable };
        let mut files = std::pin::pin!(lake.scan_files(&EXTRACTION_SLICE, scan).await?);
        let mut rows = 0;
        while let Some(mut file) = files.try_next().await? {
            let is_looked_for = |member: &&ScopeMember| rows < LOOKED_BACK || !self.is_long_deleted(member);
            let missing = reader.users.values().filter(|member| member.state.is_none()).filter(is_looked_for);
            let Some(first_seen) = missing.filter_map(|member| member.first_seen).min() else { break };
            if file.newest.is_some_and(|newest| newest < first_seen.plus_seconds(-SLACK)) {
                break;
            }
            while let Some(batch) = file.batches.try_next().await? {
                rows += batch.num_rows();
                reader.push(&batch);
            }
        }
        reader.settle_unreadable();
        if rows >= LOOKED_BACK {
            users.retain(|_, member| member.state.is_some() || !self.is_long_deleted(member));
        }
        Ok(())
    }

    fn is_long_deleted(&self, member: &ScopeMember) -> bool {
        member.deleted_at.zip(self.deleted_since).is_some_and(|(deleted_at, since)| deleted_at < since)
    }
}

/// About when the last slice of any user ended; `None` when there was none.
pub(crate) async fn newest_slice(lake: &Lake) -> Result<Option<Instant>, Error> {
    let key = Some(("source", Service::Graph.name()));
    let scan = Scan { columns: vec!["source"], key, ..Scan::default() };
    let mut files = std::pin::pin!(lake.scan_files(&EXTRACTION_SLICE, scan).await?);
    Ok(files.try_next().await?.and_then(|file| file.newest))
}

/// The columns that are read, in the order of [`StateReader::push`].
const COLUMNS: [&str; 12] = [
    "run_id",
    "table_name",
    "scope",
    "window_end",
    "done_until",
    "finished_at",
    "status",
    "pages",
    "selection",
    "window_start",
    "as_of",
    "reason",
];

struct StateReader<'a> {
    users: &'a mut HashMap<String, ScopeMember>,
    query: &'a StateQuery<'a>,
    /// Parsed selections: nearly every row has the same one.
    selection: BTreeMap<String, Option<Arc<HistorySelection>>>,
    /// Windows that could not be read, per user, with the run that found them so. They finish with the user's own row,
    /// or after it.
    unreadable: HashMap<String, Vec<(String, UnreadableHistory)>>,
}

impl StateReader<'_> {
    fn push(&mut self, batch: &RecordBatch) {
        let text = |at: usize| -> &StringArray { batch.column(at).as_string() };
        let time = |at: usize| batch.column(at).as_primitive::<TimestampMicrosecondType>();
        let (run_id, table, scope) = (text(0), text(1), text(2));
        let (window_end, done_until, finished_at) = (time(3), time(4), time(5));
        let (status, pages, selection) = (text(6), batch.column(7).as_primitive::<Int64Type>(), text(8));
        let (window_start, as_of, reason) = (time(9), time(10), text(11));
        for row in 0..batch.num_rows() {
            if table.value(row) != AI_INTERACTION.name {
                continue;
            }
            let Some(member) = self.users.get_mut(scope.value(row)) else { continue };
            let at = finished_at.value(row);
            let until = done_until.is_valid(row).then(|| Instant(done_until.value(row)));
            let status = SliceStatus::parse(status.value(row)).unwrap_or(SliceStatus::Failed);
            let window = Instant(window_start.value(row))..Instant(window_end.value(row));
            let reason = if reason.is_valid(row) { reason.value(row) } else { "" };
            if status != SliceStatus::Done && until.is_some_and(|until| until >= window.end) {
                // A watermark passes only what cannot be read; what is skipped is no longer requested.
                if status == SliceStatus::Failed {
                    let failing_since = Instant(if as_of.is_valid(row) { as_of.value(row) } else { at });
                    let found = UnreadableHistory { window, failing_since, reason: reason.to_owned() };
                    let of_user = self.unreadable.entry(scope.value(row).to_owned()).or_default();
                    of_user.push((run_id.value(row).to_owned(), found));
                }
                continue;
            }
            // Files come newest first: of rows of the same time, the one that was written last counts.
            if member.state.as_ref().is_some_and(|before| before.finished_at >= at) {
                continue;
            }
            member.state = Some(ScopeState {
                until,
                selection: parse_selection(&mut self.selection, selection.value(row)),
                window_start: window.start,
                window_end: window.end,
                status,
                is_without_history: status == SliceStatus::Skipped && reason.starts_with(NO_HISTORY),
                run_id: run_id.value(row).to_owned(),
                unreadable: Vec::new(),
                is_resumed: self.query.resumed.contains(run_id.value(row)),
                is_after_loss: self.query.since_loss.is_some_and(|runs| runs.contains(run_id.value(row))),
                pages: u64::try_from(pages.value(row)).unwrap_or_default(),
                finished_at: at,
            });
        }
    }

    /// Gives users what could not be read when they were read last: every run records it anew.
    fn settle_unreadable(self) {
        for (user, found) in self.unreadable {
            let Some(state) = self.users.get_mut(&user).and_then(|member| member.state.as_mut()) else { continue };
            let last = found.into_iter().filter(|(run_id, _)| *run_id == state.run_id);
            state.unreadable = last.map(|(_, found)| found).collect();
            state.unreadable.sort_by_key(|found| found.window.start);
        }
    }
}

fn parse_selection(
    known: &mut BTreeMap<String, Option<Arc<HistorySelection>>>,
    text: &str,
) -> Option<Arc<HistorySelection>> {
    if let Some(selection) = known.get(text) {
        return selection.clone();
    }
    let selection = HistorySelection::parse(text).map(Arc::new);
    known.insert(text.to_owned(), selection.clone());
    selection
}
