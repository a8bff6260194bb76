//! Payloads: the contents of File columns to rows of `payload`.
//!
//! Knows nothing of pages; transcripts are handed to [`crate::transcript`].

pub(crate) mod charset;
pub(crate) mod decode_payloads;
mod exchange;
mod payload_rows;
pub(crate) mod raw_payload;
