//! The rows of a file, as cheaply as its size allows: a small one is got in one request and decoded at once.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::data_file::DataFile;
use crate::error::Error;
use crate::read::{FileReader, shaped};

/// A file of at most so many bytes and rows is small: several of them are decoded ahead, rows with long texts included.
const BYTES: u64 = 64 << 10;
const ROWS: u64 = 1_024;

/// The rows of a file, in its order, with the columns and types of that schema. One that is not small is opened when the
/// first row is asked for. `None` when `whole` and it has other columns too.
pub(crate) async fn rows_of(
    store: &Arc<dyn ObjectStore>,
    file: &Arc<DataFile>,
    schema: &SchemaRef,
    whole: bool,
) -> Result<Option<BoxStream<'static, Result<RecordBatch, Error>>>, Error> {
    if file.size <= BYTES && file.rows.is_some_and(|rows| rows <= ROWS) {
        let batches = small(store, file, Arc::clone(schema), whole).await?;
        return Ok(batches.map(|batches| stream::iter(batches.into_iter().map(Ok)).boxed()));
    }
    if whole {
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
    file: &DataFile,
    schema: SchemaRef,
    whole: bool,
) -> Result<Option<Vec<RecordBatch>>, Error> {
    let error = Error::parquet(&file.path);
    let bytes = store.get_range(&file.path, 0..file.size).await;
    let bytes = bytes.map_err(|source| error(ParquetError::External(Box::new(source))))?;
    let decode = move || {
        // As in `FileReader`: what other writers embed does not matter.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
        let of_file = builder.schema().fields();
        if whole && of_file.iter().any(|field| schema.index_of(field.name()).is_err()) {
            return Ok(None);
        }
        let columns = of_file.iter().enumerate().filter(|(_, field)| schema.index_of(field.name()).is_ok());
        let columns: Vec<usize> = columns.map(|(at, _)| at).collect();
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        let batches = builder.with_projection(mask).build()?;
        batches.map(|batch| Ok(shaped(&batch?, &schema)?)).collect::<Result<Vec<_>, ParquetError>>().map(Some)
    };
    match tokio::task::spawn_blocking(decode).await {
        Ok(batches) => batches.map_err(error),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(error(ParquetError::General("it was not decoded".to_owned()))),
        },
    }
}
