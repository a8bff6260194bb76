//! Duplicate keys in a table: all rows but the newest are removed. Commits of this version leave none; older versions
//! did, and other tools may.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use crate::delta::file_commit::CommitKind;
use crate::delta::log::Log;
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

/// The run id in the commit information of a commit that removes duplicates.
const RUN_ID: &str = "duplicate keys";

/// Commit attempts before giving up on a contended table.
const ATTEMPTS: usize = 3;

/// Rows whose keys are checked together: few enough for the filter's false-positive rate to stay low.
const PART_ROWS: u64 = 4_000_000;

/// Rows of a small table: all of its keys are kept in memory, which saves a second read.
const SMALL_TABLE_ROWS: u64 = 100_000;

/// A row whose key may be in the table more than once.
struct RowCopy {
    file: usize,
    position: u32,
    version: Version,
    /// When its file was written: among equal versions the latest stays.
    written: i64,
}

/// Removes all rows of a key but the newest; returns how many.
///
/// All keys are read once; in larger tables once more if there may be duplicates, and in very large ones in several
/// passes, each over a share of the keys.
pub(crate) async fn remove_duplicates(lake: &LakeStorage, log: &Log) -> Result<u64, Error> {
    let mut keys = log.writing.lock().await;
    for _ in 0..ATTEMPTS {
        let Some(snapshot) = log.snapshot().await? else { return Ok(0) };
        let superseded = all_superseded(lake, &snapshot).await?;
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

/// The positions of superseded rows, by file.
async fn all_superseded(lake: &LakeStorage, snapshot: &Snapshot) -> Result<BTreeMap<usize, Vec<u32>>, Error> {
    let rows = snapshot.rows();
    let parts = u128::from(rows / PART_ROWS + 1);
    let mut all: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for part in 0..parts {
        for (file, positions) in superseded(copies(lake, snapshot, part, parts).await?) {
            all.entry(file).or_default().extend(positions);
        }
    }
    all.values_mut().for_each(|positions| positions.sort_unstable());
    Ok(all)
}

/// The rows whose keys may be duplicates, by key.
async fn copies(
    lake: &LakeStorage,
    snapshot: &Snapshot,
    part: u128,
    parts: u128,
) -> Result<HashMap<u128, Vec<RowCopy>>, Error> {
    let rows = snapshot.rows();
    let mut copies: HashMap<u128, Vec<RowCopy>> = HashMap::new();
    let is_small = rows <= SMALL_TABLE_ROWS;
    if !is_small {
        let mut seen = KeyFilter::new(lake.filter_budget.clone(), rows.min(PART_ROWS) as usize);
        let look = |hash: u128| {
            if hash % parts == part && seen.insert(hash) {
                copies.insert(hash, vec![]);
            }
        };
        for_each_key(lake, snapshot, look).await?;
        if copies.is_empty() {
            return Ok(copies);
        }
    }
    let add = |file: usize, row: KeyRow<'_>| {
        let key = row.key();
        if is_small || copies.contains_key(&key) {
            let (position, version) = (row.position, row.version());
            let copy = RowCopy { file, position, version, written: snapshot.files[file].modified };
            copies.entry(key).or_default().push(copy);
        }
    };
    for_each_row_of_files(&lake.store, snapshot.table, &snapshot.files, add).await?;
    Ok(copies)
}

/// All copies but the newest of each key, by file.
fn superseded(copies: HashMap<u128, Vec<RowCopy>>) -> BTreeMap<usize, Vec<u32>> {
    let mut superseded: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for copies in copies.into_values() {
        let newer = |a: &RowCopy, b: &RowCopy| match a.version.compare(b.version) {
            Ordering::Equal => (a.written, a.file, a.position) > (b.written, b.file, b.position),
            order => order.is_gt(),
        };
        let newest = (0..copies.len()).reduce(|best, at| if newer(&copies[at], &copies[best]) { at } else { best });
        for (_, copy) in copies.iter().enumerate().filter(|(at, _)| Some(*at) != newest) {
            superseded.entry(copy.file).or_default().push(copy.position);
        }
    }
    superseded
}
