//! Tombstones: the files that the commits of a table removed, and when.

use std::collections::HashMap;

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use crate::delta::commit_info;
use crate::delta::log::Log;
use crate::error::Error;
use crate::storage::paths;

/// A file that a commit removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    /// Within the lake.
    pub(crate) path: Path,
    /// In milliseconds: when the file was removed, or else when the commit was made; `None` when the log says neither.
    pub(crate) removed_at: Option<i64>,
}

impl Log {
    /// Those that the newest version names: checkpoints drop old ones.
    pub(crate) async fn tombstones(&self) -> Result<Vec<Tombstone>, Error> {
        let (error, table) = (Error::log(self.table.name), self.load_table().await?);
        let state = table.snapshot().map_err(&error)?;
        let removed = state.all_tombstones(self.store.as_ref()).map_ok(|file| {
            let path = Path::parse(file.path()).unwrap_or_else(|_| Path::from(file.path().as_ref()));
            // The library reads a missing time as 0.
            let removed_at = file.deletion_timestamp().filter(|time| *time != 0);
            Tombstone { path: paths::in_lake(self.table, &path), removed_at }
        });
        let mut removed: Vec<Tombstone> = removed.try_collect().await.map_err(&error)?;
        if removed.iter().any(|of| of.removed_at.is_none()) {
            // The entries say when their commits were made.
            let of_entries = self.tombstones_by_entries().await?.into_iter();
            let times: HashMap<Path, i64> = of_entries.filter_map(|of| Some((of.path, of.removed_at?))).collect();
            for of in &mut removed {
                of.removed_at = of.removed_at.or_else(|| times.get(&of.path).copied());
            }
        }
        Ok(removed)
    }

    /// Those in all log entries that still exist.
    pub(crate) async fn tombstones_by_entries(&self) -> Result<Vec<Tombstone>, Error> {
        let (store, mut removed) = (self.store.object_store(None), Vec::new());
        let error = |source: object_store::Error| Error::log(self.table.name)(source.into());
        let entries: Vec<_> = store.list(Some(self.store.log_path())).try_collect().await.map_err(error)?;
        for entry in entries.into_iter().filter(|entry| entry.location.as_ref().ends_with(".json")) {
            match store.get(&entry.location).await {
                Ok(found) => removed.extend(self.removed_in(&found.bytes().await.map_err(error)?)),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(error(source)),
            }
        }
        Ok(removed)
    }

    /// Those of one commit; `None` when its entry is no longer there.
    pub(crate) async fn tombstones_of(&self, version: u64) -> Result<Option<Vec<Tombstone>>, Error> {
        Ok(self.read_entry(version).await?.map(|entry| self.removed_in(&entry)))
    }

    /// Those in a log entry.
    fn removed_in(&self, entry: &[u8]) -> Vec<Tombstone> {
        let committed_at = commit_info::committed_at(entry);
        let tombstone = |line: &[u8]| {
            let action = serde_json::from_slice::<Value>(line).ok()?;
            let remove = action.get("remove")?;
            let path = Path::from_url_path(remove["path"].as_str()?).ok()?;
            let path = paths::in_lake(self.table, &path);
            Some(Tombstone { path, removed_at: remove["deletionTimestamp"].as_i64().or(committed_at) })
        };
        entry.split(|byte| *byte == b'\n').filter_map(tombstone).collect()
    }
}
