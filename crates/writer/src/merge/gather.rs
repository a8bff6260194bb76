//! Rows of several batches as one batch.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, Capacities, MutableArrayData, RecordBatch, make_array};
use arrow::compute::interleave_record_batch;
use arrow::error::ArrowError;

/// With so many adjacent rows on average, ranges are copied; with fewer, row by row.
const COPIED_ROWS: usize = 4;

/// Adjacent rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowRange {
    pub(crate) batch: usize,
    pub(crate) rows: Range<usize>,
}

/// These rows of the batches, in their order. There is at least one batch.
pub(crate) fn gather(batches: &[RecordBatch], ranges: &[RowRange]) -> Result<RecordBatch, ArrowError> {
    let rows = ranges.iter().map(|range| range.rows.len()).sum();
    if rows > 0 && ranges.len() * COPIED_ROWS <= rows {
        return copy_ranges(batches, ranges, rows);
    }
    let places: Vec<_> =
        ranges.iter().flat_map(|RowRange { batch, rows }| rows.clone().map(|row| (*batch, row))).collect();
    interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &places)
}

/// These ranges as one batch. Rows come nearly in order, with a few that are out of place: what lies between those is
/// copied at once.
fn copy_ranges(batches: &[RecordBatch], ranges: &[RowRange], rows: usize) -> Result<RecordBatch, ArrowError> {
    let mut used: Vec<usize> = ranges.iter().map(|range| range.batch).collect();
    used.sort_unstable();
    used.dedup();
    let place = |batch| used.binary_search(&batch).unwrap_or_default();
    let columns = (0..batches[0].num_columns()).map(|column| -> Result<ArrayRef, ArrowError> {
        let arrays: Vec<&ArrayRef> = used.iter().map(|batch| batches[*batch].column(column)).collect();
        let data: Vec<_> = arrays.iter().map(|array| array.to_data()).collect();
        let capacity = match arrays[0].as_string_opt::<i32>() {
            Some(_) => {
                let bytes = ranges.iter().map(|RowRange { batch, rows }| {
                    let offsets = arrays[place(*batch)].as_string::<i32>().value_offsets();
                    (offsets[rows.end] - offsets[rows.start]) as usize
                });
                Capacities::Binary(rows, Some(bytes.sum()))
            }
            None => Capacities::Array(rows),
        };
        let mut copy = MutableArrayData::with_capacities(data.iter().collect(), false, capacity);
        for RowRange { batch, rows } in ranges {
            copy.try_extend(place(*batch), rows.start, rows.end)?;
        }
        Ok(make_array(copy.freeze()))
    });
    RecordBatch::try_new(batches[0].schema(), columns.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int64Array, StringArray};

    use super::*;

    #[test]
    fn ranges_and_single_rows_give_the_same_batch() {
        let batch = |from: i64| {
            let text = (from..from + 40).map(|n| (n % 3 > 0).then(|| "é".repeat(n as usize % 7)));
            let columns: Vec<(&str, ArrayRef)> = vec![
                ("text", Arc::new(text.collect::<StringArray>())),
                ("number", Arc::new((from..from + 40).collect::<Int64Array>())),
                (
                    "flag",
                    Arc::new((from..from + 40).map(|n| (n % 5 > 0).then_some(n % 2 == 0)).collect::<BooleanArray>()),
                ),
            ];
            RecordBatch::try_from_iter(columns).unwrap()
        };
        let batches = [batch(0), batch(100), batch(200)];
        let ranges = [(2, 5..30), (0, 7..8), (2, 30..31), (0, 0..40), (2, 39..40)];
        let ranges = ranges.map(|(batch, rows)| RowRange { batch, rows });
        let single = ranges.iter().flat_map(|range| range.rows.clone().map(|row| (range.batch, row)));
        let single: Vec<_> = single.collect();
        let expected = interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &single).unwrap();
        assert_eq!(copy_ranges(&batches, &ranges, single.len()).unwrap(), expected);
        assert_eq!(gather(&batches, &ranges).unwrap(), expected);
        let single: Vec<_> =
            single.iter().map(|(batch, row)| RowRange { batch: *batch, rows: *row..row + 1 }).collect();
        assert_eq!(gather(&batches, &single).unwrap(), expected);
    }
}
