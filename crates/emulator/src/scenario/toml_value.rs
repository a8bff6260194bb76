//! Values of a scenario: times, and TOML values as JSON.

use copilot_lake_tables::Instant;
use serde::{Deserialize, Deserializer};

/// An instant or a date (its midnight UTC), as a TOML date or as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(pub(crate) Instant);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Datetime(datetime) => datetime.to_string(),
            other => other.to_string(),
        };
        let message = || serde::de::Error::custom(format!("`{text}` is neither a date nor an instant with a zone"));
        Instant::parse(&text).map(Self).ok_or_else(message)
    }
}

/// A TOML value as JSON; dates become text.
pub(crate) fn json(value: &toml::Value) -> String {
    fn of(value: &toml::Value) -> serde_json::Value {
        match value {
            toml::Value::String(text) => text.as_str().into(),
            toml::Value::Integer(n) => (*n).into(),
            toml::Value::Float(n) => (*n).into(),
            toml::Value::Boolean(b) => (*b).into(),
            toml::Value::Datetime(at) => at.to_string().into(),
            toml::Value::Array(all) => all.iter().map(of).collect(),
            toml::Value::Table(all) => all.iter().map(|(name, value)| (name.clone(), of(value))).collect(),
        }
    }
    of(value).to_string()
}
