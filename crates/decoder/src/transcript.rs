//! The text of a transcript: the messages of a chat and the sources that they cite.
//!
//! The quick way reads typed values that borrow from the text. Whatever it does not expect (a value of another type, a
//! property twice, half a surrogate pair) ends it with an error; the careful way then reads the text again, value by
//! value, with the raw text of what does not fit.

mod careful;
mod quick;
mod rows;

use std::borrow::Cow;

use copilot_lake_tables::Instant;
use serde::Deserialize;

use crate::extra::Extra;

pub(crate) use rows::{Finished, TranscriptRows};

/// A transcript as it was read.
struct Transcript<'a> {
    chat: Chat<'a>,
    messages: Vec<Message<'a>>,
    misfits: Vec<Misfit<'a>>,
}

/// What the transcript says of the chat as a whole: its root's `context`.
#[derive(Default)]
struct Chat<'a> {
    chat_id: Option<Text<'a>>,
    session_id: Option<Text<'a>>,
    entity_id: Option<Text<'a>>,
    entity_name: Option<Text<'a>>,
}

#[derive(Default)]
struct Message<'a> {
    /// Its place in the array, from 0.
    index: usize,
    id: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    text: Option<Text<'a>>,
    sequence: Option<i32>,
    role: Option<Text<'a>>,
    sent_at: Option<SentAt>,
    is_activity_error: Option<bool>,
    context: Option<Context<'a>>,
    sources: Option<Vec<Source<'a>>>,
    /// Null where there are sources that could not be read.
    source_count: Option<i32>,
    extra: Extra<'a>,
}

/// What is said of a message beside it: its `context`.
#[derive(Default)]
struct Context<'a> {
    customer_intent: Option<Text<'a>>,
    extra: Extra<'a>,
}

#[derive(Default)]
struct Source<'a> {
    /// Its place in the array, from 0.
    position: usize,
    id: Option<Text<'a>>,
    title: Option<Text<'a>>,
    source: Option<Text<'a>>,
    extra: Extra<'a>,
}

/// Text that borrows wherever it holds no escape.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a message was sent: milliseconds since the Unix epoch, as a number or in digits, or an ISO instant.
#[derive(Clone, Copy)]
struct SentAt(Instant);

impl SentAt {
    fn from_millis(millis: i64) -> Option<Self> {
        // The years 1 to 9999: what every reader of the lake can show.
        const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
        YEARS.contains(&millis).then(|| Self(Instant(millis * 1_000)))
    }

    fn parse(text: &str) -> Option<Self> {
        text.parse().map_or_else(|_| Instant::parse(text).map(Self), Self::from_millis)
    }
}

/// A value that does not fit, before its message's id is known.
struct Misfit<'a> {
    place: Place,
    /// Empty when the message or source as a whole could not be read.
    column: &'static str,
    reason: &'static str,
    raw: &'a str,
}

#[derive(Clone, Copy)]
enum Place {
    /// The chat as a whole.
    Chat,
    /// The message at this index.
    Message(usize),
    /// The source of a message, by index and position.
    Source(usize, usize),
}

/// Reads a transcript.
///
/// # Errors
/// Why the text is none, without the text.
fn read(text: &str) -> Result<Transcript<'_>, String> {
    quick::read(text).or_else(|_| careful::read(text))
}
