//! Transcripts: the messages of a chat and the sources they cite.
//!
//! The fast path reads typed values that borrow from the text. Anything unexpected (a value of another type, a repeated
//! property, an unpaired surrogate) fails it; the slow path then reads the text again, value by value, keeping the raw
//! text of what does not fit. Knows neither charsets nor files.

mod fast_path;
mod model;
mod read;
pub(crate) mod rows;
mod slow_path;
