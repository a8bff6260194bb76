//! Reading a data file: only the columns, row groups and rows selected.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{
    ArrowReaderBuilder, ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use ::parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use ::parquet::basic::Type as PhysicalType;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, RowGroupMetaData, SortingColumn};
use ::parquet::file::statistics::Statistics;
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use copilot_lake_tables::Table;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::blocking::run_blocking;
use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::parquet::conform::conform;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::page_reader::PageReader;
use crate::parquet::properties::{self, KEY_FALSE_POSITIVE_RATE};
use crate::parquet::store_reader::StoreReader;

/// Bounds that include every time.
pub(crate) const ALL_TIMES: (i64, i64) = (i64::MIN, i64::MAX);

/// Files of a table that are opened at a time.
pub(crate) const CONCURRENT_OPENS: usize = 8;

/// Files whose rows are read at a time: each has the columns of a row group in memory.
pub(crate) const CONCURRENT_READS: usize = 2;

/// Row limit of a batch.
const BATCH_ROWS: usize = 8_192;

/// Intended bytes of a batch's values, estimated from the footer.
const BATCH_BYTES: u64 = 4 << 20;

/// Row groups with more selected bytes are read with one page per column in memory instead of whole column chunks.
const LARGE_BYTES: u64 = 8 << 20;

/// An open data file.
pub(crate) struct FileReader {
    reader: StoreReader,
    metadata: ArrowReaderMetadata,
}

/// The part of a file to read.
pub(crate) struct FileSelection {
    /// Indexes of root columns; `None`: all.
    pub(crate) columns: Option<Vec<usize>>,
    /// Its row groups; `None`: all.
    pub(crate) row_groups: Option<Vec<usize>>,
    /// Its rows, counted from the first one of its row groups; `None`: all.
    pub(crate) rows: Option<RowSelection>,
}

/// Checks that a file has as many rows as the log says.
pub(crate) fn check_rows(file: &DataFile, footer: &ParquetMetaData) -> Result<(), ParquetError> {
    let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
    match file.rows {
        Some(logged) if logged != rows => {
            Err(ParquetError::General(format!("it has {rows} rows, and {logged} by the log")))
        }
        _ => Ok(()),
    }
}

impl FileReader {
    pub(crate) async fn open(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Self, Error> {
        Self::open_with(store, file, PageIndexPolicy::Skip).await
    }

    /// As [`FileReader::open`], with the offset index: for single rows.
    pub(crate) async fn open_for_rows(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Self, Error> {
        Self::open_with(store, file, PageIndexPolicy::Optional).await
    }

    async fn open_with(store: &Arc<dyn ObjectStore>, file: &DataFile, pages: PageIndexPolicy) -> Result<Self, Error> {
        let mut reader = StoreReader { store: Arc::clone(store), path: file.path.clone(), size: file.size };
        // Ignore Arrow schemas that other writers embed: the lake's types are plain.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(pages);
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await;
        let metadata = metadata.and_then(with_micros).map_err(Error::parquet(&file.path))?;
        check_rows(file, metadata.metadata()).map_err(Error::parquet(&file.path))?;
        Ok(Self { reader, metadata })
    }

    /// The file's footer.
    pub(crate) fn footer(&self) -> &ParquetMetaData {
        self.metadata.metadata()
    }

    /// Whether this program wrote the file, in any version.
    pub(crate) fn is_ours(&self) -> bool {
        self.footer().file_metadata().created_by().is_some_and(|by| by.starts_with(properties::CREATED_BY))
    }

    /// Whether every row group declares that it is sorted by these columns, in this order.
    pub(crate) fn declares(&self, names: &[&str]) -> bool {
        let leaves = self.metadata.parquet_schema().columns();
        let is_column = |declared: &SortingColumn, name: &str| {
            let leaf = usize::try_from(declared.column_idx).ok().and_then(|at| leaves.get(at));
            leaf.is_some_and(|leaf| leaf.path().parts() == [name]) && !declared.descending && declared.nulls_first
        };
        self.footer().row_groups().iter().all(|group| {
            let declared = group.sorting_columns().map(Vec::as_slice).unwrap_or_default();
            declared.len() == names.len() && declared.iter().zip(names).all(|(column, name)| is_column(column, name))
        })
    }

    /// Bytes of all values, estimated from the footer.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.footer().row_groups().iter().map(|group| value_bytes(group, |_| true)).sum()
    }

    /// The file's own schema.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(crate) fn rows(&self) -> usize {
        usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// The row groups that may hold rows of these times (inclusive), each with its first row's position.
    pub(crate) fn row_groups(&self, table: &'static Table, times: (i64, i64)) -> Vec<(usize, u32)> {
        let time = table.layout().sort().first().map(|&at| table.layout().fields()[at].name.as_str());
        let column = time.and_then(|name| Some((self.leaf(name)?, self.schema().field_with_name(name).ok()?)));
        let (mut groups, mut first) = (Vec::new(), 0);
        for (at, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let bounds = column.and_then(|(column, field)| time_bounds(group, column, field.data_type()));
            if bounds.is_none_or(|bounds| bounds.0 <= times.1 && times.0 <= bounds.1) {
                groups.push((at, first));
            }
            first += u32::try_from(group.num_rows()).unwrap_or_default();
        }
        groups
    }

    /// The row groups that may match the probe, by their Bloom filters.
    pub(crate) async fn probe_row_groups(
        &self,
        groups: Vec<(usize, u32)>,
        probe: &KeyProbe,
    ) -> Result<Vec<(usize, u32)>, Error> {
        let Some((name, values)) = probe.values() else { return Ok(groups) };
        // With so many values every filter has false positives.
        let Some(column) = self.leaf(name).filter(|_| values.len() as f64 * KEY_FALSE_POSITIVE_RATE < 1.0) else {
            return Ok(groups);
        };
        let (reader, metadata) = (self.reader.clone(), self.metadata.clone());
        let mut filters = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let mut kept = Vec::with_capacity(groups.len());
        for group in groups {
            if self.metadata.metadata().row_group(group.0).column(column).bloom_filter_offset().is_none() {
                kept.push(group);
                continue;
            }
            let filter = filters.get_row_group_column_bloom_filter(group.0, column).await;
            let filter = filter.map_err(Error::parquet(&self.reader.path))?.filter(|filter| filter.num_blocks() > 0);
            if filter.is_none_or(|filter| values.iter().any(|value| filter.check(&**value))) {
                kept.push(group);
            }
        }
        Ok(kept)
    }

    /// The index of a column among the leaf columns of a row group.
    fn leaf(&self, name: &str) -> Option<usize> {
        let columns = self.metadata.parquet_schema().columns();
        columns.iter().position(|column| column.path().parts() == [name])
    }

    /// Indexes in the file of the columns of that schema; columns that it lacks are skipped.
    pub(crate) fn columns(&self, schema: &Schema) -> Vec<usize> {
        schema.fields().iter().filter_map(|field| self.schema().index_of(field.name()).ok()).collect()
    }

    /// Reads the selection, in the file's order, with the file's types.
    pub(crate) fn read(
        &self,
        selection: FileSelection,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        let (reader, metadata) = (self.reader.clone(), self.metadata.clone());
        let error = Error::parquet(&self.reader.path);
        if self.is_large(&selection) {
            let pages = PageReader::new(reader).map_err(&error)?;
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(pages, metadata);
            let batches = self.with_selection(builder, selection).build().map_err(&error)?;
            return Ok(on_other_threads(batches).map_err(error).boxed());
        }
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let batches = self.with_selection(builder, selection).build().map_err(&error)?;
        Ok(batches.map_err(error).boxed())
    }

    fn with_selection<T>(&self, mut builder: ArrowReaderBuilder<T>, selection: FileSelection) -> ArrowReaderBuilder<T> {
        let rows = self.batch_rows(&selection);
        if let Some(columns) = selection.columns {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
            builder = builder.with_projection(mask);
        }
        if let Some(groups) = selection.row_groups {
            builder = builder.with_row_groups(groups);
        }
        if let Some(rows) = selection.rows {
            builder = builder.with_row_selection(rows);
        }
        builder.with_batch_size(rows)
    }

    /// The selected row groups, and whether a leaf column is selected.
    fn chosen<'a>(
        &'a self,
        selection: &'a FileSelection,
    ) -> (impl Iterator<Item = &'a RowGroupMetaData>, impl Fn(usize) -> bool + Copy) {
        let groups = self.footer().row_groups().iter().enumerate();
        let groups = groups.filter(|(at, _)| selection.row_groups.as_ref().is_none_or(|groups| groups.contains(at)));
        let schema = self.metadata.parquet_schema();
        let is_chosen = move |leaf: usize| {
            selection.columns.as_ref().is_none_or(|columns| columns.contains(&schema.get_column_root_idx(leaf)))
        };
        (groups.map(|(_, group)| group), is_chosen)
    }

    /// Whether a row group has too many selected bytes to hold in memory.
    fn is_large(&self, selection: &FileSelection) -> bool {
        let (mut groups, is_chosen) = self.chosen(selection);
        groups.any(|group| {
            let columns = group.columns().iter().enumerate().filter(|(leaf, _)| is_chosen(*leaf));
            columns.map(|(_, column)| column.compressed_size().unsigned_abs()).sum::<u64>() > LARGE_BYTES
        })
    }

    /// Rows of a batch so that its values take about [`BATCH_BYTES`].
    fn batch_rows(&self, selection: &FileSelection) -> usize {
        let (groups, is_chosen) = self.chosen(selection);
        let rows = groups.map(|group| {
            let row = value_bytes(group, is_chosen) / group.num_rows().unsigned_abs().max(1);
            BATCH_BYTES / row.max(1)
        });
        usize::try_from(rows.min().unwrap_or(BATCH_BYTES)).unwrap_or(BATCH_ROWS).clamp(1, BATCH_ROWS)
    }

    /// Reads the columns of that schema, with its types; columns that the file lacks are null.
    pub(crate) fn read_as(
        &self,
        schema: &SchemaRef,
        row_groups: Option<Vec<usize>>,
        rows: Option<RowSelection>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        let selection = FileSelection { columns: Some(self.columns(schema)), row_groups, rows };
        let (schema, error) = (Arc::clone(schema), Error::parquet(&self.reader.path));
        let shape = move |batch: RecordBatch| shaped(&batch, &schema).map_err(|e| error(ParquetError::from(e)));
        Ok(self.read(selection)?.map(move |batch| batch.and_then(&shape)).boxed())
    }
}

/// The batch with exactly that schema; columns that it lacks are null.
pub(crate) fn shaped(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => conform(field.name(), column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// The metadata with INT96 timestamps read as microseconds in UTC: nanoseconds end in the year 2262.
pub(crate) fn with_micros(metadata: ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let schema = metadata.parquet_schema();
    let columns = schema.columns().iter().enumerate().filter(|(_, column)| column.path().parts().len() == 1);
    let wide = columns.filter(|(_, column)| column.physical_type() == PhysicalType::INT96);
    let wide: Vec<usize> = wide.map(|(leaf, _)| schema.get_column_root_idx(leaf)).collect();
    if wide.is_empty() {
        return Ok(metadata);
    }
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = metadata.schema().fields().iter().enumerate().map(|(at, field)| match wide.contains(&at) {
        true => Arc::new(Field::clone(field).with_data_type(micros.clone())),
        false => Arc::clone(field),
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), ArrowReaderOptions::new().with_schema(schema))
}

/// Reads batches on threads that may block.
fn on_other_threads(
    batches: ParquetRecordBatchReader,
) -> impl futures::Stream<Item = Result<RecordBatch, ParquetError>> + Send + 'static {
    stream::try_unfold(batches, |mut batches| async move {
        let read = run_blocking(move || (batches.next(), batches)).await;
        match read.map_err(|error| ParquetError::External(Box::new(error)))? {
            (Some(batch), batches) => Ok(Some((batch?, batches))),
            (None, _) => Ok(None),
        }
    })
}

/// Bytes of a row group's values in the chosen columns, estimated from the footer: repeated values may be stored once.
fn value_bytes(group: &RowGroupMetaData, is_chosen: impl Fn(usize) -> bool) -> u64 {
    let columns = group.columns().iter().enumerate().filter(|(leaf, _)| is_chosen(*leaf));
    let bytes = columns.map(|(_, column)| {
        let values = column.unencoded_byte_array_data_bytes().unwrap_or_default();
        values.max(column.uncompressed_size()).unsigned_abs()
    });
    bytes.sum()
}

/// The bounds of a row group's times, in microseconds; a null counts as the least time.
fn time_bounds(group: &RowGroupMetaData, column: usize, ty: &DataType) -> Option<(i64, i64)> {
    let Some(Statistics::Int64(of)) = group.column(column).statistics() else { return None };
    let DataType::Timestamp(unit, _) = ty else { return None };
    let micros = |value: i64| match unit {
        TimeUnit::Second => value.saturating_mul(1_000_000),
        TimeUnit::Millisecond => value.saturating_mul(1_000),
        TimeUnit::Microsecond => value,
        TimeUnit::Nanosecond => value.div_euclid(1_000),
    };
    let nulls = of.null_count_opt()?;
    match (of.min_opt(), of.max_opt()) {
        (Some(min), Some(max)) => Some((if nulls == 0 { micros(*min) } else { i64::MIN }, micros(*max))),
        _ if nulls == group.num_rows().unsigned_abs() => Some((i64::MIN, i64::MIN)),
        _ => None,
    }
}
