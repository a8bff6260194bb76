//! JSON objects as names and raw values.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The kind and position of a syntax error; its own message could quote the row.
pub(crate) fn describe_error(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

/// The properties of an object in order, with raw values and repeated names; then those whose names contain an unpaired
/// surrogate, escaped as in JSON.
pub(crate) struct RawProperties<'a>(pub(crate) Vec<(String, &'a RawValue)>, pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawProperties<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawPropertiesVisitor)
    }
}

struct RawPropertiesVisitor;

impl<'de> Visitor<'de> for RawPropertiesVisitor {
    type Value = RawProperties<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawProperties<'de>, A::Error> {
        let (mut properties, mut broken) = (Vec::new(), Vec::new());
        while let Some((name, value)) = map.next_entry()? {
            match name {
                PropertyName::Text(name) => properties.push((name, value)),
                PropertyName::Broken(name) => broken.push((name, value)),
            }
        }
        Ok(RawProperties(properties, broken))
    }
}

enum PropertyName {
    Text(String),
    Broken(String),
}

impl<'de> Deserialize<'de> for PropertyName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes: text with an unpaired surrogate would fail the whole object.
        deserializer.deserialize_bytes(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = PropertyName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<PropertyName, E> {
        Ok(match str::from_utf8(name) {
            Ok(name) => PropertyName::Text(name.to_owned()),
            Err(_) => PropertyName::Broken(escaped(name)),
        })
    }
}

/// Escapes text as inside a JSON string; unpaired surrogates arrive encoded like characters.
fn escaped(name: &[u8]) -> String {
    let mut escaped = String::new();
    let inside = |text: &[u8]| {
        let quoted = serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let mut rest = name;
    while let Err(error) = str::from_utf8(rest) {
        let (text, half) = rest.split_at(error.valid_up_to());
        escaped.push_str(&inside(text));
        let bits = |at: usize| u32::from(half.get(at).copied().unwrap_or_default()) & 0x3f;
        let unit = 0xd000 | bits(1) << 6 | bits(2);
        rest = half.get(3..).unwrap_or_default();
        escaped.push_str(&format!("\\u{unit:04x}"));
    }
    escaped + &inside(rest)
}
