//! The fast path: typed values, one pass, no copy of text without escapes.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::model::{ChatContext, CitedSource, JsonText, Message, MessageContext, SentAt, Transcript};
use crate::extra_json::Extra;

pub(super) fn read(text: &str) -> Result<Transcript<'_>, serde_json::Error> {
    let JsonObject(root): JsonObject<Root<'_>> = serde_json::from_str(text)?;
    let objects = root.messages.ok_or_else(|| serde_json::Error::custom("no messages"))?;
    let mut messages: Vec<_> = objects.into_iter().map(|JsonObject(message)| message).collect();
    for (index, message) in messages.iter_mut().enumerate() {
        message.index = index;
        let sources = message.sources.as_deref_mut().unwrap_or_default();
        message.source_count = i32::try_from(sources.len()).ok();
        for (position, source) in sources.iter_mut().enumerate() {
            source.position = position;
        }
    }
    let chat = root.chat.map(|JsonObject(chat)| chat).unwrap_or_default();
    Ok(Transcript { chat, messages, misfits: Vec::new() })
}

/// A type read from a JSON object, property by property.
trait FromProperties<'a>: Default {
    fn property<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error>;
}

/// A JSON object; arrays are rejected.
struct JsonObject<T>(T);

impl<'de, T: FromProperties<'de>> Deserialize<'de> for JsonObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonObjectVisitor(PhantomData))
    }
}

struct JsonObjectVisitor<T>(PhantomData<T>);

impl<'de, T: FromProperties<'de>> Visitor<'de> for JsonObjectVisitor<T> {
    type Value = JsonObject<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject<T>, A::Error> {
        let mut object = T::default();
        while let Some(JsonText(name)) = map.next_key()? {
            object.property(name, &mut map)?;
        }
        Ok(JsonObject(object))
    }
}

/// Reads a property's value into a field; null leaves it empty.
fn fill<'a, T: Deserialize<'a>, A: MapAccess<'a>>(place: &mut Option<T>, map: &mut A) -> Result<(), A::Error> {
    fill_with(place, map, |value| value)
}

fn fill_with<'a, T, R: Deserialize<'a>, A: MapAccess<'a>>(
    place: &mut Option<T>,
    map: &mut A,
    convert: impl FnOnce(R) -> T,
) -> Result<(), A::Error> {
    if place.is_some() {
        return Err(A::Error::custom("a property twice"));
    }
    *place = map.next_value::<Option<R>>()?.map(convert);
    Ok(())
}

#[derive(Default)]
struct Root<'a> {
    messages: Option<Vec<JsonObject<Message<'a>>>>,
    chat: Option<JsonObject<ChatContext<'a>>>,
}

impl<'a> FromProperties<'a> for Root<'a> {
    fn property<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "messages" => fill(&mut self.messages, map),
            "context" => fill(&mut self.chat, map),
            // No row has a column for it; the payload's text keeps it.
            _ => map.next_value::<IgnoredAny>().map(|_| ()),
        }
    }
}

impl<'a> FromProperties<'a> for ChatContext<'a> {
    fn property<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "chatId" => fill(&mut self.chat_id, map),
            "sessionId" => fill(&mut self.session_id, map),
            "entityId" => fill(&mut self.entity_id, map),
            "entityName" => fill(&mut self.entity_name, map),
            _ => map.next_value::<IgnoredAny>().map(|_| ()),
        }
    }
}

impl<'a> FromProperties<'a> for Message<'a> {
    fn property<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "id" => fill(&mut self.id, map),
            "requestId" => fill(&mut self.request_id, map),
            "message" => fill(&mut self.text, map),
            "sequence" => fill(&mut self.sequence, map),
            "user" => fill(&mut self.role, map),
            "timestamp" => fill(&mut self.sent_at, map),
            "isActivityError" => fill(&mut self.is_activity_error, map),
            "context" => fill_with(&mut self.context, map, |JsonObject(context)| context),
            "sources" => fill_with(&mut self.sources, map, |sources: Vec<JsonObject<CitedSource<'a>>>| {
                sources.into_iter().map(|JsonObject(source)| source).collect()
            }),
            _ => keep(&mut self.extra, name, map),
        }
    }
}

impl<'a> FromProperties<'a> for MessageContext<'a> {
    fn property<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "customerIntent" => fill(&mut self.customer_intent, map),
            _ => keep(&mut self.extra, name, map),
        }
    }
}

impl<'a> FromProperties<'a> for CitedSource<'a> {
    fn property<A: MapAccess<'a>>(&mut self, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "id" => fill(&mut self.id, map),
            "title" => fill(&mut self.title, map),
            "source" => fill(&mut self.source, map),
            _ => keep(&mut self.extra, name, map),
        }
    }
}

fn keep<'a, A: MapAccess<'a>>(extra: &mut Extra<'a>, name: Cow<'a, str>, map: &mut A) -> Result<(), A::Error> {
    let raw: &'a RawValue = map.next_value()?;
    extra.push(name, raw.get());
    Ok(())
}

impl<'de> Deserialize<'de> for SentAt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SentAtVisitor)
    }
}

struct SentAtVisitor;

impl Visitor<'_> for SentAtVisitor {
    type Value = SentAt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("milliseconds or an instant")
    }

    fn visit_i64<E: serde::de::Error>(self, millis: i64) -> Result<SentAt, E> {
        SentAt::from_millis(millis).ok_or_else(|| E::custom("not an instant"))
    }

    fn visit_u64<E: serde::de::Error>(self, millis: u64) -> Result<SentAt, E> {
        self.visit_i64(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SentAt, E> {
        SentAt::parse(text).ok_or_else(|| E::custom("not an instant"))
    }
}
