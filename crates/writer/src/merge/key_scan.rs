//! Reading all keys of a table: one by one, or into a filter.

use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::merge::key_reader::key_hashes;
use crate::parquet::reader::{CONCURRENT_OPENS, CONCURRENT_READS};
use crate::table_keys::{KeyHashes, TableFilters, TableKeys};

/// Commits that search the table's files for their keys; after that one filter of all keys is cheaper.
const SEARCHES: u32 = 2;

/// Rows whose keys are searched in the table's files; with more, the files' own filters reject too little.
const SEARCHED_ROWS: u64 = 1 << 15;

/// The filters of the table's keys, built if that pays for merging so many rows; else `None`.
pub(crate) async fn filter_for<'k>(
    keys: &'k mut TableKeys,
    lake: &LakeStorage,
    snapshot: &Snapshot,
    rows: u64,
) -> Result<Option<&'k mut TableFilters>, Error> {
    if keys.filters(snapshot.version).is_none() {
        let searches = keys.count_search();
        if !snapshot.files.is_empty() && rows <= SEARCHED_ROWS && searches <= SEARCHES {
            return Ok(None);
        }
        keys.set_filters(build(lake, snapshot).await?, snapshot.version);
    }
    Ok(keys.filters(snapshot.version))
}

/// Builds filters from the keys of all files.
async fn build(lake: &LakeStorage, snapshot: &Snapshot) -> Result<TableFilters, Error> {
    let rows = usize::try_from(snapshot.rows()).unwrap_or(usize::MAX / 4);
    let mut filters = TableFilters::new(snapshot.table, &lake.filter_budget, rows);
    for_each_key(lake, snapshot, |hashes| filters.add(hashes)).await?;
    Ok(filters)
}

/// Calls with the hashes of every key in the table's files, in no order.
pub(crate) async fn for_each_key(
    lake: &LakeStorage,
    snapshot: &Snapshot,
    mut call: impl FnMut(KeyHashes),
) -> Result<(), Error> {
    let files: Vec<_> = snapshot.files.iter().map(|file| key_hashes(&lake.store, snapshot.table, file)).collect();
    let mut files = stream::iter(files).buffer_unordered(CONCURRENT_OPENS).try_flatten_unordered(CONCURRENT_READS);
    while let Some(hashes) = files.try_next().await? {
        hashes.into_iter().for_each(&mut call);
    }
    Ok(())
}
