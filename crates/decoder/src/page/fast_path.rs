//! The fast path: each value goes straight into the builder of its column.
//!
//! Properties of a row mostly come in the order of the row before, so that a name is compared and not read. Anything
//! unexpected (a value of another type, a repeated property, an unpaired surrogate, an escaped name, a row without its
//! id) fails the fast path; [`super::slow_path`] then reads the page again from the start.

use super::page_columns::PageColumns;
use super::wire_names::WireNames;
use crate::column_builder::{ColumnBuilder, ColumnValue};
use crate::extra_json::Extra;
use crate::json_cursor::{JsonCursor, JsonString};

/// Reads the array of rows; `None` for anything unexpected.
pub(crate) fn read_rows(text: &str, columns: &mut PageColumns, names: &mut WireNames) -> Option<()> {
    let (mut json, mut unescaped) = (JsonCursor::new(text), Vec::new());
    json.take(b'[')?;
    if json.peek() == b']' {
        json.take(b']')?;
    } else {
        loop {
            read_row(&mut json, columns, names, &mut unescaped)?;
            match json.next()? {
                b',' => {}
                b']' => break,
                _ => return None,
            }
        }
    }
    json.is_at_end().then_some(())
}

enum WireProperty<'t> {
    Column(usize),
    /// An annotation: not data.
    Annotation,
    Unknown(&'t str),
}

fn read_row(
    json: &mut JsonCursor<'_>,
    columns: &mut PageColumns,
    names: &mut WireNames,
    unescaped: &mut Vec<u8>,
) -> Option<()> {
    let mut seen = 0_u128;
    let mut extra = Extra::default();
    // Slots: a column's position, that of the annotation, and one more for the start of a row.
    let annotation = names.wires.len() - 1;
    let mut slot = names.wires.len();
    json.take(b'{')?;
    let mut goes_on = json.peek() != b'}';
    if !goes_on {
        json.take(b'}')?;
    }
    while goes_on {
        match property(json, names, names.next_slot[slot])? {
            WireProperty::Column(at) => {
                if seen & (1 << at) != 0 {
                    return None;
                }
                seen |= 1 << at;
                append(json, &mut columns.builders[at], unescaped)?;
                names.next_slot[slot] = at;
                slot = at;
            }
            WireProperty::Annotation => {
                json.skip_value()?;
                names.next_slot[slot] = annotation;
                slot = annotation;
            }
            WireProperty::Unknown(name) => extra.push(name, json.raw_value()?),
        }
        goes_on = match json.next()? {
            b',' => true,
            b'}' => false,
            _ => return None,
        };
    }
    let (extra, refused) = extra.finish();
    if refused.is_some() {
        return None;
    }
    columns.finish_row(seen, extra).ok()
}

/// The next property; `guess` is the slot of the one that is expected.
fn property<'t>(json: &mut JsonCursor<'t>, names: &WireNames, guess: usize) -> Option<WireProperty<'t>> {
    json.peek();
    if json.take_exactly(&names.tokens[guess]) {
        let is_annotation = guess + 1 == names.wires.len();
        return Some(if is_annotation { WireProperty::Annotation } else { WireProperty::Column(guess) });
    }
    let name = json.name()?;
    Some(match names.column(name) {
        Some(at) => WireProperty::Column(at),
        None if name.contains('@') => WireProperty::Annotation,
        None => WireProperty::Unknown(name),
    })
}

/// Appends the next value to a builder, whatever its type.
fn append(json: &mut JsonCursor<'_>, builder: &mut ColumnBuilder, unescaped: &mut Vec<u8>) -> Option<()> {
    let first = json.peek();
    if first == b'n' {
        return json.take_exactly("null").then(|| builder.append(&ColumnValue::Null).ok())?;
    }
    if matches!(builder, ColumnBuilder::Decimal(_)) {
        // As text: a float would lose digits.
        return builder.append(&ColumnValue::Decimal(json.raw_value()?)).ok();
    }
    let appended = match first {
        b'"' => match json.string(unescaped)? {
            JsonString::Plain(text) => builder.append(&ColumnValue::Text(text)),
            JsonString::Unescaped => builder.append(&ColumnValue::Text(simdutf8::basic::from_utf8(unescaped).ok()?)),
        },
        b't' | b'f' => {
            let value = json.take_exactly("true");
            if !value && !json.take_exactly("false") {
                return None;
            }
            builder.append(&ColumnValue::Boolean(value))
        }
        _ => builder.append(&ColumnValue::Int(json.integer()?)),
    };
    appended.ok()
}
