//! Duplicate keys in a table: all rows but the newest are removed. Commits of this version leave none; older versions
//! did, and other tools may.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::file_commit::CommitKind;
use crate::delta::log::Log;
use crate::delta::removed_file::expect_removed;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::key_filter::KeyFilter;
use crate::lake_storage::LakeStorage;
use crate::merge::key_reader::{KeyRow, for_each_row_of_files};
use crate::merge::key_scan::for_each_key;
use crate::merge::replace_files::replace_files;
use crate::merge::rewrite::rewrite;
use crate::merge::version::Version;
use crate::parquet::reader::CONCURRENT_READS;
use crate::reread::reread;
use crate::table_keys::KeyHashes;

/// The run id in the commit information of a commit that removes duplicates.
const RUN_ID: &str = "duplicate keys";

/// Commit attempts before giving up on a contended table.
const ATTEMPTS: usize = 3;

/// How many keys are kept in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DedupeLimits {
    /// Rows of a small table: all of its keys are kept (about 100 bytes each), which saves a second read.
    pub(crate) small_table_rows: u64,
    /// Rows whose keys are checked together: few enough for the filter's false-positive rate to stay low.
    pub(crate) part_rows: u64,
}

const LIMITS: DedupeLimits = DedupeLimits { small_table_rows: 400_000, part_rows: 4_000_000 };

/// Bytes that a row takes in a file at least: its key is unique, so that it hardly compresses.
const LEAST_ROW_BYTES: u64 = 16;

/// A row whose key may be in the table more than once.
struct RowCopy {
    file: usize,
    position: u32,
    version: Version,
    /// When its file was written: among equal versions the latest stays.
    written: i64,
}

impl RowCopy {
    fn is_newer(&self, other: &Self) -> bool {
        match self.version.compare(other.version) {
            Ordering::Equal => (self.written, self.file, self.position) > (other.written, other.file, other.position),
            order => order.is_gt(),
        }
    }
}

/// Removes all rows of a key but the newest; returns how many.
///
/// All keys are read once; in larger tables once more if there may be duplicates, and in very large ones in several
/// passes, each over a share of the keys.
pub(crate) async fn remove_duplicates(lake: &LakeStorage, log: &Log) -> Result<u64, Error> {
    reread(|| find_and_remove(lake, log), |error| expect_removed(log, error)).await
}

async fn find_and_remove(lake: &LakeStorage, log: &Log) -> Result<u64, Error> {
    let mut keys = log.writing.lock().await;
    for _ in 0..ATTEMPTS {
        let Some(snapshot) = log.snapshot().await? else { return Ok(0) };
        let superseded = all_superseded(lake, &snapshot, LIMITS).await?;
        if superseded.is_empty() {
            return Ok(0);
        }
        let removed = superseded.values().map(|positions| positions.len() as u64).sum();
        let files: Vec<_> = superseded.keys().map(|file| Arc::clone(&snapshot.files[*file])).collect();
        let rewritten = files.iter().zip(superseded.values()).map(|(file, rows)| rewrite(lake, log, file, rows));
        let rewritten: Vec<_> =
            stream::iter(rewritten.collect::<Vec<_>>()).buffered(CONCURRENT_READS).try_collect().await?;
        let rewritten = rewritten.into_iter().flatten().collect();
        if replace_files(log, &mut keys, &snapshot, CommitKind::Merge, rewritten, &files, RUN_ID).await? {
            tracing::warn!(table = log.table.name, rows = removed, "removed older rows with duplicate keys");
            return Ok(removed);
        }
    }
    Err(Error::Contended { table: log.table.name, attempts: ATTEMPTS })
}

/// The table's rows, or more: other tools may not say how many a file has.
fn rows_at_most(snapshot: &Snapshot) -> u64 {
    snapshot.files.iter().map(|file| file.rows.unwrap_or(file.size / LEAST_ROW_BYTES)).sum()
}

/// The positions of superseded rows, by file.
pub(crate) async fn all_superseded(
    lake: &LakeStorage,
    snapshot: &Snapshot,
    limits: DedupeLimits,
) -> Result<BTreeMap<usize, Vec<u32>>, Error> {
    let rows = rows_at_most(snapshot);
    let parts = u128::from(rows / limits.part_rows + 1);
    let mut all: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for part in 0..parts {
        for (file, positions) in superseded_of_part(lake, snapshot, limits, (part, parts)).await? {
            all.entry(file).or_default().extend(positions);
        }
    }
    all.values_mut().for_each(|positions| positions.sort_unstable());
    Ok(all)
}

/// All rows but the newest of each key in this share of the keys, by file.
async fn superseded_of_part(
    lake: &LakeStorage,
    snapshot: &Snapshot,
    limits: DedupeLimits,
    (part, parts): (u128, u128),
) -> Result<BTreeMap<usize, Vec<u32>>, Error> {
    let rows = rows_at_most(snapshot);
    // The newest row of each key that may occur more than once.
    let mut newest: HashMap<u128, Option<RowCopy>> = HashMap::new();
    let mut superseded: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let is_small = rows <= limits.small_table_rows;
    if !is_small {
        let mut seen = KeyFilter::new(lake.filter_budget.clone(), rows.min(limits.part_rows) as usize);
        let look = |KeyHashes { key, .. }| {
            if key % parts == part && seen.insert(key) {
                newest.insert(key, None);
            }
        };
        for_each_key(lake, snapshot, look).await?;
        if newest.is_empty() {
            return Ok(superseded);
        }
    }
    let add = |file: usize, row: KeyRow<'_>| {
        let key = row.key();
        let known = if is_small { Some(newest.entry(key).or_default()) } else { newest.get_mut(&key) };
        let Some(known) = known else { return };
        let (position, version) = (row.position, row.version());
        let copy = RowCopy { file, position, version, written: snapshot.files[file].modified };
        let older = match known {
            Some(known) if !copy.is_newer(known) => Some(copy),
            known => known.replace(copy),
        };
        if let Some(older) = older {
            superseded.entry(older.file).or_default().push(older.position);
        }
    };
    for_each_row_of_files(&lake.store, snapshot.table, &snapshot.files, add).await?;
    Ok(superseded)
}
