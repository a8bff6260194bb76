//! Reading all rows of a file: a small one is fetched in one request and decoded at once.

use std::sync::Arc;

use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::arrow::async_reader::AsyncFileReader as _;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::ParquetMetaData;
use ::parquet::file::statistics::Statistics;
use arrow::array::{
    Array as _, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::blocking::run_blocking;
use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::parquet::reader::{FileReader, check_rows, shaped, with_micros};
use crate::parquet::store_reader::StoreReader;

/// Limits of a small file. Several are decoded ahead, so rows with long texts count too.
const MAX_BYTES: u64 = 64 << 10;
const MAX_ROWS: u64 = 1_024;

/// The rows of a file, in its order, with the columns and types of that schema. A large file is opened when it is
/// polled. `all_columns`: `None` if the file has other columns too.
pub(crate) async fn rows_of(
    store: &Arc<dyn ObjectStore>,
    file: &Arc<DataFile>,
    schema: &SchemaRef,
    all_columns: bool,
) -> Result<Option<BoxStream<'static, Result<RecordBatch, Error>>>, Error> {
    if file.size <= MAX_BYTES && file.rows.is_some_and(|rows| rows <= MAX_ROWS) {
        let batches = small(store, file, Arc::clone(schema), all_columns).await?;
        return Ok(batches.map(|batches| stream::iter(batches.into_iter().map(Ok)).boxed()));
    }
    if all_columns {
        let reader = FileReader::open(store, file).await?;
        let has_others = reader.schema().fields().iter().any(|field| schema.index_of(field.name()).is_err());
        return if has_others { Ok(None) } else { reader.read_as(schema, None, None).map(Some) };
    }
    let (store, file, schema) = (Arc::clone(store), Arc::clone(file), Arc::clone(schema));
    let opened = async move { FileReader::open(&store, &file).await?.read_as(&schema, None, None) };
    Ok(Some(stream::once(opened).try_flatten().boxed()))
}

async fn small(
    store: &Arc<dyn ObjectStore>,
    file: &Arc<DataFile>,
    schema: SchemaRef,
    all_columns: bool,
) -> Result<Option<Vec<RecordBatch>>, Error> {
    let error = Error::parquet(&file.path);
    let mut reader = StoreReader { store: Arc::clone(store), path: file.path.clone(), size: file.size };
    let bytes = reader.get_bytes(0..file.size).await.map_err(&error)?;
    let logged = Arc::clone(file);
    let decode = move || {
        // As in `FileReader`: ignore Arrow schemas that other writers embed.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&bytes, options).and_then(with_micros)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata);
        check_rows(&logged, builder.metadata())?;
        let of_file = builder.schema().fields();
        if all_columns && of_file.iter().any(|field| schema.index_of(field.name()).is_err()) {
            return Ok(None);
        }
        let constants = constants(builder.metadata(), builder.schema(), &schema);
        let is_read = |name: &str| schema.index_of(name).is_ok() && !constants.iter().any(|(known, _)| known == name);
        let columns = of_file.iter().enumerate().filter(|(_, field)| is_read(field.name()));
        let columns: Vec<usize> = columns.map(|(at, _)| at).collect();
        let rows = usize::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or_default();
        if columns.is_empty() {
            return Ok(Some(vec![with_constants(None, rows, &constants, &schema)?]));
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        // One batch, as long as the constant columns.
        let batches = builder.with_projection(mask).with_batch_size(rows.max(1)).build()?;
        let batches = batches.map(|batch| {
            let batch = batch?;
            Ok(with_constants(Some(&batch), batch.num_rows(), &constants, &schema)?)
        });
        batches.collect::<Result<Vec<_>, ParquetError>>().map(Some)
    };
    let decoded = run_blocking(decode).await.map_err(|failed| ParquetError::External(Box::new(failed)));
    decoded.and_then(|batches| batches).map_err(error)
}

/// Columns in which, by the footer, all rows have the same value or null. A short file has mostly such columns, and
/// every column that is read needs a decompressor.
fn constants(metadata: &ParquetMetaData, of_file: &Schema, schema: &Schema) -> Vec<(String, ArrayRef)> {
    let [group] = metadata.row_groups() else { return vec![] };
    let rows = usize::try_from(group.num_rows()).unwrap_or_default();
    let columns = group.columns().iter().filter_map(|column| {
        let [name] = column.column_path().parts() else { return None };
        let field = schema.field_with_name(name).ok()?;
        // Other writers may use another time unit.
        of_file.field_with_name(name).ok().filter(|own| own.data_type() == field.data_type())?;
        Some((name.clone(), constant(field.data_type(), column.statistics()?, rows)?))
    });
    columns.collect()
}

fn constant(ty: &DataType, statistics: &Statistics, rows: usize) -> Option<ArrayRef> {
    match statistics.null_count_opt().map(usize::try_from) {
        Some(Ok(0)) => {}
        Some(Ok(nulls)) if nulls == rows => return Some(new_null_array(ty, rows)),
        _ => return None,
    }
    if !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    match (ty, statistics) {
        (DataType::Utf8, Statistics::ByteArray(of)) => {
            let text = of.min_opt().filter(|min| of.max_opt() == Some(*min))?.as_utf8().ok()?;
            Some(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows))))
        }
        (DataType::Timestamp(TimeUnit::Microsecond, zone), Statistics::Int64(of)) => {
            let time = of.min_opt().filter(|min| of.max_opt() == Some(*min))?;
            Some(Arc::new(TimestampMicrosecondArray::from_value(*time, rows).with_timezone_opt(zone.clone())))
        }
        _ => None,
    }
}

/// The columns that were read together with the constant ones.
fn with_constants(
    read: Option<&RecordBatch>,
    rows: usize,
    constants: &[(String, ArrayRef)],
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let of_read = read.into_iter().flat_map(|batch| batch.schema_ref().fields().iter().cloned().zip(batch.columns()));
    let field = |name: &str, array: &ArrayRef| Arc::new(Field::new(name, array.data_type().clone(), true));
    let constants = constants.iter().map(|(name, array)| (field(name, array), array));
    let (fields, columns): (Vec<_>, Vec<_>) =
        of_read.chain(constants).map(|(field, of)| (field, Arc::clone(of))).unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
    shaped(&batch, schema)
}
