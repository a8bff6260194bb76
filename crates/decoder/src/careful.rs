//! The careful way through a page: row by row and value by value, with the raw text of what does not fit.

use std::fmt;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::columns::{Builder, Misfit, Value};
use crate::page::PageColumns;
use crate::row::{Names, push_unknown};

/// A value that does not fit, before its row's key is known.
pub(crate) struct RowMisfit {
    pub(crate) row: usize,
    pub(crate) column: &'static str,
    pub(crate) reason: String,
    pub(crate) raw: String,
}

/// Reads the rows; fails only where the array itself is not JSON.
pub(crate) fn read_rows(
    text: &str,
    columns: &mut PageColumns,
    names: &Names,
    misfits: &mut Vec<RowMisfit>,
) -> Result<(), serde_json::Error> {
    let rows: Vec<&RawValue> = serde_json::from_str(text)?;
    for raw in rows {
        read_row(raw.get(), columns, names, misfits);
    }
    Ok(())
}

fn read_row(raw: &str, columns: &mut PageColumns, names: &Names, misfits: &mut Vec<RowMisfit>) {
    let row = columns.rows();
    let mut values: Vec<Option<&RawValue>> = vec![None; columns.builders.len()];
    let mut unknown = None;
    match serde_json::from_str::<Properties<'_>>(raw) {
        Ok(Properties(properties)) => {
            for (name, value) in properties {
                if let Some(at) = names.column(&name) {
                    values[at] = Some(value);
                } else if !name.contains('@') {
                    push_unknown(&mut unknown, &name, value.get());
                }
            }
        }
        Err(error) => {
            let reason = format!("not a row: {}", without_text(&error));
            misfits.push(RowMisfit { row, column: "", reason, raw: raw.to_owned() });
        }
    }
    let mut seen = 0_u128;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let builder = &mut columns.builders[at];
        let appended = append_raw(builder, value.get());
        if let Err(reason) = appended {
            let column = columns.wire_columns[at].name;
            if value.get() != "null" {
                misfits.push(RowMisfit { row, column, reason: reason.to_owned(), raw: value.get().to_owned() });
            }
        } else {
            seen |= 1 << at;
        }
    }
    // What is left out or did not fit is null; a row without its own id is named by its text.
    let id = columns.id;
    if seen & (1 << id) == 0 {
        columns.builders[id].append_made_id(&sha256(raw));
        seen |= 1 << id;
    }
    let finished = columns.finish_row(seen, unknown);
    debug_assert!(finished.is_ok(), "the id was the only column that refuses a null");
}

pub(crate) fn sha256(raw: &str) -> String {
    let mut id = "sha256:".to_owned();
    for byte in Sha256::digest(raw.as_bytes()) {
        let written = write!(id, "{byte:02x}");
        debug_assert!(written.is_ok(), "writing to a string does not fail");
    }
    id
}

pub(crate) fn append_raw(builder: &mut Builder, raw: &str) -> Result<(), Misfit> {
    let first = raw.as_bytes().first().copied().unwrap_or(b' ');
    if matches!(builder, Builder::Decimal(_)) && (first == b'-' || first.is_ascii_digit()) {
        return builder.append(&Value::Decimal(raw));
    }
    match first {
        b'n' => builder.append(&Value::Null),
        b't' => builder.append(&Value::Boolean(true)),
        b'f' => builder.append(&Value::Boolean(false)),
        b'"' => {
            let text: String = serde_json::from_str(raw).map_err(|_| "half a surrogate pair")?;
            builder.append(&Value::Text(&text))
        }
        // A JSON column may come as the object itself.
        b'{' if matches!(builder, Builder::Json(..)) => builder.append(&Value::Text(raw)),
        b'{' | b'[' => Err("a nested value"),
        _ => match whole_number(raw) {
            Some(value) => builder.append(&Value::Int(value)),
            None => Err("not a whole number of 64 bits"),
        },
    }
}

/// `5`, `5.0` and `5e0` are the same number.
pub(crate) fn whole_number(raw: &str) -> Option<i64> {
    if let Ok(value) = raw.parse() {
        return Some(value);
    }
    let value: f64 = raw.parse().ok()?;
    // Above 2^53 a float no longer names one whole number.
    (value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0).then_some(value as i64)
}

/// The kind and place of a syntax error; its text could quote the row.
pub(crate) fn without_text(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

/// The properties of an object in order, with their raw values; a name twice counts twice.
pub(crate) struct Properties<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Properties<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PropertiesVisitor)
    }
}

struct PropertiesVisitor;

impl<'de> Visitor<'de> for PropertiesVisitor {
    type Value = Properties<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Properties<'de>, A::Error> {
        let mut properties = Vec::new();
        while let Some(property) = map.next_entry()? {
            properties.push(property);
        }
        Ok(Properties(properties))
    }
}
