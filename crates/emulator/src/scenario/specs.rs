//! The entries of a scenario: tables, columns, rows, privileges, phases.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use crate::scenario::graph::GraphPhase;
use crate::scenario::toml_value::Moment;

/// The rows of a table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TableData {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) weeks: Option<u16>,
    pub(crate) end: Option<Moment>,
    pub(crate) people: Option<usize>,
    pub(crate) absent: bool,
    pub(crate) without: Vec<String>,
    /// The service's default if absent.
    pub(crate) tracked: Option<bool>,
    pub(crate) secured: Vec<String>,
    pub(crate) column: Vec<ColumnSpec>,
    pub(crate) row: Vec<RowSpec>,
}

impl TableData {
    /// The number of days over which generated rows are spread.
    pub(crate) fn days(&self) -> i32 {
        i32::from(self.weeks.unwrap_or(4).max(1)) * 7
    }
}

/// A column beyond the definition, or options for a known one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColumnSpec {
    /// In a phase: the table, by default the first.
    pub(crate) table: Option<String>,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: Option<ColumnType>,
    #[serde(default)]
    pub(crate) targets: Vec<String>,
    #[serde(default)]
    pub(crate) options: Vec<OptionSpec>,
}

/// The type of a column that a scenario adds.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum ColumnType {
    Guid,
    Text,
    Choice,
    Lookup,
    Instant,
    Int32,
    Int64,
    Decimal,
    Boolean,
    File,
}

/// A code and its label, or its labels by language.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OptionSpec {
    pub(crate) value: i32,
    #[serde(default)]
    pub(crate) label: String,
    /// By language code; replaces `label`.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
}

/// How far the application may read a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrivilegeSpec {
    pub(crate) table: String,
    pub(crate) depth: ReadDepth,
}

/// How far a privilege reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum ReadDepth {
    /// Not at all.
    #[serde(rename = "none")]
    None,
    /// The caller's own rows.
    Basic,
    /// Every row.
    Global,
}

/// An explicit row.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RowSpec {
    pub(crate) table: Option<String>,
    pub(crate) position: Option<i64>,
    pub(crate) every: Option<usize>,
    pub(crate) key: Option<Vec<String>>,
    pub(crate) raw: Option<String>,
    pub(crate) at: Option<Moment>,
    pub(crate) values: BTreeMap<String, toml::Value>,
    pub(crate) json: BTreeMap<String, String>,
    pub(crate) nulls: Vec<String>,
    pub(crate) omit: Vec<String>,
    pub(crate) extra: BTreeMap<String, toml::Value>,
    pub(crate) payload_text: Option<String>,
    pub(crate) payload_base64: Option<String>,
    pub(crate) payload_file: Option<PathBuf>,
    pub(crate) payload_missing: bool,
    pub(crate) payload_from: Option<Moment>,
    pub(crate) payload_repeat: Option<usize>,
    pub(crate) payload_size: Option<u64>,
    pub(crate) payload_name: Option<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) bom: bool,
}

impl RowSpec {
    pub(crate) fn has_payload(&self) -> bool {
        self.payload_missing
            || self.payload_text.is_some()
            || self.payload_base64.is_some()
            || self.payload_file.is_some()
    }

    pub(crate) fn names(&self, wire: &str) -> bool {
        self.values.contains_key(wire) || self.json.contains_key(wire)
    }
}

/// Changes at one call of `advance`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Phase {
    pub(crate) clock: Option<Moment>,
    pub(crate) row: Vec<RowSpec>,
    pub(crate) change: Vec<RowSpec>,
    pub(crate) delete: Vec<RowSpec>,
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) generate: Vec<MoreRows>,
    pub(crate) column: Vec<ColumnSpec>,
    pub(crate) graph: Option<GraphPhase>,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<MoreRows>, D::Error> {
    let values = match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(values) => values,
        one => vec![one],
    };
    values.into_iter().map(|value| value.try_into().map_err(serde::de::Error::custom)).collect()
}

/// Rows that a phase generates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MoreRows {
    pub(crate) table: Option<String>,
    pub(crate) rows: usize,
    pub(crate) from: Option<Moment>,
    pub(crate) until: Option<Moment>,
}
