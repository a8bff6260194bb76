//! Rows of a table on their way into sorted files, in bounded memory.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::data_file::{DataFile, FileBounds};
use crate::delta::log::Log;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::merge::memory_consumer::{MemoryConsumer, MemoryConsumers, WeekBuffer};
use crate::merge::mode::MergeMode;
use crate::merge::pending_rows::{FileKeys, PendingRows};

/// Weeks whose rows are encoded concurrently once the last rows have come.
const CONCURRENT_WEEKS: usize = 4;

/// Rows of one table, in any order and with any number of versions of a key.
///
/// They stay in memory until the lake's budget is used up; then the buffer that holds the most spills its rows to files
/// that are not visible yet. Every file is sorted as a whole: rows that come in order of time continue the same file,
/// others begin a new one.
pub(crate) struct RowBuffer {
    consumers: Arc<MemoryConsumers>,
    consumer: Arc<MemoryConsumer>,
}

impl RowBuffer {
    pub(crate) fn new(lake: Arc<LakeStorage>, consumers: Arc<MemoryConsumers>, log: Arc<Log>) -> Self {
        let consumer = MemoryConsumer::new(lake, &consumers, log);
        Self { consumers, consumer }
    }

    fn table(&self) -> &'static Table {
        self.consumer.table()
    }

    /// Adds rows of one week. Returns when memory is within the budget again.
    pub(crate) async fn push(&self, week: Option<Week>, batch: RecordBatch) -> Result<(), Error> {
        let table = self.table();
        check(table, week, &batch).map_err(Error::rows(table.name))?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = shrink(batch).map_err(Error::rows(table.name))?;
        {
            let mut weeks = self.consumer.weeks.lock().await;
            weeks.check(table.name)?;
            let rows = weeks.weeks.entry(week).or_insert_with(|| WeekBuffer::new(&self.consumer));
            rows.add(batch).map_err(Error::rows(table.name))?;
        }
        while self.consumer.lake.memory.is_exceeded() {
            if !self.consumers.spill_largest().await {
                break;
            }
        }
        self.consumer.weeks.lock().await.check(table.name)
    }

    /// The rows in order, week by week, whatever the table has.
    pub(crate) async fn finish(self) -> Result<Vec<PendingRows>, Error> {
        self.finish_for(MergeMode::Append, &[]).await
    }

    /// The rows in order, week by week, for a merge in that mode with a table of these files.
    pub(crate) async fn finish_for(self, mode: MergeMode, files: &[Arc<DataFile>]) -> Result<Vec<PendingRows>, Error> {
        let mut weeks = std::mem::take(&mut *self.consumer.weeks.lock().await);
        weeks.check(self.table().name)?;
        // Rows that overlap no file of the table are encoded at once, side by side. The others wait in memory: most of
        // them will turn out to be known.
        let inputs = stream::iter(weeks.weeks).map(|(week, rows)| self.finish_week(week, rows, mode, files));
        let inputs: Vec<Vec<PendingRows>> = inputs.buffered(CONCURRENT_WEEKS).try_collect().await?;
        Ok(inputs.into_iter().flatten().collect())
    }

    async fn finish_week(
        &self,
        week: Option<Week>,
        mut rows: WeekBuffer,
        mode: MergeMode,
        files: &[Arc<DataFile>],
    ) -> Result<Vec<PendingRows>, Error> {
        let run = rows.sort(self.table()).await?;
        let mut keys = None;
        if rows.file.is_none() && rows.staged.is_empty() {
            let bounds = FileBounds { time: run.times(), key: vec![] };
            if mode != MergeMode::Append
                && files.iter().any(|file| week == file.week && bounds.times_overlap(&file.bounds))
            {
                let reservation = std::mem::replace(&mut rows.reservation, self.consumer.reserve());
                return Ok(vec![PendingRows::InMemory { week, run, reservation }]);
            }
            // All rows go to one file, and their keys stay in memory.
            let reservation = self.consumer.reserve();
            keys = Some(FileKeys::new(self.table(), &run, reservation).map_err(Error::rows(self.table().name))?);
        }
        rows.append(&self.consumer, week, run, true).await?;
        if let Some(file) = rows.file.take() {
            rows.staged.push(file.finish().await?);
        }
        if rows.staged.len() > 1 {
            keys = None;
        }
        let inputs = rows.staged.into_iter().map(|staged| PendingRows::InFile { staged, keys: keys.take() });
        let inputs: Vec<_> = inputs.collect();
        let (pushed, written) = (rows.row_count, inputs.iter().map(PendingRows::rows).sum::<u64>());
        if written != pushed {
            let reason = format!("{pushed} rows were pushed, and {written} were written");
            return Err(Error::Interrupted { table: self.table().name, reason });
        }
        Ok(inputs)
    }
}

/// Whether rows have the table's schema, and a week where they should.
fn check(table: &'static Table, week: Option<Week>, batch: &RecordBatch) -> Result<(), ArrowError> {
    let (expected, schema) = (table.layout().schema(), batch.schema());
    if schema.fields() != expected.fields() {
        let differs = expected.fields().iter().zip(schema.fields()).find(|(a, b)| a != b);
        let what = differs.map_or_else(|| "column count".to_owned(), |(a, b)| format!("{a} and {b}"));
        return Err(ArrowError::SchemaError(format!("the schema differs: {what}")));
    }
    if week.is_some() != table.is_partitioned() {
        return Err(ArrowError::SchemaError("rows of partitioned tables have a week, others do not".to_owned()));
    }
    Ok(())
}

/// The batch without spare capacity; copied when it is a small part of larger arrays, which would stay in memory.
fn shrink(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (schema, mut columns, rows) = batch.into_parts();
    columns.iter_mut().for_each(ArrayRef::shrink_to_fit);
    let batch =
        RecordBatch::try_new_with_options(schema, columns, &RecordBatchOptions::new().with_row_count(Some(rows)))?;
    let own: usize = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    if own >= batch.get_array_memory_size() / 2 {
        return Ok(batch);
    }
    let rows = u32::try_from(rows).map_err(|e| ArrowError::ComputeError(e.to_string()))?;
    take_record_batch(&batch, &UInt32Array::from_iter_values(0..rows))
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::COPILOT_EVENT;

    use super::*;
    use crate::tests::{events, lake, week};

    #[tokio::test]
    async fn many_batches_of_a_few_rows_take_little_memory() {
        let (_folder, lake) = lake().await;
        let (storage, consumers) = (Arc::clone(&lake.inner.storage), Arc::clone(&lake.inner.consumers));
        let buffer = RowBuffer::new(storage, consumers, lake.inner.log(&COPILOT_EVENT));
        let ids: Vec<String> = (0..1_000).map(|number| format!("{number:04}")).collect();
        let row = |at: usize| (ids[at].as_str(), at as i64, 1, "text");
        let long = "x".repeat(5 << 20);
        buffer.push(Some(week()), events(&[("long", 0, 1, &long)])).await.unwrap();
        for at in 0..ids.len() {
            buffer.push(Some(week()), events(&[row(at)])).await.unwrap();
        }
        let together = events(&(0..ids.len()).map(row).collect::<Vec<_>>()).get_array_memory_size();
        {
            let weeks = buffer.consumer.weeks.lock().await;
            let rows = &weeks.weeks[&Some(week())];
            let bytes = rows.batches.iter().map(RecordBatch::get_array_memory_size).sum::<usize>();
            assert_eq!(rows.reservation.bytes(), bytes);
            let of_long = rows.batches[0].get_array_memory_size();
            assert!(bytes - of_long < 2 * together, "{bytes} bytes for {together}");
        }
        assert_eq!(buffer.finish().await.unwrap().iter().map(PendingRows::rows).sum::<u64>(), 1_001);
    }

    #[tokio::test]
    async fn rows_that_were_pushed_and_are_not_written_are_missed() {
        let (_folder, lake) = lake().await;
        for (is_lost, expected) in [(false, Ok(2u64)), (true, Err("3 rows were pushed, and 0 were written"))] {
            let (storage, consumers) = (Arc::clone(&lake.inner.storage), Arc::clone(&lake.inner.consumers));
            let buffer = RowBuffer::new(storage, consumers, lake.inner.log(&COPILOT_EVENT));
            let with_two_versions = [("a", 1, 1, "older"), ("b", 2, 1, "b"), ("a", 1, 2, "newer")];
            buffer.push(Some(week()), events(&with_two_versions)).await.unwrap();
            if is_lost {
                buffer.consumer.weeks.lock().await.weeks.values_mut().for_each(|rows| rows.batches.clear());
            }
            let written = buffer.finish().await.map(|inputs| inputs.iter().map(PendingRows::rows).sum::<u64>());
            match (written, expected) {
                (Ok(written), Ok(expected)) => assert_eq!(written, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().ends_with(expected), "{error}"),
                (written, expected) => panic!("{written:?} instead of {expected:?}"),
            }
        }
    }
}
