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
mod careful;
mod charset;
mod columns;
mod context;
mod decimal;
mod extra;
mod interaction;
mod page;
mod payload;
mod reject;
mod row;
mod table_rows;
mod transcript;
mod user;
mod week;
mod whole;

pub use assemble::assemble;
pub use charset::{Charset, Outcome, Recogniser, Status};
#[cfg(test)]
pub(crate) use interaction::decode_interactions;
pub use interaction::{DecodedInteractions, History, Interactions, Keep, Revision};
pub use page::{Decoded, decode_page};
pub use payload::{DecodedPayloads, Fetched, RawPayload, SourceRow, decode_payloads};
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
