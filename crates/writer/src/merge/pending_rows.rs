//! Where new rows are while a commit is made: still in memory, or in a file.

use std::collections::BTreeSet;
use std::sync::Arc;

use ::parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use copilot_lake_tables::{Table, Week};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::keys::{KeyColumn, KeyScalar};
use crate::memory::MemoryReservation;
use crate::merge::sorted_run::SortedRun;
use crate::merge::version::Version;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::FileReader;
use crate::parquet::writer::StagedDataFile;

/// Every time there is.
pub(crate) const EVER: (i64, i64) = (i64::MIN, i64::MAX);

/// Files of a table that are opened at a time.
pub(crate) const OPENED: usize = 8;

/// Files whose rows are read at a time: the columns of a row group are in memory then.
pub(crate) const READ: usize = 2;

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
    /// What they take of the lake's memory.
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

    /// Calls with the time, key and version columns of every row of these times, and the row's position.
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

    /// The rows at these ascending positions.
    pub(crate) async fn pick(
        &self,
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        schema: &SchemaRef,
        positions: &[u32],
        mut call: impl FnMut(&RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::InFile { staged, .. } => file_pick(store, &staged.file, schema, positions, call).await,
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

/// A row's time, key and version.
pub(crate) struct KeyRow<'a> {
    values: &'a [KeyColumn],
    parts: KeyLayout,
    row: usize,
    /// The row's position in its run or file.
    pub(crate) position: u32,
}

/// Where in the columns of a [`KeyRow`] key and version begin.
#[derive(Clone, Copy)]
struct KeyLayout {
    version: usize,
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
        let key = KeyRow { values, parts, row, position };
        position += 1;
        if (times.0..=times.1).contains(&key.time()) {
            call(key);
        }
    })
}

impl KeyRow<'_> {
    pub(crate) fn time(&self) -> i64 {
        self.values[0].int(self.row)
    }

    /// Whether the first part of the key is one of these.
    pub(crate) fn begins_with_one_of(&self, ids: &BTreeSet<String>) -> bool {
        match self.values[1].get(self.row) {
            KeyScalar::Text(id) => ids.contains(id),
            _ => false,
        }
    }

    /// The key's columns, and the row in them.
    pub(crate) fn columns(&self) -> (&[KeyColumn], usize) {
        (&self.values[1..self.parts.version], self.row)
    }

    /// 128 bits that tell the key from every other.
    pub(crate) fn key(&self) -> u128 {
        let (columns, row) = self.columns();
        crate::keys::hash(columns, row)
    }

    pub(crate) fn version(&self) -> Version {
        Version::at_row(&self.values[self.parts.version..], self.row)
    }
}

/// Positions in the layout of time, key and version.
fn key_columns(table: &'static Table) -> (Vec<usize>, KeyLayout) {
    let layout = table.layout();
    let columns = layout.sort().iter().chain(layout.version()).copied().collect();
    (columns, KeyLayout { version: layout.sort().len() })
}

/// A file whose times, keys and versions are read.
pub(crate) struct KeyReader {
    table: &'static Table,
    reader: FileReader,
    /// Row groups, each with its first row's position.
    groups: Vec<(usize, u32)>,
    times: (i64, i64),
}

impl KeyReader {
    /// Opens a file for the rows of these times. Row groups that hold nothing of what is sought may be left out.
    pub(crate) async fn open(
        store: &Arc<dyn ObjectStore>,
        table: &'static Table,
        file: &DataFile,
        times: (i64, i64),
        probe: Option<&KeyProbe>,
    ) -> Result<Self, Error> {
        let reader = FileReader::open(store, file).await?;
        let mut groups = reader.row_groups(table, times);
        if let Some(probe) = probe {
            groups = reader.probe_row_groups(groups, probe).await?;
        }
        Ok(Self { table, reader, groups, times })
    }

    /// As [`PendingRows::keys`].
    pub(crate) async fn for_each(self, mut call: impl FnMut(KeyRow<'_>)) -> Result<(), Error> {
        let Self { table, reader, groups, times } = self;
        let (columns, parts) = key_columns(table);
        let schema = projected(table, &columns);
        // A column may be named twice: once for the key and once for the version or the time.
        let at: Vec<usize> =
            columns.iter().filter_map(|&c| schema.index_of(&table.layout().fields()[c].name).ok()).collect();
        for (group, first) in groups {
            let mut position = first;
            let mut batches = reader.read_as(&schema, Some(vec![group]), None)?;
            while let Some(batch) = batches.try_next().await? {
                let values = KeyColumn::from_batch(&batch, &at).map_err(Error::rows(table.name))?;
                for row in 0..batch.num_rows() {
                    let key = KeyRow { values: &values, parts, row, position };
                    position += 1;
                    if (times.0..=times.1).contains(&key.time()) {
                        call(key);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The hashes of a file's keys, batch by batch, in its order.
pub(crate) async fn key_hashes(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    file: &DataFile,
) -> Result<BoxStream<'static, Result<Vec<u128>, Error>>, Error> {
    let reader = FileReader::open(store, file).await?;
    let schema = projected(table, table.layout().key());
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let hashes = move |batch: RecordBatch| {
        let values = KeyColumn::from_batch(&batch, &columns).map_err(Error::rows(table.name))?;
        Ok((0..batch.num_rows()).map(|row| crate::keys::hash(&values, row)).collect())
    };
    Ok(reader.read_as(&schema, None, None)?.map(move |batch| batch.and_then(&hashes)).boxed())
}

/// As [`PendingRows::pick`], for a file.
pub(crate) async fn file_pick(
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
