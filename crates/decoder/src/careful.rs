//! The careful way through a page: row by row and value by value, with the raw text of what does not fit.

use std::fmt;
use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::columns::{Builder, Misfit, Value};
use crate::extra::{EXTRA_JSON, Extra, Refused};
use crate::page::PageColumns;
use crate::row::Names;
use crate::whole::whole_number;

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
    let mut extra = Extra::default();
    match serde_json::from_str::<Properties<'_>>(raw) {
        Ok(Properties(properties, broken)) => {
            for (name, value) in properties {
                match names.column(&name) {
                    Some(at) => values[at] = Some(value),
                    None => extra.push(name, value.get()),
                }
            }
            broken.into_iter().for_each(|(name, value)| extra.push_broken(name, value.get()));
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
    let (extra, refused) = extra.finish();
    if let Some(Refused { reason, raw }) = refused {
        misfits.push(RowMisfit { row, column: EXTRA_JSON, reason: reason.to_owned(), raw });
    }
    let finished = columns.finish_row(seen, extra);
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

/// The kind and place of a syntax error; its text could quote the row.
pub(crate) fn without_text(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

/// The properties of an object in order, with their raw values; a name twice counts twice. Then those whose names hold half
/// a surrogate pair, escaped as in JSON.
pub(crate) struct Properties<'a>(pub(crate) Vec<(String, &'a RawValue)>, pub(crate) Vec<(String, &'a RawValue)>);

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
        let (mut properties, mut broken) = (Vec::new(), Vec::new());
        while let Some((name, value)) = map.next_entry()? {
            match name {
                Name::Text(name) => properties.push((name, value)),
                Name::Broken(name) => broken.push((name, value)),
            }
        }
        Ok(Properties(properties, broken))
    }
}

enum Name {
    Text(String),
    Broken(String),
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // As bytes: text that holds half a surrogate pair would end the whole object.
        deserializer.deserialize_bytes(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Name, E> {
        Ok(match str::from_utf8(name) {
            Ok(name) => Name::Text(name.to_owned()),
            Err(_) => Name::Broken(escaped(name)),
        })
    }
}

/// Text as inside a JSON string, where halves of surrogate pairs are encoded as if they were characters.
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
