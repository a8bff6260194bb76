//! The content of a transcript: messages and the sources they cite.

use std::borrow::Cow;

use copilot_lake_tables::Instant;
use serde::Deserialize;

use crate::extra_json::Extra;

/// A parsed transcript.
pub(super) struct Transcript<'a> {
    pub(super) chat: ChatContext<'a>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) misfits: Vec<TranscriptMisfit<'a>>,
}

/// Properties of the chat as a whole: the root's `context`.
#[derive(Default)]
pub(super) struct ChatContext<'a> {
    pub(super) chat_id: Option<JsonText<'a>>,
    pub(super) session_id: Option<JsonText<'a>>,
    pub(super) entity_id: Option<JsonText<'a>>,
    pub(super) entity_name: Option<JsonText<'a>>,
}

#[derive(Default)]
pub(super) struct Message<'a> {
    /// Index in the array, from 0.
    pub(super) index: usize,
    pub(super) id: Option<JsonText<'a>>,
    pub(super) request_id: Option<JsonText<'a>>,
    pub(super) text: Option<JsonText<'a>>,
    pub(super) sequence: Option<i32>,
    pub(super) role: Option<JsonText<'a>>,
    pub(super) sent_at: Option<SentAt>,
    pub(super) is_activity_error: Option<bool>,
    pub(super) context: Option<MessageContext<'a>>,
    pub(super) sources: Option<Vec<CitedSource<'a>>>,
    /// Null if there are sources that could not be read.
    pub(super) source_count: Option<i32>,
    pub(super) extra: Extra<'a>,
}

/// Properties that accompany a message: its `context`.
#[derive(Default)]
pub(super) struct MessageContext<'a> {
    pub(super) customer_intent: Option<JsonText<'a>>,
    pub(super) extra: Extra<'a>,
}

#[derive(Default)]
pub(super) struct CitedSource<'a> {
    /// Index in the array, from 0.
    pub(super) position: usize,
    pub(super) id: Option<JsonText<'a>>,
    pub(super) title: Option<JsonText<'a>>,
    pub(super) source: Option<JsonText<'a>>,
    pub(super) extra: Extra<'a>,
}

/// Text that borrows unless it contains escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct JsonText<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl JsonText<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// When a message was sent: milliseconds since the Unix epoch, as a number or text, or an ISO instant.
#[derive(Clone, Copy)]
pub(super) struct SentAt(pub(super) Instant);

impl SentAt {
    pub(super) fn from_millis(millis: i64) -> Option<Self> {
        // The years 1 to 9999, which every reader of the lake can represent.
        const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;
        YEARS.contains(&millis).then(|| Self(Instant(millis * 1_000)))
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().map_or_else(|_| Instant::parse(text).map(Self), Self::from_millis)
    }
}

/// A value that does not fit, before its message's id is known.
pub(super) struct TranscriptMisfit<'a> {
    pub(super) place: MisfitPlace,
    /// Empty if the message or source as a whole could not be read.
    pub(super) column: &'static str,
    pub(super) reason: &'static str,
    pub(super) raw: &'a str,
}

#[derive(Clone, Copy)]
pub(super) enum MisfitPlace {
    /// The chat as a whole.
    Chat,
    /// The message at this index.
    Message(usize),
    /// The source of a message, by both indexes.
    Source(usize, usize),
}
