//! The text of a transcript: the messages of a chat and the sources that they cite.
//!
//! The quick way reads typed values that borrow from the text. Whatever it does not expect (a value of another type, a
//! property twice, half a surrogate pair) ends it with an error; the careful way then reads the text again, value by
//! value, with the raw text of what does not fit.

mod fast_path;
mod model;
mod read;
pub(crate) mod rows;
mod slow_path;
