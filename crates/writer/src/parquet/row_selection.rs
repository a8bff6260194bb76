//! Single rows of a data file, by position: only the pages that hold them are read.

use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use copilot_lake_tables::Table;
use futures::TryStreamExt;
use object_store::ObjectStore;

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::parquet::reader::FileReader;

/// Reads the rows of a file at these ascending positions, with the columns of that schema.
pub(crate) async fn read_rows_at(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    schema: &SchemaRef,
    positions: &[u32],
    mut call: impl FnMut(&RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    let reader = FileReader::open_for_rows(store, file).await?;
    let mut batches = reader.read_as(schema, None, Some(selection(positions)))?;
    while let Some(batch) = batches.try_next().await? {
        call(&batch)?;
    }
    Ok(())
}

/// As [`read_rows_at`], with all batches at once.
pub(crate) async fn rows_at(
    store: &Arc<dyn ObjectStore>,
    file: &DataFile,
    schema: &SchemaRef,
    positions: &[u32],
) -> Result<Vec<RecordBatch>, Error> {
    let mut rows = Vec::new();
    let keep = |batch: &RecordBatch| {
        rows.push(batch.clone());
        Ok(())
    };
    read_rows_at(store, file, schema, positions, keep).await?;
    Ok(rows)
}

/// The columns at these positions, each once; nullable, since old files may lack them.
pub(crate) fn projected(table: &'static Table, columns: &[usize]) -> SchemaRef {
    let all = table.layout().schema();
    let mut fields: Vec<_> = Vec::new();
    for &at in columns {
        let field = all.field(at).clone().with_nullable(true);
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    Arc::new(Schema::new(fields))
}

/// Selects the rows at these ascending positions.
fn selection(positions: &[u32]) -> RowSelection {
    let (mut selectors, mut next): (Vec<RowSelector>, u32) = (Vec::new(), 0);
    for &at in positions {
        if at > next {
            selectors.push(RowSelector::skip((at - next) as usize));
        }
        selectors.push(RowSelector::select(1));
        next = at + 1;
    }
    selectors.into()
}
