//! Replacing files of a table by files that are written but not published yet.

use std::sync::Arc;

use crate::delta::data_file::DataFile;
use crate::delta::file_commit::{CommitKind, FileCommit};
use crate::delta::log::{CommitOutcome, Log};
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::parquet::writer::StagedDataFile;
use crate::table_keys::TableKeys;

/// Publishes the new files and commits them in place of the old ones; if that fails they are deleted, unless the commit
/// may have succeeded. `false`: another writer committed first.
pub(crate) async fn replace_files(
    log: &Log,
    keys: &mut TableKeys,
    from: &Snapshot,
    kind: CommitKind,
    mut staged: Vec<StagedDataFile>,
    remove: &[Arc<DataFile>],
    run_id: &str,
) -> Result<bool, Error> {
    let add: Vec<DataFile> = staged.iter().map(|staged| staged.file.clone()).collect();
    let published = async {
        for staged in &mut staged {
            staged.complete().await?;
        }
        Ok::<_, Error>(())
    };
    let committed = match published.await {
        Ok(()) => log.commit(keys, from, FileCommit { kind, add: &add, remove, run_id, app_id: None }).await,
        Err(error) => Err(error),
    };
    if !matches!(committed, Ok(CommitOutcome::Committed(_)) | Err(Error::CommitUnknown { .. })) {
        log.readers.delete(add.into_iter().map(|file| file.path).collect()).await;
    }
    Ok(matches!(committed?, CommitOutcome::Committed(_)))
}
