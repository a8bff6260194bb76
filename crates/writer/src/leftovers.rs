//! What a killed run left behind: files that no commit knows.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::clock::now_millis;
use crate::error::Error;
use crate::lake::Inner;
use crate::log::Log;
use crate::paths;
use crate::storage::LocalStore;

/// Deletes data files of a table that are neither part of it nor kept for readers of older versions, finished ones and
/// staged ones: a plain glob then equals the log.
///
/// Only for who holds the lock: files of running changes look the same. A file that cannot be deleted is an error: the
/// glob would show its rows.
pub(crate) async fn remove(lake: &Inner, log: &Log) -> Result<(), Error> {
    let Some(state) = log.state().await? else { return Ok(()) };
    let mut kept: HashSet<String> = state.files.iter().map(|file| file.path.to_string()).collect();
    if !lake.removed_files.is_zero() {
        let since = now_millis() - i64::try_from(lake.removed_files.as_millis()).unwrap_or(i64::MAX);
        let removed = log.removed().await?.into_iter().filter(|(_, at)| *at >= since);
        kept.extend(removed.map(|(path, _)| path.to_string()));
    }
    match &lake.local {
        Some(local) => {
            let folder = paths::table(log.table).to_string();
            remove_files(local, &folder, &kept).map_err(Error::file(format!("clean up {folder}")))
        }
        None => {
            let folder = paths::table(log.table);
            let error = || Error::store(format!("clean up {folder}"));
            let found: Vec<Path> =
                lake.store.list(Some(&folder)).map_ok(|meta| meta.location).try_collect().await.map_err(error())?;
            for path in found {
                if is_leftover(path.as_ref(), &kept) {
                    tracing::info!(%path, "deleted a file of a run that did not end");
                    lake.store.delete(&path).await.map_err(error())?;
                }
            }
            Ok(())
        }
    }
}

/// The store hides staged files, so local folders are walked.
fn remove_files(local: &LocalStore, folder: &str, kept: &HashSet<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(local.root().join(folder))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            remove_files(local, &path, kept)?;
        } else if is_leftover(&path, kept) {
            local.remove(&entry.path())?;
            tracing::info!(%path, "deleted a file of a run that did not end");
        }
    }
    Ok(())
}

fn is_leftover(path: &str, kept: &HashSet<String>) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path);
    if parts.any(|part| part == paths::LOG) {
        // Staged entries only: the log cleans up the rest itself.
        return paths::is_staged(name);
    }
    paths::is_data_file(name) && !kept.contains(path)
}
