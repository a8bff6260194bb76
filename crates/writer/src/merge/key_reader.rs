//! The keys, times and versions of a data file's rows, without the other columns.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use copilot_lake_tables::Table;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::keys::{KeyColumn, KeyScalar};
use crate::merge::version::Version;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::{CONCURRENT_OPENS, FileReader};
use crate::parquet::row_selection::projected;
use crate::parquet::small_file::rows_of;
use crate::table_keys::{KeyHashes, is_deleted_by_first};

/// A row's time, key and version.
pub(crate) struct KeyRow<'a> {
    values: &'a [KeyColumn],
    layout: KeyLayout,
    row: usize,
    /// The row's position in its run or file.
    pub(crate) position: u32,
}

/// Where the version begins in the columns of a [`KeyRow`]; the time comes first, then the key.
#[derive(Clone, Copy)]
pub(crate) struct KeyLayout {
    version: usize,
}

impl<'a> KeyRow<'a> {
    pub(crate) fn new(values: &'a [KeyColumn], layout: KeyLayout, row: usize, position: u32) -> Self {
        Self { values, layout, row, position }
    }

    pub(crate) fn time(&self) -> i64 {
        self.values[0].int(self.row)
    }

    /// Whether the first key column has one of these values.
    pub(crate) fn begins_with_one_of(&self, ids: &BTreeSet<String>) -> bool {
        match self.values[1].get(self.row) {
            KeyScalar::Text(id) => ids.contains(id),
            _ => false,
        }
    }

    /// The key's columns, and the row in them.
    pub(crate) fn columns(&self) -> (&[KeyColumn], usize) {
        (&self.values[1..self.layout.version], self.row)
    }

    /// The hash of the key, which identifies it.
    pub(crate) fn key(&self) -> u128 {
        let (columns, row) = self.columns();
        crate::keys::hash(columns, row)
    }

    /// The hashes of the key. `with_first`: that of its first column, too.
    pub(crate) fn hashes(&self, with_first: bool) -> KeyHashes {
        let (columns, row) = self.columns();
        KeyHashes { key: self.key(), first: with_first.then(|| crate::keys::hash(&columns[..1], row)) }
    }

    pub(crate) fn version(&self) -> Version {
        Version::at_row(&self.values[self.layout.version..], self.row)
    }
}

/// Positions in the layout of time, key and version.
pub(crate) fn key_columns(table: &'static Table) -> (Vec<usize>, KeyLayout) {
    let of_table = table.layout();
    let columns = of_table.sort().iter().chain(of_table.version()).copied().collect();
    (columns, KeyLayout { version: of_table.sort().len() })
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
    /// Opens a file for rows of these times. Row groups that cannot match the probe are skipped.
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

    /// Calls with the time, key and version of every row of these times.
    pub(crate) async fn for_each(self, mut call: impl FnMut(KeyRow<'_>)) -> Result<(), Error> {
        let Self { table, reader, groups, times } = self;
        let schema = projected(table, &key_columns(table).0);
        let mut call = |row: KeyRow<'_>| {
            if (times.0..=times.1).contains(&row.time()) {
                call(row);
            }
        };
        for (group, first) in groups {
            for_each_row(table, reader.read_as(&schema, Some(vec![group]), None)?, first, &mut call).await?;
        }
        Ok(())
    }
}

/// Calls with every row of batches that have the columns of [`key_columns`]. `first`: the position of the first row.
async fn for_each_row(
    table: &'static Table,
    mut batches: BoxStream<'static, Result<RecordBatch, Error>>,
    first: u32,
    call: &mut impl FnMut(KeyRow<'_>),
) -> Result<(), Error> {
    let (columns, layout) = key_columns(table);
    let schema = projected(table, &columns);
    // A column may occur twice: in the key, and as the version or the time.
    let at: Vec<usize> =
        columns.iter().filter_map(|&c| schema.index_of(&table.layout().fields()[c].name).ok()).collect();
    let mut position = first;
    while let Some(batch) = batches.try_next().await? {
        let values = KeyColumn::from_batch(&batch, &at).map_err(Error::rows(table.name))?;
        for row in 0..batch.num_rows() {
            call(KeyRow { values: &values, layout, row, position });
            position += 1;
        }
    }
    Ok(())
}

/// Calls with the index of a file and a row of it, for all rows, file by file.
pub(crate) async fn for_each_row_of_files(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    files: &[Arc<DataFile>],
    mut call: impl FnMut(usize, KeyRow<'_>),
) -> Result<(), Error> {
    let schema = projected(table, &key_columns(table).0);
    let opened: Vec<_> = files.iter().map(|file| rows_of(store, file, &schema, false)).collect();
    let mut opened = stream::iter(opened).buffered(CONCURRENT_OPENS).enumerate();
    while let Some((at, batches)) = opened.next().await {
        if let Some(batches) = batches? {
            for_each_row(table, batches, 0, &mut |row| call(at, row)).await?;
        }
    }
    Ok(())
}

/// The hashes of a file's keys, batch by batch, in file order.
pub(crate) async fn key_hashes(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    file: &Arc<DataFile>,
) -> Result<BoxStream<'static, Result<Vec<KeyHashes>, Error>>, Error> {
    let schema = projected(table, table.layout().key());
    let columns: Vec<usize> = (0..schema.fields().len()).collect();
    let with_first = is_deleted_by_first(table);
    let hashes = move |batch: RecordBatch| {
        let values = KeyColumn::from_batch(&batch, &columns).map_err(Error::rows(table.name))?;
        let of_row = |row| KeyHashes {
            key: crate::keys::hash(&values, row),
            first: with_first.then(|| crate::keys::hash(&values[..1], row)),
        };
        Ok((0..batch.num_rows()).map(of_row).collect())
    };
    let batches = rows_of(store, file, &schema, false).await?.unwrap_or_else(|| stream::empty().boxed());
    Ok(batches.map(move |batch| batch.and_then(&hashes)).boxed())
}
