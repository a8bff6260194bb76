//! Values of a batch, by column name and row.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::Instant;

/// The text in a column, empty when null.
pub(crate) fn text<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> &'b str {
    let array = batch.column_by_name(column).map(|array| array.as_string::<i32>());
    array.filter(|array| array.is_valid(row)).map_or("", |array| array.value(row))
}

/// The number in a column, 0 when null.
pub(crate) fn int(batch: &RecordBatch, column: &str, row: usize) -> i64 {
    let array = batch.column_by_name(column).map(|array| array.as_primitive::<Int64Type>());
    array.filter(|array| array.is_valid(row)).map_or(0, |array| array.value(row))
}

/// The instant in a column, the epoch when null.
pub(crate) fn instant(batch: &RecordBatch, column: &str, row: usize) -> Instant {
    let array = batch.column_by_name(column).map(|array| array.as_primitive::<TimestampMicrosecondType>());
    Instant(array.filter(|array| array.is_valid(row)).map_or(0, |array| array.value(row)))
}
