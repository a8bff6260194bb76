//! The slices of a table of Dataverse: how far they reach, and which failures are open. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use copilot_lake_tables::Instant;

use super::failures::{FailureCounts, ReasonId, Reasons};
use super::lake_status::{Freshness, OpenFailures};
use super::ledger_row::LedgerRow;
use super::range_set::RangeSet;
use crate::ledger::windows::{CREATED, MODIFIED, TRACKING, covers};
use crate::report::SliceStatus;

/// The slices of a table. Takes some 40 bytes for each.
#[derive(Debug, Default)]
pub(super) struct TableSlices {
    /// Windows that the watermark has passed, by selection.
    passed: BTreeMap<String, PassedWindows>,
    /// Every slice, by time column.
    attempts: BTreeMap<String, Vec<SliceAttempt>>,
}

/// The windows of a selection that the watermark has passed.
#[derive(Debug, Default)]
struct PassedWindows {
    created: RangeSet,
    modified: RangeSet,
    /// When the earliest slice of the first pass was requested.
    first_as_of: Option<Instant>,
    last_finished_at: Option<Instant>,
}

/// How a slice ended.
#[derive(Debug)]
struct SliceAttempt {
    window: Range<Instant>,
    finished_at: Instant,
    status: SliceStatus,
    reason: ReasonId,
}

impl TableSlices {
    /// Adds a row.
    pub(super) fn push(&mut self, row: &LedgerRow<'_>, reasons: &mut Reasons) {
        // A row that is not done and has a watermark cannot be read: the watermark passes it.
        if row.done_until.is_some() {
            if !self.passed.contains_key(row.selection) {
                self.passed.insert(row.selection.to_owned(), PassedWindows::default());
            }
            let passed = self.passed.get_mut(row.selection);
            passed.unwrap_or_else(|| unreachable!("it was put there")).add(row);
        }
        // A tracking read covers whatever was deleted since the last one.
        let window = if row.time_column == TRACKING { Instant(0)..Instant(1) } else { row.window.clone() };
        let reason = if row.status == SliceStatus::Done { "" } else { row.reason };
        let attempt =
            SliceAttempt { window, finished_at: row.finished_at, status: row.status, reason: reasons.id(reason) };
        match self.attempts.get_mut(row.time_column) {
            Some(attempts) => attempts.push(attempt),
            None => drop(self.attempts.insert(row.time_column.to_owned(), vec![attempt])),
        }
    }

    /// How far the slices reach, and the failures that are open.
    pub(super) fn finish(mut self, reasons: &Reasons) -> (Freshness, OpenFailures) {
        let mut counts = FailureCounts::default();
        // The ends of open failures by the time column of the first pass.
        let mut created_open = Vec::new();
        for (time_column, attempts) in &mut self.attempts {
            for open in open_attempts(attempts) {
                counts.add(open.status, open.reason, open.window.clone(), open.finished_at);
                if time_column == CREATED {
                    created_open.push(open.window.end);
                }
            }
        }
        (self.freshness(&created_open), counts.finish(reasons))
    }

    fn freshness(&self, created_open: &[Instant]) -> Freshness {
        let newest = self.passed.iter().max_by_key(|(_, passed)| passed.last_finished_at);
        let Some((selection, _)) = newest else {
            // Its windows move no watermark: each begins where the last one ended.
            let of_rows = self.attempts.iter().filter(|(time_column, _)| *time_column != TRACKING);
            let done = of_rows.flat_map(|(_, attempts)| attempts).filter(|attempt| attempt.status == SliceStatus::Done);
            return Freshness { read_until: done.map(|attempt| attempt.window.end).max(), ..Freshness::default() };
        };
        let mut all = PassedWindows::default();
        for (_, passed) in self.passed.iter().filter(|(done, _)| covers(done, selection)) {
            all.created.extend(&passed.created);
            all.modified.extend(&passed.modified);
            all.first_as_of = [all.first_as_of, passed.first_as_of].into_iter().flatten().min();
        }
        let (Some(first_pass), Some(as_of)) = (all.created.last(), all.first_as_of) else {
            return Freshness::default();
        };
        // Where the end of the first pass could not be read, the chain ends before. Windows that `--since` names end later.
        let is_cut = created_open.iter().any(|end| first_pass.end < *end && *end <= as_of);
        let read_until = if is_cut { first_pass.end } else { all.modified.chain_from(as_of) };
        Freshness { read_from: Some(first_pass.start), read_until: Some(read_until), age_seconds: None }
    }
}

impl PassedWindows {
    fn add(&mut self, row: &LedgerRow<'_>) {
        match row.time_column {
            CREATED => {
                self.created.insert(row.window.clone());
                // What could not be read was requested in vain since its `as_of`.
                let as_of = if row.status == SliceStatus::Done { row.as_of } else { row.finished_at };
                self.first_as_of = Some(self.first_as_of.map_or(as_of, |first| first.min(as_of)));
            }
            MODIFIED => self.modified.insert(row.window.clone()),
            _ => {}
        }
        if row.status == SliceStatus::Done {
            self.last_finished_at = self.last_finished_at.max(Some(row.finished_at));
        }
    }
}

/// The attempts that failed or were skipped, and of whose windows later attempts leave a part.
fn open_attempts(attempts: &mut [SliceAttempt]) -> Vec<&SliceAttempt> {
    attempts.sort_by_key(|attempt| Reverse(attempt.finished_at));
    let mut later = RangeSet::default();
    let mut open = Vec::new();
    for attempt in attempts.iter() {
        if attempt.status != SliceStatus::Done && !later.contains(&attempt.window) {
            open.push(attempt);
        }
        later.insert(attempt.window.clone());
    }
    open
}

#[cfg(test)]
mod tests {
    use super::SliceStatus::{Done, Failed, Skipped};
    use super::*;

    /// A row: time column, window, the ends of its request and itself, status, whether it has a watermark.
    type Row = (&'static str, (i64, i64), (i64, i64), SliceStatus, bool);

    fn status_of(rows: &[Row], selections: &[&str]) -> (Freshness, OpenFailures) {
        let (mut slices, mut reasons) = (TableSlices::default(), Reasons::default());
        // The ledger is read newest first.
        for (at, (time_column, (start, end), (as_of, finished_at), status, has_watermark)) in
            rows.iter().enumerate().rev()
        {
            let row = LedgerRow {
                run_id: "r",
                source: "dataverse",
                table: "t",
                scope: "",
                time_column,
                selection: selections.get(at).unwrap_or(&"a,b"),
                reason: "because",
                status: *status,
                window: Instant(*start)..Instant(*end),
                as_of: Instant(*as_of),
                finished_at: Instant(*finished_at),
                done_until: has_watermark.then_some(Instant(0)),
            };
            slices.push(&row, &mut reasons);
        }
        slices.finish(&reasons)
    }

    #[test]
    fn a_table_of_cases() {
        /// From when and until when everything is read, how many slices are failed and skipped.
        type Found = (Option<i64>, Option<i64>, u64, u64);
        let cases: &[(&str, &[Row], Found)] = &[
            ("nothing", &[], (None, None, 0, 0)),
            (
                "a first pass, newest week first",
                &[(CREATED, (70, 100), (101, 110), Done, true), (CREATED, (0, 70), (105, 115), Done, true)],
                (Some(0), Some(101), 0, 0),
            ),
            (
                "later passes",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (200, 201), Done, true),
                    (MODIFIED, (190, 300), (300, 301), Done, true),
                ],
                (Some(0), Some(300), 0, 0),
            ),
            (
                "a day that failed",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (300, 301), Failed, false),
                    (MODIFIED, (200, 300), (300, 302), Done, true),
                ],
                (Some(0), Some(101), 1, 0),
            ),
            (
                "and was read by the next run",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (300, 301), Failed, false),
                    (MODIFIED, (200, 300), (300, 302), Done, true),
                    (MODIFIED, (90, 150), (400, 401), Done, true),
                    (MODIFIED, (150, 400), (400, 402), Done, true),
                ],
                (Some(0), Some(400), 0, 0),
            ),
            (
                "read in part",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (300, 301), Failed, false),
                    (MODIFIED, (90, 150), (400, 401), Done, true),
                ],
                (Some(0), Some(150), 1, 0),
            ),
            (
                "failed in every run",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (200, 201), Failed, false),
                    (MODIFIED, (90, 300), (300, 301), Failed, false),
                    (MODIFIED, (90, 400), (400, 401), Failed, false),
                ],
                (Some(0), Some(101), 1, 0),
            ),
            (
                "read first, failed later",
                &[(CREATED, (0, 100), (101, 110), Done, true), (CREATED, (50, 100), (200, 201), Failed, false)],
                (Some(0), Some(101), 1, 0),
            ),
            (
                "a week in the middle of the first pass failed",
                &[
                    (CREATED, (70, 100), (101, 110), Done, true),
                    (CREATED, (50, 70), (105, 115), Failed, false),
                    (CREATED, (0, 50), (105, 115), Done, true),
                ],
                (Some(70), Some(101), 1, 0),
            ),
            (
                "the newest week of the first pass failed",
                &[(CREATED, (70, 100), (101, 110), Failed, false), (CREATED, (0, 70), (105, 115), Done, true)],
                (Some(0), Some(70), 1, 0),
            ),
            (
                "a second that cannot be read: the watermark passes it",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 150), (300, 301), Done, true),
                    (MODIFIED, (150, 151), (300, 302), Failed, true),
                    (MODIFIED, (151, 300), (300, 303), Done, true),
                ],
                (Some(0), Some(300), 1, 0),
            ),
            (
                "and is skipped in the end",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 300), (300, 301), Failed, false),
                    (MODIFIED, (90, 150), (300, 301), Done, true),
                    (MODIFIED, (151, 300), (300, 303), Done, true),
                    (MODIFIED, (150, 151), (300, 304), Failed, true),
                    (MODIFIED, (150, 151), (300, 904), Skipped, true),
                ],
                (Some(0), Some(300), 0, 1),
            ),
            (
                "a second of the first pass that cannot be read since long ago",
                &[
                    (CREATED, (60, 100), (101, 110), Done, true),
                    (CREATED, (50, 51), (3, 111), Failed, true),
                    (CREATED, (51, 60), (101, 112), Done, true),
                    (CREATED, (0, 50), (101, 113), Done, true),
                ],
                (Some(0), Some(101), 1, 0),
            ),
            (
                "a window that was given moves no watermark and heals nothing of another time column",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (200, 201), Failed, false),
                    (CREATED, (0, 400), (400, 401), Done, false),
                ],
                (Some(0), Some(101), 1, 0),
            ),
            (
                "deletions: any later tracking read makes up for it",
                &[(TRACKING, (0, 100), (100, 101), Failed, false), (TRACKING, (200, 300), (300, 301), Done, false)],
                (None, None, 0, 0),
            ),
            (
                "a window that was given and failed",
                &[
                    (CREATED, (0, 100), (101, 110), Done, true),
                    (MODIFIED, (90, 200), (200, 201), Done, true),
                    (CREATED, (50, 250), (250, 251), Failed, false),
                ],
                (Some(0), Some(200), 1, 0),
            ),
            (
                "people: windows without watermarks",
                &[(MODIFIED, (0, 100), (100, 101), Done, false), (MODIFIED, (90, 200), (200, 201), Failed, false)],
                (None, Some(100), 1, 0),
            ),
        ];
        for (name, rows, (read_from, read_until, failed, skipped)) in cases {
            let (freshness, open) = status_of(rows, &[]);
            let found = (freshness.read_from.map(|at| at.0), freshness.read_until.map(|at| at.0));
            assert_eq!((found, open.failed, open.skipped), ((*read_from, *read_until), *failed, *skipped), "{name}");
        }
    }

    #[test]
    fn windows_count_for_the_newest_selection() {
        let rows = [
            (CREATED, (0, 100), (101, 110), Done, true),
            (MODIFIED, (90, 200), (200, 201), Done, true),
            (CREATED, (150, 300), (301, 302), Done, true),
        ];
        let until = |selections: &[&str]| {
            let (freshness, _) = status_of(&rows, selections);
            (freshness.read_from.map(|at| at.0), freshness.read_until.map(|at| at.0))
        };
        assert_eq!(until(&["a,b,c", "a,b,c", "a,b"]), (Some(150), Some(200)), "the earlier one had more columns");
        assert_eq!(until(&["a", "a", "a,b"]), (Some(150), Some(301)), "a column was added: everything is read again");
    }
}
