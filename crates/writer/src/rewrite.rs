//! Files that lose rows are written anew without them; the rest stays as it is, in order.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use copilot_lake_tables::Table;
use futures::TryStreamExt;

use crate::data_file::DataFile;
use crate::error::Error;
use crate::file::{OpenFile, Staged};
use crate::lake::Inner;
use crate::read::{FileReader, Part};

/// So many rows are handed to the encoder at once.
const STEP: usize = 65_536;

/// Writes a file without the rows at these ascending positions; `None` when no row is left.
///
/// The new file has the old one's columns: those that this program does not know are kept.
pub(crate) async fn rewrite(
    lake: &Inner,
    table: &'static Table,
    old: &DataFile,
    without: &[u32],
) -> Result<Option<Staged>, Error> {
    let reader = FileReader::open(&lake.store, old).await?;
    let rows = reader.rows().saturating_sub(without.len());
    if rows == 0 {
        return Ok(None);
    }
    let charge = lake.memory.charge(&Arc::new(AtomicUsize::new(0)));
    let schema = Arc::clone(reader.schema());
    let mut file = OpenFile::create(lake, table, old.week, schema, rows, charge).await?;
    let mut batches = reader.read(Part { columns: None, row_groups: None, rows: None })?;
    let mut gone = without.iter().copied().peekable();
    let (mut position, mut kept, mut step) = (0u32, Vec::new(), 0);
    while let Some(batch) = batches.try_next().await? {
        let keep = (0..batch.num_rows()).map(|_| {
            let keep = gone.next_if_eq(&position).is_none();
            position += 1;
            Some(keep)
        });
        let keep: BooleanArray = keep.collect();
        let batch: RecordBatch =
            if keep.has_false() { filter_record_batch(&batch, &keep).map_err(Error::rows(table.name))? } else { batch };
        step += batch.num_rows();
        kept.push(Ok(batch));
        if step >= STEP {
            file = file.write(std::mem::take(&mut kept).into_iter()).await?;
            step = 0;
        }
    }
    file = file.write(kept.into_iter()).await?;
    file.finish().await.map(Some)
}
