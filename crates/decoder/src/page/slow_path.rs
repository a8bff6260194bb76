//! The slow path: row by row and value by value, keeping the raw text of what does not fit.

use serde_json::value::RawValue;

use super::page_columns::PageColumns;
use super::row_misfit::RowMisfit;
use super::wire_names::WireNames;
use crate::column_builder::append_raw;
use crate::content_hash::content_hash;
use crate::extra_json::{EXTRA_JSON, Extra, RefusedProperties};
use crate::raw_object::{RawProperties, describe_error};

/// Reads the rows; fails only if the array itself is not JSON.
pub(crate) fn read_rows(
    text: &str,
    columns: &mut PageColumns,
    names: &WireNames,
    misfits: &mut Vec<RowMisfit>,
) -> Result<(), serde_json::Error> {
    let rows: Vec<&RawValue> = serde_json::from_str(text)?;
    for raw in rows {
        read_row(raw.get(), columns, names, misfits);
    }
    Ok(())
}

fn read_row(raw: &str, columns: &mut PageColumns, names: &WireNames, misfits: &mut Vec<RowMisfit>) {
    let row = columns.rows();
    let mut values: Vec<Option<&RawValue>> = vec![None; columns.builders.len()];
    let mut extra = Extra::default();
    match serde_json::from_str::<RawProperties<'_>>(raw) {
        Ok(RawProperties(properties, broken)) => {
            for (name, value) in properties {
                match names.column(&name) {
                    Some(at) => values[at] = Some(value),
                    None => extra.push(name, value.get()),
                }
            }
            broken.into_iter().for_each(|(name, value)| extra.push_broken(name, value.get()));
        }
        Err(error) => {
            let reason = format!("not a row: {}", describe_error(&error));
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
    // Missing values and misfits are null; a row without its own id gets one from its text.
    let id = columns.id;
    if seen & (1 << id) == 0 {
        columns.builders[id].append_generated_id(&content_hash(raw));
        seen |= 1 << id;
    }
    let (extra, refused) = extra.finish();
    if let Some(RefusedProperties { reason, raw }) = refused {
        misfits.push(RowMisfit { row, column: EXTRA_JSON, reason: reason.to_owned(), raw });
    }
    let finished = columns.finish_row(seen, extra);
    debug_assert!(finished.is_ok(), "the id was the only column that refuses a null");
}
