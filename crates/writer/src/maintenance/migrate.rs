//! Migration of tables written by older versions: one function per step, called once per table by the run that holds
//! the lock, before the table's schema version is raised. The next run repeats a step that was interrupted.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;

use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::delta::schema;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::maintenance::COMMIT_ATTEMPTS;
use crate::merge::dedupe;
use crate::parquet::reader::{CONCURRENT_OPENS, FileReader};
use crate::parquet::statistics;

/// Files that are corrected in one commit.
const FILES: usize = 1_000;

/// Migrates a table from an older schema version.
pub(crate) async fn migrate(lake: &LakeStorage, log: &Log, from: u32) -> Result<(), Error> {
    let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
    let now = schema::indexed(log.table, &snapshot.metadata)?;
    let coming = match schema::changed(log.table, &snapshot.metadata, snapshot.metadata.configuration())? {
        Some(metadata) => schema::indexed(log.table, &metadata)?,
        None => now.clone(),
    };
    // Statistics that lack a new column mean "no rows" to some readers.
    if from < 2 || coming != now {
        complete_statistics(lake, log, &coming).await?;
    }
    if from < 2 {
        // Version 1 did not find the old row of a key whose time had changed.
        dedupe::remove_duplicates(lake, log).await?;
    }
    Ok(())
}

/// Completes the statistics of files of this program, from their footers.
///
/// In version 1, boolean and decimal columns had a null count but no bounds.
async fn complete_statistics(lake: &LakeStorage, log: &Log, indexed: &[String]) -> Result<(), Error> {
    // Files that are done, that another tool wrote, or that cannot be read: reading their rows will report that.
    let mut done: HashSet<Path> = HashSet::new();
    let mut lost_races = 0;
    while lost_races < COMMIT_ATTEMPTS {
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        let lacks = |file: &&Arc<DataFile>| {
            !done.contains(&file.path) && !statistics::are_complete(file.stats.as_deref(), indexed)
        };
        let files: Vec<Arc<DataFile>> = snapshot.files.iter().filter(lacks).take(FILES).cloned().collect();
        if files.is_empty() {
            return Ok(());
        }
        let read = files.iter().map(|file| with_complete_statistics(lake, Arc::clone(file), indexed));
        let read: Vec<Result<DataFile, Path>> =
            stream::iter(read.collect::<Vec<_>>()).buffered(CONCURRENT_OPENS).try_collect().await?;
        let mut completed = Vec::with_capacity(read.len());
        for file in read {
            match file {
                Ok(file) => completed.push(file),
                Err(path) => drop(done.insert(path)),
            }
        }
        if completed.is_empty() {
            continue;
        }
        match log.correct_files(&snapshot, &completed).await? {
            true => done.extend(completed.into_iter().map(|file| file.path)),
            false => lost_races += 1,
        }
    }
    Err(Error::Contended { table: log.table.name, attempts: COMMIT_ATTEMPTS })
}

/// The file with complete statistics; its path when it cannot be read or another tool wrote it.
async fn with_complete_statistics(
    lake: &LakeStorage,
    file: Arc<DataFile>,
    indexed: &[String],
) -> Result<Result<DataFile, Path>, Error> {
    let reader = match FileReader::open(&lake.store, &file).await {
        Ok(reader) => reader,
        Err(error) => {
            tracing::warn!(path = %file.path, %error, "the statistics of a file could not be completed");
            return Ok(Err(file.path.clone()));
        }
    };
    if !reader.is_ours() {
        return Ok(Err(file.path.clone()));
    }
    let stats = statistics::to_json(indexed, reader.schema(), reader.footer());
    Ok(Ok(DataFile { stats: Some(stats), ..DataFile::clone(&file) }))
}
