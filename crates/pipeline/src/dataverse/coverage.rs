//! The columns that a selection covers. The other values of a row that is replaced are carried over.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::kernels::{cmp, zip::zip};
use arrow::compute::{and, is_not_null, is_null};
use arrow::error::ArrowError;
use copilot_lake_extractor::Selection;
use copilot_lake_tables::{Column, Origin, Table};
use copilot_lake_writer::Carry;
use serde_json::value::RawValue;

/// The columns of a table that a selection covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// For every stored field, whether its value was requested.
    fields: Vec<bool>,
    /// Whether the unknown properties that the environment lists were requested.
    unknown: bool,
}

impl Coverage {
    /// `unknown`: the selection has all unknown properties that the environment lists.
    pub(crate) fn new(table: &'static Table, selection: &Selection, unknown: bool) -> Self {
        let is_selected = |column: &Column| column.wire.is_empty() || selection.names(column.wire);
        let is_owner_selected = |column: &Column| {
            let of_owner = column.owner.into_iter().flat_map(|(user, team)| [user, team]);
            is_selected(column) && of_owner.filter_map(|name| table.column(name)).all(is_selected)
        };
        let covered = |origin: Origin| match origin {
            Origin::Column(column) | Origin::Label(column) | Origin::Json(column, _) => is_selected(column),
            Origin::OwnerTable(column) => is_owner_selected(column),
            Origin::RowTime | Origin::ExtractedAt | Origin::DeletedAt => true,
            Origin::ExtraJson => unknown,
        };
        Self { fields: table.layout().fields().iter().map(|field| covered(field.origin)).collect(), unknown }
    }

    /// Whether every column was requested.
    fn is_complete(&self) -> bool {
        self.fields.iter().all(|covered| *covered)
    }

    /// Whether every column of the definition was requested, if not the unknown properties.
    pub(crate) fn has_known_columns(&self) -> bool {
        self.fields.iter().filter(|covered| !**covered).count() <= usize::from(!self.unknown)
    }

    /// How a row is made from the values that were read and the row that it replaces; `None` when it is as it was read.
    /// `unlabelled`: labels of some codes were not to be had.
    pub(crate) fn carry(&self, table: &'static Table, unlabelled: bool) -> Option<Carry> {
        if self.is_complete() && !unlabelled {
            return None;
        }
        let this = self.clone();
        Some(Arc::new(move |new, old| this.carry_over(table, new, old)))
    }

    fn carry_over(
        &self,
        table: &'static Table,
        new: &RecordBatch,
        old: &RecordBatch,
    ) -> Result<RecordBatch, ArrowError> {
        let fields = table.layout().fields().iter().zip(&self.fields).enumerate();
        let columns = fields.map(|(at, (field, covered))| {
            let (new_values, old_values) = (new.column(at), old.column(at));
            match field.origin {
                Origin::ExtraJson if !covered => Ok(merge_texts(new_values.as_string(), old_values.as_string())),
                _ if !covered => Ok(Arc::clone(old_values)),
                Origin::Label(column) => {
                    let codes = |batch: &RecordBatch| batch.column_by_name(column.name).map(Arc::clone);
                    match (codes(new), codes(old)) {
                        (Some(new_codes), Some(old_codes)) => label(new_values, old_values, &new_codes, &old_codes),
                        _ => Ok(Arc::clone(new_values)),
                    }
                }
                _ => Ok(Arc::clone(new_values)),
            }
        });
        RecordBatch::try_new(Arc::clone(table.layout().schema()), columns.collect::<Result<_, _>>()?)
    }
}

/// Labels: one that was not to be had leaves the old one in place, as long as the code is the same.
fn label(new: &ArrayRef, old: &ArrayRef, new_codes: &ArrayRef, old_codes: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let same_code = cmp::not_distinct(new_codes, old_codes)?;
    let keeps: BooleanArray = and(&and(&is_null(new)?, &is_not_null(old)?)?, &same_code)?;
    zip(&keeps, old, new)
}

/// Unknown properties: the new ones, and old ones of other names.
fn merge_texts(new: &StringArray, old: &StringArray) -> ArrayRef {
    let value = |array: &StringArray, row: usize| array.is_valid(row).then(|| array.value(row).to_owned());
    let rows = (0..new.len()).map(|row| match (value(new, row), value(old, row)) {
        (Some(new), Some(old)) => Some(merge_objects(&new, &old).unwrap_or(new)),
        (new, old) => new.or(old),
    });
    Arc::new(rows.collect::<StringArray>())
}

/// The properties of two JSON objects; `None` when one of the texts is no object.
fn merge_objects(new: &str, old: &str) -> Option<String> {
    type RawObject<'j> = BTreeMap<String, &'j RawValue>;
    let new: RawObject<'_> = serde_json::from_str(new).ok()?;
    let mut both: RawObject<'_> = serde_json::from_str(old).ok()?;
    both.extend(new);
    serde_json::to_string(&both).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int32Array;
    use copilot_lake_decoder::assemble;
    use copilot_lake_tables::COPILOT_EVENT;

    fn texts(values: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    /// An event's code, label, verbatim and unknown properties.
    type Event<'t> = (Option<i32>, Option<&'t str>, Option<&'t str>, Option<&'t str>);

    fn events(rows: &[Event<'_>]) -> RecordBatch {
        let ids = vec![Some(""); rows.len()];
        let columns = vec![
            ("msdyn_copiloteventid", texts(&ids)),
            ("partitionid", texts(&ids)),
            ("msdyn_scenariotype", Arc::new(Int32Array::from_iter(rows.iter().map(|row| row.0))) as ArrayRef),
            ("msdyn_scenariotype_label", texts(&rows.iter().map(|row| row.1).collect::<Vec<_>>())),
            ("msdyn_verbatim", texts(&rows.iter().map(|row| row.2).collect::<Vec<_>>())),
            ("extra_json", texts(&rows.iter().map(|row| row.3).collect::<Vec<_>>())),
        ];
        assemble(&COPILOT_EVENT, columns).unwrap()
    }

    fn column<'b>(batch: &'b RecordBatch, name: &str) -> Vec<Option<&'b str>> {
        batch.column_by_name(name).unwrap().as_string::<i32>().iter().collect()
    }

    #[test]
    fn a_whole_reading_carries_nothing() {
        let all = Selection::all(&COPILOT_EVENT);
        assert!(Coverage::new(&COPILOT_EVENT, &all, true).carry(&COPILOT_EVENT, false).is_none());
        assert!(Coverage::new(&COPILOT_EVENT, &all, true).carry(&COPILOT_EVENT, true).is_some());
        assert!(Coverage::new(&COPILOT_EVENT, &all, false).carry(&COPILOT_EVENT, false).is_some());
        let less = all.without("msdyn_verbatim");
        assert!(Coverage::new(&COPILOT_EVENT, &less, true).carry(&COPILOT_EVENT, false).is_some());
    }

    #[test]
    fn what_was_not_requested_stays() {
        let less = Selection::all(&COPILOT_EVENT).without("msdyn_verbatim");
        let coverage = Coverage::new(&COPILOT_EVENT, &less, false);
        let new = events(&[(Some(7), None, None, Some(r#"{"b":2}"#)), (Some(8), None, None, None)]);
        let old = events(&[
            (Some(7), Some("seven"), Some("said"), Some(r#"{"a":1,"b":1}"#)),
            (Some(7), Some("seven"), None, Some(r#"{"a":1}"#)),
        ]);
        let rows = coverage.carry_over(&COPILOT_EVENT, &new, &old).unwrap();
        assert_eq!(column(&rows, "msdyn_scenariotype_label"), [Some("seven"), None], "of another code");
        assert_eq!(column(&rows, "msdyn_verbatim"), [Some("said"), None]);
        assert_eq!(column(&rows, "extra_json"), [Some(r#"{"a":1,"b":2}"#), Some(r#"{"a":1}"#)]);
        let codes = rows.column_by_name("msdyn_scenariotype").unwrap();
        assert_eq!(codes.as_ref(), &Int32Array::from(vec![7, 8]));
    }

    #[test]
    fn what_was_requested_is_as_it_was_read() {
        let coverage = Coverage::new(&COPILOT_EVENT, &Selection::all(&COPILOT_EVENT), true);
        let new = events(&[(None, None, None, None), (Some(7), Some("new"), Some("x"), Some("{}"))]);
        let old = events(&[(Some(7), Some("seven"), Some("said"), Some(r#"{"a":1}"#)); 2]);
        assert_eq!(coverage.carry_over(&COPILOT_EVENT, &new, &old).unwrap(), new);
    }
}
