//! The week of each row, and batches split by it.

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_tables::{Instant, Table, TimeOf, Week};
use std::collections::BTreeMap;

use crate::Error;

/// The instant that determines each row's week.
///
/// A `partitionid` names a week, not an instant: the row's own time counts if it lies in that week, otherwise the
/// week's first instant. A row with neither belongs to [`Week::UNKNOWN`].
pub(crate) fn row_times(table: &Table, column: impl Fn(&str) -> Option<ArrayRef>, rows: usize) -> Vec<i64> {
    let (name, partition) = match table.time {
        TimeOf::PartitionIdOr(name) => (name, column("partitionid")),
        TimeOf::Column(name) => (name, None),
        TimeOf::Parent | TimeOf::Unpartitioned(_) => return Vec::new(),
    };
    let times = column(name);
    let times = times.as_ref().map(|array| array.as_primitive::<TimestampMicrosecondType>());
    let partition: Option<&StringArray> = partition.as_ref().map(|array| array.as_string());
    (0..rows)
        .map(|row| {
            let time = times.filter(|array| array.is_valid(row)).map(|array| Instant(array.value(row)));
            let named = partition.and_then(|array| Week::from_partition_id(array.value(row)));
            match (named, time) {
                (Some(week), Some(time)) if Week::of(time) == week => time.0,
                (Some(week), _) => week.start().0,
                (None, Some(time)) => time.0,
                (None, None) => Week::UNKNOWN.start().0,
            }
        })
        .collect()
}

/// Splits a batch by the week of `row_time`, keeping the order of rows within a week. Tables without weeks yield one
/// batch of [`Week::UNKNOWN`]; an empty batch yields none.
///
/// # Errors
/// None in practice: the batch has the table's columns.
pub fn by_week(table: &'static Table, batch: RecordBatch) -> Result<Vec<(Week, RecordBatch)>, Error> {
    let Some(column) = batch.column_by_name("row_time") else {
        let has_rows = batch.num_rows() > 0;
        return Ok(has_rows.then_some((Week::UNKNOWN, batch)).into_iter().collect());
    };
    let times: &TimestampMicrosecondArray = column.as_primitive();
    let Some(first) = times.values().first() else { return Ok(Vec::new()) };
    let week = Week::of(Instant(*first));
    let (start, end) = (week.start().0, week.end().0);
    if times.values().iter().all(|time| (start..end).contains(time)) {
        return Ok(vec![(week, batch)]);
    }
    let mut rows_of: BTreeMap<Week, Vec<i32>> = BTreeMap::new();
    for (row, time) in times.values().iter().enumerate() {
        // A page has far fewer rows than fit into an i32.
        rows_of.entry(Week::of(Instant(*time))).or_default().push(row as i32);
    }
    rows_of
        .into_iter()
        .map(|(week, rows)| match take_record_batch(&batch, &Int32Array::from(rows)) {
            Ok(part) => Ok((week, part)),
            Err(source) => Err(Error::Schema { table: table.name, source }),
        })
        .collect()
}
