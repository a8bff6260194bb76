//! Orphan files: what a killed run left in a table's folder, and what other tools removed from the table. They are
//! deleted, so that a plain glob equals the log; files that another tool may still commit stay.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::clock::now_millis;
use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::parquet::reader::FileReader;
use crate::storage::listing::{ListedFile, list};
use crate::storage::paths;

/// Age at which an unpublished log entry counts as abandoned: writers publish within moments.
const STAGED_ENTRY_MILLIS: i64 = 60_000;

/// What to do with a file in a table's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileFate {
    Keep,
    /// Deleted after the retention time for readers of older versions.
    Wait,
    Delete,
}

/// What is known of a file in a table's folder, outside the log.
#[derive(Debug, Clone, Copy)]
struct FileFacts<'f> {
    name: &'f str,
    /// Whether it is part of the newest version.
    is_current: bool,
    /// When a commit removed it, in milliseconds.
    removed_at: Option<i64>,
}

/// Decides about a file; the caller holds the lock. Files that a commit removed since `kept_since` wait.
fn fate(file: FileFacts<'_>, kept_since: Option<i64>) -> FileFate {
    let is_kept = |at: i64| kept_since.is_some_and(|since| at >= since);
    match file.removed_at {
        _ if file.is_current => FileFate::Keep,
        Some(at) if is_kept(at) => FileFate::Wait,
        // No matter who wrote it.
        Some(_) => FileFate::Delete,
        // No other process of this program is writing.
        None if paths::is_own_data_file(file.name) => FileFate::Delete,
        // Another tool may be about to commit it.
        None => FileFate::Keep,
    }
}

/// Whether a log entry without its final name is abandoned: no writer is about to publish it.
fn is_abandoned_entry(name: &str, newest: u64, is_ours: bool, age_millis: i64) -> bool {
    // A checkpoint of that version may still be written.
    let version = name.split_once(".json#").and_then(|(version, _)| version.parse::<u64>().ok());
    let is_taken = version.is_some_and(|version| version <= newest);
    paths::is_staged(name) && (is_taken || is_ours || age_millis >= STAGED_ENTRY_MILLIS)
}

/// Files of the newest version that are missing or truncated.
pub(crate) async fn missing(lake: &LakeStorage, log: &Log) -> Result<Vec<Arc<DataFile>>, Error> {
    Ok(TableFolder::read(lake, log).await?.map(|folder| folder.missing).unwrap_or_default())
}

/// Deletes the orphan files in a table's folder. Returns files of the table that are missing: if there are any, nothing
/// is deleted.
///
/// The caller must hold the lock: files of running changes look like orphans. A file that cannot be deleted is an
/// error: a glob would show its rows.
pub(crate) async fn remove(lake: &LakeStorage, log: &Log) -> Result<Vec<Arc<DataFile>>, Error> {
    let Some(folder) = TableFolder::read(lake, log).await? else { return Ok(vec![]) };
    if !folder.missing.is_empty() {
        return Ok(folder.missing);
    }
    if !folder.wrong_size.is_empty() {
        // If somebody else commits first, the next run does it.
        log.restate(&folder.snapshot, &folder.wrong_size).await?;
    }
    let (kept_since, removed) = (kept_since(lake), folder.removed(lake, log).await?);
    let mut keeps_some = false;
    for file in &folder.listed {
        let is_orphan = if file.is_log {
            paths::is_staged(&file.name) && {
                let age = now_millis() - file.modified;
                is_abandoned_entry(&file.name, folder.snapshot.version, is_own_entry(lake, file), age)
            }
        } else {
            let (is_current, removed_at) = (folder.named.contains(&file.path), removed.get(&file.path).copied());
            let fate = fate(FileFacts { name: &file.name, is_current, removed_at }, kept_since);
            keeps_some |= fate == FileFate::Wait;
            fate == FileFate::Delete
        };
        if is_orphan {
            delete(lake, &file.path).await?;
            tracing::info!(path = file.path, "deleted a file that is no part of the table");
        }
    }
    log.note_listed(!keeps_some);
    Ok(vec![])
}

/// The time since which removed files are kept; `None`: none are kept.
fn kept_since(lake: &LakeStorage) -> Option<i64> {
    let kept = i64::try_from(lake.removed_files.as_millis()).unwrap_or(i64::MAX);
    (kept > 0).then(|| now_millis().saturating_sub(kept))
}

/// A table's folder compared to its log.
struct TableFolder {
    snapshot: Arc<Snapshot>,
    listed: Vec<ListedFile>,
    /// Paths of the newest version.
    named: HashSet<String>,
    missing: Vec<Arc<DataFile>>,
    /// Intact files whose size differs from the log.
    wrong_size: Vec<DataFile>,
}

impl TableFolder {
    async fn read(lake: &LakeStorage, log: &Log) -> Result<Option<Self>, Error> {
        let Some(mut snapshot) = log.snapshot().await? else { return Ok(None) };
        let mut listed = list(lake, log.table).await?;
        let is_there = |listed: &[ListedFile], snapshot: &Snapshot| {
            let there: HashSet<&str> = listed.iter().map(|file| file.path.as_str()).collect();
            snapshot.files.iter().all(|file| there.contains(file.path.as_ref()))
        };
        if !is_there(&listed, &snapshot) {
            // Another tool may have committed in the meantime.
            let Some(now) = log.reload().await? else { return Ok(None) };
            snapshot = now;
            listed = list(lake, log.table).await?;
        }
        let sizes: HashMap<&str, u64> = listed.iter().map(|file| (file.path.as_str(), file.size)).collect();
        let (mut missing, mut wrong_size) = (Vec::new(), Vec::new());
        for file in &snapshot.files {
            match sizes.get(file.path.as_ref()) {
                Some(size) if *size == file.size => {}
                Some(size) => {
                    let found = DataFile { size: *size, ..DataFile::clone(file) };
                    match FileReader::open(&lake.store, &found).await {
                        Ok(_) => wrong_size.push(found),
                        Err(_) => missing.push(Arc::clone(file)),
                    }
                }
                None => missing.push(Arc::clone(file)),
            }
        }
        if !missing.is_empty() {
            // A caller that only looks holds no lock: what a commit has just removed is not missing.
            let now = log.reload().await?;
            let is_current =
                |file: &Arc<DataFile>| now.iter().flat_map(|now| &now.files).any(|of| of.path == file.path);
            missing.retain(is_current);
        }
        let named = snapshot.files.iter().map(|file| file.path.to_string()).collect();
        Ok(Some(Self { snapshot, listed, named, missing, wrong_size }))
    }

    /// When the files outside the newest version were removed, as far as that matters.
    async fn removed(&self, lake: &LakeStorage, log: &Log) -> Result<HashMap<String, i64>, Error> {
        let is_data = |file: &&ListedFile| !file.is_log && !self.named.contains(&file.path);
        let matters = |file: &&ListedFile| !lake.removed_files.is_zero() || !paths::is_own_data_file(&file.name);
        let mut unknown: HashSet<&str> =
            self.listed.iter().filter(is_data).filter(matters).map(|file| file.path.as_str()).collect();
        let mut removed = HashMap::new();
        if unknown.is_empty() {
            return Ok(removed);
        }
        for (path, at) in log.tombstones().await? {
            if unknown.remove(path.as_ref()) {
                removed.insert(path.to_string(), at);
            }
        }
        if !unknown.is_empty() {
            // Checkpoints drop tombstones after a week.
            for (path, at) in log.tombstones_by_entries().await? {
                if unknown.contains(path.as_ref()) {
                    removed.insert(path.to_string(), at);
                }
            }
        }
        Ok(removed)
    }
}

/// Whether this program made an unpublished log entry. No run is writing one now.
fn is_own_entry(lake: &LakeStorage, file: &ListedFile) -> bool {
    let text = lake.root.as_ref().and_then(|root| std::fs::read(root.join(&file.path)).ok());
    text.is_some_and(|text| crate::delta::commit_info::is_own_entry(&text))
}

pub(crate) async fn delete(lake: &LakeStorage, path: &str) -> Result<(), Error> {
    match &lake.local {
        // The store hides staged files.
        Some(local) => local.remove(&local.root().join(path)).map_err(Error::file(format!("delete {path}"))),
        None => lake.store.delete(&Path::from(path)).await.map_err(Error::store(format!("delete {path}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_and_who_removed_a_file_decides_whether_it_stays() {
        let own = "part-0199b0c3d2e1-0123456789abcdef0123456789abcdef.parquet";
        let staged = "part-0199b0c3d2e1-0123456789abcdef0123456789abcdef.parquet#3";
        let foreign = "part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet";
        let foreign_staged = "part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet#1";
        let (now, day_ago) = (Some(100), Some(0));
        let cases = [
            // name, part of the newest version, removed at, kept since: what becomes of it
            (own, true, None, None, FileFate::Keep),
            (foreign, true, None, None, FileFate::Keep),
            (foreign, true, day_ago, None, FileFate::Keep),
            (own, false, None, None, FileFate::Delete),
            (own, false, None, Some(50), FileFate::Delete),
            (staged, false, None, None, FileFate::Delete),
            (own, false, now, None, FileFate::Delete),
            (own, false, now, Some(50), FileFate::Wait),
            (own, false, day_ago, Some(50), FileFate::Delete),
            (foreign, false, now, None, FileFate::Delete),
            (foreign, false, now, Some(50), FileFate::Wait),
            (foreign, false, day_ago, Some(50), FileFate::Delete),
            (foreign, false, None, None, FileFate::Keep),
            (foreign, false, None, Some(50), FileFate::Keep),
            (foreign_staged, false, None, None, FileFate::Keep),
            ("mine.csv", false, None, None, FileFate::Keep),
        ];
        for (name, is_current, removed_at, kept_since, expected) in cases {
            let found = fate(FileFacts { name, is_current, removed_at }, kept_since);
            assert_eq!(found, expected, "{name} {is_current} {removed_at:?} {kept_since:?}");
        }
    }

    #[test]
    fn an_entry_that_somebody_may_finish_stays() {
        let cases = [
            ("00000000000000000007.json#1", false, 0, true),
            ("00000000000000000007.checkpoint.parquet#1", false, 0, false),
            ("00000000000000000008.json#1", false, 0, false),
            ("00000000000000000008.json#1", true, 0, true),
            ("00000000000000000008.json#1", false, STAGED_ENTRY_MILLIS, true),
            ("00000000000000000007.json", true, STAGED_ENTRY_MILLIS, false),
            ("_last_checkpoint#2", false, 0, false),
        ];
        for (name, is_ours, age, expected) in cases {
            assert_eq!(is_abandoned_entry(name, 7, is_ours, age), expected, "{name} {is_ours} {age}");
        }
    }
}
