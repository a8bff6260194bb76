//! Carrying values over: a new row keeps what its read did not cover from the row that it replaces.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, interleave_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use copilot_lake_tables::Table;
use object_store::ObjectStore;

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::merge::lookup::{LookupResult, Match};
use crate::merge::mode::MergeMode;
use crate::merge::pending_rows::PendingRows;
use crate::merge::resolve::{SupersededRows, ascending, keeps_table_row};
use crate::merge::row_buffer::RowBuffer;
use crate::merge::row_digest::RowDigestReader;
use crate::parquet::row_selection::rows_at;

/// Makes the rows to be stored from new rows and, row by row beside them, the table's rows that they replace. Both
/// batches and the result have the table's schema.
pub type Carry = Arc<dyn Fn(&RecordBatch, &RecordBatch) -> Result<RecordBatch, ArrowError> + Send + Sync>;

/// Pairs of the first call. Texts may be long: how many the next one has follows from their bytes.
const FIRST_PAIRS: usize = 256;

/// The most pairs of a call: a page of a file has hardly more rows, and is read once for each call that needs it.
const MOST_PAIRS: usize = 16_384;

/// Bytes of the two batches of a call, if the rows are like those of the call before. They may be far longer: a call has at
/// most twice as many as the one before.
const PAIR_BYTES: usize = 16 << 20;

/// As [`resolve`](crate::merge::resolve::resolve), with a [`Carry`]: the new row and the table's are both superseded by
/// the row made from them.
pub(crate) struct CarryMerge<'a> {
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    pub(crate) table: &'static Table,
    pub(crate) mode: MergeMode,
    pub(crate) inputs: &'a [PendingRows],
    pub(crate) files: &'a [Arc<DataFile>],
    pub(crate) carry: &'a Carry,
}

impl CarryMerge<'_> {
    /// Decides which rows are superseded; rows made by the carry go to `made`.
    pub(crate) async fn resolve(
        &self,
        found: LookupResult,
        mut superseded_rows: SupersededRows,
        made: &RowBuffer,
    ) -> Result<SupersededRows, Error> {
        superseded_rows.old = found.deleted;
        let (older, mut pairs): (Vec<_>, Vec<_>) =
            found.matches.into_iter().partition(|found| found.order == Ordering::Less);
        older.iter().for_each(|found| superseded_rows.keep_old(found));
        pairs.sort_unstable_by_key(|pair| (pair.input, pair.position));
        let reader = RowDigestReader::new(self.table)?;
        let (mut rest, mut most) = (&pairs[..], FIRST_PAIRS);
        while let Some(first) = rest.first() {
            let (pairs, others) = rest.split_at(next_pairs(rest, most));
            rest = others;
            let input = &self.inputs[first.input as usize];
            let (new, old) = (self.new_rows(input, pairs).await?, self.old_rows(pairs).await?);
            let bytes = new.get_array_memory_size() + old.get_array_memory_size();
            let fitting = (PAIR_BYTES / (bytes / pairs.len()).max(1)).clamp(FIRST_PAIRS, MOST_PAIRS);
            most = fitting.min(most * 2);
            let rows = (self.carry)(&new, &old).map_err(Error::rows(self.table.name))?;
            let mut kept: Vec<u32> = Vec::new();
            let values = reader.read(&rows)?.into_iter().zip(reader.read(&old)?);
            let mut last = None;
            for ((row, found), (new, old)) in (0_u32..).zip(pairs).zip(values) {
                if found.order == Ordering::Equal && keeps_table_row(self.mode, new, old) {
                    superseded_rows.keep_old(found);
                    // The table keeps its row.
                    kept.retain(|row: &u32| pairs[*row as usize].position != found.position);
                } else {
                    superseded_rows.keep_new(found);
                    superseded_rows.new[found.input as usize].push(found.position);
                    // A key that the table has twice is written once.
                    if last != Some(found.position) {
                        kept.push(row);
                    }
                }
                last = Some(found.position);
            }
            if !kept.is_empty() {
                let rows = take_record_batch(&rows, &UInt32Array::from(kept)).map_err(Error::rows(self.table.name))?;
                made.push(input.week(), rows).await?;
            }
        }
        Ok(superseded_rows.finish())
    }

    fn schema(&self) -> &SchemaRef {
        self.table.layout().schema()
    }

    /// The new row of each pair.
    async fn new_rows(&self, input: &PendingRows, pairs: &[Match]) -> Result<RecordBatch, Error> {
        let error = Error::rows(self.table.name);
        let positions = ascending(pairs.iter().map(|pair| pair.position).collect());
        let mut found = Vec::new();
        let keep = |batch: &RecordBatch| {
            found.push(batch.clone());
            Ok(())
        };
        input.pick(self.store, self.table, self.schema(), &positions, keep).await?;
        let rows = concat_batches(self.schema(), &found).map_err(&error)?;
        // A key that the table has twice has one new row.
        let at = pairs.iter().map(|pair| positions.partition_point(|position| *position < pair.position) as u32);
        take_record_batch(&rows, &UInt32Array::from_iter_values(at)).map_err(&error)
    }

    /// The table's row of each pair.
    async fn old_rows(&self, pairs: &[Match]) -> Result<RecordBatch, Error> {
        let error = Error::rows(self.table.name);
        let mut of_file: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for pair in pairs {
            of_file.entry(pair.file).or_default().push(pair.row);
        }
        // One batch per file, and where each row is in it.
        let (mut batches, mut at) = (Vec::with_capacity(of_file.len()), BTreeMap::new());
        for (file, positions) in of_file {
            let positions = ascending(positions);
            let found = rows_at(self.store, &self.files[file as usize], self.schema(), &positions).await?;
            at.extend((0..).zip(positions).map(|(row, position)| ((file, position), (batches.len(), row))));
            batches.push(concat_batches(self.schema(), &found).map_err(&error)?);
        }
        let places: Vec<(usize, usize)> =
            pairs.iter().filter_map(|pair| at.get(&(pair.file, pair.row))).copied().collect();
        interleave_record_batch(&batches.iter().collect::<Vec<_>>(), &places).map_err(&error)
    }
}

/// How many of these pairs, which are in order, come next: at most so many, of one input, and all of a new row's.
fn next_pairs(pairs: &[Match], most: usize) -> usize {
    let of_input = pairs.partition_point(|pair| pair.input == pairs[0].input);
    let most = most.min(of_input);
    let position = pairs[most - 1].position;
    most + pairs[most..of_input].iter().take_while(|pair| pair.position == position).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_a_row_stay_together_and_those_of_inputs_apart() {
        let pair = |(input, position)| Match { input, position, file: 0, row: 0, order: Ordering::Equal };
        let pairs: Vec<_> = [(0, 1), (0, 2), (0, 2), (0, 2), (0, 3), (1, 3), (1, 4)].map(pair).into();
        let next = |from: usize, most| next_pairs(&pairs[from..], most);
        assert_eq!([next(0, 1), next(0, 2), next(0, 4), next(0, 5), next(0, 9)], [1, 4, 4, 5, 5]);
        assert_eq!([next(5, 1), next(5, 9)], [1, 2]);
    }
}
