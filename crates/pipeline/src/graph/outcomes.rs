//! How histories ended: which slices can be recorded, and which are held until it is known whether the application is
//! refused.

use copilot_lake_extractor::Error as ServiceError;

use super::circuit_breaker::{Attempt, CircuitBreaker, Verdict};
use super::ended_slice::EndedSlice;
use super::history::EndedHistory;
use super::scope_state::{NO_HISTORY, UnreadableHistory};
use crate::report::SliceStatus;
use crate::slice_error::SliceError;

/// The most slices that are held.
const HELD: usize = 10_000;

/// The outcomes of a run's histories so far.
pub(crate) struct HistoryOutcomes {
    breaker: CircuitBreaker,
    moves_watermark: bool,
    /// Refused users, as long as no history was read.
    held: Vec<EndedSlice>,
}

impl HistoryOutcomes {
    pub(crate) fn new(moves_watermark: bool) -> Self {
        Self { breaker: CircuitBreaker::default(), moves_watermark, held: Vec::new() }
    }

    /// Notes that a page of a history was received.
    pub(crate) fn page_received(&mut self) {
        self.breaker.page_received();
    }

    /// Whether the application is refused, as is known before everyone was tried.
    pub(crate) fn is_application_refused(&self) -> bool {
        self.breaker.is_open()
    }

    /// Notes how a history ended. Returns the slices that can be recorded now.
    ///
    /// # Errors
    /// When no other history can be read either.
    pub(crate) fn ended(&mut self, ended: EndedHistory) -> Result<Vec<EndedSlice>, ServiceError> {
        let attempt = Attempt::new(&ended.result, ended.task.is_expected);
        match (self.breaker.attempted(attempt), ended.result) {
            (Verdict::Ignore, _) | (_, Err(SliceError::Stopped)) => Ok(vec![]),
            (Verdict::GiveUp, Err(SliceError::Service(error))) => Err(error),
            (verdict, result) => {
                let (mut status, mut reasons) = status_of(attempt, result.err(), ended.unfiltered);
                let unreadable = ended.unreadable;
                let passes_unreadable = status == SliceStatus::Done && self.moves_watermark;
                if status == SliceStatus::Done && !self.moves_watermark && !unreadable.is_empty() {
                    // No watermark is moved past them.
                    status = SliceStatus::Failed;
                    reasons = unreadable_parts(&unreadable);
                }
                let end = (ended.finished_at, ended.counts);
                let mut slice = EndedSlice::new(&ended.task, status, reasons, end, self.moves_watermark);
                if passes_unreadable {
                    slice = slice.with_unreadable(&unreadable, true);
                }
                if verdict == Verdict::Hold && self.held.len() < HELD {
                    self.held.push(slice);
                    return Ok(vec![]);
                }
                let mut recorded = if self.breaker.has_answered() { std::mem::take(&mut self.held) } else { vec![] };
                recorded.push(slice);
                Ok(recorded)
            }
        }
    }

    /// The slices that are still held, and how many of them failed because the application is refused.
    pub(crate) fn finish(mut self, everyone_was_tried: bool) -> (Vec<EndedSlice>, u64) {
        if !self.breaker.is_application_refused(everyone_was_tried) {
            return (self.held, 0);
        }
        self.held.iter_mut().for_each(|slice| slice.row.status = SliceStatus::Failed);
        let refused = self.held.len() as u64;
        (self.held, refused)
    }
}

/// The status of a slice, and its reasons in full and short.
fn status_of(
    attempt: Attempt,
    error: Option<SliceError>,
    unfiltered: bool,
) -> (SliceStatus, (Option<String>, Option<String>)) {
    let Some(error) = error else {
        let reason = "the tenant refuses the filter: everything was read, and what is in the window kept";
        return (SliceStatus::Done, (unfiltered.then(|| reason.to_owned()), None));
    };
    let (full, short) = match &error {
        SliceError::Service(service @ ServiceError::UserRefused { status: 404, .. }) => {
            (format!("{NO_HISTORY}{service}"), format!("{NO_HISTORY}{}", service.without_call()))
        }
        SliceError::Service(service) => (error.to_string(), service.without_call()),
        other => (error.to_string(), other.to_string()),
    };
    let status = match attempt {
        Attempt::Refused { .. } | Attempt::Skipped => SliceStatus::Skipped,
        _ => SliceStatus::Failed,
    };
    (status, (Some(full), Some(short)))
}

/// The reasons, in full and short, of a slice with parts that cannot be read.
fn unreadable_parts(unreadable: &[UnreadableHistory]) -> (Option<String>, Option<String>) {
    let part = |found: &UnreadableHistory| format!("{} to {}: {}", found.window.start, found.window.end, found.reason);
    let parts: Vec<_> = unreadable.iter().map(part).collect();
    (Some(parts.join("; ")), Some("the service cannot serve a part of the window".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use copilot_lake_tables::Instant;

    use super::*;
    use crate::graph::history::HistoryDecoding;
    use crate::graph::selection::HistorySelection;
    use crate::graph::window::HistoryTask;
    use crate::ledger::slice_row::SliceCounts;

    const NOW: Instant = Instant::from_seconds(1_760_000_000);

    fn ended(user: &str, result: Result<(), SliceError>) -> EndedHistory {
        let selection = HistorySelection { since: NOW, app_classes: std::collections::BTreeSet::new() };
        EndedHistory {
            task: HistoryTask::unread(user.to_owned(), NOW..NOW.plus_seconds(60), Arc::new(selection)),
            history: Arc::new(Mutex::new(HistoryDecoding::new(user, None))),
            counts: SliceCounts::default(),
            finished_at: NOW,
            unfiltered: false,
            unreadable: Vec::new(),
            result,
        }
    }

    fn unreadable(start: i64, since: i64) -> UnreadableHistory {
        let window = NOW.plus_seconds(start)..NOW.plus_seconds(start + 1);
        let failing_since = NOW.plus_seconds(since * Instant::DAY_SECONDS);
        UnreadableHistory { window, failing_since, reason: "status 500".to_owned() }
    }

    /// The rows that a history leaves: start and end in seconds, status, watermark, whether it is reported.
    fn rows(ended: EndedHistory, moves_watermark: bool) -> Vec<(i64, i64, SliceStatus, Option<i64>, bool)> {
        let slices = HistoryOutcomes::new(moves_watermark).ended(ended).unwrap();
        let seconds = |at: Instant| (at.0 - NOW.0) / 1_000_000;
        let of_slice = |slice: &EndedSlice| -> Vec<_> {
            let reported: Vec<_> = slice.reported().map(|(row, _)| row.slice.start).collect();
            let row = |row: &crate::ledger::slice_row::SliceRow| {
                let until = match row.watermark {
                    crate::ledger::slice_row::Watermark::At(until) => until.map(seconds),
                    _ => unreachable!(),
                };
                let is_reported = reported.contains(&row.slice.start);
                (seconds(row.slice.start), seconds(row.slice.end), row.status, until, is_reported)
            };
            slice.rows().map(row).collect()
        };
        slices.iter().flat_map(of_slice).collect()
    }

    #[test]
    fn what_cannot_be_read_is_a_row_of_its_own() {
        use SliceStatus::{Done, Failed, Skipped};
        let failed = || {
            let call = Box::default();
            Err(SliceError::Service(ServiceError::RetriesExhausted { status: 500, cause: String::new(), call }))
        };
        let history = |found: Vec<UnreadableHistory>, known: Vec<UnreadableHistory>, result| {
            let mut ended = ended("a", result);
            (ended.unreadable, ended.task.unreadable, ended.task.until) = (found, known, Some(NOW.plus_seconds(20)));
            ended
        };
        let cases = [
            ("nothing", history(vec![], vec![], Ok(())), true, vec![(0, 60, Done, Some(60), true)]),
            (
                "a part",
                history(vec![unreadable(7, 0)], vec![], Ok(())),
                true,
                vec![(0, 60, Done, Some(60), true), (7, 8, Failed, Some(60), true)],
            ),
            (
                "the start of the window is part of a row's key",
                history(vec![unreadable(0, 0)], vec![], Ok(())),
                true,
                vec![(1, 60, Done, Some(60), true), (0, 1, Failed, Some(60), true)],
            ),
            (
                "for 30 days",
                history(vec![unreadable(7, -30)], vec![unreadable(7, -30)], Ok(())),
                true,
                vec![(0, 60, Done, Some(60), true), (7, 8, Skipped, Some(60), true)],
            ),
            ("no longer", history(vec![], vec![unreadable(7, -3)], Ok(())), true, vec![(0, 60, Done, Some(60), true)]),
            (
                "what was not requested is kept for the next run",
                history(vec![], vec![unreadable(7, -40)], failed()),
                true,
                vec![(0, 60, Failed, Some(20), true), (7, 8, Failed, Some(20), false)],
            ),
            (
                "a window that moves no watermark",
                history(vec![unreadable(9, 0)], vec![unreadable(7, -3)], Ok(())),
                false,
                vec![(0, 60, Failed, Some(20), true), (7, 8, Failed, Some(20), false)],
            ),
        ];
        for (name, history, moves_watermark, expected) in cases {
            assert_eq!(rows(history, moves_watermark), expected, "{name}");
        }
    }

    #[test]
    fn users_without_a_history_are_said_to_be_requested_again() {
        for (status, expected) in [(404, true), (403, false)] {
            let error = ServiceError::UserRefused {
                status,
                code: String::new(),
                reason: "x",
                is_own: true,
                call: Box::default(),
            };
            let slices = HistoryOutcomes::new(true).ended(ended("a", Err(SliceError::Service(error)))).unwrap();
            assert_eq!(slices[0].row.status, SliceStatus::Skipped);
            assert_eq!(slices[0].row.reason.as_ref().unwrap().starts_with(NO_HISTORY), expected);
            assert!(!slices[0].is_known_without_history, "not from an earlier run");
        }
    }

    fn refused(user: &str, reason: &'static str) -> EndedHistory {
        let (code, is_own, call) = (String::new(), !reason.is_empty(), Box::default());
        let error = ServiceError::UserRefused { status: 403, code, reason, is_own, call };
        ended(user, Err(SliceError::Service(error)))
    }

    fn users(slices: &[EndedSlice]) -> Vec<(&str, SliceStatus)> {
        slices.iter().map(|slice| (slice.row.slice.scope.as_str(), slice.row.status)).collect()
    }

    #[test]
    fn refusals_are_held_until_a_history_is_read() {
        let mut outcomes = HistoryOutcomes::new(true);
        assert_eq!(users(&outcomes.ended(refused("a", "")).unwrap()), []);
        let own = outcomes.ended(refused("b", "no mailbox")).unwrap();
        assert_eq!(users(&own), [("b", SliceStatus::Skipped)], "a reason of the user's own");
        assert_eq!(users(&outcomes.ended(ended("c", Err(SliceError::Stopped))).unwrap()), []);
        outcomes.page_received();
        let released = outcomes.ended(ended("d", Ok(()))).unwrap();
        assert_eq!(users(&released), [("a", SliceStatus::Skipped), ("d", SliceStatus::Done)]);
        let (rest, refused) = outcomes.finish(true);
        assert_eq!((users(&rest).len(), refused), (0, 0));
    }

    #[test]
    fn held_refusals_fail_when_everyone_was_refused() {
        for (everyone_was_tried, expected) in [(true, (SliceStatus::Failed, 1)), (false, (SliceStatus::Skipped, 0))] {
            let mut outcomes = HistoryOutcomes::new(true);
            assert_eq!(users(&outcomes.ended(refused("a", "")).unwrap()), []);
            let (held, refused) = outcomes.finish(everyone_was_tried);
            assert_eq!((held[0].row.status, refused), expected);
        }
    }
}
