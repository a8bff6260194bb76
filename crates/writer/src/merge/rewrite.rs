//! Rewriting a data file without its superseded rows.

use std::sync::Arc;

use ::parquet::errors::ParquetError;
use arrow::array::{BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{
    SortColumn, SortOptions, concat_batches, filter_record_batch, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use copilot_lake_tables::Table;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::error::Error;
use crate::keys::{self, KeyColumn, OwnedKey};
use crate::lake_storage::LakeStorage;
use crate::parquet::conform::conform;
use crate::parquet::reader::{FileReader, FileSelection};
use crate::parquet::writer::{DataFileWriter, NewFile, RowOrder, StagedDataFile};

/// Bytes of rows that are handed to the encoder at once.
const STEP_BYTES: usize = 8 << 20;

/// A file of unknown order is sorted if its values fit in this fraction (one over) of the lake's memory.
const SORT_MEMORY_FRACTION: usize = 4;

/// Writes a file without the rows at these ascending positions; `None` when no row is left.
///
/// Columns of the table's definition come first, in its order and with its types; unknown columns are kept as they are.
/// The sort order is declared only where it holds: rows of a file of this program are compared on the way, a small file
/// of another tool is sorted, and a large one is copied without a declaration.
pub(crate) async fn rewrite(
    lake: &LakeStorage,
    log: &Log,
    old: &DataFile,
    without: &[u32],
) -> Result<Option<StagedDataFile>, Error> {
    let reader = FileReader::open(&lake.store, old).await?;
    if reader.rows() <= without.len() {
        return Ok(None);
    }
    let rows = (reader.rows() - without.len()) as u64;
    let rewrite = Rewrite { lake, log, old, without, target: RewriteSchema::new(log.table, reader.schema()), reader };
    let staged = rewrite.write().await?;
    let written = staged.as_ref().and_then(|staged| staged.file.rows);
    if written == Some(rows) {
        return Ok(staged);
    }
    let reason = format!("{rows} rows of {} stay, and {} were written", old.path, written.unwrap_or_default());
    Err(Error::Interrupted { table: log.table.name, reason })
}

/// The columns of the new file.
struct RewriteSchema {
    schema: SchemaRef,
    /// Their positions in the old file.
    from: Vec<usize>,
    /// Positions of the columns that files are sorted by; `None` when the old file lacks one.
    sort: Option<Vec<usize>>,
}

impl RewriteSchema {
    fn new(table: &'static Table, old: &Schema) -> Self {
        let layout = table.layout();
        let mut fields: Vec<Arc<Field>> = Vec::new();
        let mut from = Vec::new();
        for known in layout.schema().fields() {
            if let Ok(at) = old.index_of(known.name()) {
                // Another tool may declare a required column nullable, although it has no nulls.
                let nullable = known.is_nullable() || old.field(at).is_nullable();
                fields.push(Arc::new(Field::clone(known).with_nullable(nullable)));
                from.push(at);
            }
        }
        for (at, unknown) in
            old.fields().iter().enumerate().filter(|(_, field)| layout.position(field.name()).is_none())
        {
            fields.push(Arc::clone(unknown));
            from.push(at);
        }
        let schema = Arc::new(Schema::new(fields));
        let sort = layout.sort().iter().map(|&at| schema.index_of(&layout.fields()[at].name).ok());
        Self { sort: sort.collect(), schema, from }
    }

    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.schema.fields().iter().zip(&self.from);
        let columns = columns.map(|(field, &at)| conform(field.name(), batch.column(at), field.data_type()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?, &options)
    }
}

/// The rewrite of one file.
struct Rewrite<'a> {
    lake: &'a LakeStorage,
    log: &'a Log,
    old: &'a DataFile,
    without: &'a [u32],
    target: RewriteSchema,
    reader: FileReader,
}

impl Rewrite<'_> {
    async fn write(&self) -> Result<Option<StagedDataFile>, Error> {
        if self.is_sorted()
            && let Some(staged) = self.copy(RowOrder::Sorted).await?
        {
            return Ok(Some(staged));
        }
        if self.fits_in_memory()
            && let Some(staged) = self.sort().await?
        {
            return Ok(Some(staged));
        }
        self.copy(RowOrder::Unknown).await
    }

    /// Whether the old file declares the sort order, and this program wrote it.
    fn is_sorted(&self) -> bool {
        let layout = self.log.table.layout();
        let names: Vec<_> = layout.sort().iter().map(|&at| layout.fields()[at].name.as_str()).collect();
        self.reader.is_ours() && self.reader.declares(&names) && self.target.sort.is_some()
    }

    /// Whether its values fit in memory, by the footer.
    fn fits_in_memory(&self) -> bool {
        self.target.sort.is_some() && self.reader.value_bytes() <= self.sorted_bytes() as u64
    }

    fn sorted_bytes(&self) -> usize {
        self.lake.memory.limit() / SORT_MEMORY_FRACTION
    }

    /// The remaining rows, in the old order.
    fn rows(&self) -> Result<BoxStream<'_, Result<RecordBatch, Error>>, Error> {
        let batches = self.reader.read(FileSelection { columns: None, row_groups: None, rows: None })?;
        let mut removed = self.without.iter().copied().peekable();
        let mut position = 0u32;
        let mut stay = move |batch: RecordBatch| {
            let keep = (0..batch.num_rows()).map(|_| {
                let keep = removed.next_if_eq(&position).is_none();
                position += 1;
                Some(keep)
            });
            let keep: BooleanArray = keep.collect();
            let batch = if keep.has_false() { filter_record_batch(&batch, &keep)? } else { batch };
            self.target.apply(&batch)
        };
        Ok(batches.map(move |batch| stay(batch?).map_err(|error| self.error(error))).boxed())
    }

    fn error(&self, error: ArrowError) -> Error {
        Error::parquet(&self.old.path)(ParquetError::from(error))
    }

    async fn create(&self, order: RowOrder) -> Result<DataFileWriter, Error> {
        let rows = self.reader.rows().saturating_sub(self.without.len());
        let reservation = self.lake.memory.reserve();
        let file = NewFile {
            table: self.log.table,
            week: self.old.week,
            schema: Arc::clone(&self.target.schema),
            indexed: self.log.indexed_columns().await?,
            row_group_rows: rows,
            order,
            rows_id: None,
        };
        DataFileWriter::create(self.lake, file, reservation).await
    }

    /// The new file with the rows in the old order; `None` if they should be sorted and are not.
    async fn copy(&self, order: RowOrder) -> Result<Option<StagedDataFile>, Error> {
        let mut file = self.create(order).await?;
        let mut batches = self.rows()?;
        let mut checked = match (order, &self.target.sort) {
            (RowOrder::Sorted, Some(sort)) => Some(OrderCheck { sort, last: None }),
            _ => None,
        };
        let mut held = self.lake.memory.reserve();
        let mut step = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            if let Some(checked) = &mut checked
                && !checked.is_next(&batch).map_err(|error| self.error(error))?
            {
                tracing::debug!(path = %self.old.path, "a file is not sorted as it declares");
                return Ok(None);
            }
            held.resize(held.bytes() + batch.get_array_memory_size());
            step.push(Ok(batch));
            if held.bytes() >= STEP_BYTES {
                file = file.write(std::mem::take(&mut step).into_iter()).await?;
                held.resize(0);
            }
        }
        file = file.write(step.into_iter()).await?;
        file.finish().await.map(Some)
    }

    /// The new file with the rows sorted; `None` if they take more memory than the footer suggested.
    async fn sort(&self) -> Result<Option<StagedDataFile>, Error> {
        let mut held = self.lake.memory.reserve();
        let mut batches = Vec::new();
        let mut rows = self.rows()?;
        while let Some(batch) = rows.try_next().await? {
            // Twice: once more for the sorted rows.
            held.resize(held.bytes() + 2 * batch.get_array_memory_size());
            batches.push(batch);
            if held.bytes() > 4 * self.sorted_bytes() {
                return Ok(None);
            }
        }
        drop(rows);
        let rows = self.in_order(&batches).map_err(|error| self.error(error))?;
        drop(batches);
        let step = (rows.num_rows() * STEP_BYTES / rows.get_array_memory_size().max(1)).clamp(1, 8_192);
        let batches =
            (0..rows.num_rows()).step_by(step).map(move |at| Ok(rows.slice(at, step.min(rows.num_rows() - at))));
        let file = self.create(RowOrder::Sorted).await?;
        file.write(batches).await?.finish().await.map(Some)
    }

    fn in_order(&self, batches: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let rows = concat_batches(&self.target.schema, batches)?;
        let options = Some(SortOptions { descending: false, nulls_first: true });
        let sort = self.target.sort.iter().flatten();
        let sort: Vec<_> = sort.map(|&at| SortColumn { values: Arc::clone(rows.column(at)), options }).collect();
        take_record_batch(&rows, &lexsort_to_indices(&sort, None)?)
    }
}

/// Checks that rows come in ascending order.
struct OrderCheck<'a> {
    sort: &'a [usize],
    last: Option<OwnedKey>,
}

impl OrderCheck<'_> {
    fn is_next(&mut self, batch: &RecordBatch) -> Result<bool, ArrowError> {
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(true);
        }
        let values = KeyColumn::from_batch(batch, self.sort)?;
        let follows = self.last.as_ref().is_none_or(|last| last.compare(&values, 0).is_le());
        self.last = Some(OwnedKey::new(&values, rows - 1));
        Ok(follows && (1..rows).all(|row| keys::compare(&values, row - 1, &values, row).is_le()))
    }
}
