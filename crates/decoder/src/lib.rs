//! Turns the rows of a page, and payload bytes, into record batches split by week.
//!
//! Pure and parallel: no clock, no IO, no runtime. The same bytes give the same batches on any number of threads.
//!
//! - [`decode_page`]: the JSON array of a page's rows -> [`Decoded`]. A seed writes each value straight into the Arrow
//!   builder of its column; a page that holds anything unexpected is read again carefully, value by value, so that what
//!   does not fit becomes a [`Reject`] with its raw text and a null in a row that stays.
//! - [`decode_payloads`]: bytes of File columns -> rows of `payload`, and of `transcript_message` and `transcript_source`
//!   where the File is a transcript.
//! - [`Interactions`]: the JSON arrays of pages of Microsoft 365 Copilot -> rows of `ai_interaction` and its child
//!   tables.
//! - [`decode_users`]: the JSON array of a page of people -> rows of `graph_user`, and who may have a history.
//! - [`assemble`]: named arrays -> a batch with exactly the columns of a table.

mod assemble;
mod column_builder;
mod decimal;
mod extra_json;
mod interaction;
mod json_columns;
mod page;
mod payload;
mod raw_object;
mod reject;
mod sha256;
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
pub use interaction::interactions::{DecodedInteractions, Interactions};
pub use page::decode_page::decode_page;
pub use page::decoded::Decoded;
pub use payload::charset::{Charset, DecodedText, TextDecoder, TextStatus};
pub use payload::decode_payloads::{DecodedPayloads, decode_payloads};
pub use payload::raw_payload::{Fetched, RawPayload, SourceRow};
pub use reject::{RecordKeys, Reject, reject_batch};
pub use user::{COPILOT_PLAN_ID, DecodedUsers, User, decode_users};
pub use week::by_week;

/// Why bytes could not be decoded at all; everything smaller is a [`Reject`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page is not a JSON array: the answer was not what the service sends, or it was damaged on the way.
    #[error("page of {table} is not a JSON array of rows: {reason}")]
    NotAPage {
        /// The table that was asked for.
        table: &'static str,
        /// Where and how the text stops being JSON, without the text.
        reason: String,
    },
    /// The columns of a batch do not fit together: a mistake in the program.
    #[error("batch of {table} does not fit its schema: {source}")]
    Schema {
        /// The table.
        table: &'static str,
        /// What arrow says.
        source: arrow::error::ArrowError,
    },
}

#[cfg(test)]
mod tests;
