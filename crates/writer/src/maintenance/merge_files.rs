//! Merging sorted files of a table into fewer ones, which stay sorted: row by row, in bounded memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::maintenance::sorted_merge::{Next, SortedMerge};
use crate::parquet::small_file::rows_of;
use crate::parquet::writer::{DataFileWriter, NewFile, StagedDataFile};
use crate::storage::paths;

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
    let mut merge = SortedMerge::new(table, files.iter().map(|file| least_time(file)).collect());
    let opened = stream::iter(files).map(|file| {
        let (store, schema) = (Arc::clone(&lake.store), Arc::clone(schema));
        async move { rows_of(&store, &file, &schema, true).await.map(|batches| (file, batches)) }
    });
    let mut opened = std::pin::pin!(opened.buffered(OPENED_AHEAD));
    loop {
        while merge.needs_next() {
            merge.skip_waiting();
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
        match merge.hold_next().await? {
            Next::Held => {}
            Next::Unsorted(file) => return Ok(Merged::Unsorted(file)),
            Next::End => break,
        }
        if merge.is_full() {
            output.write(merge.take()?).await?;
        }
    }
    output.write(merge.take()?).await?;
    let dropped = merge.dropped;
    let staged = output.finish().await?;
    // What was written is what was read, by the log and by the files themselves.
    let written: u64 = staged.iter().filter_map(|staged| staged.file.rows).sum();
    if old.iter().all(|file| file.rows.is_some()) && written + dropped != total {
        let what = format!("{total} rows by its log, and its files have {}", written + dropped);
        return Err(Error::Interrupted { table: table.name, reason: format!("it has {what}") });
    }
    Ok(Merged::Files(staged))
}

/// The least time of a file's rows.
fn least_time(file: &DataFile) -> i64 {
    file.bounds.time.map_or(i64::MIN, |(low, _)| low)
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
