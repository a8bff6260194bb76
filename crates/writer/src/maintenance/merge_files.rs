//! Merging sorted files of a table into fewer ones, which stay sorted: row by row, in bounded memory.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use copilot_lake_tables::Table;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::error::Error;
use crate::keys::{self, KeyColumn, OwnedKey};
use crate::lake_storage::LakeStorage;
use crate::parquet::small_file::rows_of;
use crate::parquet::writer::{DataFileWriter, NewFile, StagedDataFile};
use crate::storage::paths;

/// Rows are handed to the encoder in batches of at most this many, of about so many bytes.
const BATCH_ROWS: usize = 8_192;
const BATCH_BYTES: usize = 4 << 20;

/// Files that are opened ahead of the merge.
const OPENED_AHEAD: usize = 8;

/// What became of files that were to be merged.
pub(crate) enum Merged {
    /// New files with the same rows; nobody sees them yet.
    Files(Vec<StagedDataFile>),
    /// This one has columns that the program does not know.
    UnknownColumns(Arc<DataFile>),
    /// The rows of this one are not in the table's order.
    Unsorted(Arc<DataFile>),
}

/// Merges sorted files of one week into this many with about as many rows each. Of rows with the same time and key one
/// stays.
pub(crate) async fn merge_files(
    lake: &LakeStorage,
    log: &Log,
    old: &[Arc<DataFile>],
    parts: usize,
) -> Result<Merged, Error> {
    let table = log.table;
    let mut files = old.to_vec();
    files.sort_by_key(|file| least_time(file));
    let schema = table.layout().schema();
    let total: u64 = old.iter().filter_map(|file| file.rows).sum();
    let mut output = Output::new(lake, log, old, parts, total).await?;
    let mut merge =
        SortedMerge { table, waiting: files.iter().map(|file| least_time(file)).collect(), open: Vec::new() };
    let opened = stream::iter(files).map(|file| {
        let (store, schema) = (Arc::clone(&lake.store), Arc::clone(schema));
        async move { rows_of(&store, &file, &schema, true).await.map(|batches| (file, batches)) }
    });
    let mut opened = std::pin::pin!(opened.buffered(OPENED_AHEAD));
    let (mut last, mut kept, mut held) = (None::<OwnedKey>, Vec::new(), Held::default());
    let mut dropped = 0;
    loop {
        while merge.needs_next() {
            merge.waiting.pop_front();
            match opened.try_next().await? {
                Some((file, Some(batches))) => {
                    if let Some(unsorted) = merge.add(file, batches).await? {
                        return Ok(Merged::Unsorted(unsorted));
                    }
                }
                Some((file, None)) => return Ok(Merged::UnknownColumns(file)),
                None => {}
            }
        }
        let (batch, sort) = match merge.next().await? {
            Next::Rows(batch, sort) => (batch, sort),
            Next::Unsorted(file) => return Ok(Merged::Unsorted(file)),
            Next::End => break,
        };
        let again = last.as_ref().is_some_and(|last| last.compare(&sort, 0).is_eq());
        last = Some(OwnedKey::new(&sort, batch.num_rows() - 1));
        dropped += u64::from(again);
        let batch = batch.slice(usize::from(again), batch.num_rows() - usize::from(again));
        held.add(&batch);
        kept.push(batch);
        if held.is_full() {
            output.write(concat(table, &std::mem::take(&mut kept))?).await?;
            held = Held::default();
        }
    }
    output.write(concat(table, &kept)?).await?;
    let staged = output.finish().await?;
    // What was written is what was read, by the log and by the files themselves.
    let written: u64 = staged.iter().filter_map(|staged| staged.file.rows).sum();
    if old.iter().all(|file| file.rows.is_some()) && written + dropped != total {
        let what = format!("{total} rows by its log, and its files have {}", written + dropped);
        return Err(Error::Interrupted { table: table.name, reason: format!("it has {what}") });
    }
    Ok(Merged::Files(staged))
}

fn concat(table: &'static Table, batches: &[RecordBatch]) -> Result<RecordBatch, Error> {
    concat_batches(table.layout().schema(), batches).map_err(Error::rows(table.name))
}

/// The least time of a file's rows.
fn least_time(file: &DataFile) -> i64 {
    file.bounds.time.map_or(i64::MIN, |(low, _)| low)
}

/// The first row of these that does not come next; all that do are before it.
fn first_other(rows: Range<usize>, is_next: impl Fn(usize) -> bool) -> usize {
    let Range { mut start, mut end } = rows;
    while start < end {
        let middle = start.midpoint(end);
        if is_next(middle) { start = middle + 1 } else { end = middle }
    }
    start
}

/// Rows that wait to be encoded together.
#[derive(Default)]
struct Held {
    rows: usize,
    bytes: usize,
}

impl Held {
    fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        // The share of a slice in the values that it points to.
        self.bytes +=
            batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum::<usize>();
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

/// The files of a merge, one after the other.
struct Output<'a> {
    lake: &'a LakeStorage,
    log: &'a Log,
    old: &'a DataFile,
    indexed: Vec<String>,
    /// Rows of a file.
    part_rows: u64,
    /// What identifies the rows of the files that are still to come.
    rows_id: u64,
    parts_left: usize,
    open: Option<(DataFileWriter, u64)>,
    staged: Vec<StagedDataFile>,
}

impl<'a> Output<'a> {
    async fn new(
        lake: &'a LakeStorage,
        log: &'a Log,
        old: &'a [Arc<DataFile>],
        parts: usize,
        rows: u64,
    ) -> Result<Self, Error> {
        let parts = parts.max(1);
        let rows_id = old.iter().fold(0u64, |sum, file| sum.wrapping_add(paths::rows_id(&file.path)));
        let part_rows = rows.div_ceil(parts as u64).max(1);
        let indexed = log.indexed_columns().await?;
        Ok(Self { lake, log, old: &old[0], indexed, part_rows, rows_id, parts_left: parts, open: None, staged: vec![] })
    }

    async fn write(&mut self, mut rows: RecordBatch) -> Result<(), Error> {
        while rows.num_rows() > 0 {
            let (file, written) = match self.open.take() {
                Some(open) => open,
                None => (self.next_file().await?, 0),
            };
            let room = match self.parts_left {
                0 => usize::MAX,
                _ => usize::try_from(self.part_rows - written).unwrap_or(usize::MAX),
            };
            let count = rows.num_rows().min(room);
            let (these, rest) = (rows.slice(0, count), rows.slice(count, rows.num_rows() - count));
            let file = file.write(std::iter::once(Ok(these))).await?;
            if count == room {
                self.staged.push(file.finish().await?);
            } else {
                self.open = Some((file, written + count as u64));
            }
            rows = rest;
        }
        Ok(())
    }

    async fn next_file(&mut self) -> Result<DataFileWriter, Error> {
        self.parts_left = self.parts_left.saturating_sub(1);
        let rows_id = if self.parts_left == 0 { self.rows_id } else { paths::new_rows_id() };
        self.rows_id = self.rows_id.wrapping_sub(rows_id);
        let rows = usize::try_from(self.part_rows).unwrap_or(usize::MAX);
        let file = NewFile::sorted(self.log.table, self.old.week, self.indexed.clone(), rows);
        let file = NewFile { rows_id: Some(rows_id), ..file };
        DataFileWriter::create(self.lake, file, self.lake.memory.reserve()).await
    }

    async fn finish(mut self) -> Result<Vec<StagedDataFile>, Error> {
        if let Some((file, _)) = self.open.take() {
            self.staged.push(file.finish().await?);
        }
        Ok(self.staged)
    }
}

/// A merge of sorted files; only those that may have the next row are open.
struct SortedMerge {
    table: &'static Table,
    /// The least times of the files that are not open yet.
    waiting: VecDeque<i64>,
    /// The last one has the next row.
    open: Vec<MergeCursor>,
}

/// A sorted file at its next row.
struct MergeCursor {
    file: Arc<DataFile>,
    batches: BoxStream<'static, Result<RecordBatch, Error>>,
    batch: RecordBatch,
    sort: Vec<KeyColumn>,
    at: usize,
}

/// The next batch of a file.
enum Filled {
    Rows,
    Unsorted,
    End,
}

/// The next rows of a merge.
enum Next {
    /// With the columns that they are sorted by.
    Rows(RecordBatch, Vec<KeyColumn>),
    /// The rows of this file are not in order.
    Unsorted(Arc<DataFile>),
    End,
}

impl SortedMerge {
    /// Whether the next file may have the next row.
    fn needs_next(&self) -> bool {
        let Some(low) = self.waiting.front() else { return false };
        self.open.last().is_none_or(|cursor| *low <= cursor.sort[0].int(cursor.at))
    }

    /// Opens a file. Returns it if its rows are not in order.
    async fn add(
        &mut self,
        file: Arc<DataFile>,
        batches: BoxStream<'static, Result<RecordBatch, Error>>,
    ) -> Result<Option<Arc<DataFile>>, Error> {
        let batch = RecordBatch::new_empty(Arc::clone(self.table.layout().schema()));
        let mut cursor = MergeCursor { file, batches, batch, sort: vec![], at: 0 };
        match cursor.fill(self.table).await? {
            Filled::Rows => self.insert(cursor),
            Filled::Unsorted => return Ok(Some(cursor.file)),
            Filled::End => {}
        }
        Ok(None)
    }

    fn insert(&mut self, cursor: MergeCursor) {
        let at = self.open.partition_point(|other| cursor.is_before(other));
        self.open.insert(at, cursor);
    }

    async fn next(&mut self) -> Result<Next, Error> {
        let Some(mut cursor) = self.open.pop() else { return Ok(Next::End) };
        let is_next = |row: usize| {
            self.waiting.front().is_none_or(|low| cursor.sort[0].int(row) < *low)
                && self.open.last().is_none_or(|other| keys::compare(&cursor.sort, row, &other.sort, other.at).is_le())
        };
        let count = first_other(cursor.at + 1..cursor.batch.num_rows(), is_next) - cursor.at;
        let batch = cursor.batch.slice(cursor.at, count);
        cursor.at += count;
        if cursor.at < cursor.batch.num_rows() {
            self.insert(cursor);
        } else {
            match cursor.fill(self.table).await? {
                Filled::Rows => self.insert(cursor),
                Filled::Unsorted => return Ok(Next::Unsorted(cursor.file)),
                Filled::End => {}
            }
        }
        let sort = KeyColumn::from_batch(&batch, self.table.layout().sort()).map_err(Error::rows(self.table.name))?;
        Ok(Next::Rows(batch, sort))
    }
}

impl MergeCursor {
    /// Moves to the next batch, whose rows must be in order and follow those before.
    async fn fill(&mut self, table: &'static Table) -> Result<Filled, Error> {
        let last = self.batch.num_rows().checked_sub(1).map(|row| OwnedKey::new(&self.sort, row));
        while let Some(batch) = self.batches.try_next().await? {
            let rows = batch.num_rows();
            if rows > 0 {
                let sort = KeyColumn::from_batch(&batch, table.layout().sort()).map_err(Error::rows(table.name))?;
                let follows = last.as_ref().is_none_or(|last| last.compare(&sort, 0).is_le());
                if !follows || !(1..rows).all(|row| keys::compare(&sort, row - 1, &sort, row).is_le()) {
                    return Ok(Filled::Unsorted);
                }
                (self.batch, self.sort, self.at) = (batch, sort, 0);
                return Ok(Filled::Rows);
            }
        }
        Ok(Filled::End)
    }

    fn is_before(&self, other: &Self) -> bool {
        keys::compare(&self.sort, self.at, &other.sort, other.at).is_lt()
    }
}
