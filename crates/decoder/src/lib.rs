//! Turns the rows of a page, and payload bytes, into record batches split by week.
//!
//! Pure and parallel: no clock, no IO, no runtime. The same bytes give the same batches on any number of threads.
//!
//! - [`decode_page`]: the JSON array of a page's rows -> [`Decoded`]. The fast path writes each value straight into the
//!   Arrow builder of its column; a page with anything unexpected is read again on the slow path, value by value: a value
//!   that does not fit becomes a [`Reject`] with its raw text and a null in its row.
//! - [`decode_payloads`]: contents of File columns -> rows of `payload`, and of `transcript_message` and
//!   `transcript_source` if the File is a transcript.
//! - [`Interactions`]: the JSON arrays of Graph history pages -> rows of `ai_interaction` and its child tables.
//! - [`decode_users`]: the JSON array of a page of Graph users -> rows of `graph_user`, and who is licensed.
//! - [`assemble`]: named arrays -> a batch with exactly the columns of a table.

mod assemble;
mod column_builder;
mod content_hash;
mod decimal;
mod extra_json;
mod interaction;
mod json_columns;
mod json_cursor;
mod page;
mod payload;
mod raw_object;
mod reject;
mod repetition;
mod stored_id;
mod table_rows;
mod transcript;
mod user;
mod week;
mod whole_number;

pub use assemble::assemble;
pub use interaction::history::{History, HistoryWindow};
#[cfg(test)]
pub(crate) use interaction::interactions::decode_interactions;
pub use interaction::interactions::{DecodedInteractions, Interactions, Revision};
pub use page::decode_page::decode_page;
pub use page::decoded::Decoded;
pub use payload::charset::{Charset, DecodedText, TextDecoder, TextStatus};
pub use payload::decode_payloads::{DecodedPayloads, decode_payloads};
pub use payload::raw_payload::{Fetched, RawPayload, SourceRow};
pub use reject::{RecordKeys, Reject, reject_batch};
pub use user::{COPILOT_PLAN_ID, DecodedUsers, User, decode_users};
pub use week::by_week;

/// Why bytes could not be decoded at all; anything smaller is a [`Reject`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page is not a JSON array: the response is not what the service sends, or was damaged on the way.
    #[error("page of {table} is not a JSON array of rows: {reason}")]
    NotAPage {
        /// The table that was requested.
        table: &'static str,
        /// Where and how the JSON is malformed, without quoting it.
        reason: String,
    },
    /// The columns of a batch do not fit together: a bug.
    #[error("batch of {table} does not fit its schema: {source}")]
    Schema {
        /// The table.
        table: &'static str,
        /// Arrow's own error.
        source: arrow::error::ArrowError,
    },
}

#[cfg(test)]
mod tests;
