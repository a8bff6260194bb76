//! A table's folder beside its log: which files of the table are missing or truncated.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use copilot_lake_tables::Table;

use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::parquet::reader::FileReader;
use crate::storage::listing::{ListedFile, list};
use crate::storage::paths;

/// A table's folder compared to its log.
pub(crate) struct TableFolder {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) listed: Vec<ListedFile>,
    /// Paths of the newest version.
    pub(crate) named: HashSet<String>,
    pub(crate) missing: Vec<Arc<DataFile>>,
    /// Intact files whose size differs from the log.
    pub(crate) wrong_size: Vec<DataFile>,
}

impl TableFolder {
    /// Lists the folder; `None` when the log has no table.
    pub(crate) async fn read(lake: &LakeStorage, log: &Log) -> Result<Option<Self>, Error> {
        let Some(mut snapshot) = log.snapshot().await? else { return Ok(None) };
        let mut listed = list(lake, &paths::table(log.table)).await?;
        let is_there = |listed: &[ListedFile], snapshot: &Snapshot| {
            let there: HashSet<&str> = listed.iter().map(|file| file.path.as_str()).collect();
            snapshot.files.iter().all(|file| there.contains(file.path.as_ref()))
        };
        if !is_there(&listed, &snapshot) {
            // Another tool may have committed in the meantime.
            let Some(now) = log.reload().await? else { return Ok(None) };
            snapshot = now;
            listed = list(lake, &paths::table(log.table)).await?;
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
}

/// Files of the newest version that are missing or truncated.
pub(crate) async fn missing(lake: &LakeStorage, log: &Log) -> Result<Vec<Arc<DataFile>>, Error> {
    Ok(TableFolder::read(lake, log).await?.map(|folder| folder.missing).unwrap_or_default())
}

/// The error about missing files of a table.
pub(crate) fn damaged(table: &'static Table, missing: &[Arc<DataFile>], files: usize) -> Error {
    let mut weeks: Vec<_> = missing.iter().filter_map(|file| file.week).collect();
    weeks.sort_unstable();
    weeks.dedup();
    let in_weeks = match weeks.as_slice() {
        [] => String::new(),
        [week] => format!(" in the week of {week}"),
        [first, .., last] => format!(" in {} weeks from {first} to {last}", weeks.len()),
    };
    let first = missing.first().map(|file| file.path.to_string()).unwrap_or_default();
    let what = format!("{} of {files} files missing or truncated{in_weeks}, the first is {first}", missing.len());
    Error::Damaged { table: table.name, what }
}
