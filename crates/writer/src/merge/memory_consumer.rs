//! What one set of changes holds in memory, week by week, and how it spills: rows are encoded into files that are not
//! visible yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::blocking::run_blocking;
use crate::delta::log::Log;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::memory::MemoryReservation;
use crate::merge::sorted_run::SortedRun;
use crate::parquet::writer::{DataFileWriter, NewFile, StagedDataFile};

/// Rows of a row group to which more rows may come.
const ROW_GROUP_ROWS: std::ops::RangeInclusive<usize> = 1 << 17..=1 << 18;

/// Batches of fewer rows, of so many bytes in all, are put together once there are so many of them: the arrays of a few rows
/// take several times the memory of their values.
const SMALL_BATCH_ROWS: usize = 256;
const SMALL_BATCHES: usize = 16;
const SMALL_BATCH_BYTES: usize = 4 << 20;

/// All sets of changes that hold rows of a lake in memory.
#[derive(Default)]
pub(crate) struct MemoryConsumers(Mutex<Vec<Weak<MemoryConsumer>>>);

/// What one set of changes holds in memory. Others that need memory can make it spill.
pub(crate) struct MemoryConsumer {
    pub(crate) lake: Arc<LakeStorage>,
    pub(crate) log: Arc<Log>,
    held: Arc<AtomicUsize>,
    pub(crate) weeks: Arc<AsyncMutex<WeekBuffers>>,
}

/// The rows of all weeks.
#[derive(Default)]
pub(crate) struct WeekBuffers {
    pub(crate) weeks: BTreeMap<Option<Week>, WeekBuffer>,
    /// Why rows were lost, until a caller has been told.
    failure: Option<Error>,
    /// Whether rows were lost: then nothing more is accepted or committed.
    is_lost: bool,
}

/// The rows of one week.
pub(crate) struct WeekBuffer {
    /// How many rows were pushed, without those that gave way to another one of their time and key.
    pub(crate) row_count: u64,
    /// Rows that are not encoded yet.
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) reservation: MemoryReservation,
    /// Whether rows came since the last spill. Rows held back by that spill then stay: the next ones of the same time
    /// would need a new file.
    pub(crate) has_new_rows: bool,
    pub(crate) file: Option<DataFileWriter>,
    /// Files that are finished, in the order of their rows.
    pub(crate) staged: Vec<StagedDataFile>,
}

impl MemoryConsumers {
    fn add(&self, consumer: &Arc<MemoryConsumer>) {
        let mut consumers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.retain(|consumer| consumer.strong_count() > 0);
        consumers.push(Arc::downgrade(consumer));
    }

    /// Makes the consumer that holds the most spill. `false`: all of them are spilling already, or hold nothing.
    pub(crate) async fn spill_largest(&self) -> bool {
        let mut consumers: Vec<Arc<MemoryConsumer>> =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
        consumers.sort_by_key(|consumer| std::cmp::Reverse(consumer.held.load(Ordering::Relaxed)));
        for consumer in consumers {
            let Ok(weeks) = Arc::clone(&consumer.weeks).try_lock_owned() else { continue };
            // In a task of its own: rows of others must not be lost when the changes that need memory are dropped
            // midway.
            match tokio::spawn(spill(consumer, weeks)).await {
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
}

async fn spill(consumer: Arc<MemoryConsumer>, mut weeks: OwnedMutexGuard<WeekBuffers>) -> bool {
    if weeks.is_lost {
        return false;
    }
    match weeks.spill(&consumer).await {
        Ok(is_freed) => is_freed,
        Err(failure) => {
            // The memory goes with the rows; the task that pushed them gets the error.
            weeks.weeks.clear();
            (weeks.failure, weeks.is_lost) = (Some(failure), true);
            true
        }
    }
}

impl MemoryConsumer {
    pub(crate) fn new(lake: Arc<LakeStorage>, consumers: &MemoryConsumers, log: Arc<Log>) -> Arc<Self> {
        let consumer = Arc::new(Self { lake, log, held: Arc::default(), weeks: Arc::default() });
        consumers.add(&consumer);
        consumer
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.log.table
    }

    /// An empty reservation on this consumer's account.
    pub(crate) fn reserve(&self) -> MemoryReservation {
        self.lake.memory.reserve_for(&self.held)
    }
}

impl WeekBuffers {
    /// The failure to write earlier rows, if there was one.
    pub(crate) fn check(&mut self, table: &'static str) -> Result<(), Error> {
        match self.failure.take() {
            Some(failure) => Err(failure),
            None if self.is_lost => {
                Err(Error::Interrupted { table, reason: "earlier rows could not be written".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// Frees memory: encodes the rows of the largest week, or closes the largest open row group. `false`: there is
    /// nothing to free.
    async fn spill(&mut self, consumer: &MemoryConsumer) -> Result<bool, Error> {
        let waiting = self.weeks.values().map(WeekBuffer::waiting_bytes).max().unwrap_or_default();
        let open = self.weeks.values().map(WeekBuffer::open_bytes).max().unwrap_or_default();
        if waiting == 0 && open == 0 {
            return Ok(false);
        }
        // Rows shrink about eightfold when encoded, so row groups may grow large before they have to be closed.
        if waiting >= open / 8 {
            if let Some((&week, rows)) = self.weeks.iter_mut().max_by_key(|(_, rows)| rows.waiting_bytes()) {
                rows.spill(consumer, week).await?;
            }
        } else if let Some(rows) = self.weeks.values_mut().max_by_key(|rows| rows.open_bytes())
            && let Some(file) = rows.file.take()
        {
            rows.file = Some(file.close_row_group().await?);
        }
        Ok(true)
    }
}

impl WeekBuffer {
    pub(crate) fn new(consumer: &MemoryConsumer) -> Self {
        let (batches, staged, reservation) = (vec![], vec![], consumer.reserve());
        Self { row_count: 0, batches, reservation, has_new_rows: true, file: None, staged }
    }

    /// Adds rows.
    pub(crate) fn add(&mut self, batch: RecordBatch) -> Result<(), ArrowError> {
        self.row_count += batch.num_rows() as u64;
        let mut bytes = self.reservation.bytes() + batch.get_array_memory_size();
        self.batches.push(batch);
        self.has_new_rows = true;
        let mut apart = 0;
        let is_small = |batch: &&RecordBatch| {
            let with = apart + batch.get_array_memory_size();
            let is_small = batch.num_rows() < SMALL_BATCH_ROWS && with <= SMALL_BATCH_BYTES;
            apart = if is_small { with } else { apart };
            is_small
        };
        let small = self.batches.iter().rev().take_while(is_small).count();
        if small >= SMALL_BATCHES {
            let first = self.batches.len() - small;
            let together = concat_batches(&self.batches[first].schema(), &self.batches[first..])?;
            bytes = bytes.saturating_sub(apart) + together.get_array_memory_size();
            self.batches.truncate(first);
            self.batches.push(together);
        }
        self.reservation.resize(bytes);
        Ok(())
    }

    /// Bytes of rows that can be encoded.
    fn waiting_bytes(&self) -> usize {
        if self.has_new_rows { self.reservation.bytes() } else { 0 }
    }

    /// Bytes of the open row group.
    fn open_bytes(&self) -> usize {
        self.file.as_ref().map_or(0, DataFileWriter::open_bytes)
    }

    /// Sorts the rows that are not encoded yet, away from the runtime's threads.
    pub(crate) async fn sort(&mut self, table: &'static Table) -> Result<SortedRun, Error> {
        let batches = std::mem::take(&mut self.batches);
        let unsorted: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let Ok(run) = run_blocking(move || SortedRun::new(table, batches)).await else {
            return Err(Error::Interrupted { table: table.name, reason: "rows were not sorted".to_owned() });
        };
        let run = run.map_err(Error::rows(table.name))?;
        self.row_count -= (unsorted - run.len()) as u64;
        Ok(run)
    }

    /// Encodes the rows except those of the last instant: more of the same time may follow.
    async fn spill(&mut self, consumer: &MemoryConsumer, week: Option<Week>) -> Result<(), Error> {
        let table = consumer.table();
        let mut run = self.sort(table).await?;
        let rest = run.split_last_time().map_err(Error::rows(table.name))?;
        self.append(consumer, week, run, false).await?;
        self.reservation.resize(rest.as_ref().map_or(0, RecordBatch::get_array_memory_size));
        self.batches.extend(rest);
        self.has_new_rows = false;
        Ok(())
    }

    /// Writes sorted rows to the week's file, or to a new one where they do not come after what is written. `is_last`:
    /// no more rows follow.
    pub(crate) async fn append(
        &mut self,
        consumer: &MemoryConsumer,
        week: Option<Week>,
        run: SortedRun,
        is_last: bool,
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
                let row_group_rows = match is_last {
                    true => run.len(),
                    false => (run.len() * 8).clamp(*ROW_GROUP_ROWS.start(), *ROW_GROUP_ROWS.end()),
                };
                let indexed = consumer.log.indexed_columns().await?;
                let file = NewFile::sorted(consumer.table(), week, indexed, row_group_rows);
                DataFileWriter::create(&consumer.lake, file, consumer.reserve()).await?
            }
        };
        let mut file = file.write(run.into_batches()).await?;
        file.last = Some(end);
        self.file = Some(file);
        Ok(())
    }
}
