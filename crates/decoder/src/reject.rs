//! Values that did not fit: rows of `rejected_record`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use copilot_lake_tables::{Instant, REJECTED_RECORD, Table};

use crate::{Error, assemble};

/// A value that did not fit its column: null in the row, kept here as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The row's key, its parts joined by `/`.
    pub record_key: String,
    /// The column; empty when the row as a whole could not be read.
    pub column_name: &'static str,
    /// Why it did not fit.
    pub reason: String,
    /// The value as it came.
    pub raw_json: String,
}

/// The rejects of a table's rows as rows of `rejected_record`.
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
