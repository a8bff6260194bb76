//! Keys that are in a table several times: the newest row stays. No commit of this program leaves any; older ones did, and
//! other tools may.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};

use crate::error::Error;
use crate::lake::Inner;
use crate::log::{Log, Outcome, State};
use crate::merge::key_filter::KeyFilter;
use crate::merge::version::Version;
use crate::rewrite::rewrite;
use crate::source::{EVER, KeyReader, KeyRow, OPENED, READ, key_hashes};

/// What such a commit says instead of a run.
const RUN: &str = "double keys";

/// A row whose key may be there several times.
struct Copy {
    file: usize,
    position: u32,
    version: Version,
    /// When its file was written: of equal versions the later one stays.
    written: i64,
}

/// Removes all rows of a key but the newest. Says how many were removed.
///
/// All keys are read once; where some may be double, once more.
pub(crate) async fn remove_doubles(lake: &Inner, log: &Log) -> Result<u64, Error> {
    let mut keys = log.writing.lock().await;
    let Some(state) = log.state().await? else { return Ok(0) };
    let superseded = superseded(copies(lake, &state).await?);
    if superseded.is_empty() {
        return Ok(0);
    }
    let removed = superseded.values().map(|positions| positions.len() as u64).sum();
    let files: Vec<_> = superseded.keys().map(|file| Arc::clone(&state.files[*file])).collect();
    let rewritten = files.iter().zip(superseded.values()).map(|(file, rows)| rewrite(lake, log.table, file, rows));
    let mut rewritten: Vec<_> = stream::iter(rewritten.collect::<Vec<_>>()).buffered(READ).try_collect().await?;
    for staged in rewritten.iter_mut().flatten() {
        staged.complete().await?;
    }
    let add: Vec<_> = rewritten.iter().flatten().map(|staged| staged.file.clone()).collect();
    let outcome = log.commit(&mut keys, &state, &add, &files, RUN).await;
    match outcome {
        Ok(Outcome::Committed(_)) => {
            if lake.removed_files.is_zero() {
                log.readers.delete(files.iter().map(|file| file.path.clone()).collect()).await;
            }
            tracing::warn!(table = log.table.name, rows = removed, "rows whose keys were there twice were removed");
            Ok(removed)
        }
        Ok(Outcome::Conflict) => {
            log.readers.delete(add.into_iter().map(|file| file.path).collect()).await;
            Err(Error::Contended { table: log.table.name, attempts: 1 })
        }
        Err(error) => Err(error),
    }
}

/// The rows whose keys may be there several times, by key.
async fn copies(lake: &Inner, state: &State) -> Result<HashMap<u128, Vec<Copy>>, Error> {
    let rows: u64 = state.files.iter().map(|file| file.rows.unwrap_or_default()).sum();
    let mut seen = KeyFilter::new(lake.filter_budget.clone(), usize::try_from(rows).unwrap_or(usize::MAX / 4));
    let mut copies: HashMap<u128, Vec<Copy>> = HashMap::new();
    let files: Vec<_> = state.files.iter().map(|file| key_hashes(&lake.store, state.table, file)).collect();
    let mut files = stream::iter(files).buffer_unordered(OPENED).try_flatten_unordered(READ);
    while let Some(hashes) = files.try_next().await? {
        copies.extend(hashes.into_iter().filter(|hash| seen.insert(*hash)).map(|hash| (hash, vec![])));
    }
    if copies.is_empty() {
        return Ok(copies);
    }
    for (at, file) in state.files.iter().enumerate() {
        let take = |row: KeyRow<'_>| {
            if let Some(copies) = copies.get_mut(&row.key()) {
                let (position, version) = (row.position, row.version());
                copies.push(Copy { file: at, position, version, written: file.modified });
            }
        };
        KeyReader::open(&lake.store, state.table, file, EVER, None).await?.for_each(take).await?;
    }
    Ok(copies)
}

/// The positions of rows that give way, by file.
fn superseded(copies: HashMap<u128, Vec<Copy>>) -> BTreeMap<usize, Vec<u32>> {
    let mut superseded: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for copies in copies.into_values() {
        let newer = |a: &Copy, b: &Copy| match a.version.compare(b.version) {
            Ordering::Equal => (a.written, a.file, a.position) > (b.written, b.file, b.position),
            order => order.is_gt(),
        };
        let newest = (0..copies.len()).reduce(|best, at| if newer(&copies[at], &copies[best]) { at } else { best });
        for (_, copy) in copies.iter().enumerate().filter(|(at, _)| Some(*at) != newest) {
            superseded.entry(copy.file).or_default().push(copy.position);
        }
    }
    superseded.values_mut().for_each(|positions| positions.sort_unstable());
    superseded
}
