//! Orphan files: what a killed run left in a table's folder, and what other tools removed from the table. They are
//! deleted, so that a plain glob shows what the log names; files that another tool may still commit stay.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::clock::now_millis;
use crate::delta::commit_info::{self, FolderState};
use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::delta::tombstones::Tombstone;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::maintenance::kept_files;
use crate::maintenance::table_folder::TableFolder;
use crate::storage::listing::ListedFile;
use crate::storage::paths;
use crate::storage::recovery::{FileFacts, FileFate, delete, fate, is_abandoned_entry, kept_since};

/// What a table's folder holds that its log does not name.
pub(crate) struct Orphans {
    folder: TableFolder,
    /// What is to be deleted.
    pub(crate) files: Vec<ListedFile>,
    /// When the oldest of those were removed that stay until their time is over.
    oldest_kept: Option<i64>,
}

/// Looks for the orphan files in a table's folder; `None` when there is no table. Nothing is deleted.
///
/// Without the lock, files of running changes look like orphans.
pub(crate) async fn find(lake: &LakeStorage, log: &Log) -> Result<Option<Orphans>, Error> {
    let Some(folder) = TableFolder::read(lake, log).await? else { return Ok(None) };
    let (kept_since, removed) = (kept_since(lake), removal_times(&folder, lake, log).await?);
    let (mut files, mut kept) = (Vec::new(), Vec::<i64>::new());
    for file in &folder.listed {
        let is_orphan = if file.is_log {
            paths::is_staged(&file.name) && {
                let age = now_millis() - file.modified;
                is_abandoned_entry(&file.name, folder.snapshot.version, is_own_entry(lake, file), age)
            }
        } else {
            let (is_current, removed_at) = (folder.named.contains(&file.path), removed.get(&file.path).copied());
            let fate = fate(FileFacts { name: &file.name, is_current, removed_at }, kept_since);
            kept.extend(removed_at.filter(|_| fate == FileFate::Wait));
            fate == FileFate::Delete
        };
        if is_orphan {
            files.push(file.clone());
        }
    }
    Ok(Some(Orphans { folder, files, oldest_kept: kept.into_iter().min() }))
}

/// Deletes the orphan files in a table's folder. Returns files of the table that are missing: if there are any, nothing
/// is deleted.
///
/// The caller must hold the lock. A file that cannot be deleted is an error: a glob would show its rows.
pub(crate) async fn remove(lake: &LakeStorage, log: &Log) -> Result<Vec<Arc<DataFile>>, Error> {
    match find(lake, log).await? {
        Some(orphans) => orphans.remove(lake, log).await,
        None => Ok(vec![]),
    }
}

impl Orphans {
    /// Deletes them, as [`remove`] does.
    pub(crate) async fn remove(self, lake: &LakeStorage, log: &Log) -> Result<Vec<Arc<DataFile>>, Error> {
        if !self.folder.missing.is_empty() {
            return Ok(self.folder.missing);
        }
        let TableFolder { snapshot, listed, wrong_size, .. } = &self.folder;
        // If another tool commits first, the next run corrects them.
        let is_corrected = !wrong_size.is_empty() && log.correct_files(snapshot, wrong_size).await?;
        if !self.files.is_empty() {
            // A run that was paused before it listed the folder may have listed files of the one that took over.
            lake.check_lease().await?;
        }
        for file in &self.files {
            delete(lake, &file.path).await?;
            tracing::info!(path = file.path, "deleted an orphan file");
        }
        // If another tool has committed since the listing, the next run lists what that has changed.
        let listed_version = snapshot.version + u64::from(is_corrected);
        if log.snapshot().await?.is_some_and(|now| now.version == listed_version) {
            log.set_folder_state(match self.oldest_kept {
                Some(removed_at) => kept_files::track(log, snapshot, listed, removed_at).await?,
                None => FolderState::Clean,
            });
        }
        Ok(vec![])
    }
}

/// When the files outside the newest version were removed, as far as that matters.
async fn removal_times(folder: &TableFolder, lake: &LakeStorage, log: &Log) -> Result<HashMap<String, i64>, Error> {
    let is_data = |file: &&ListedFile| !file.is_log && !folder.named.contains(&file.path);
    let matters = |file: &&ListedFile| !lake.removed_files.is_zero() || !paths::is_own_data_file(&file.name);
    let mut unknown: HashSet<&str> =
        folder.listed.iter().filter(is_data).filter(matters).map(|file| file.path.as_str()).collect();
    let mut removed = HashMap::new();
    if unknown.is_empty() {
        return Ok(removed);
    }
    // One without a time stays for as long as files are kept at all.
    let time = |tombstone: &Tombstone| tombstone.removed_at.unwrap_or(i64::MAX);
    for tombstone in log.tombstones().await? {
        if unknown.remove(tombstone.path.as_ref()) {
            removed.insert(tombstone.path.to_string(), time(&tombstone));
        }
    }
    if !unknown.is_empty() {
        // Checkpoints drop tombstones after a week.
        for tombstone in log.tombstones_by_entries().await? {
            if unknown.contains(tombstone.path.as_ref()) {
                removed.insert(tombstone.path.to_string(), time(&tombstone));
            }
        }
    }
    Ok(removed)
}

/// Whether this program made an unpublished log entry. No run is writing one now.
fn is_own_entry(lake: &LakeStorage, file: &ListedFile) -> bool {
    let text = lake.root.as_ref().and_then(|root| std::fs::read(root.join(&file.path)).ok());
    text.is_some_and(|text| commit_info::is_own_entry(&text))
}
