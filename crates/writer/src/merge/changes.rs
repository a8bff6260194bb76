//! Changes: the rows of one slice on their way into the lake, in bounded memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::delta::data_file::{DataFile, FileBounds};
use crate::error::Error;
use crate::lake::{Inner, MergeMode};
use crate::memory::{MemoryPool, MemoryReservation};
use crate::merge::carry::Carry;
use crate::merge::delete_keys::DeleteKeys;
use crate::merge::pending_rows::{FileKeys, PendingRows};
use crate::merge::sorted_run::SortedRun;
use crate::merge::transaction::{Committed, Transaction};
use crate::parquet::writer::{DataFileWriter, StagedDataFile};

/// Weeks whose rows are encoded at a time when changes are committed.
const CONCURRENT_WEEKS: usize = 4;

/// Rows of a row group to which more rows may come.
const ROW_GROUP_ROWS: std::ops::RangeInclusive<usize> = 1 << 17..=1 << 18;

/// Rows of a table that become part of it together, or not at all.
///
/// Rows may come in any order, with the same key twice. They wait in memory until the lake's budget is used up; then the
/// changes that hold the most write theirs to files which nobody sees. Every file is sorted as a whole: rows that come
/// in order of time go on in the same file, others begin a new one.
pub struct Changes {
    lake: Arc<Inner>,
    table: &'static Table,
    mode: MergeMode,
    consumer: Arc<MemoryConsumer>,
    /// Keys of rows that are to go.
    delete_keys: DeleteKeys,
    /// What new rows keep of those that they replace; nothing without it.
    carry: Option<Carry>,
}

/// Changes whose rows are in order, ready to be committed.
pub struct SortedChanges {
    lake: Arc<Inner>,
    transaction: Transaction,
}

/// What changes hold in memory. Others that need memory make it write.
pub(crate) struct MemoryConsumer {
    lake: Arc<Inner>,
    held: Arc<AtomicUsize>,
    table: &'static Table,
    weeks: Arc<Mutex<WeekBuffers>>,
}

#[derive(Default)]
struct WeekBuffers {
    weeks: BTreeMap<Option<Week>, WeekBuffer>,
    /// Why rows that were taken are lost, when writing failed.
    failure: Option<Error>,
    /// Rows are lost: nothing more is taken or committed.
    is_lost: bool,
}

/// The rows of one week.
struct WeekBuffer {
    batches: Vec<RecordBatch>,
    reservation: MemoryReservation,
    /// Whether rows came since the last ones were encoded: rows that were held back then stay, or the next ones of the
    /// same time would need a new file.
    has_new_rows: bool,
    file: Option<DataFileWriter>,
    /// Files that are finished, in the order of their rows.
    staged: Vec<StagedDataFile>,
}

impl Changes {
    pub(crate) fn new(lake: Arc<Inner>, table: &'static Table, mode: MergeMode) -> Self {
        let consumer =
            Arc::new(MemoryConsumer { lake: Arc::clone(&lake), held: Arc::default(), table, weeks: Arc::default() });
        lake.memory.register(&consumer);
        Self { lake, table, mode, consumer, delete_keys: DeleteKeys::new(table), carry: None }
    }

    /// Takes rows of one week (`None` in tables that are not partitioned), with exactly the table's schema.
    ///
    /// Returns when there is memory again: that may take as long as encoding and writing other rows.
    ///
    /// # Errors
    /// [`Error::Rows`] when they do not fit; errors of writing, also of rows taken before. The changes are lost then.
    pub async fn push(&mut self, week: Option<Week>, batch: RecordBatch) -> Result<(), Error> {
        self.check(week, &batch).map_err(Error::rows(self.table.name))?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = shrink(batch).map_err(Error::rows(self.table.name))?;
        {
            let mut weeks = self.consumer.weeks.lock().await;
            weeks.check(self.table.name)?;
            let consumer = &self.consumer;
            let rows = weeks.weeks.entry(week).or_insert_with(|| WeekBuffer {
                batches: vec![],
                reservation: consumer.lake.memory.reserve(&consumer.held),
                has_new_rows: true,
                file: None,
                staged: vec![],
            });
            rows.reservation.resize(rows.reservation.bytes() + batch.get_array_memory_size());
            rows.batches.push(batch);
            rows.has_new_rows = true;
        }
        while self.lake.memory.is_over() {
            if !spill(&self.lake.memory).await {
                break;
            }
        }
        self.consumer.weeks.lock().await.check(self.table.name)
    }

    /// From now on rows that replace others are made of both by that.
    pub fn carry(&mut self, carry: Carry) {
        self.carry = Some(carry);
    }

    /// Takes keys of rows that are to go, unless a row with that key is pushed. The batch has the key columns by name, or
    /// the first few of them: then every row goes whose key begins with these values.
    ///
    /// # Errors
    /// [`Error::Rows`] when a key column is missing before one that is given, or all are.
    pub fn remove(&mut self, keys: &RecordBatch) -> Result<(), Error> {
        self.delete_keys.add(keys, false).map_err(Error::rows(self.table.name))
    }

    /// As [`Changes::remove`], for rows whose times are known: the batch also has the column that files are sorted by, and
    /// rows are looked for between the least and the greatest of its times alone.
    ///
    /// # Errors
    /// As [`Changes::remove`].
    pub fn remove_within(&mut self, keys: &RecordBatch) -> Result<(), Error> {
        self.delete_keys.add(keys, true).map_err(Error::rows(self.table.name))
    }

    fn check(&self, week: Option<Week>, batch: &RecordBatch) -> Result<(), ArrowError> {
        let (expected, schema) = (self.table.layout().schema(), batch.schema());
        if schema.fields() != expected.fields() {
            let differs = expected.fields().iter().zip(schema.fields()).find(|(a, b)| a != b);
            let what = differs.map_or_else(|| "column count".to_owned(), |(a, b)| format!("{a} and {b}"));
            return Err(ArrowError::SchemaError(format!("the schema differs: {what}")));
        }
        if week.is_some() != self.table.is_partitioned() {
            return Err(ArrowError::SchemaError("a week belongs to rows of partitioned tables only".to_owned()));
        }
        Ok(())
    }

    /// Makes the rows part of the table: one row per key afterwards, the newest version.
    ///
    /// Rows that the table has already, in a newer version or with equal values but for `extracted_at`, change nothing.
    /// Without any other row there is no commit.
    ///
    /// # Errors
    /// Nothing is committed, except perhaps on [`Error::CommitUnknown`].
    pub async fn commit(self, run_id: &str) -> Result<Committed, Error> {
        self.sort().await?.commit(run_id).await
    }

    /// Puts the rows in order, for [`SortedChanges::commit`].
    ///
    /// # Errors
    /// Errors of writing, also of rows taken before.
    pub async fn sort(self) -> Result<SortedChanges, Error> {
        let log = self.lake.log(self.table);
        let files = log.state().await?.map(|state| state.files.clone()).unwrap_or_default();
        let mode =
            if self.mode == MergeMode::Append && !self.delete_keys.is_empty() { MergeMode::Upsert } else { self.mode };
        let inputs = self.all_inputs(mode, &files).await?;
        let Self { lake, delete_keys, carry, .. } = self;
        Ok(SortedChanges { lake, transaction: Transaction { log, mode, inputs, delete_keys, carry, visible: vec![] } })
    }

    /// The rows in order, whatever the table has.
    pub(crate) async fn into_inputs(self) -> Result<Vec<PendingRows>, Error> {
        self.all_inputs(MergeMode::Append, &[]).await
    }

    async fn all_inputs(&self, mode: MergeMode, files: &[Arc<DataFile>]) -> Result<Vec<PendingRows>, Error> {
        let mut weeks = std::mem::take(&mut *self.consumer.weeks.lock().await);
        weeks.check(self.table.name)?;
        // What meets no file of the table is encoded at once, side by side; the rest waits in memory, because most of it
        // will turn out to be known.
        let inputs = stream::iter(weeks.weeks).map(|(week, rows)| self.inputs(week, rows, mode, files));
        let inputs: Vec<Vec<PendingRows>> = inputs.buffered(CONCURRENT_WEEKS).try_collect().await?;
        Ok(inputs.into_iter().flatten().collect())
    }

    /// The rows of a week, sorted.
    async fn inputs(
        &self,
        week: Option<Week>,
        mut rows: WeekBuffer,
        mode: MergeMode,
        files: &[Arc<DataFile>],
    ) -> Result<Vec<PendingRows>, Error> {
        let run = sorted(self.table, std::mem::take(&mut rows.batches)).await?;
        let reservation = || self.lake.memory.reserve(&self.consumer.held);
        let mut keys = None;
        if rows.file.is_none() && rows.staged.is_empty() {
            let bounds = FileBounds { time: run.times(), key: vec![] };
            if mode != MergeMode::Append
                && files.iter().any(|file| week == file.week && bounds.times_overlap(&file.bounds))
            {
                let reservation = std::mem::replace(&mut rows.reservation, reservation());
                return Ok(vec![PendingRows::InMemory { week, run, reservation }]);
            }
            // The rows go to one file, and their keys stay at hand.
            keys = Some(FileKeys::new(self.table, &run, reservation()).map_err(Error::rows(self.table.name))?);
        }
        rows.append(&self.consumer, week, run, true).await?;
        if let Some(file) = rows.file.take() {
            rows.staged.push(file.finish().await?);
        }
        if rows.staged.len() > 1 {
            keys = None;
        }
        Ok(rows.staged.into_iter().map(|staged| PendingRows::InFile { staged, keys: keys.take() }).collect())
    }
}

impl SortedChanges {
    /// The keys and times of rows that the table has, in whatever version, and that were pushed.
    ///
    /// # Errors
    /// Reading the log or a file.
    pub async fn existing(&mut self) -> Result<Vec<RecordBatch>, Error> {
        self.transaction.existing(&self.lake).await
    }

    /// As [`Changes::commit`].
    ///
    /// # Errors
    /// As there.
    pub async fn commit(self, run_id: &str) -> Result<Committed, Error> {
        self.transaction.commit(&self.lake, run_id).await
    }
}

impl WeekBuffers {
    fn check(&mut self, table: &'static str) -> Result<(), Error> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None if self.is_lost => {
                Err(Error::Interrupted { table, reason: "rows before could not be written".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// Gives memory back: the largest week's rows are encoded, or the largest open row group is closed.
    /// `false`: there is nothing to give.
    async fn spill(&mut self, consumer: &MemoryConsumer) -> Result<bool, Error> {
        let waiting = self.weeks.values().map(WeekBuffer::waiting).max().unwrap_or_default();
        let open = self.weeks.values().map(WeekBuffer::open).max().unwrap_or_default();
        if waiting == 0 && open == 0 {
            return Ok(false);
        }
        // Rows shrink about eightfold when encoded, so that row groups may grow large before they have to be closed.
        if waiting >= open / 8 {
            if let Some((&week, rows)) = self.weeks.iter_mut().max_by_key(|(_, rows)| rows.waiting()) {
                rows.flush(consumer, week).await?;
            }
        } else if let Some(rows) = self.weeks.values_mut().max_by_key(|rows| rows.open())
            && let Some(file) = rows.file.take()
        {
            rows.file = Some(file.close_row_group().await?);
        }
        Ok(true)
    }
}

impl WeekBuffer {
    /// Bytes of rows that may be encoded.
    fn waiting(&self) -> usize {
        if self.has_new_rows { self.reservation.bytes() } else { 0 }
    }

    /// Bytes of the open row group.
    fn open(&self) -> usize {
        self.file.as_ref().map_or(0, DataFileWriter::open)
    }

    /// Encodes the rows, but for those of the last instant: more of the same time may follow.
    async fn flush(&mut self, consumer: &MemoryConsumer, week: Option<Week>) -> Result<(), Error> {
        let mut run = sorted(consumer.table, std::mem::take(&mut self.batches)).await?;
        let rest = run.split_last_time().map_err(Error::rows(consumer.table.name))?;
        self.append(consumer, week, run, false).await?;
        self.reservation.resize(rest.as_ref().map_or(0, RecordBatch::get_array_memory_size));
        self.batches.extend(rest);
        self.has_new_rows = false;
        Ok(())
    }

    /// Writes sorted rows to the week's file, or to a new one where they do not come after what is written.
    async fn append(
        &mut self,
        consumer: &MemoryConsumer,
        week: Option<Week>,
        run: SortedRun,
        last: bool,
    ) -> Result<(), Error> {
        let Some(end) = run.last() else { return Ok(()) };
        let follows =
            |file: &DataFileWriter| !file.is_full() && file.last.as_ref().is_none_or(|key| run.comes_after(key));
        let file = match self.file.take() {
            Some(file) if follows(&file) => file,
            before => {
                if let Some(before) = before {
                    self.staged.push(before.finish().await?);
                }
                // More rows will follow those that are written to make room.
                let rows = if last {
                    run.len()
                } else {
                    (run.len() * 8).clamp(*ROW_GROUP_ROWS.start(), *ROW_GROUP_ROWS.end())
                };
                let reservation = consumer.lake.memory.reserve(&consumer.held);
                let schema = Arc::clone(consumer.table.layout().schema());
                DataFileWriter::create(&consumer.lake, consumer.table, week, schema, rows, reservation).await?
            }
        };
        let mut file = file.write(run.into_batches()).await?;
        file.last = Some(end);
        self.file = Some(file);
        Ok(())
    }
}

/// Makes whoever holds the most give memory back. `false`: all are at it already, or nobody holds any.
async fn spill(memory: &MemoryPool<MemoryConsumer>) -> bool {
    let mut consumers = memory.consumers();
    consumers.sort_by_key(|consumer| std::cmp::Reverse(consumer.held.load(Ordering::Relaxed)));
    for consumer in consumers {
        let Ok(weeks) = Arc::clone(&consumer.weeks).try_lock_owned() else { continue };
        // In a task of its own: when these changes are given up halfway, those that help out must not lose rows.
        match tokio::spawn(spill_one(consumer, weeks)).await {
            Ok(true) => return true,
            Ok(false) => {}
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
                return false;
            }
        }
    }
    false
}

async fn spill_one(consumer: Arc<MemoryConsumer>, mut weeks: OwnedMutexGuard<WeekBuffers>) -> bool {
    if weeks.is_lost {
        return false;
    }
    match weeks.spill(&consumer).await {
        Ok(gave) => gave,
        Err(failure) => {
            // The memory goes with the rows; whoever pushed them hears of it.
            weeks.weeks.clear();
            (weeks.failure, weeks.is_lost) = (Some(failure), true);
            true
        }
    }
}

/// Sorts rows away from the runtime's threads.
async fn sorted(table: &'static Table, batches: Vec<RecordBatch>) -> Result<SortedRun, Error> {
    match tokio::task::spawn_blocking(move || SortedRun::new(table, batches)).await {
        Ok(run) => run.map_err(Error::rows(table.name)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Interrupted { table: table.name, reason: "rows were not sorted".to_owned() }),
        },
    }
}

/// The batch without room for more rows; copied when it is a small part of larger arrays, which would stay in memory.
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
