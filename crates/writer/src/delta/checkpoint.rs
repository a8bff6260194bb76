//! Checkpoints of a table's log: how many commits a reader has to read one by one.

use object_store::ObjectStoreExt;
use serde_json::Value;

use crate::delta::log::Log;
use crate::error::Error;

/// The file of a log that names its last checkpoint.
const LAST_CHECKPOINT: &str = "_last_checkpoint";

/// Commits between two checkpoints. Who opens a table reads each commit since then several times, one by one.
const CHECKPOINT_COMMITS: u64 = 20;

impl Log {
    /// Writes a checkpoint when it is time for one.
    pub(super) async fn checkpoint_after(&self, version: u64) {
        if (version + 1).is_multiple_of(CHECKPOINT_COMMITS)
            && let Err(error) = self.checkpoint().await
        {
            // The table works without it, and the next one is due in time.
            tracing::warn!(table = self.table.name, version, %error, "no checkpoint was written");
        }
    }

    /// Commits since the last checkpoint; all of them when there is none.
    pub(crate) async fn commits_since_checkpoint(&self) -> Result<u64, Error> {
        let Some(snapshot) = self.snapshot().await? else { return Ok(0) };
        let error = |source: object_store::Error| Error::log(self.table.name)(source.into());
        let path = self.store.log_path().clone().join(LAST_CHECKPOINT);
        let bytes = match self.store.object_store(None).get(&path).await {
            Ok(found) => found.bytes().await.map_err(error)?,
            Err(object_store::Error::NotFound { .. }) => return Ok(snapshot.version + 1),
            Err(source) => return Err(error(source)),
        };
        let last = serde_json::from_slice::<Value>(&bytes).ok().and_then(|last| last["version"].as_u64());
        Ok(last.map_or(snapshot.version + 1, |last| snapshot.version.saturating_sub(last)))
    }

    /// Writes a checkpoint, and removes log files that are older than the table's retention (30 days by default).
    pub(crate) async fn checkpoint(&self) -> Result<(), Error> {
        let (error, table) = (Error::log(self.table.name), self.load_table().await?);
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(&error)?;
        deltalake::checkpoints::cleanup_metadata(&table, None).await.map_err(&error)?;
        Ok(())
    }
}
