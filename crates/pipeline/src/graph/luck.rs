//! Whether reading gets anywhere: how slices ended, and whether it is users who are refused or the application.

use copilot_lake_extractor::{Error as ServiceError, Slice};
use copilot_lake_tables::{AI_INTERACTION, Instant};

use super::history::Ended;
use super::window::Task;
use crate::ingest::{Counts, NotDone};
use crate::ledger::{SliceRow, Watermark};
use crate::report::Status;

/// The clock of the windows.
const CREATED: &str = "createdDateTime";
/// When so many users were refused and nobody was read, it is not about the users.
pub(crate) const REFUSED: usize = 100;
/// When so many slices failed one after the other, the service is not there.
const FAILED: usize = 100;
/// So many refused users wait until somebody is read.
const WAITING: usize = 10_000;

/// A slice that is over.
pub(crate) struct EndedSlice {
    pub(crate) row: SliceRow,
    /// The reason without the call that ended so, of what is not done: what many users have in common.
    pub(crate) in_short: Option<String>,
}

/// How the slices of a run ended so far.
#[derive(Default)]
pub(crate) struct Luck {
    /// Whether a window was asked for: no watermark moves.
    is_window: bool,
    /// A page of a history came: histories may be read.
    answered: bool,
    /// Users who were refused with 403, without a reason of theirs.
    refused: usize,
    /// Those of them of whom a history was expected.
    refused_unexpectedly: usize,
    /// Users who were skipped for a reason of theirs.
    others: usize,
    failed: usize,
    /// Slices that failed since one was done.
    failed_in_a_row: usize,
    /// Users who were refused before anybody was read.
    waiting: Vec<EndedSlice>,
}

impl Luck {
    pub(crate) fn new(is_window: bool) -> Self {
        Self { is_window, ..Self::default() }
    }

    /// Takes in that a page of a history came.
    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }

    /// Whether it is the application that is refused, as is known before everyone was asked.
    pub(crate) fn is_hopeless(&self) -> bool {
        !self.answered && self.failed == 0 && self.refused_unexpectedly >= REFUSED
    }

    /// What can be said now that a slice is over: those who were refused wait until a history is read. An error where
    /// nobody else can be read either.
    pub(crate) fn take(&mut self, ended: Ended) -> Result<Vec<EndedSlice>, ServiceError> {
        let refused = self.refused;
        let Some(slice) = self.outcome(ended)? else { return Ok(vec![]) };
        if self.refused > refused && !self.answered && self.waiting.len() < WAITING {
            self.waiting.push(slice);
            return Ok(vec![]);
        }
        let mut said = if self.answered { std::mem::take(&mut self.waiting) } else { vec![] };
        said.push(slice);
        Ok(said)
    }

    /// What is left to be said, and of how many users it is that they failed because the application is refused: when
    /// everyone was asked and hardly anything else happened.
    pub(crate) fn finish(mut self, everyone_was_asked: bool) -> (Vec<EndedSlice>, u64) {
        let is_refused = everyone_was_asked && !self.answered && self.refused > self.others + self.failed;
        if !is_refused && !self.is_hopeless() {
            return (self.waiting, 0);
        }
        self.waiting.iter_mut().for_each(|slice| slice.row.status = Status::Failed);
        let refused = self.waiting.len() as u64;
        (self.waiting, refused)
    }

    fn outcome(&mut self, ended: Ended) -> Result<Option<EndedSlice>, ServiceError> {
        let Ended { task, counts, finished_at, unfiltered, result, .. } = ended;
        let error = match result {
            Ok(()) => {
                self.failed_in_a_row = 0;
                let said = "the tenant refuses the filter: everything was read, and what is in the window kept";
                let reason = unfiltered.then(|| said.to_owned());
                return Ok(Some(self.said(&task, Status::Done, (reason, None), finished_at, counts)));
            }
            Err(NotDone::Stopped) => return Ok(None),
            Err(error) => error,
        };
        let status = match &error {
            NotDone::Service(service) if service.is_service_wide() => return Err(service.clone()),
            NotDone::Service(
                ServiceError::UserRefused { status: 403, reason: "", .. } | ServiceError::PermissionMissing { .. },
            ) => {
                self.refused += 1;
                self.refused_unexpectedly += usize::from(task.is_expected);
                Status::Skipped
            }
            NotDone::Service(ServiceError::UserRefused { .. }) => {
                self.others += 1;
                Status::Skipped
            }
            other => {
                self.failed += 1;
                self.failed_in_a_row += 1;
                if let NotDone::Service(service @ ServiceError::Unreachable { .. }) = other
                    && self.failed_in_a_row >= FAILED
                {
                    return Err(service.clone());
                }
                Status::Failed
            }
        };
        let in_short = match &error {
            NotDone::Service(service) => service.without_call(),
            other => other.to_string(),
        };
        let reason = (Some(error.to_string()), Some(in_short));
        Ok(Some(self.said(&task, status, reason, finished_at, counts)))
    }

    /// What is said of a user's slice, with a reason in full and in short.
    pub(crate) fn said(
        &self,
        task: &Task,
        status: Status,
        (reason, in_short): (Option<String>, Option<String>),
        finished_at: Instant,
        received: Counts,
    ) -> EndedSlice {
        let slice = Slice {
            table: &AI_INTERACTION,
            scope: task.user.clone(),
            time_column: CREATED,
            start: task.start,
            end: task.end,
        };
        let (selection, until) = if status == Status::Done && !self.is_window {
            // What was read before does not become unread.
            let until = task.until.filter(|_| task.asked_before.as_deref() == Some(&*task.asked));
            (task.asked.to_string(), Some(until.map_or(task.end, |until| until.max(task.end))))
        } else {
            let asked = task.asked_before.as_ref().filter(|_| task.until.is_some()).unwrap_or(&task.asked);
            (asked.to_string(), task.until)
        };
        let watermark = Watermark::At(until);
        let row = SliceRow { slice, selection, status, reason, watermark, token: None, finished_at, received };
        EndedSlice { row, in_short }
    }
}
