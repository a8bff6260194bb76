//! One row per key: which new rows and which of the table's are superseded.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use copilot_lake_tables::Table;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectStore;

use crate::delta::data_file::DataFile;
use crate::error::Error;
use crate::merge::lookup::{LookupResult, Match};
use crate::merge::mode::MergeMode;
use crate::merge::pending_rows::PendingRows;
use crate::merge::row_digest::{RowDigest, RowDigestReader};
use crate::parquet::reader::CONCURRENT_READS;
use crate::parquet::row_selection::read_rows_at;

/// Superseded rows, by ascending position.
#[derive(Debug, Default)]
pub(crate) struct SupersededRows {
    /// Of each input.
    pub(crate) new: Vec<Vec<u32>>,
    /// By the file's index in the snapshot.
    pub(crate) old: BTreeMap<usize, Vec<u32>>,
    /// How many new rows were superseded by the table's.
    pub(crate) unchanged: u64,
}

impl SupersededRows {
    /// Starts with new rows that other new ones supersede.
    pub(crate) fn new(superseded: Vec<Vec<u32>>) -> Self {
        Self { new: superseded, ..Self::default() }
    }

    /// The table's row stays.
    pub(crate) fn keep_old(&mut self, found: &Match) {
        self.unchanged += 1;
        self.new[found.input as usize].push(found.position);
    }

    /// The new row stays.
    pub(crate) fn keep_new(&mut self, found: &Match) {
        self.old.entry(found.file as usize).or_default().push(found.row);
    }

    /// Sorts the positions.
    pub(crate) fn finish(mut self) -> Self {
        for positions in self.new.iter_mut().chain(self.old.values_mut()) {
            positions.sort_unstable();
            positions.dedup();
        }
        self
    }
}

/// Whether the table's row stays, given equal versions.
pub(crate) fn keeps_table_row(mode: MergeMode, new: RowDigest, old: RowDigest) -> bool {
    new.digest == old.digest || (mode == MergeMode::UpsertReread && new.extracted_at < old.extracted_at)
}

/// Decides by version, and by values where versions are equal.
///
/// The newest version stays. With equal versions, or without any, the new row stays if a value differs (provenance
/// columns aside), else the table's. In [`MergeMode::UpsertReread`] a row of the table that was read later always
/// stays. Deleted rows have no successor.
pub(crate) async fn resolve(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    mode: MergeMode,
    inputs: &[PendingRows],
    files: &[Arc<DataFile>],
    found: LookupResult,
    mut superseded_rows: SupersededRows,
) -> Result<SupersededRows, Error> {
    superseded_rows.old = found.deleted;
    let mut equal = Vec::new();
    for found in found.matches {
        match found.order {
            Ordering::Greater => superseded_rows.keep_new(&found),
            Ordering::Less => superseded_rows.keep_old(&found),
            Ordering::Equal => equal.push(found),
        }
    }
    for (found, new, old) in digest_pairs(store, table, inputs, files, equal).await? {
        if keeps_table_row(mode, new, old) {
            superseded_rows.keep_old(&found);
        } else {
            superseded_rows.keep_new(&found);
        }
    }
    Ok(superseded_rows.finish())
}

/// The digests of every pair: of the new row, and of the table's.
async fn digest_pairs(
    store: &Arc<dyn ObjectStore>,
    table: &'static Table,
    inputs: &[PendingRows],
    files: &[Arc<DataFile>],
    pairs: Vec<Match>,
) -> Result<Vec<(Match, RowDigest, RowDigest)>, Error> {
    if pairs.is_empty() {
        return Ok(vec![]);
    }
    let reader = RowDigestReader::new(table)?;
    let mut of_input: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut of_file: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for pair in &pairs {
        of_input.entry(pair.input).or_default().push(pair.position);
        of_file.entry(pair.file).or_default().push(pair.row);
    }
    let mut new: HashMap<(u32, u32), RowDigest> = HashMap::new();
    for (at, positions) in of_input {
        let positions = ascending(positions);
        let mut found = Vec::with_capacity(positions.len());
        let read = |batch: &_| reader.read(batch).map(|values| found.extend(values));
        inputs[at as usize].pick(store, table, &reader.schema, &positions, read).await?;
        new.extend(positions.into_iter().map(|position| (at, position)).zip(found));
    }
    let pick = |(at, positions): (u32, Vec<u32>)| {
        let (file, reader) = (Arc::clone(&files[at as usize]), &reader);
        async move {
            let positions = ascending(positions);
            let mut found = Vec::with_capacity(positions.len());
            let read = |batch: &_| reader.read(batch).map(|values| found.extend(values));
            read_rows_at(store, &file, &reader.schema, &positions, read).await?;
            Ok::<_, Error>(positions.into_iter().map(move |position| (at, position)).zip(found))
        }
    };
    let picked: Vec<_> = of_file.into_iter().map(pick).collect();
    let picked: Vec<_> = stream::iter(picked).buffered(CONCURRENT_READS).try_collect().await?;
    let old: HashMap<(u32, u32), RowDigest> = picked.into_iter().flatten().collect();
    let of = |values: &HashMap<(u32, u32), RowDigest>, at| values.get(&at).copied().unwrap_or_default();
    let with_values = pairs.into_iter().map(|pair| {
        let (new, old) = (of(&new, (pair.input, pair.position)), of(&old, (pair.file, pair.row)));
        (pair, new, old)
    });
    Ok(with_values.collect())
}

/// The positions sorted, without duplicates.
pub(crate) fn ascending(mut positions: Vec<u32>) -> Vec<u32> {
    positions.sort_unstable();
    positions.dedup();
    positions
}
