//! A page: one response of the service, with its rows still raw JSON.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::envelope;

/// One complete response with rows: the envelope is parsed, the rows are not.
///
/// Pages of a history count against a common memory budget until the last clone or slice of their body is dropped.
#[derive(Clone)]
pub struct Page {
    /// Position in the stream, from 1.
    pub number: u32,
    /// The whole response, verbatim.
    pub body: Bytes,
    /// Where the rows are inside `body`.
    pub(crate) rows: Range<usize>,
    /// Requests it took, failed attempts included.
    pub requests: u32,
    /// How long throttling held this page back.
    pub throttled: Duration,
}

impl Page {
    /// Parses an archived response.
    ///
    /// # Errors
    /// Why it is not a complete page.
    pub fn read(number: u32, body: Bytes) -> Result<Self, &'static str> {
        let rows = envelope::parse(&body)?.rows;
        Ok(Self { number, body, rows, requests: 0, throttled: Duration::ZERO })
    }

    /// The JSON array of the rows, from `[` to `]`.
    pub fn rows(&self) -> &[u8] {
        &self.body[self.rows.clone()]
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows()[1..self.rows.len() - 1].trim_ascii().is_empty()
    }

    /// The rows deserialized, for the few calls that look into them.
    pub(crate) fn parsed<T: DeserializeOwned>(&self) -> Result<Vec<T>, &'static str> {
        serde_json::from_slice(self.rows()).map_err(|_| "its rows do not have the requested shape")
    }
}

impl fmt::Debug for Page {
    /// Omits the rows: they hold user content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("number", &self.number)
            .field("bytes", &self.body.len())
            .field("requests", &self.requests)
            .field("throttled", &self.throttled)
            .finish_non_exhaustive()
    }
}
