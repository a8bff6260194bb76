//! Where new rows are while a commit is made: still in memory, or in a file.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use object_store::ObjectStore;

use crate::error::Error;
use crate::memory::MemoryReservation;
use crate::merge::key_reader::{KeyLayout, KeyReader, KeyRow, key_columns};
use crate::merge::sorted_run::SortedRun;
use crate::parquet::row_selection::read_rows_at;
use crate::parquet::writer::StagedDataFile;

/// New rows of one week, sorted.
pub(crate) enum PendingRows {
    /// In memory.
    InMemory { week: Option<Week>, run: SortedRun, reservation: MemoryReservation },
    /// In a file that is not part of the table yet.
    InFile { staged: StagedDataFile, keys: Option<FileKeys> },
}

/// The keys of a file's rows, kept when the file was written.
pub(crate) struct FileKeys {
    /// Their time, key and version.
    run: SortedRun,
    /// Accounts for their memory.
    _reservation: MemoryReservation,
}

impl FileKeys {
    /// The keys of rows that are about to be written, all of them to one file.
    pub(crate) fn new(
        table: &'static Table,
        run: &SortedRun,
        mut reservation: MemoryReservation,
    ) -> Result<Self, ArrowError> {
        let run = run.project(&key_columns(table).0)?;
        reservation.resize(run.memory());
        Ok(Self { run, _reservation: reservation })
    }
}

impl PendingRows {
    pub(crate) fn week(&self) -> Option<Week> {
        match self {
            Self::InMemory { week, .. } => *week,
            Self::InFile { staged, .. } => staged.file.week,
        }
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::InMemory { run, .. } => run.len() as u64,
            Self::InFile { staged, .. } => staged.file.rows.unwrap_or_default(),
        }
    }

    /// Whether the keys can be read without the file.
    pub(crate) fn has_keys(&self) -> bool {
        !matches!(self, Self::InFile { keys: None, .. })
    }

    /// Calls with the time, key, version and position of every row of these times.
    pub(crate) async fn keys(
        &self,
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        times: (i64, i64),
        mut call: impl FnMut(KeyRow<'_>),
    ) -> Result<(), Error> {
        let (columns, parts) = key_columns(table);
        match self {
            Self::InFile { staged, keys: None } => {
                KeyReader::open(store, table, &staged.file, times, None).await?.for_each(call).await
            }
            Self::InFile { keys: Some(keys), .. } => {
                let columns: Vec<usize> = (0..columns.len()).collect();
                for_each_key(&keys.run, &columns, parts, times, &mut call).map_err(Error::rows(table.name))
            }
            Self::InMemory { run, .. } => {
                for_each_key(run, &columns, parts, times, &mut call).map_err(Error::rows(table.name))
            }
        }
    }

    /// Reads the rows at these ascending positions, with the columns of that schema.
    pub(crate) async fn pick(
        &self,
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        schema: &SchemaRef,
        positions: &[u32],
        mut call: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::InFile { staged, .. } => read_rows_at(store, &staged.file, schema, positions, call).await,
            Self::InMemory { run, .. } => {
                let all = table.layout().schema();
                let columns: Vec<usize> = schema.fields().iter().filter_map(|f| all.index_of(f.name()).ok()).collect();
                for positions in positions.chunks(8_192) {
                    let rows = run.rows(positions).and_then(|rows| rows.project(&columns));
                    call(&rows.map_err(Error::rows(table.name))?)?;
                }
                Ok(())
            }
        }
    }
}

fn for_each_key(
    run: &SortedRun,
    columns: &[usize],
    parts: KeyLayout,
    times: (i64, i64),
    call: &mut impl FnMut(KeyRow<'_>),
) -> Result<(), ArrowError> {
    let mut position = 0;
    run.for_each(columns, |values, row| {
        let key = KeyRow::new(values, parts, row, position);
        position += 1;
        if (times.0..=times.1).contains(&key.time()) {
            call(key);
        }
    })
}
