//! The slices of users: how far the histories reach together, and whose last slice failed or was skipped. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use copilot_lake_tables::Instant;

use super::failures::{FailureCounts, ReasonId, Reasons};
use super::lake_status::{Freshness, OpenFailures, UserCounts};
use super::ledger_row::LedgerRow;
use crate::graph::window::WITHOUT_HISTORY_SECONDS;
use crate::report::SliceStatus;

/// The most windows that cannot be read that are kept.
const UNREADABLE: usize = 10_000;

/// The newest slice of each user. Takes some 100 bytes for each of them, whatever the number of their slices.
#[derive(Debug, Default)]
pub(super) struct UserSlices {
    users: HashMap<u64, UserState>,
    /// Windows that cannot be read, which watermarks pass.
    unreadable: Vec<(u64, UserSlice)>,
    /// The runs that read histories.
    runs: BTreeSet<String>,
    newest: Option<Instant>,
}

/// What is known of a user.
#[derive(Debug)]
struct UserState {
    last: UserSlice,
    /// The watermark.
    until: Option<Instant>,
    /// The start of the longest history that was read, and when.
    earliest: Option<(Instant, Instant)>,
}

#[derive(Debug, Clone)]
struct UserSlice {
    status: SliceStatus,
    reason: ReasonId,
    window: Range<Instant>,
    finished_at: Instant,
}

impl UserSlices {
    /// Adds a row. Of rows that ended at the same time, the first one counts.
    pub(super) fn push(&mut self, row: &LedgerRow<'_>, reasons: &mut Reasons) {
        if !self.runs.contains(row.run_id) {
            self.runs.insert(row.run_id.to_owned());
        }
        self.newest = self.newest.max(Some(row.finished_at));
        let mut hasher = DefaultHasher::new();
        row.scope.hash(&mut hasher);
        let user = hasher.finish();
        let reason = if row.status == SliceStatus::Done { "" } else { row.reason };
        let last = UserSlice {
            status: row.status,
            reason: reasons.id(reason),
            window: row.window.clone(),
            finished_at: row.finished_at,
        };
        // A watermark passes only what cannot be read.
        if row.status != SliceStatus::Done && row.done_until.is_some_and(|until| until >= row.window.end) {
            if self.unreadable.len() < UNREADABLE {
                self.unreadable.push((user, last));
            }
            return;
        }
        let read = (row.status == SliceStatus::Done).then_some((row.window.start, row.finished_at));
        match self.users.get_mut(&user) {
            None => drop(self.users.insert(user, UserState { last, until: row.done_until, earliest: read })),
            Some(known) => {
                known.earliest = earliest(known.earliest, read);
                if known.last.finished_at < row.finished_at {
                    (known.last, known.until) = (last, row.done_until);
                }
            }
        }
    }

    /// The runs that read histories.
    pub(super) fn runs(&self) -> &BTreeSet<String> {
        &self.runs
    }

    /// When the last slice of any user ended.
    pub(super) fn newest(&self) -> Option<Instant> {
        self.newest
    }

    /// How far the histories of the users in scope reach together, without those who cannot be read. Users without a
    /// slice since then are not in scope any more; those without a history are for 30 days more.
    pub(super) fn finish(
        mut self,
        in_scope_since: Instant,
        reasons: &Reasons,
    ) -> (Freshness, OpenFailures, UserCounts) {
        let (mut freshness, mut counts) = (Freshness::default(), FailureCounts::default());
        let mut users = UserCounts::default();
        for UserState { last, until, .. } in self.users.values() {
            // Who has no history is asked for it only from time to time.
            let is_rarely_asked = last.status == SliceStatus::Skipped;
            let asked_since =
                if is_rarely_asked { in_scope_since.plus_seconds(-WITHOUT_HISTORY_SECONDS) } else { in_scope_since };
            if last.finished_at < asked_since {
                continue;
            }
            users.in_scope += 1;
            if last.status == SliceStatus::Done {
                users.done += 1;
                freshness.read_until = [freshness.read_until, *until].into_iter().flatten().min();
            } else {
                counts.add(last.status, last.reason, last.window.clone(), last.finished_at);
            }
        }
        self.unreadable.sort_by_key(|(_, found)| Reverse(found.finished_at));
        let mut seen = BTreeSet::new();
        for (user, found) in &self.unreadable {
            // Every run records it again, until it is skipped.
            let is_new = seen.insert((*user, found.window.start, found.window.end));
            let state = self.users.get(user);
            if state.is_some_and(|state| state.last.finished_at < in_scope_since) {
                continue;
            }
            let read = state.and_then(|state| state.earliest);
            let is_read = read.is_some_and(|(start, at)| start <= found.window.start && at > found.finished_at);
            if is_new && !is_read {
                counts.add(found.status, found.reason, found.window.clone(), found.finished_at);
            }
        }
        (freshness, counts.finish(reasons), users)
    }
}

/// The longer of two histories that were read; of equal ones, the later.
fn earliest(known: Option<(Instant, Instant)>, read: Option<(Instant, Instant)>) -> Option<(Instant, Instant)> {
    [known, read].into_iter().flatten().min_by_key(|(start, at)| (*start, Reverse(*at)))
}

#[cfg(test)]
mod tests {
    use super::SliceStatus::{Done, Failed, Skipped};
    use super::*;

    /// A row: user, window, end, status, watermark.
    type Row = (&'static str, (i64, i64), i64, SliceStatus, Option<i64>);

    #[test]
    fn a_table_of_cases() {
        // Rows, and until when everything is read, how many slices are failed and skipped, users and those done.
        type Found = (Option<i64>, u64, u64, u64, u64);
        let cases: &[(&str, &[Row], Found)] = &[
            ("nothing", &[], (None, 0, 0, 0, 0)),
            (
                "the slowest user counts",
                &[("a", (0, 100), 101, Done, Some(100)), ("b", (0, 90), 102, Done, Some(90))],
                (Some(90), 0, 0, 2, 2),
            ),
            (
                "of each user the newest row",
                &[("a", (0, 100), 101, Done, Some(100)), ("a", (90, 200), 201, Done, Some(200))],
                (Some(200), 0, 0, 1, 1),
            ),
            (
                "a user who failed holds nobody up",
                &[
                    ("a", (0, 100), 101, Done, Some(100)),
                    ("b", (0, 100), 102, Done, Some(100)),
                    ("a", (90, 200), 201, Done, Some(200)),
                    ("b", (90, 200), 202, Failed, Some(100)),
                ],
                (Some(200), 1, 0, 2, 1),
            ),
            (
                "and is read by the next run",
                &[("b", (0, 100), 102, Failed, None), ("b", (0, 200), 202, Done, Some(200))],
                (Some(200), 0, 0, 1, 1),
            ),
            (
                "a user without a mailbox",
                &[("a", (0, 100), 101, Done, Some(100)), ("b", (0, 100), 102, Skipped, None)],
                (Some(100), 0, 1, 2, 1),
            ),
            (
                "a user who left the scope",
                &[
                    ("b", (0, 40), 42, Failed, None),
                    ("c", (0, 40), 43, Done, Some(40)),
                    ("a", (0, 100), 101, Done, Some(100)),
                ],
                (Some(100), 0, 0, 1, 1),
            ),
            (
                "a user without a mailbox whom the last run did not ask",
                &[("b", (0, 40), 42, Skipped, None), ("a", (0, 100), 101, Done, Some(100))],
                (Some(100), 0, 1, 2, 1),
            ),
            (
                "a part of a history that cannot be read, recorded by two runs",
                &[
                    ("a", (0, 100), 101, Done, Some(100)),
                    ("a", (50, 51), 102, Failed, Some(100)),
                    ("a", (90, 200), 201, Done, Some(200)),
                    ("a", (50, 51), 202, Failed, Some(200)),
                ],
                (Some(200), 1, 0, 1, 1),
            ),
            (
                "and is skipped",
                &[
                    ("a", (0, 100), 101, Done, Some(100)),
                    ("a", (50, 51), 102, Failed, Some(100)),
                    ("a", (90, 200), 201, Done, Some(200)),
                    ("a", (50, 51), 202, Skipped, Some(200)),
                    ("a", (190, 300), 301, Done, Some(300)),
                ],
                (Some(300), 0, 1, 1, 1),
            ),
            (
                "and is read when everything is read again",
                &[
                    ("a", (0, 100), 101, Done, Some(100)),
                    ("a", (50, 51), 102, Failed, Some(100)),
                    ("a", (0, 200), 201, Done, Some(200)),
                    ("a", (190, 300), 301, Done, Some(300)),
                ],
                (Some(300), 0, 0, 1, 1),
            ),
        ];
        for (name, rows, expected) in cases {
            let (mut slices, mut reasons) = (UserSlices::default(), Reasons::default());
            for (user, (start, end), finished_at, status, until) in rows.iter().rev() {
                let row = LedgerRow {
                    run_id: "r",
                    source: "graph",
                    table: "ai_interaction",
                    scope: user,
                    time_column: "createdDateTime",
                    selection: "",
                    reason: "because",
                    status: *status,
                    window: Instant(*start)..Instant(*end),
                    as_of: Instant(*finished_at),
                    finished_at: Instant(*finished_at),
                    done_until: until.map(Instant),
                };
                slices.push(&row, &mut reasons);
            }
            let (freshness, open, users) = slices.finish(Instant(50), &reasons);
            let until = freshness.read_until.map(|at| at.0);
            assert_eq!((until, open.failed, open.skipped, users.in_scope, users.done), *expected, "{name}");
        }
    }
}
