//! Payloads: the bytes of File columns to rows of `payload`. What a transcript says is read by [`crate::transcript`].

pub(crate) mod charset;
pub(crate) mod decode_payloads;
mod payload_rows;
pub(crate) mod raw_payload;
