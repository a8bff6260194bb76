//! The slow path: value by value, keeping the raw text of what does not fit.

use serde_json::value::RawValue;

use super::model::{
    ChatContext, CitedSource, JsonText, Message, MessageContext, MisfitPlace, SentAt, Transcript, TranscriptMisfit,
};
use crate::extra_json::Extra;
use crate::raw_object::{RawProperties, describe_error};
use crate::whole_number::whole_number;

pub(super) fn read(text: &str) -> Result<Transcript<'_>, String> {
    // Names are read as unchecked bytes, so the whole text is checked to be JSON first.
    let text: &RawValue = serde_json::from_str(text).map_err(|error| describe_error(&error))?;
    let ([messages, chat], _) = known(text.get(), ["messages", "context"]).map_err(|error| describe_error(&error))?;
    let messages = messages.ok_or("it has no messages")?;
    let messages: Vec<&RawValue> = serde_json::from_str(messages).map_err(|_| "its messages are not an array")?;
    let mut reader = SlowReader { misfits: Vec::new() };
    let chat = reader.chat(chat);
    let read = messages.into_iter().enumerate().filter_map(|(index, raw)| reader.message(index, raw.get()));
    let messages = read.collect();
    Ok(Transcript { chat, messages, misfits: reader.misfits })
}

/// The raw values of the named properties, the last one of a repeated name, and all other properties.
fn known<'a, const N: usize>(
    object: &'a str,
    names: [&str; N],
) -> Result<([Option<&'a str>; N], Extra<'a>), serde_json::Error> {
    let RawProperties(properties, broken) = serde_json::from_str(object)?;
    let mut values = [None; N];
    let mut extra = Extra::default();
    for (name, value) in properties {
        match names.iter().position(|known| *known == name) {
            Some(at) => values[at] = Some(value.get()),
            None => extra.push(name, value.get()),
        }
    }
    broken.into_iter().for_each(|(name, value)| extra.push_broken(name, value.get()));
    Ok((values, extra))
}

struct SlowReader<'a> {
    misfits: Vec<TranscriptMisfit<'a>>,
}

impl<'a> SlowReader<'a> {
    /// The value, if present and valid.
    fn value<T>(
        &mut self,
        place: MisfitPlace,
        column: &'static str,
        raw: Option<&'a str>,
        read: impl FnOnce(&'a str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let raw = raw.filter(|raw| *raw != "null")?;
        read(raw).map_err(|reason| self.misfits.push(TranscriptMisfit { place, column, reason, raw })).ok()
    }

    fn chat(&mut self, raw: Option<&'a str>) -> ChatContext<'a> {
        let place = MisfitPlace::Chat;
        let read = |raw| known(raw, ["chatId", "sessionId", "entityId", "entityName"]).map_err(|_| NOT_AN_OBJECT);
        // The object has no column of its own: its first one stands for it.
        let Some(([chat_id, session_id, entity_id, entity_name], _)) = self.value(place, "chat_id", raw, read) else {
            return ChatContext::default();
        };
        ChatContext {
            chat_id: self.value(place, "chat_id", chat_id, text),
            session_id: self.value(place, "session_id", session_id, text),
            entity_id: self.value(place, "entity_id", entity_id, text),
            entity_name: self.value(place, "entity_name", entity_name, text),
        }
    }

    fn message(&mut self, index: usize, raw: &'a str) -> Option<Message<'a>> {
        const NAMES: [&str; 9] =
            ["id", "requestId", "message", "sequence", "user", "timestamp", "isActivityError", "context", "sources"];
        let place = MisfitPlace::Message(index);
        let Ok((values, extra)) = known(raw, NAMES) else {
            self.misfits.push(TranscriptMisfit { place, column: "", reason: NOT_AN_OBJECT, raw });
            return None;
        };
        let [id, request_id, message, sequence, user, timestamp, is_activity_error, context, sources] = values;
        let mut message = Message {
            index,
            id: self.value(place, "message_id", id, text),
            request_id: self.value(place, "request_id", request_id, text),
            text: self.value(place, "message", message, text),
            sequence: self.value(place, "sequence", sequence, int32),
            role: self.value(place, "role", user, text),
            sent_at: self.value(place, "sent_at", timestamp, sent_at),
            is_activity_error: self.value(place, "is_activity_error", is_activity_error, boolean),
            extra,
            ..Message::default()
        };
        let read = |raw| known(raw, ["customerIntent"]).map_err(|_| NOT_AN_OBJECT);
        if let Some(([intent], extra)) = self.value(place, "customer_intent", context, read) {
            let customer_intent = self.value(place, "customer_intent", intent, text);
            message.context = Some(MessageContext { customer_intent, extra });
        }
        let read = |raw| serde_json::from_str::<Vec<&'a RawValue>>(raw).map_err(|_| "not an array");
        let listed = self.value(place, "source_count", sources, read);
        if listed.is_some() || sources.is_none_or(|raw| raw == "null") {
            let listed = listed.into_iter().flatten().enumerate();
            let sources: Vec<_> = listed.filter_map(|(at, raw)| self.source(index, at, raw.get())).collect();
            message.source_count = i32::try_from(sources.len()).ok();
            message.sources = Some(sources);
        }
        Some(message)
    }

    fn source(&mut self, index: usize, position: usize, raw: &'a str) -> Option<CitedSource<'a>> {
        let place = MisfitPlace::Source(index, position);
        let Ok(([id, title, source], extra)) = known(raw, ["id", "title", "source"]) else {
            self.misfits.push(TranscriptMisfit { place, column: "", reason: NOT_AN_OBJECT, raw });
            return None;
        };
        Some(CitedSource {
            position,
            id: self.value(place, "source_id", id, text),
            title: self.value(place, "title", title, text),
            source: self.value(place, "source", source, text),
            extra,
        })
    }
}

const NOT_AN_OBJECT: &str = "not a JSON object";

fn text(raw: &str) -> Result<JsonText<'_>, &'static str> {
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw).map_err(|_| "half a surrogate pair"),
        Some(b'{' | b'[') => Err("a nested value"),
        _ => Err("not text"),
    }
}

fn int32(raw: &str) -> Result<i32, &'static str> {
    let value = whole_number(raw).ok_or("not a whole number")?;
    i32::try_from(value).map_err(|_| "above 32 bits")
}

fn boolean(raw: &str) -> Result<bool, &'static str> {
    raw.parse().map_err(|_| "not true or false")
}

fn sent_at(raw: &str) -> Result<SentAt, &'static str> {
    let read = match raw.as_bytes().first() {
        Some(b'"') => SentAt::parse(text(raw)?.as_str()),
        _ => whole_number(raw).and_then(SentAt::from_millis),
    };
    read.ok_or("not an instant")
}
