//! Removed files that are kept for readers of older versions, deleted by what the log says of them: which commits removed
//! files, and when. The folder is not listed.

use std::collections::HashSet;

use futures::TryStreamExt;

use crate::delta::commit_info::{FolderState, KeptFiles, NewestCommit, may_restore_files};
use crate::delta::log::Log;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::storage::listing::ListedFile;
use crate::storage::paths;
use crate::storage::recovery::{delete_all, kept_since};

/// By how much the clocks of machines and of a store may differ: a day.
const CLOCKS_DIFFER_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// Deletes kept files whose time is over, commit by commit, and notes in the log's state what remains. Returns how many
/// commits were read; `None` when one of them is no longer there: then only a listing tells.
///
/// The caller must hold the lock. A file that cannot be deleted is an error in a local folder, as for orphan files. In a
/// store it is a warning: what is kept is noted as before, and the next run tries again.
pub(crate) async fn delete_expired(
    lake: &LakeStorage,
    log: &Log,
    newest: &Snapshot,
    kept: KeptFiles,
) -> Result<Option<u64>, Error> {
    let kept_since = kept_since(lake);
    let is_expired = |removed_at: &i64| kept_since.is_none_or(|since| *removed_at < since);
    if !is_expired(&kept.removed_at) {
        return Ok(Some(0));
    }
    let (mut expired, mut remaining, mut commits) = (HashSet::new(), FolderState::Clean, 0);
    for version in kept.version..=newest.version {
        let Some(tombstones) = log.tombstones_of(version).await? else { return Ok(None) };
        commits += 1;
        let not_expired = tombstones.iter().filter_map(|of| of.removed_at).filter(|removed_at| !is_expired(removed_at));
        if let Some(removed_at) = not_expired.min() {
            remaining = FolderState::KeepsRemoved(KeptFiles { version, removed_at });
            break;
        }
        // One without a time stays for as long as files are kept at all.
        expired.extend(tombstones.into_iter().filter(|of| of.removed_at.is_some()).map(|of| of.path));
    }
    // What is hidden is not the table's.
    expired.retain(|path| !path.parts().any(|part| paths::is_hidden(part.as_ref())));
    for file in &newest.files {
        expired.remove(&file.path);
    }
    if !expired.is_empty() {
        // A run that was paused may know an older version than the one that took over.
        lake.check_lease().await?;
        tracing::info!(table = log.table.name, files = expired.len(), "deleting removed files whose time is over");
        match delete_all(lake, expired.into_iter().collect()).await {
            Err(error) if lake.root.is_none() => {
                let table = log.table.name;
                tracing::warn!(table, %error, "removed files were not deleted: the next run tries again");
                remaining = FolderState::KeepsRemoved(kept);
            }
            deleted => deleted?,
        }
    }
    log.set_folder_state(remaining);
    Ok(Some(commits))
}

/// What a folder holds that was listed and keeps files, the oldest of which were removed at this time. The commits that
/// may have removed them are found by the age of their entries, so that the folder need not be listed again;
/// [`FolderState::Unknown`] when that does not tell.
pub(crate) async fn track(
    log: &Log,
    newest: &Snapshot,
    listed: &[ListedFile],
    removed_at: i64,
) -> Result<FolderState, Error> {
    let written_since = removed_at.saturating_sub(CLOCKS_DIFFER_MILLIS);
    let entries = || listed.iter().filter_map(|file| Some((paths::log_version(&file.path)?, file.modified)));
    let first = entries().filter(|(_, modified)| *modified >= written_since).map(|(version, _)| version).min();
    // The entry before it is older. If it is no longer there, others that matter may be missing, too.
    let is_complete = |first: &u64| *first == 0 || entries().any(|(version, _)| version + 1 == *first);
    let Some(version) = first.filter(is_complete) else { return Ok(FolderState::Unknown) };
    let mut entries = std::pin::pin!(log.read_entries((version..=newest.version).rev()));
    while let Some(entry) = entries.try_next().await? {
        let Some(entry) = entry else { return Ok(FolderState::Unknown) };
        match NewestCommit::from_entry(&entry) {
            NewestCommit::Own(FolderState::Unknown) => {}
            // Who made it has looked at the commits before.
            NewestCommit::Own(_) => break,
            // A file that it restored may be removed once more: an older commit does not tell when its time is over.
            NewestCommit::Foreign if may_restore_files(&entry) => return Ok(FolderState::Unknown),
            NewestCommit::Foreign => {}
        }
    }
    Ok(FolderState::KeepsRemoved(KeptFiles { version, removed_at }))
}
