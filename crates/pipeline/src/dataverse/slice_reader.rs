//! Reading slices: several at a time, each in parts where a page of it cannot be read.

use std::cell::{Cell, RefCell};

use copilot_lake_extractor::{Selection, Slice};
use futures::StreamExt as _;

use crate::dataverse::context::DataverseContext;
use crate::dataverse::slice;
use crate::dataverse::slices::{PlannedSlice, failure_status, record, watermark};
use crate::error::Error;
use crate::failure_breaker::{FailureBreaker, OpenReason};
use crate::halving::{Halving, PartFailure, is_about_page};
use crate::ledger::slice_row::{SliceCounts, Watermark};
use crate::ledger::windows;
use crate::report::SliceStatus;
use crate::slice_error::SliceError;

/// Slices in flight. Each holds a page or two, so this bounds memory; the service's own limits are far higher.
const SLICES_IN_FLIGHT: usize = 3;

/// Slices of a table that fail one after the other before the rest of it fails at once.
const FAILED: usize = 3;

/// Reads slices, several at a time. A failed slice does not hold up the others; when the lake or the service fails, no
/// other is begun, and those under way finish on their own.
pub(crate) async fn read_slices(context: &DataverseContext<'_>, slices: Vec<PlannedSlice>) -> Result<(), Error> {
    let reader =
        SliceReader { context, breaker: RefCell::new(FailureBreaker::new(FAILED)), is_given_up: Cell::new(false) };
    let reading =
        futures::stream::iter(slices).map(|slice| reader.read_and_record(slice)).buffer_unordered(SLICES_IN_FLIGHT);
    let mut reading = std::pin::pin!(reading);
    let mut failure = Ok(());
    let mut grace = std::pin::pin!(context.run.shutdown.grace_period_over());
    loop {
        let next = tokio::select! {
            next = reading.next() => next,
            () = &mut grace => {
                context.run.note_aborted().await;
                return failure;
            }
        };
        match next {
            None => return failure,
            Some(Ok(())) => {}
            Some(Err(error)) => {
                reader.is_given_up.set(true);
                // Another service can still be read.
                if !matches!(error, Error::Service(_)) {
                    context.run.shutdown.request();
                }
                failure = failure.and(Err(error));
            }
        }
    }
}

/// What failed of a slice.
struct FailedParts {
    /// The selection and the error of the last part that failed.
    selection: Selection,
    error: SliceError,
    /// Those of all parts that failed, as far as no row has them.
    counts: SliceCounts,
}

/// How the reading of a slice ended.
enum PartsEnd {
    /// Everything that was worth a request was requested.
    Tried,
    /// What is pending stays for the next run.
    Stopped,
    /// What is pending is not worth a request.
    TableFailed(OpenReason),
}

/// Reads slices, and knows how those before have ended.
struct SliceReader<'a> {
    context: &'a DataverseContext<'a>,
    breaker: RefCell<FailureBreaker<&'static str>>,
    /// Nothing more can be read or written.
    is_given_up: Cell<bool>,
}

impl SliceReader<'_> {
    /// Reads a slice, in parts if a page of it cannot be read, and records what was read and what cannot be.
    async fn read_and_record(&self, planned: PlannedSlice) -> Result<(), Error> {
        let PlannedSlice { slice, is_unreadable } = planned;
        let window = slice.start..slice.end;
        let mut halving = match is_unreadable {
            true => Halving::new([], [window]),
            false => Halving::new([window], []),
        };
        let mut failed = None;
        let end = self.read_parts(&slice, &mut halving, &mut failed).await;
        // Whatever ends the reading: what is known not to be readable is not looked for again.
        let recorded = match &mut failed {
            Some(failed) => self.record_unreadable_parts(&slice, &halving, failed).await,
            None => Ok(()),
        };
        let end = end?;
        recorded?;
        match (end, failed) {
            (PartsEnd::TableFailed(refused), failed) => {
                let counts = failed.map(|failed| failed.counts).unwrap_or_default();
                self.record_unrequested(&slice, &halving, (refused, counts)).await
            }
            (PartsEnd::Tried, Some(failed)) => self.record_failed(&slice, &halving, failed).await,
            (PartsEnd::Tried, None) | (PartsEnd::Stopped, _) => Ok(()),
        }
    }

    /// Reads the parts of a slice and records those that were read.
    async fn read_parts(
        &self,
        slice: &Slice,
        halving: &mut Halving,
        failed: &mut Option<FailedParts>,
    ) -> Result<PartsEnd, Error> {
        let (context, table) = (self.context, slice.table);
        while let Some(part) = halving.next() {
            if self.is_given_up.get() {
                return Ok(PartsEnd::Stopped);
            }
            if context.run.shutdown.is_requested() {
                context.run.note_shutdown().await;
                return Ok(PartsEnd::Stopped);
            }
            if context.run.is_any_table_stopped([table]).await {
                return Ok(PartsEnd::Stopped);
            }
            if let Some(refused) = self.breaker.borrow().failure(table.name) {
                return Ok(PartsEnd::TableFailed(refused.clone()));
            }
            let part = Slice { start: part.start, end: part.end, ..slice.clone() };
            let mut counts = SliceCounts::default();
            let (selection, result) = slice::read_slice(&part, context, halving.has_failed_before(), &mut counts).await;
            match result {
                Ok(()) => {
                    self.breaker.borrow_mut().read(table.name);
                    halving.read();
                    let ended = ((SliceStatus::Done, None), watermark(context));
                    record(context, part, &selection, ended, counts).await?;
                }
                Err(SliceError::Stopped) => {
                    context.run.note_shutdown().await;
                    return Ok(PartsEnd::Stopped);
                }
                Err(SliceError::Lake(error)) if error.stops_table().is_some() => {
                    return context.run.stop_table(error).await.map(|()| PartsEnd::Stopped);
                }
                Err(SliceError::Lake(error)) if !error.is_transient() => return Err(error.into()),
                Err(SliceError::Service(error)) if error.is_service_wide() => return Err(error.into()),
                Err(error) => {
                    let is_about_page = matches!(&error, SliceError::Service(error) if is_about_page(error));
                    let goes_on = is_about_page && halving.failed() != PartFailure::GivenUp;
                    let mut sum = failed.take().map(|failed| failed.counts).unwrap_or_default();
                    sum.add(counts);
                    *failed = Some(FailedParts { selection, error, counts: sum });
                    if !goes_on {
                        break;
                    }
                }
            }
        }
        Ok(PartsEnd::Tried)
    }

    /// Records the parts that cannot be read, however small they are.
    async fn record_unreadable_parts(
        &self,
        slice: &Slice,
        halving: &Halving,
        failed: &mut FailedParts,
    ) -> Result<(), Error> {
        for window in halving.unreadable() {
            let part = Slice { start: window.start, end: window.end, ..slice.clone() };
            let counts = failed.counts.take();
            self.record_unreadable(part, &failed.selection, &failed.error, counts).await?;
        }
        Ok(())
    }

    /// Records as failed what is pending of a slice of which a part failed for good.
    async fn record_failed(&self, slice: &Slice, halving: &Halving, failed: FailedParts) -> Result<(), Error> {
        let (context, unread) = (self.context, halving.unread());
        if unread.is_empty() {
            return Ok(());
        }
        let FailedParts { selection, error, mut counts } = failed;
        if let SliceError::Service(error) = &error {
            self.breaker.borrow_mut().failed(slice.table.name, error);
        }
        let ended = failure_status(context, error).await;
        for window in unread {
            let part = Slice { start: window.start, end: window.end, ..slice.clone() };
            record(context, part, &selection, (ended.clone(), watermark(context)), counts.take()).await?;
        }
        Ok(())
    }

    /// Records a window that cannot be read, however small it is. A window that is read again by `--since` and `--until`
    /// is not remembered.
    async fn record_unreadable(
        &self,
        slice: Slice,
        selection: &Selection,
        error: &SliceError,
        counts: SliceCounts,
    ) -> Result<(), Error> {
        let context = self.context;
        let now = context.service.service_time().await.ok().or(counts.as_of).unwrap_or(slice.end);
        let known = context.run.ledger.unreadable(slice.table, &selection.text()).await;
        let is_part = |window: &&windows::UnreadableWindow| {
            window.time_column == slice.time_column && slice.start <= window.start && window.end <= slice.end
        };
        let failing_since = known.iter().filter(is_part).map(|window| window.failing_since).min();
        let failing_since = failing_since.or(counts.as_of).unwrap_or(now);
        let is_skipped = windows::is_skipped(failing_since, now);
        let status = if is_skipped { SliceStatus::Skipped } else { SliceStatus::Failed };
        let watermark = if context.run.window.is_none() { Watermark::PastUnreadable } else { Watermark::None };
        let counts = SliceCounts { as_of: Some(failing_since), ..counts };
        record(context, slice, selection, ((status, Some(error.to_string())), watermark), counts).await
    }

    /// Records as failed what is pending of a slice whose table is not worth a request. `counts`: what was requested of
    /// the slice before.
    async fn record_unrequested(
        &self,
        slice: &Slice,
        pending: &Halving,
        (refused, mut counts): (OpenReason, SliceCounts),
    ) -> Result<(), Error> {
        let OpenReason { reason, is_refused } = refused;
        counts.as_of = self.context.service.service_time().await.ok().or(counts.as_of);
        let selection = self.context.schema.selection(slice.table).unwrap_or_else(|| Selection::all(slice.table));
        let reason = format!("{reason}: not requested, because {FAILED} slices of the table failed in a row");
        for window in pending.unread() {
            if is_refused {
                self.context.run.reports.lock().await.refused += 1;
            }
            let part = Slice { start: window.start, end: window.end, ..slice.clone() };
            let ended = ((SliceStatus::Failed, Some(reason.clone())), watermark(self.context));
            record(self.context, part, &selection, ended, counts.take()).await?;
        }
        Ok(())
    }
}
