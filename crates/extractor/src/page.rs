//! Pages: one answer of the service, its rows still the bytes that came.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::envelope;
use crate::http::body_budget::BodyReservation;
use serde::de::DeserializeOwned;

/// One complete answer with rows: the envelope is parsed, the rows are not.
///
/// The pages of a history count against the 64 MiB that they may take in memory together until they are dropped.
#[derive(Clone)]
pub struct Page {
    /// From 1, in the order of the walk.
    pub number: u32,
    /// The whole answer, verbatim.
    pub body: Bytes,
    /// Where the rows are inside `body`.
    pub(crate) rows: Range<usize>,
    /// Requests that it took, failed tries included.
    pub requests: u32,
    /// How long throttling held this page back.
    pub throttled: Duration,
    /// The room that it takes, where pages are bounded: given back with the last clone.
    pub(crate) _reservation: Option<Arc<BodyReservation>>,
}

impl Page {
    /// The page that an answer holds which was kept.
    ///
    /// # Errors
    /// Why it is no complete page.
    pub fn read(number: u32, body: Bytes) -> Result<Self, &'static str> {
        let rows = envelope::parse(&body)?.rows;
        Ok(Self { number, body, rows, requests: 0, throttled: Duration::ZERO, _reservation: None })
    }

    /// The JSON array of the rows, from `[` to `]`.
    pub fn rows(&self) -> &[u8] {
        &self.body[self.rows.clone()]
    }

    /// The rows, for the few calls that look into them.
    pub(crate) fn parsed<T: DeserializeOwned>(&self) -> Result<Vec<T>, &'static str> {
        serde_json::from_slice(self.rows()).map_err(|_| "its rows are not what was asked for")
    }
}

impl fmt::Debug for Page {
    /// Never the rows: they hold what people wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("number", &self.number)
            .field("bytes", &self.body.len())
            .field("requests", &self.requests)
            .field("throttled", &self.throttled)
            .finish_non_exhaustive()
    }
}
