//! The keys of a table, as far as they are known: handed from one commit of the table to the next.

use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::merge::key_filter::KeyFilter;
use crate::merge::key_reader::key_hashes;
use crate::parquet::reader::{CONCURRENT_OPENS, CONCURRENT_READS};

/// Commits that search the table's files for their keys; after that one filter of all keys is cheaper.
const SEARCHES: u32 = 2;

/// Rows whose keys are searched in the table's files; with more, the files' own filters reject too little.
const SEARCHED_ROWS: u64 = 1 << 15;

/// The keys of a table, as far as they are known. The holder of its lock may commit.
#[derive(Default)]
pub(crate) struct TableKeys {
    filter: Option<KeyFilter>,
    /// The version that the filter describes.
    version: u64,
    searches: u32,
}

impl TableKeys {
    /// The filter of the table's keys, built if that pays for merging so many rows; else `None`.
    pub(crate) async fn filter(
        &mut self,
        lake: &LakeStorage,
        snapshot: &Snapshot,
        rows: u64,
    ) -> Result<Option<&mut KeyFilter>, Error> {
        if self.version != snapshot.version {
            // Somebody else has committed.
            self.filter = None;
        }
        if self.filter.is_none() {
            self.searches += 1;
            if !snapshot.files.is_empty() && rows <= SEARCHED_ROWS && self.searches <= SEARCHES {
                return Ok(None);
            }
            self.filter = Some(build(lake, snapshot).await?);
            self.version = snapshot.version;
        }
        Ok(self.filter.as_mut())
    }

    /// The filter, if there is one for this version.
    pub(crate) fn known(&mut self, snapshot: &Snapshot) -> Option<&mut KeyFilter> {
        self.filter.as_mut().filter(|_| self.version == snapshot.version)
    }

    /// Notes a commit of this process, whose keys are in the filter already.
    pub(crate) fn committed(&mut self, version: u64) {
        if version == self.version + 1 {
            self.version = version;
        }
    }
}

/// Builds a filter from the keys of all files.
async fn build(lake: &LakeStorage, snapshot: &Snapshot) -> Result<KeyFilter, Error> {
    let rows: u64 = snapshot.files.iter().map(|file| file.rows.unwrap_or_default()).sum();
    let mut filter = KeyFilter::new(lake.filter_budget.clone(), usize::try_from(rows).unwrap_or(usize::MAX / 4));
    let insert = |hash| {
        filter.add(hash);
    };
    for_each_key(lake, snapshot, insert).await?;
    Ok(filter)
}

/// Calls with the hash of every key in the table's files, in no order.
pub(crate) async fn for_each_key(
    lake: &LakeStorage,
    snapshot: &Snapshot,
    mut call: impl FnMut(u128),
) -> Result<(), Error> {
    let files: Vec<_> = snapshot.files.iter().map(|file| key_hashes(&lake.store, snapshot.table, file)).collect();
    let mut files = stream::iter(files).buffer_unordered(CONCURRENT_OPENS).try_flatten_unordered(CONCURRENT_READS);
    while let Some(hashes) = files.try_next().await? {
        hashes.into_iter().for_each(&mut call);
    }
    Ok(())
}
