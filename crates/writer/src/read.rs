//! Reading data files: only the columns, row groups and rows that are asked for.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use copilot_lake_tables::Table;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, RowSelection};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use crate::data_file::DataFile;
use crate::error::Error;
use crate::sought::Sought;
use crate::store_reader::StoreReader;

/// Rows of a batch that is read.
const BATCH: usize = 8_192;

/// An open data file.
pub(crate) struct FileReader {
    reader: StoreReader,
    metadata: ArrowReaderMetadata,
}

/// What is read of a file.
pub(crate) struct Part {
    /// Positions of its columns in the file; `None`: all.
    pub(crate) columns: Option<Vec<usize>>,
    /// Its row groups; `None`: all.
    pub(crate) row_groups: Option<Vec<usize>>,
    /// Its rows, counted from the first one of its row groups; `None`: all.
    pub(crate) rows: Option<RowSelection>,
}

impl FileReader {
    pub(crate) async fn open(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Self, Error> {
        Self::open_with(store, file, PageIndexPolicy::Skip).await
    }

    /// As [`FileReader::open`], also with the places of pages: for single rows.
    pub(crate) async fn open_for_rows(store: &Arc<dyn ObjectStore>, file: &DataFile) -> Result<Self, Error> {
        Self::open_with(store, file, PageIndexPolicy::Optional).await
    }

    async fn open_with(store: &Arc<dyn ObjectStore>, file: &DataFile, pages: PageIndexPolicy) -> Result<Self, Error> {
        let mut reader = StoreReader { store: Arc::clone(store), path: file.path.clone(), size: file.size };
        // What is embedded by other writers does not matter: the lake's types are plain.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true).with_page_index_policy(pages);
        let metadata = ArrowReaderMetadata::load_async(&mut reader, options).await;
        let metadata = metadata.map_err(Error::parquet(&file.path))?;
        Ok(Self { reader, metadata })
    }

    /// The file's own schema.
    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    pub(crate) fn rows(&self) -> usize {
        usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or_default()
    }

    /// The row groups that may hold rows of these times (both ends included), each with its first row's position.
    pub(crate) fn row_groups(&self, table: &'static Table, times: (i64, i64)) -> Vec<(usize, u32)> {
        let time = table.layout().sort().first().map(|&at| table.layout().fields()[at].name.as_str());
        let column = time.and_then(|name| self.leaf(name));
        let (mut groups, mut first) = (Vec::new(), 0);
        for (at, group) in self.metadata.metadata().row_groups().iter().enumerate() {
            let bounds = column.and_then(|column| time_bounds(group, column));
            if bounds.is_none_or(|bounds| bounds.0 <= times.1 && times.0 <= bounds.1) {
                groups.push((at, first));
            }
            first += u32::try_from(group.num_rows()).unwrap_or_default();
        }
        groups
    }

    /// Those of the row groups that may hold a row that is sought, as far as their Bloom filters tell.
    pub(crate) async fn row_groups_of(
        &self,
        groups: Vec<(usize, u32)>,
        sought: &Sought,
    ) -> Result<Vec<(usize, u32)>, Error> {
        let Some((name, values)) = sought.values() else { return Ok(groups) };
        let Some(column) = self.leaf(name) else { return Ok(groups) };
        let (reader, metadata) = (self.reader.clone(), self.metadata.clone());
        let mut filters = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        let mut kept = Vec::with_capacity(groups.len());
        for group in groups {
            if !self.filter_pays(group.0, column, values.len()) {
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

    /// Whether a row group's Bloom filter is likely to know none of so many values that are not in the row group.
    fn filter_pays(&self, group: usize, column: usize, values: usize) -> bool {
        let group = self.metadata.metadata().row_group(group);
        let Some(bytes) = group.column(column).bloom_filter_length() else { return false };
        // The share of bits that are set, in each of the filter's eight words; every value sets one bit of each.
        let filled = 1.0 - (-8.0 * group.num_rows() as f64 / (8.0 * f64::from(bytes))).exp();
        values as f64 * filled.powi(8) < 1.0
    }

    /// The position of the column of that name among those that a row group lists: parts of nested ones each count.
    fn leaf(&self, name: &str) -> Option<usize> {
        let columns = self.metadata.parquet_schema().columns();
        columns.iter().position(|column| column.path().parts() == [name])
    }

    /// Positions in the file of the columns of that schema which the file has.
    pub(crate) fn columns(&self, schema: &Schema) -> Vec<usize> {
        schema.fields().iter().filter_map(|field| self.schema().index_of(field.name()).ok()).collect()
    }

    /// Reads a part, in the file's order, with the file's types.
    pub(crate) fn read(&self, part: Part) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        let (reader, metadata) = (self.reader.clone(), self.metadata.clone());
        let mut builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader, metadata);
        if let Some(columns) = part.columns {
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
            builder = builder.with_projection(mask);
        }
        if let Some(groups) = part.row_groups {
            builder = builder.with_row_groups(groups);
        }
        if let Some(rows) = part.rows {
            builder = builder.with_row_selection(rows);
        }
        let error = Error::parquet(&self.reader.path);
        let stream = builder.with_batch_size(BATCH).build().map_err(&error)?;
        Ok(stream.map_err(error).boxed())
    }

    /// Reads the columns of that schema, with its types; a column that the file lacks is null.
    pub(crate) fn read_as(
        &self,
        schema: &SchemaRef,
        row_groups: Option<Vec<usize>>,
        rows: Option<RowSelection>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, Error>>, Error> {
        let part = Part { columns: Some(self.columns(schema)), row_groups, rows };
        let (schema, error) = (Arc::clone(schema), Error::parquet(&self.reader.path));
        let shape = move |batch: RecordBatch| shaped(&batch, &schema).map_err(|e| error(ParquetError::from(e)));
        Ok(self.read(part)?.map(move |batch| batch.and_then(&shape)).boxed())
    }
}

/// The batch with exactly that schema. Required columns that are missing stay nullable: a reader sees nulls.
pub(crate) fn shaped(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

fn time_bounds(group: &RowGroupMetaData, column: usize) -> Option<(i64, i64)> {
    let Some(Statistics::Int64(of)) = group.column(column).statistics() else { return None };
    let nulls = of.null_count_opt()?;
    match (of.min_opt(), of.max_opt()) {
        (Some(min), Some(max)) => Some((if nulls == 0 { *min } else { i64::MIN }, *max)),
        _ if nulls == group.num_rows().unsigned_abs() => Some((i64::MIN, i64::MIN)),
        _ => None,
    }
}
