//! The fast path: typed values, one pass, no copy of text without escapes.

use std::borrow::Cow;

use super::model::{ChatContext, CitedSource, JsonText, Message, MessageContext, SentAt, Transcript};
use crate::json_cursor::{JsonCursor, JsonString};

/// Reads a transcript; `None` for anything unexpected.
pub(super) fn read(text: &str) -> Option<Transcript<'_>> {
    let mut reader = TranscriptReader { json: JsonCursor::new(text), unescaped: Vec::new() };
    let root: Root<'_> = reader.object()?;
    reader.json.is_at_end().then_some(())?;
    let mut messages = root.messages?;
    for (index, message) in messages.iter_mut().enumerate() {
        message.index = index;
        let sources = message.sources.as_deref_mut().unwrap_or_default();
        message.source_count = i32::try_from(sources.len()).ok();
        for (position, source) in sources.iter_mut().enumerate() {
            source.position = position;
        }
    }
    Some(Transcript { chat: root.chat.unwrap_or_default(), messages, misfits: Vec::new() })
}

/// A position in the text of a transcript.
struct TranscriptReader<'t> {
    json: JsonCursor<'t>,
    /// The last string with escapes, undone.
    unescaped: Vec<u8>,
}

/// A type read from a JSON object, property by property.
trait FromProperties<'t>: Default {
    fn property(&mut self, name: &'t str, reader: &mut TranscriptReader<'t>) -> Option<()>;
}

impl<'t> TranscriptReader<'t> {
    /// Reads an object.
    fn object<T: FromProperties<'t>>(&mut self) -> Option<T> {
        let mut object = T::default();
        self.json.take(b'{')?;
        if self.json.peek() == b'}' {
            self.json.take(b'}')?;
            return Some(object);
        }
        loop {
            let name = self.json.name()?;
            object.property(name, self)?;
            match self.json.next()? {
                b',' => {}
                b'}' => return Some(object),
                _ => return None,
            }
        }
    }

    /// Reads an array of objects.
    fn objects<T: FromProperties<'t>>(&mut self) -> Option<Vec<T>> {
        let mut objects = Vec::new();
        self.json.take(b'[')?;
        if self.json.peek() == b']' {
            self.json.take(b']')?;
            return Some(objects);
        }
        loop {
            objects.push(self.object()?);
            match self.json.next()? {
                b',' => {}
                b']' => return Some(objects),
                _ => return None,
            }
        }
    }

    fn text(&mut self) -> Option<JsonText<'t>> {
        Some(JsonText(match self.json.string(&mut self.unescaped)? {
            JsonString::Plain(text) => Cow::Borrowed(text),
            JsonString::Unescaped => Cow::Owned(simdutf8::basic::from_utf8(&self.unescaped).ok()?.to_owned()),
        }))
    }

    fn int32(&mut self) -> Option<i32> {
        self.json.integer()?.try_into().ok()
    }

    fn boolean(&mut self) -> Option<bool> {
        let value = self.json.take_exactly("true");
        (value || self.json.take_exactly("false")).then_some(value)
    }

    fn sent_at(&mut self) -> Option<SentAt> {
        match self.json.peek() {
            b'"' => SentAt::parse(self.text()?.as_str()),
            _ => SentAt::from_millis(self.json.integer()?),
        }
    }

    /// Reads a property's value into a field; null leaves it empty.
    fn fill<T>(&mut self, place: &mut Option<T>, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<()> {
        if place.is_some() {
            // A property twice.
            return None;
        }
        if self.json.peek() == b'n' {
            return self.json.take_exactly("null").then_some(());
        }
        *place = Some(read(self)?);
        Some(())
    }
}

#[derive(Default)]
struct Root<'t> {
    messages: Option<Vec<Message<'t>>>,
    chat: Option<ChatContext<'t>>,
}

impl<'t> FromProperties<'t> for Root<'t> {
    fn property(&mut self, name: &'t str, reader: &mut TranscriptReader<'t>) -> Option<()> {
        match name {
            "messages" => reader.fill(&mut self.messages, TranscriptReader::objects),
            "context" => reader.fill(&mut self.chat, TranscriptReader::object),
            // No row has a column for it; the payload's text keeps it.
            _ => reader.json.skip_value(),
        }
    }
}

impl<'t> FromProperties<'t> for ChatContext<'t> {
    fn property(&mut self, name: &'t str, reader: &mut TranscriptReader<'t>) -> Option<()> {
        match name {
            "chatId" => reader.fill(&mut self.chat_id, TranscriptReader::text),
            "sessionId" => reader.fill(&mut self.session_id, TranscriptReader::text),
            "entityId" => reader.fill(&mut self.entity_id, TranscriptReader::text),
            "entityName" => reader.fill(&mut self.entity_name, TranscriptReader::text),
            _ => reader.json.skip_value(),
        }
    }
}

impl<'t> FromProperties<'t> for Message<'t> {
    fn property(&mut self, name: &'t str, reader: &mut TranscriptReader<'t>) -> Option<()> {
        match name {
            "id" => reader.fill(&mut self.id, TranscriptReader::text),
            "requestId" => reader.fill(&mut self.request_id, TranscriptReader::text),
            "message" => reader.fill(&mut self.text, TranscriptReader::text),
            "sequence" => reader.fill(&mut self.sequence, TranscriptReader::int32),
            "user" => reader.fill(&mut self.role, TranscriptReader::text),
            "timestamp" => reader.fill(&mut self.sent_at, TranscriptReader::sent_at),
            "isActivityError" => reader.fill(&mut self.is_activity_error, TranscriptReader::boolean),
            "context" => reader.fill(&mut self.context, TranscriptReader::object),
            "sources" => reader.fill(&mut self.sources, TranscriptReader::objects),
            _ => reader.json.raw_value().map(|raw| self.extra.push(name, raw)),
        }
    }
}

impl<'t> FromProperties<'t> for MessageContext<'t> {
    fn property(&mut self, name: &'t str, reader: &mut TranscriptReader<'t>) -> Option<()> {
        match name {
            "customerIntent" => reader.fill(&mut self.customer_intent, TranscriptReader::text),
            _ => reader.json.raw_value().map(|raw| self.extra.push(name, raw)),
        }
    }
}

impl<'t> FromProperties<'t> for CitedSource<'t> {
    fn property(&mut self, name: &'t str, reader: &mut TranscriptReader<'t>) -> Option<()> {
        match name {
            "id" => reader.fill(&mut self.id, TranscriptReader::text),
            "title" => reader.fill(&mut self.title, TranscriptReader::text),
            "source" => reader.fill(&mut self.source, TranscriptReader::text),
            _ => reader.json.raw_value().map(|raw| self.extra.push(name, raw)),
        }
    }
}
