//! How histories ended: which slices can be recorded, and which are held until it is known whether the application is
//! refused.

use copilot_lake_extractor::Error as ServiceError;

use super::circuit_breaker::{Attempt, CircuitBreaker, Verdict};
use super::ended_slice::EndedSlice;
use super::history::EndedHistory;
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
                let (status, reasons) = status_of(attempt, result.err(), ended.unfiltered);
                let end = (ended.finished_at, ended.counts);
                let slice = EndedSlice::new(&ended.task, status, reasons, end, self.moves_watermark);
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
    let short = match &error {
        SliceError::Service(service) => service.without_call(),
        other => other.to_string(),
    };
    let status = match attempt {
        Attempt::Refused { .. } | Attempt::Skipped => SliceStatus::Skipped,
        _ => SliceStatus::Failed,
    };
    (status, (Some(error.to_string()), Some(short)))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use copilot_lake_decoder::History;
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
            history: Arc::new(Mutex::new(HistoryDecoding { history: History::new(user, None), broken: None })),
            counts: SliceCounts::default(),
            finished_at: NOW,
            unfiltered: false,
            result,
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
