//! The body reader: how much memory is reserved for a body before its first byte, and what it is then read into.

use std::sync::atomic::{AtomicUsize, Ordering};

use copilot_lake_tables::MAX_FILE_BYTES;
use reqwest::{Response, StatusCode};

use super::body::{self, BodyError, BodySize};
use super::body_budget::BodyBudget;
use super::body_buffer::BodyBuffer;
use super::concurrency_limit::{ConcurrencyLimit, Permit};
use super::request::{FilePortion, Request, ResourceKind};
use super::transfer_limit::TransferLimit;

/// How much memory is reserved before the first byte of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ReservationSize {
    /// What the body is expected to need.
    Expected,
    /// For a body that outgrew its reservation at this length: twice as much, but no more than it can need.
    Doubled(usize),
}

/// Reads the bodies of an identity within one memory budget.
#[derive(Debug)]
pub(crate) struct BodyReader {
    pub(crate) budget: BodyBudget,
    /// A decaying maximum of recent page sizes: the first guess for the next page.
    page_bytes: AtomicUsize,
}

impl BodyReader {
    /// A reader whose bodies take so many bytes of memory at most.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget: BodyBudget::new(budget), page_bytes: AtomicUsize::new(0) }
    }

    /// Reads the body of a response. The concurrency permit is given back while it waits for memory.
    pub(crate) async fn read(
        &self,
        (concurrency, transfer_limit): (&ConcurrencyLimit, &TransferLimit),
        request: &Request,
        (response, permit): (Response, Permit<'_>),
        reservation_size: ReservationSize,
    ) -> Result<BodyBuffer, BodyError> {
        let typical_page = self.page_bytes.load(Ordering::Relaxed);
        let size = match (request.kind, &request.portion) {
            // At the start, a service that ignores ranges may send the whole file.
            (ResourceKind::File, FilePortion::Range(range))
                if response.status() == StatusCode::PARTIAL_CONTENT || range.start > 0 =>
            {
                BodySize::of_part(range.end - range.start)
            }
            (ResourceKind::File, FilePortion::Whole { limit }) => BodySize::of_file(&response, *limit)?,
            (ResourceKind::Batch { expected }, FilePortion::Whole { limit }) => {
                BodySize::of_batch(&response, expected, *limit)?
            }
            (ResourceKind::File, _) => BodySize::of_file(&response, MAX_FILE_BYTES)?,
            _ => BodySize::of_page(&response, typical_page)?,
        };
        let is_reserved = matches!(request.portion, FilePortion::Range(_));
        let (reservation, _permit) = if is_reserved || !request.kind.is_bounded() {
            (None, permit)
        } else {
            let bytes = match reservation_size {
                ReservationSize::Expected => size.expected,
                ReservationSize::Doubled(length) => size.expected.max(length * 2).min(size.limit as usize),
            };
            match self.budget.try_reserve(bytes) {
                Some(reservation) => (Some(reservation), permit),
                None => {
                    // Requests that hold memory may be waiting for this permit.
                    drop(permit);
                    let reservation = self.budget.reserve(bytes).await;
                    (Some(reservation), concurrency.acquire().await)
                }
            }
        };
        let buffer = BodyBuffer::new(reservation, size.expected);
        let body = body::read(response, size, buffer, transfer_limit).await?;
        if !request.kind.is_of_files() {
            self.page_bytes.store(body.len().max(typical_page - typical_page / 8), Ordering::Relaxed);
        }
        Ok(body)
    }
}
