//! Reading a table's committed rows.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use copilot_lake_tables::{Instant, Table, Week};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::delta::removed_file::{expect_removed, judged};
use crate::error::Error;
use crate::lake::Lake;
use crate::merge::key_reader::KeyReader;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::{ALL_TIMES, CONCURRENT_OPENS, CONCURRENT_READS};
use crate::parquet::row_selection::{projected, rows_at};
use crate::parquet::small_file::rows_of;
use crate::reread::{READ_ATTEMPTS, reread};
use crate::storage::readers::ReadGuard;

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
    /// Reading the log; later, in the stream, reading a file. [`Error::FileRemoved`] when another tool removed a file and
    /// the stream cannot go on with the newest version, since it has returned rows of files that are replaced: scan again.
    pub async fn scan(
        &self,
        table: &'static Table,
        scan: Scan,
    ) -> Result<impl Stream<Item = Result<RecordBatch, Error>> + Send + use<>, Error> {
        let (files, reading) = self.files_of(table, scan).await?;
        let next = |(mut rows, reading): (ScannedRows, ReadGuard)| async move {
            Ok::<_, Error>(rows.next_batch().await?.map(|batch| (batch, (rows, reading))))
        };
        Ok(stream::try_unfold((ScannedRows { files, current: None }, reading), next))
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
        let next = |(mut files, reading): (ScannedFiles, ReadGuard)| async move {
            Ok::<_, Error>(files.next_file().await?.map(|file| (file, (files, reading))))
        };
        Ok(stream::try_unfold(self.files_of(table, scan).await?, next))
    }

    /// The files of a scan, which are kept as long as the guard is.
    async fn files_of(&self, table: &'static Table, scan: Scan) -> Result<(ScannedFiles, ReadGuard), Error> {
        let log = self.inner.log(table);
        let reading = log.readers.register();
        let layout = table.layout();
        let columns: Vec<usize> = if scan.columns.is_empty() {
            (0..layout.fields().len()).collect()
        } else {
            scan.columns.iter().filter_map(|name| layout.position(name)).collect()
        };
        let (store, schema) = (self.store(), projected(table, &columns));
        let mut files = ScannedFiles {
            log,
            store,
            schema,
            scan,
            opened: stream::empty().boxed(),
            ahead: VecDeque::new(),
            returned: vec![],
            attempts: 1,
        };
        files.open().await?;
        Ok((files, reading))
    }

    /// Reads the rows committed so far whose first key column is one of these ids, with exactly the table's schema.
    ///
    /// Keys are read from files that, by bounds and Bloom filters, may hold one of them; then only the pages of the
    /// rows that were found.
    ///
    /// # Errors
    /// Reading the log or a file.
    pub async fn rows_of(&self, table: &'static Table, ids: &BTreeSet<String>) -> Result<Vec<RecordBatch>, Error> {
        let log = self.inner.log(table);
        let _reading = log.readers.register();
        reread(|| self.rows_of_snapshot(&log, ids), |error| expect_removed(&log, error)).await
    }

    async fn rows_of_snapshot(&self, log: &Log, ids: &BTreeSet<String>) -> Result<Vec<RecordBatch>, Error> {
        let (table, store) = (log.table, &self.inner.storage.store);
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

/// The files of a scan, the one with the newest rows first.
struct ScannedFiles {
    log: Arc<Log>,
    store: Arc<dyn ObjectStore>,
    schema: SchemaRef,
    scan: Scan,
    /// Those that are still to be opened.
    opened: BoxStream<'static, Result<OpenedFile, Error>>,
    /// Those that are opened and not returned: of small ones all rows are in memory.
    ahead: VecDeque<OpenedFile>,
    returned: Vec<Arc<DataFile>>,
    attempts: usize,
}

type OpenedFile = (Arc<DataFile>, FileRows);

impl ScannedFiles {
    /// Opens the files of the newest snapshot that were not returned yet.
    async fn open(&mut self) -> Result<(), Error> {
        let table = self.log.table;
        let mut files = self.log.files().await?;
        files.retain(|file| self.scan.week.is_none_or(|week| file.week == Some(week)));
        if let Some((column, value)) = self.scan.key {
            let at = table.key.iter().position(|name| *name == column);
            files.retain(|file| at.is_none_or(|at| file.bounds.may_contain(at, value)));
        }
        files.retain(|file| !self.returned.iter().any(|returned| returned.path == file.path));
        files.sort_by_key(|file| Reverse(file.recency()));
        let (store, schema) = (Arc::clone(&self.store), Arc::clone(&self.schema));
        let opened = stream::iter(files).map(move |file| {
            let (store, schema) = (Arc::clone(&store), Arc::clone(&schema));
            async move {
                let newest = file.bounds.time.map(|(_, high)| Instant(high));
                let batches = rows_of(&store, &file, &schema, false).await?.unwrap_or_else(|| stream::empty().boxed());
                Ok((file, FileRows { newest, batches }))
            }
        });
        self.opened = opened.buffered(CONCURRENT_OPENS).boxed();
        self.ahead.clear();
        Ok(())
    }

    /// Opens the next files, together: if one of them is missing, none was returned yet.
    async fn open_ahead(&mut self) -> Result<(), Error> {
        while self.ahead.len() < CONCURRENT_OPENS
            && let Some(file) = self.opened.try_next().await?
        {
            self.ahead.push_back(file);
        }
        Ok(())
    }

    async fn next_file(&mut self) -> Result<Option<FileRows>, Error> {
        while self.ahead.is_empty() {
            match self.open_ahead().await {
                Ok(()) if self.ahead.is_empty() => return Ok(None),
                Ok(()) => {}
                Err(error) => self.open_again(error).await?,
            }
        }
        let Some((file, FileRows { newest, batches })) = self.ahead.pop_front() else { return Ok(None) };
        self.returned.push(file);
        let log = Arc::clone(&self.log);
        let judge = move |error| {
            let log = Arc::clone(&log);
            async move { Err::<RecordBatch, _>(judged(&log, error).await) }
        };
        Ok(Some(FileRows { newest, batches: batches.or_else(judge).boxed() }))
    }

    /// Goes on with the newest snapshot after another tool removed a file. Its rows are in files that were not returned
    /// either, if all that were are still part of the table.
    async fn open_again(&mut self, error: Error) -> Result<(), Error> {
        let error = judged(&self.log, error).await;
        if !matches!(error, Error::FileRemoved { .. }) || self.attempts >= READ_ATTEMPTS {
            return Err(error);
        }
        let snapshot = self.log.snapshot().await?;
        if !self.returned.iter().all(|file| snapshot.as_ref().is_some_and(|now| now.names(file))) {
            return Err(error);
        }
        self.attempts += 1;
        self.open().await
    }
}

/// A scan whose files are read one after the other.
struct ScannedRows {
    files: ScannedFiles,
    /// The rest of a file, and whether some of its rows were returned.
    current: Option<(BoxStream<'static, Result<RecordBatch, Error>>, bool)>,
}

impl ScannedRows {
    async fn next_batch(&mut self) -> Result<Option<RecordBatch>, Error> {
        loop {
            let Some((batches, is_begun)) = &mut self.current else {
                let Some(file) = self.files.next_file().await? else { return Ok(None) };
                self.current = Some((file.batches, false));
                continue;
            };
            match batches.try_next().await {
                Ok(Some(batch)) => {
                    *is_begun = true;
                    return Ok(Some(batch));
                }
                Ok(None) => self.current = None,
                Err(error) if *is_begun => return Err(error),
                Err(error) => {
                    self.current = None;
                    self.files.returned.pop();
                    self.files.open_again(error).await?;
                }
            }
        }
    }
}
