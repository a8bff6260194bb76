//! The properties of a JSON object, in order, with values as raw text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::data::json_writer::ObjectWriter;

/// Name and raw value of every property of an object; names may repeat.
pub(crate) struct JsonFields<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> JsonFields<'a> {
    /// Parses an object without looking into its values. Fails on anything else.
    pub(crate) fn read(json: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// The raw value of a property.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|field| field.0 == name).map(|field| field.1)
    }

    /// The text of a property that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        let raw = self.raw(name)?;
        match raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(plain) if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            Some(_) => serde_json::from_str(raw).ok().map(Cow::Owned),
            None => None,
        }
    }

    /// The object with properties replaced or, at its end, added.
    pub(crate) fn with(&self, mut overrides: Overrides) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut object = ObjectWriter::new(&mut bytes);
        for (name, raw) in self.iter() {
            match overrides.remove(name) {
                None => object.push(name, raw),
                Some(json) => json.iter().for_each(|json| object.push(name, json)),
            }
        }
        for (name, json) in &overrides {
            json.iter().for_each(|json| object.push(name, json));
        }
        object.end();
        bytes
    }

    /// Every property in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, raw)| (name.as_ref(), *raw))
    }
}

/// Values that a scenario sets: raw JSON by property; `None` leaves the property out.
pub(crate) type Overrides = BTreeMap<String, Option<String>>;

/// A property's name: borrowed unless it holds escapes.
#[derive(Deserialize)]
struct FieldName<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for JsonFields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = JsonFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonFields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(32);
                while let Some(name) = map.next_key::<FieldName<'de>>()? {
                    fields.push((name.0, map.next_value::<&'de RawValue>()?.get()));
                }
                Ok(JsonFields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}
