//! Checkpoints of a table's log: how many commits a reader has to read one by one.

use std::iter;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use delta_kernel::checkpoint::LastCheckpointHintStats;
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel::{DeltaResult, Engine, Snapshot};
use object_store::ObjectStoreExt;
use serde_json::Value;
use url::Url;

use crate::blocking::run_blocking;
use crate::delta::log::Log;
use crate::error::Error;
use crate::parquet::properties::base_properties;

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
        let error = Error::log(self.table.name);
        let (root, engine) = (self.store.root_url().clone(), self.store.engine(None));
        let interrupted =
            |_| Error::Interrupted { table: self.table.name, reason: "its checkpoint was not written".to_owned() };
        let written = run_blocking(move || write_checkpoint(&root, engine.as_ref())).await.map_err(interrupted)?;
        written.map_err(|source| error(source.into()))?;
        let table = self.load_table().await?;
        deltalake::checkpoints::cleanup_metadata(&table, None).await.map_err(error)?;
        Ok(())
    }
}

/// Writes a checkpoint of the newest version of the table at that URL, and then the file that names it.
///
/// It differs from the one of [`Snapshot::checkpoint`] in that its columns have no dictionaries, which some readers, such
/// as Fabric, do not read in a checkpoint. The file is put in one request, so it is held in memory.
fn write_checkpoint(root: &Url, engine: &dyn Engine) -> DeltaResult<()> {
    let writer = Snapshot::builder_for(root).build(engine)?.create_checkpoint_writer(engine)?;
    let actions = writer.checkpoint_data(engine)?;
    let state = actions.state();
    let mut batches = actions.map(|batch| batch?.apply_selection_vector().try_into_record_batch());
    let first = batches.next().ok_or_else(|| delta_kernel::Error::generic("a log without actions"))??;
    let properties = base_properties().set_dictionary_enabled(false).build();
    // Without the Arrow schema, as the kernel writes them: it would tell some readers types that are not Delta's.
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut file = ArrowWriter::try_new_with_options(Vec::new(), first.schema(), options)?;
    for batch in iter::once(Ok(first)).chain(batches) {
        file.write(&batch?)?;
    }
    let bytes = file.into_inner()?;
    let size = bytes.len() as u64;
    engine.storage_handler().put(&writer.checkpoint_path()?, bytes.into(), true)?;
    let state =
        Arc::into_inner(state).ok_or_else(|| delta_kernel::Error::internal_error("its actions are still read"))?;
    writer.finalize(engine, &LastCheckpointHintStats::from_reconciliation_state(state, size, 0)?)
}
