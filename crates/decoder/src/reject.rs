//! Rejects: values that did not fit, as rows of `rejected_record`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int32Type;
use copilot_lake_tables::{Instant, REJECTED_RECORD, Table};

use crate::{Error, assemble};

/// A value that did not fit its column: null in the row, kept here as raw text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The row's key, its parts joined by `/`.
    pub record_key: String,
    /// The column; empty if the row as a whole could not be read.
    pub column_name: &'static str,
    /// Why it did not fit.
    pub reason: String,
    /// The raw value.
    pub raw_json: String,
}

/// The key of a row in `rejected_record`: the parts of its own key joined by `/`.
pub(crate) fn record_key(table: &'static Table, batch: &RecordBatch, row: usize) -> String {
    let part = |at: &usize| match batch.column(*at).as_primitive_opt::<Int32Type>() {
        Some(numbers) => Cow::Owned(numbers.value(row).to_string()),
        None => Cow::Borrowed(batch.column(*at).as_string::<i32>().value(row)),
    };
    table.layout().key().iter().map(part).collect::<Vec<_>>().join("/")
}

/// The keys of a batch's rows, as [`record_key`] returns them one at a time.
pub struct RecordKeys<'b> {
    parts: Vec<KeyPart<'b>>,
}

enum KeyPart<'b> {
    Text(&'b StringArray),
    Number(&'b Int32Array),
}

impl<'b> RecordKeys<'b> {
    /// For a batch in the table's layout.
    pub fn new(table: &'static Table, batch: &'b RecordBatch) -> Self {
        let part = |at: &usize| match batch.column(*at).as_primitive_opt::<Int32Type>() {
            Some(numbers) => KeyPart::Number(numbers),
            None => KeyPart::Text(batch.column(*at).as_string()),
        };
        Self { parts: table.layout().key().iter().map(part).collect() }
    }

    /// Writes a row's key into a buffer that is reused.
    pub fn read(&self, row: usize, key: &mut String) {
        key.clear();
        for (at, part) in self.parts.iter().enumerate() {
            if at > 0 {
                key.push('/');
            }
            match part {
                KeyPart::Text(texts) => key.push_str(texts.value(row)),
                // Writing to a string cannot fail.
                KeyPart::Number(numbers) => drop(write!(key, "{}", numbers.value(row))),
            }
        }
    }
}

/// The rejects of a table as rows of `rejected_record`.
///
/// # Errors
/// None in practice: the columns are built for the schema.
pub fn reject_batch(
    table: &'static Table,
    rejects: &[Reject],
    run_id: &str,
    extracted_at: Instant,
) -> Result<RecordBatch, Error> {
    let rows = rejects.len();
    let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))) as ArrayRef;
    let each =
        |text: fn(&Reject) -> &str| Arc::new(StringArray::from_iter_values(rejects.iter().map(text))) as ArrayRef;
    let at = TimestampMicrosecondArray::from_value(extracted_at.0, rows).with_timezone("UTC");
    assemble(
        &REJECTED_RECORD,
        vec![
            ("source", same(table.source_name())),
            ("table_name", same(table.name)),
            ("record_key", each(|reject| &reject.record_key)),
            ("column_name", each(|reject| reject.column_name)),
            ("run_id", same(run_id)),
            ("reason", each(|reject| &reject.reason)),
            ("raw_json", each(|reject| &reject.raw_json)),
            ("extracted_at", Arc::new(at)),
        ],
    )
}
