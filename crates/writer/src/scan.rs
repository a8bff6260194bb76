//! Reading a table's committed rows.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::RecordBatch;
use copilot_lake_tables::{Table, Week};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::data_file::DataFile;
use crate::error::Error;
use crate::lake::Lake;
use crate::read::FileReader;
use crate::source::projected;

/// What is read of a table.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Names of columns, in the order of the batches; none: all. Unknown names are left out.
    pub columns: Vec<&'static str>,
    /// Only this week.
    pub week: Option<Week>,
}

impl Lake {
    /// Reads committed rows, as of now: the file with the newest rows first, within a file by ascending time.
    ///
    /// Batches have at most 8,192 rows; all columns are nullable. Files that a commit of this process removes meanwhile
    /// stay until the stream is dropped.
    ///
    /// # Errors
    /// Reading the log; later, in the stream, reading a file.
    pub async fn scan(
        &self,
        table: &'static Table,
        scan: Scan,
    ) -> Result<impl Stream<Item = Result<RecordBatch, Error>> + Send + use<>, Error> {
        let log = self.inner.log(table);
        let reading = log.readers.begin();
        let state = log.state().await?;
        let mut files: Vec<Arc<DataFile>> = state.iter().flat_map(|state| &state.files).cloned().collect();
        files.retain(|file| scan.week.is_none_or(|week| file.week == Some(week)));
        files.sort_by_key(|file| Reverse(file.bounds.time.map_or((i64::MAX, i64::MAX), |(low, high)| (high, low))));
        let layout = table.layout();
        let columns: Vec<usize> = if scan.columns.is_empty() {
            (0..layout.fields().len()).collect()
        } else {
            scan.columns.iter().filter_map(|name| layout.position(name)).collect()
        };
        let schema = projected(table, &columns);
        let store = self.store();
        let batches = stream::iter(files).then(move |file| {
            let (store, schema) = (Arc::clone(&store), Arc::clone(&schema));
            async move { FileReader::open(&store, &file).await?.read_as(&schema, None, None) }
        });
        Ok(batches.try_flatten().inspect(move |_| {
            let _ = &reading;
        }))
    }
}
