//! Tombstones: the files that the commits of a table removed, and when.

use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::Value;

use crate::delta::log::Log;
use crate::error::Error;
use crate::storage::paths;

impl Log {
    /// Files that commits removed, with the time of removal in milliseconds.
    pub(crate) async fn tombstones(&self) -> Result<Vec<(Path, i64)>, Error> {
        let (error, table) = (Error::log(self.table.name), self.load_table().await?);
        let state = table.snapshot().map_err(&error)?;
        let removed = state.all_tombstones(self.store.as_ref()).map_ok(|file| {
            let path = Path::parse(file.path()).unwrap_or_else(|_| Path::from(file.path().as_ref()));
            (paths::in_lake(self.table, &path), file.deletion_timestamp().unwrap_or(i64::MAX))
        });
        removed.try_collect().await.map_err(&error)
    }

    /// As [`Log::tombstones`], read from the log entries that still exist: checkpoints drop old tombstones.
    pub(crate) async fn tombstones_by_entries(&self) -> Result<Vec<(Path, i64)>, Error> {
        let (store, mut removed) = (self.store.object_store(None), Vec::new());
        let error = |source: object_store::Error| Error::log(self.table.name)(source.into());
        let entries: Vec<_> = store.list(Some(self.store.log_path())).try_collect().await.map_err(error)?;
        for entry in entries.into_iter().filter(|entry| entry.location.as_ref().ends_with(".json")) {
            let bytes = match store.get(&entry.location).await {
                Ok(found) => found.bytes().await.map_err(error)?,
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(source) => return Err(error(source)),
            };
            removed.extend(self.removed_in(&bytes).into_iter().map(|(path, at)| (path, at.unwrap_or(i64::MAX))));
        }
        Ok(removed)
    }

    /// Files that one commit removed, with the time of removal where the log says it; `None` when the entry is no longer
    /// there.
    pub(crate) async fn tombstones_of(&self, version: u64) -> Result<Option<Vec<(Path, Option<i64>)>>, Error> {
        Ok(self.read_entry(version).await?.map(|entry| self.removed_in(&entry)))
    }

    fn removed_in(&self, entry: &[u8]) -> Vec<(Path, Option<i64>)> {
        let removed = |line: &[u8]| {
            let action = serde_json::from_slice::<Value>(line).ok()?;
            let remove = action.get("remove")?;
            let path = Path::from_url_path(remove["path"].as_str()?).ok()?;
            Some((paths::in_lake(self.table, &path), remove["deletionTimestamp"].as_i64()))
        };
        entry.split(|byte| *byte == b'\n').filter_map(removed).collect()
    }
}
