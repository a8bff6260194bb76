//! Reading a table's committed rows.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use copilot_lake_tables::{Instant, Table, Week};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::lake::Lake;
use crate::merge::key_reader::KeyReader;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::{ALL_TIMES, CONCURRENT_OPENS, CONCURRENT_READS};
use crate::parquet::row_selection::{projected, rows_at};
use crate::parquet::small_file::rows_of;

/// Which rows and columns of a table are read.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Names of columns, in the order of the batches; empty: all. Unknown names are ignored.
    pub columns: Vec<&'static str>,
    /// Only this week.
    pub week: Option<Week>,
    /// Only files that may hold rows with this value in this key column; they may hold others.
    pub key: Option<(&'static str, &'static str)>,
}

/// The rows of a file.
pub struct FileRows {
    /// Upper bound of the rows' times, by the column that files are sorted by; `None` when unknown.
    pub newest: Option<Instant>,
    /// The rows by ascending time, in batches of at most 8,192.
    pub batches: BoxStream<'static, Result<RecordBatch, Error>>,
}

impl Lake {
    /// Reads the rows committed so far: the file with the newest rows first (among equals the one written last), and
    /// within a file by ascending time.
    ///
    /// Batches have at most 8,192 rows; all columns are nullable. Files that a commit of this process removes in the
    /// meantime are kept until the stream is dropped.
    ///
    /// # Errors
    /// Reading the log; later, in the stream, reading a file.
    pub async fn scan(
        &self,
        table: &'static Table,
        scan: Scan,
    ) -> Result<impl Stream<Item = Result<RecordBatch, Error>> + Send + use<>, Error> {
        Ok(self.scan_files(table, scan).await?.map_ok(|file| file.batches).try_flatten())
    }

    /// As [`Lake::scan`], file by file. A few small files are read ahead; a large one is opened when its rows are
    /// polled.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn scan_files(
        &self,
        table: &'static Table,
        scan: Scan,
    ) -> Result<impl Stream<Item = Result<FileRows, Error>> + Send + use<>, Error> {
        let log = self.inner.log(table);
        let reading = log.readers.register();
        let mut files = log.files().await?;
        files.retain(|file| scan.week.is_none_or(|week| file.week == Some(week)));
        if let Some((column, value)) = scan.key {
            let at = table.key.iter().position(|name| *name == column);
            files.retain(|file| at.is_none_or(|at| file.bounds.may_contain(at, value)));
        }
        files.sort_by_key(|file| Reverse(file.recency()));
        let layout = table.layout();
        let columns: Vec<usize> = if scan.columns.is_empty() {
            (0..layout.fields().len()).collect()
        } else {
            scan.columns.iter().filter_map(|name| layout.position(name)).collect()
        };
        let schema = projected(table, &columns);
        let store = self.store();
        let files = stream::iter(files).map(move |file| {
            let (store, schema) = (Arc::clone(&store), Arc::clone(&schema));
            async move {
                let newest = file.bounds.time.map(|(_, high)| Instant(high));
                let batches = rows_of(&store, &file, &schema, false).await?.unwrap_or_else(|| stream::empty().boxed());
                Ok(FileRows { newest, batches })
            }
        });
        Ok(files.buffered(CONCURRENT_OPENS).inspect(move |_| {
            let _ = &reading;
        }))
    }

    /// Reads the rows committed so far whose first key column is one of these ids, with exactly the table's schema.
    ///
    /// Keys are read from files that, by bounds and Bloom filters, may hold one of them; then only the pages of the
    /// rows that were found.
    ///
    /// # Errors
    /// Reading the log or a file.
    pub async fn rows_of(&self, table: &'static Table, ids: &BTreeSet<String>) -> Result<Vec<RecordBatch>, Error> {
        let (log, store) = (self.inner.log(table), &self.inner.storage.store);
        let _reading = log.readers.register();
        let mut probe = KeyProbe::new(table);
        ids.iter().for_each(|id| probe.add_first(id));
        let mut files = log.files().await?;
        files.retain(|file| file.bounds.may_contain_any(ids));
        let open = |file: Arc<DataFile>| {
            let probe = &probe;
            async move { Ok((KeyReader::open(store, table, &file, ALL_TIMES, Some(probe)).await?, file)) }
        };
        let opened: Vec<_> = files.into_iter().map(open).collect();
        let pick = |(keys, file): (KeyReader, Arc<DataFile>)| async move {
            let mut positions = Vec::new();
            keys.for_each(|row| positions.extend(row.begins_with_one_of(ids).then_some(row.position))).await?;
            if positions.is_empty() {
                return Ok(vec![]);
            }
            rows_at(store, &file, table.layout().schema(), &positions).await
        };
        let rows = stream::iter(opened).buffered(CONCURRENT_OPENS).map_ok(pick).try_buffered(CONCURRENT_READS);
        Ok(rows.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }
}
