//! Failures of File columns: what may not be read, what is not worth a request any more, and why Files failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use copilot_lake_decoder::SourceRow;
use copilot_lake_extractor::Error as ServiceError;

use crate::dataverse::context::DataverseContext;
use crate::failure_breaker::{FailureBreaker, OpenReason};

/// Files of a column that fail one after the other before the rest of it fails at once: somewhat more than are fetched
/// at the same time.
const FAILED: usize = 50;

/// The most reasons that are reported for a table.
const REASONS: usize = 20;

/// Table and column.
type FileColumn = (&'static str, &'static str);

/// How the Files of each column have failed. Clones share what they know.
#[derive(Clone, Default)]
pub(super) struct ColumnFailures(Arc<Mutex<State>>);

struct State {
    /// Columns that are not requested any more.
    unreadable: BTreeMap<FileColumn, UnreadableColumn>,
    breaker: FailureBreaker<FileColumn>,
    /// How many Files failed for each reason.
    reasons: BTreeMap<(FileColumn, String), u64>,
    /// The first error of a File.
    first: Option<ServiceError>,
}

struct UnreadableColumn {
    reason: String,
    /// Whether a File of it was wanted.
    is_wanted: bool,
}

impl Default for State {
    fn default() -> Self {
        let (unreadable, reasons) = (BTreeMap::new(), BTreeMap::new());
        Self { unreadable, breaker: FailureBreaker::new(FAILED), reasons, first: None }
    }
}

impl ColumnFailures {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the column of a row is not requested. `is_wanted`: notes that a File of it is wanted.
    pub(super) fn is_unreadable(&self, row: &SourceRow, is_wanted: bool) -> bool {
        let mut state = self.state();
        let column = state.unreadable.get_mut(&(row.table, row.column));
        column.map(|column| column.is_wanted |= is_wanted).is_some()
    }

    /// Notes that the column of a row may not be read.
    pub(super) fn refused(&self, row: &SourceRow, error: &ServiceError, is_wanted: bool) {
        self.state().leave_out((row.table, row.column), error.to_string(), is_wanted);
    }

    /// Notes that a File was read, or that there is none.
    pub(super) fn read(&self, row: &SourceRow) {
        self.state().breaker.read((row.table, row.column));
    }

    /// Notes that a File could not be fetched. One that an earlier run could not fetch either says nothing of the others:
    /// it must not keep them from being fetched in one run after the other.
    pub(super) fn failed(&self, row: &SourceRow, error: &ServiceError, has_failed_before: bool) {
        let column = (row.table, row.column);
        let mut state = self.state();
        *state.reasons.entry((column, error.without_call())).or_default() += 1;
        state.first.get_or_insert_with(|| error.clone());
        if has_failed_before {
            return;
        }
        state.breaker.failed(column, error);
        if let Some(OpenReason { reason, .. }) = state.breaker.failure(column).cloned() {
            let reason = format!("{reason}: the rest was not requested, because {FAILED} of them failed in a row");
            // Those under way are not the rest.
            state.leave_out(column, reason, false);
        }
    }

    /// Reports every column whose Files were wanted as one failure of its table, and why Files failed. Returns the tables
    /// of these columns.
    pub(super) async fn report(&self, context: &DataverseContext<'_>) -> BTreeSet<&'static str> {
        let State { unreadable, reasons, first, .. } = std::mem::take(&mut *self.state());
        if let Some(error) = &first {
            context.run.note_failure(error).await;
        }
        let mut reports = context.run.reports.lock().await;
        let mut counts: Vec<_> = reasons.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (((table, column), reason), count) in counts.into_iter().take(REASONS) {
            let what = if count == 1 { "payload" } else { "payloads" };
            reports.table(table).reasons.push(format!("{count} {what} of {column}: {reason}"));
        }
        let unreadable: Vec<_> = unreadable.into_iter().filter(|(_, column)| column.is_wanted).collect();
        let tables: BTreeSet<_> = unreadable.iter().map(|((table, _), _)| *table).collect();
        for table in &tables {
            reports.table(table).payloads_failed += 1;
        }
        for ((table, column), UnreadableColumn { reason, .. }) in unreadable {
            reports.table(table).reasons.push(format!("payloads of {column}: {reason}"));
        }
        tables
    }
}

impl State {
    fn leave_out(&mut self, column: FileColumn, reason: String, is_wanted: bool) {
        let known = self.unreadable.entry(column).or_insert(UnreadableColumn { reason, is_wanted: false });
        known.is_wanted |= is_wanted;
    }
}

#[cfg(test)]
mod tests {
    use copilot_lake_decoder::Charset;
    use copilot_lake_tables::{COPILOT_EVENT, Instant};

    use super::*;

    fn row(column: &'static str) -> SourceRow {
        SourceRow {
            table: "msdyn_copilotevent",
            id: String::new(),
            partition_id: String::new(),
            column,
            file_id: String::new(),
            file_name: None,
            row_time: Instant(0),
            documented: Charset::documented_for(&COPILOT_EVENT.columns[0], None),
        }
    }

    #[test]
    fn a_column_is_given_up_after_failures_in_a_row_of_files_that_are_new() {
        let error = ServiceError::RetriesExhausted { status: 500, cause: "down".to_owned(), call: Box::default() };
        let (file, other) = (row("msdyn_interactiondata"), row("msdyn_other"));
        // So many failures, whether they are new, and whether a File is read then.
        type Step = (usize, bool, bool);
        let cases: &[(&str, &[Step], bool)] = &[
            ("fewer", &[(FAILED - 1, true, false)], false),
            ("as many", &[(FAILED, true, false)], true),
            ("not in a row", &[(FAILED - 1, true, true), (FAILED - 1, true, false)], false),
            ("as in the run before", &[(10 * FAILED, false, false)], false),
            ("others than in the run before", &[(FAILED, false, false), (FAILED, true, false)], true),
        ];
        for (what, steps, expected) in cases {
            let failures = ColumnFailures::default();
            for (count, is_new, is_read) in *steps {
                (0..*count).for_each(|_| failures.failed(&file, &error, !is_new));
                if *is_read {
                    failures.read(&file);
                }
            }
            assert_eq!(failures.is_unreadable(&file, true), *expected, "{what}");
            assert!(!failures.is_unreadable(&other, true), "{what}");
        }
    }
}
