//! A sorted run: rows of one week in memory, sorted by reference.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use copilot_lake_tables::Table;

use crate::keys::{self, KeyColumn, OwnedKey};
use crate::merge::gather::{RowRange, gather};
use crate::merge::version::Version;

/// Rows are gathered for the encoder in batches of at most so many rows, and of about so many bytes: what is gathered
/// should still be in the processor's cache when it is encoded, and texts may be long.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 1 << 20;

/// With fewer adjacent rows of a batch, rows are gathered; with more, they are sliced without a copy.
const SLICED_ROWS: usize = 512;

/// Rows of one week, sorted by time and key, one per key and time.
pub(crate) struct SortedRun {
    batches: Vec<RecordBatch>,
    sort: Vec<Vec<KeyColumn>>,
    order: Vec<RowRef>,
}

/// A row of a run: which batch, which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowRef {
    time: i64,
    batch: u32,
    row: u32,
}

impl SortedRun {
    /// Sorts batches. Of rows with the same time and key the newest version stays; among equal versions the last one.
    pub(crate) fn new(table: &'static Table, batches: Vec<RecordBatch>) -> Result<Self, ArrowError> {
        let layout = table.layout();
        let of = |columns| {
            batches.iter().map(move |batch| KeyColumn::from_batch(batch, columns)).collect::<Result<Vec<_>, _>>()
        };
        let (sort, version) = (of(layout.sort())?, of(layout.version())?);

        let mut order = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for (batch, columns) in (0u32..).zip(&sort) {
            let rows = 0..batches[batch as usize].num_rows();
            order.extend(rows.map(|row| RowRef { time: columns[0].int(row), batch, row: row as u32 }));
        }
        let compare = |a: &RowRef, b: &RowRef| a.time.cmp(&b.time).then_with(|| Self::compare_keys(&sort, a, b));
        if !order.is_sorted_by(|a, b| compare(a, b).is_lt()) {
            // A stable sort: rows with the same key stay in the order of arrival.
            order.sort_by(compare);
            order.dedup_by(|later, earlier| {
                let same = compare(earlier, later).is_eq();
                if same {
                    let of = |row: &RowRef| Version::at_row(&version[row.batch as usize], row.row as usize);
                    let newer = of(later).compare(of(earlier));
                    if newer.is_ge() {
                        *earlier = *later;
                    }
                }
                same
            });
        }
        Ok(Self { batches, sort, order })
    }

    fn compare_keys(sort: &[Vec<KeyColumn>], a: &RowRef, b: &RowRef) -> Ordering {
        let (left, right) = (&sort[a.batch as usize][1..], &sort[b.batch as usize][1..]);
        keys::compare(left, a.row as usize, right, b.row as usize)
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }

    /// The first and the last time; `None` without rows.
    pub(crate) fn times(&self) -> Option<(i64, i64)> {
        Some((self.order.first()?.time, self.order.last()?.time))
    }

    /// Whether all rows sort after that one.
    pub(crate) fn comes_after(&self, last: &OwnedKey) -> bool {
        self.order
            .first()
            .is_none_or(|first| last.compare(&self.sort[first.batch as usize], first.row as usize).is_lt())
    }

    /// The sort key of the last row.
    pub(crate) fn last(&self) -> Option<OwnedKey> {
        self.order.last().map(|last| OwnedKey::new(&self.sort[last.batch as usize], last.row as usize))
    }

    /// The same rows with only these columns.
    pub(crate) fn project(&self, columns: &[usize]) -> Result<Self, ArrowError> {
        let batches = self.batches.iter().map(|batch| batch.project(columns)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { batches, sort: self.sort.clone(), order: self.order.clone() })
    }

    /// Bytes in memory.
    pub(crate) fn memory(&self) -> usize {
        let batches: usize = self.batches.iter().map(RecordBatch::get_array_memory_size).sum();
        batches + self.order.len() * size_of::<RowRef>()
    }

    /// Splits off the rows with the greatest time, unless all rows have it: more rows of that time may follow.
    pub(crate) fn split_last_time(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let Some((first, last)) = self.times() else { return Ok(None) };
        if first == last {
            return Ok(None);
        }
        let at = self.order.partition_point(|row| row.time < last);
        let rest = self.order.split_off(at);
        self.gather(&rest).map(Some)
    }

    /// Drops rows, by ascending position.
    pub(crate) fn drop_rows(&mut self, positions: &[u32]) {
        let mut dropped = positions.iter().peekable();
        let mut at = 0;
        self.order.retain(|_| {
            let drop = dropped.next_if(|dropped| **dropped == at).is_some();
            at += 1;
            !drop
        });
    }

    /// The rows at these positions, as one batch.
    pub(crate) fn rows(&self, positions: &[u32]) -> Result<RecordBatch, ArrowError> {
        let rows: Vec<RowRef> = positions.iter().map(|at| self.order[*at as usize]).collect();
        self.gather(&rows)
    }

    /// Calls for each row in order, with these columns of its batch and the row's position in them.
    pub(crate) fn for_each(
        &self,
        columns: &[usize],
        mut call: impl FnMut(&[KeyColumn], usize),
    ) -> Result<(), ArrowError> {
        let values =
            self.batches.iter().map(|batch| KeyColumn::from_batch(batch, columns)).collect::<Result<Vec<_>, _>>()?;
        for row in &self.order {
            call(&values[row.batch as usize], row.row as usize);
        }
        Ok(())
    }

    /// The rows in order, as batches for the encoder.
    pub(crate) fn into_batches(self) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
        let bytes = |batch: &RecordBatch| batch.get_array_memory_size() / batch.num_rows().max(1);
        let row_bytes: Vec<usize> = self.batches.iter().map(bytes).collect();
        let mut at = 0;
        std::iter::from_fn(move || {
            if at == self.order.len() {
                return None;
            }
            let adjacent = self.adjacent_rows(at);
            if adjacent >= SLICED_ROWS {
                let first = self.order[at];
                at += adjacent;
                return Some(Ok(self.batches[first.batch as usize].slice(first.row as usize, adjacent)));
            }
            let (from, mut bytes) = (at, 0);
            while at < self.order.len() && at - from < BATCH_ROWS && bytes < BATCH_BYTES {
                let adjacent = self.adjacent_rows(at);
                if adjacent >= SLICED_ROWS {
                    break;
                }
                bytes += adjacent * row_bytes[self.order[at].batch as usize];
                at += adjacent;
            }
            Some(self.gather(&self.order[from..at]))
        })
    }

    /// How many rows from there are adjacent in one batch.
    fn adjacent_rows(&self, at: usize) -> usize {
        let first = self.order[at];
        let lies = |(row, n): &(&RowRef, u32)| row.batch == first.batch && row.row == first.row + n;
        self.order[at..].iter().zip(0..).take_while(lies).count()
    }

    fn gather(&self, rows: &[RowRef]) -> Result<RecordBatch, ArrowError> {
        if let [batch] = self.batches.as_slice() {
            let rows = arrow::array::UInt32Array::from_iter_values(rows.iter().map(|row| row.row));
            return take_record_batch(batch, &rows);
        }
        gather(&self.batches, &ranges(rows))
    }
}

/// Rows as ranges of adjacent ones, in their order.
fn ranges(rows: &[RowRef]) -> Vec<RowRange> {
    let is_next = |a: &RowRef, b: &RowRef| a.batch == b.batch && a.row + 1 == b.row;
    let range = |rows: &[RowRef]| {
        let from = rows[0].row as usize;
        RowRange { batch: rows[0].batch as usize, rows: from..from + rows.len() }
    };
    rows.chunk_by(is_next).map(range).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};

    use super::*;

    #[test]
    fn long_texts_are_gathered_in_small_batches() {
        let text = (0..100).map(|n: usize| Some(n.to_string().repeat(1 << 15)));
        let columns: Vec<(&str, ArrayRef)> = vec![("text", Arc::new(text.collect::<StringArray>()))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        // From the last to the first: no two are adjacent.
        let order: Vec<RowRef> = (0..100).rev().map(|row| RowRef { time: 0, batch: 0, row }).collect();
        let run = SortedRun { batches: vec![batch.clone()], sort: vec![vec![]], order };
        let gathered: Vec<RecordBatch> = run.into_batches().collect::<Result<_, _>>().unwrap();
        assert!(gathered.iter().all(|part| part.get_array_memory_size() <= 2 * BATCH_BYTES), "{}", gathered.len());
        let reversed = arrow::array::UInt32Array::from_iter_values((0..100).rev());
        let expected = take_record_batch(&batch, &reversed).unwrap();
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &gathered).unwrap(), expected);
    }
}
