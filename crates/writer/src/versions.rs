//! Looking up the version in which a table has a row.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use copilot_lake_tables::{Instant, Table, Week};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::delta::data_file::{DataFile, FileBounds};
use crate::delta::removed_file::expect_removed;
use crate::error::Error;
use crate::keys::{self, KeyColumn};
use crate::lake::Lake;
use crate::merge::version::Version;
use crate::parquet::key_probe::KeyProbe;
use crate::parquet::reader::{ALL_TIMES, CONCURRENT_READS, FileReader};
use crate::parquet::row_selection::projected;
use crate::reread::reread;

/// Decides which of two rows with the same key is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowVersion {
    version: Version,
    /// When the row was read.
    pub extracted_at: Instant,
}

impl RowVersion {
    /// The versions of all rows of a batch that has the table's version columns and `extracted_at`.
    ///
    /// # Errors
    /// [`Error::Rows`] when such a column is missing.
    pub fn from_batch(table: &'static Table, batch: &RecordBatch) -> Result<Vec<Self>, Error> {
        let layout = table.layout();
        let names = layout.version().iter().map(|&at| layout.fields()[at].name.as_str());
        let columns = by_name(batch, names.chain(["extracted_at"])).map_err(Error::rows(table.name))?;
        Ok((0..batch.num_rows()).map(|row| Self::at(&columns, row)).collect())
    }

    /// `columns`: those of the version, then `extracted_at`.
    fn at(columns: &[KeyColumn], row: usize) -> Self {
        let (versions, time) = columns.split_at(columns.len() - 1);
        Self { version: Version::at_row(versions, row), extracted_at: Instant(time[0].int(row)) }
    }

    /// Compares the versions alone, not when they were read. Equal in tables without versions.
    pub fn compare(self, other: Self) -> Ordering {
        self.version.compare(other.version)
    }
}

/// The names of the columns that [`RowVersion::from_batch`] and [`Lake::versions_of`] need.
pub fn version_columns(table: &'static Table) -> impl Iterator<Item = &'static str> {
    let layout = table.layout();
    let columns = layout.key().iter().chain(layout.version()).map(|&at| layout.fields()[at].name.as_str());
    columns.chain(["extracted_at"])
}

impl Lake {
    /// The committed versions of the rows with these keys, one for each row of the batch, which has the key columns.
    /// With `weeks` only files of these weeks are searched.
    ///
    /// Keys and versions are read from files that, by bounds and Bloom filters, may hold one of them.
    ///
    /// # Errors
    /// Reading the log or a file.
    pub async fn versions_of(
        &self,
        table: &'static Table,
        rows: &RecordBatch,
        weeks: Option<&BTreeSet<Week>>,
    ) -> Result<Vec<Option<RowVersion>>, Error> {
        let mut found = vec![None; rows.num_rows()];
        let key = by_name(rows, table.key.iter().copied()).map_err(Error::rows(table.name))?;
        let (mut wanted, mut probe): (HashMap<u128, Vec<usize>>, _) = (HashMap::new(), KeyProbe::new(table));
        let mut bounds = FileBounds::of_keys(table.key.len());
        for row in 0..rows.num_rows() {
            wanted.entry(keys::hash(&key, row)).or_default().push(row);
            probe.add(&key, row);
            bounds.extend(&key, row);
        }
        if wanted.is_empty() {
            return Ok(found);
        }
        let log = self.inner.log(table);
        let _reading = log.readers.register();
        let is_of_week = |file: &DataFile| file.week.zip(weeks).is_none_or(|(week, weeks)| weeks.contains(&week));
        let store = &self.inner.storage.store;
        let read = || async {
            let mut files = log.files().await?;
            files.retain(|file| is_of_week(file) && file.bounds.keys_overlap(&bounds));
            let versions: Vec<_> =
                files.iter().map(|file| read_versions(store, table, file, &probe, &wanted)).collect();
            stream::iter(versions).buffered(CONCURRENT_READS).try_collect().await
        };
        let found_versions: Vec<Vec<_>> = reread(read, |error| expect_removed(&log, error)).await?;
        for (key, version) in found_versions.into_iter().flatten() {
            for row in &wanted[&key] {
                let of_row: &mut Option<RowVersion> = &mut found[*row];
                if of_row.is_none_or(|before| before.compare(version).is_lt()) {
                    *of_row = Some(version);
                }
            }
        }
        Ok(found)
    }
}

/// The versions that a file has of the wanted rows.
async fn read_versions(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    file: &DataFile,
    probe: &KeyProbe,
    wanted: &HashMap<u128, Vec<usize>>,
) -> Result<Vec<(u128, RowVersion)>, Error> {
    let layout = table.layout();
    let columns: Vec<usize> = version_columns(table).filter_map(|name| layout.position(name)).collect();
    let schema = projected(table, &columns);
    let reader = FileReader::open(store, file).await?;
    let groups = reader.probe_row_groups(reader.row_groups(table, ALL_TIMES), probe).await?;
    let mut found = Vec::new();
    if groups.is_empty() {
        return Ok(found);
    }
    let groups = groups.into_iter().map(|(at, _)| at).collect();
    let mut batches = reader.read_as(&schema, Some(groups), None)?;
    while let Some(batch) = batches.try_next().await? {
        let key = by_name(&batch, table.key.iter().copied()).map_err(Error::rows(table.name))?;
        let versions = RowVersion::from_batch(table, &batch)?;
        let rows = versions.into_iter().enumerate().map(|(row, version)| (keys::hash(&key, row), version));
        found.extend(rows.filter(|(key, _)| wanted.contains_key(key)));
    }
    Ok(found)
}

/// The columns of a batch with these names.
fn by_name<'n>(batch: &RecordBatch, names: impl Iterator<Item = &'n str>) -> Result<Vec<KeyColumn>, ArrowError> {
    let schema = batch.schema();
    let columns: Vec<usize> = names.map(|name| schema.index_of(name)).collect::<Result<_, _>>()?;
    KeyColumn::from_batch(batch, &columns)
}
