//! Recovery of a table's folder after a run was killed or another tool removed files: which of its files are deleted.
//! What the log says of them is handed in.

use std::io::ErrorKind;

use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::clock::now_millis;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::storage::paths;

/// Age at which an unpublished log entry counts as abandoned: writers publish within moments.
const STAGED_ENTRY_MILLIS: i64 = 60_000;

/// What to do with a file in a table's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFate {
    Keep,
    /// Deleted after the retention time for readers of older versions.
    Wait,
    Delete,
}

/// What is known of a file in a table's folder that is not part of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileFacts<'f> {
    pub(crate) name: &'f str,
    /// Whether it is part of the newest version.
    pub(crate) is_current: bool,
    /// When a commit removed it, in milliseconds.
    pub(crate) removed_at: Option<i64>,
}

/// Decides what happens to a file; the caller holds the lock. Files that a commit removed since `kept_since` wait.
pub(crate) fn fate(file: FileFacts<'_>, kept_since: Option<i64>) -> FileFate {
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
pub(crate) fn is_abandoned_entry(name: &str, newest: u64, is_ours: bool, age_millis: i64) -> bool {
    // A checkpoint of that version may still be written.
    let version = name.split_once(".json#").and_then(|(version, _)| version.parse::<u64>().ok());
    let is_taken = version.is_some_and(|version| version <= newest);
    paths::is_staged(name) && (is_taken || is_ours || age_millis >= STAGED_ENTRY_MILLIS)
}

/// The time since which removed files are kept; `None`: none are kept.
pub(crate) fn kept_since(lake: &LakeStorage) -> Option<i64> {
    let kept = i64::try_from(lake.removed_files.as_millis()).unwrap_or(i64::MAX);
    (kept > 0).then(|| now_millis().saturating_sub(kept))
}

/// Deletes a file in a table's folder, staged or published. One that is no longer there is no error.
pub(crate) async fn delete(lake: &LakeStorage, path: &str) -> Result<(), Error> {
    match &lake.local {
        // The store hides staged files.
        Some(local) => match local.remove(&local.root().join(path)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file(format!("delete {path}"))(error)),
            _ => Ok(()),
        },
        None => match lake.store.delete(&Path::from(path)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store(format!("delete {path}"))(error)),
        },
    }
}

/// Deletes published files in a table's folder, several in one request where the store can do that.
pub(crate) async fn delete_all(lake: &LakeStorage, paths: Vec<Path>) -> Result<(), Error> {
    if lake.local.is_some() {
        for path in &paths {
            delete(lake, path.as_ref()).await?;
        }
        return Ok(());
    }
    let mut deleted = lake.store.delete_stream(stream::iter(paths.into_iter().map(Ok)).boxed());
    while let Some(deleted) = deleted.next().await {
        match deleted {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(Error::store("delete removed files")(error)),
        }
    }
    Ok(())
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
    fn an_entry_that_a_writer_may_still_publish_stays() {
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
