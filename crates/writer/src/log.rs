//! The log of a table: what is committed, and the next commit.
//!
//! A commit is put under the number that follows the one it was made from, and only if nobody took that number before:
//! every commit is checked against the whole table as it was read, and two blind appends conflict rather than double.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use copilot_lake_tables::{Table, WEEK_START, Week};
use deltalake::kernel::transaction::{CommitData, TransactionError};
use deltalake::kernel::{Action, Add, EagerSnapshot, Metadata, Protocol};
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::path::Path;
use serde_json::json;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::data_file::DataFile;
use crate::error::Error;
use crate::lake::Instance;
use crate::readers::Readers;
use crate::{paths, schema};

/// So many commits lie between two checkpoints.
const CHECKPOINT: u64 = 100;

/// The log of one table. Loaded once, then kept in step with this process's commits.
pub(crate) struct Log {
    pub(crate) table: &'static Table,
    store: LogStoreRef,
    state: Mutex<Option<Arc<State>>>,
    /// Held from reading what is committed until the commit that follows from it: one commit of a table at a time.
    pub(crate) writing: Mutex<()>,
    /// Streams that read the table's files now.
    pub(crate) readers: Arc<Readers>,
}

/// What is committed.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) version: u64,
    pub(crate) metadata: Metadata,
    pub(crate) files: Vec<Arc<DataFile>>,
}

/// How a commit ended.
pub(crate) enum Outcome {
    /// It is part of the table.
    Committed(Arc<State>),
    /// Somebody else's commit came first; the state was loaded again.
    Conflict,
}

impl Log {
    pub(crate) fn new(table: &'static Table, store: LogStoreRef, readers: Arc<Readers>) -> Self {
        Self { table, store, state: Mutex::new(None), writing: Mutex::new(()), readers }
    }

    /// What is committed; `None` when there is no table yet.
    pub(crate) async fn state(&self) -> Result<Option<Arc<State>>, Error> {
        let mut state = self.state.lock().await;
        if state.is_none() {
            *state = self.load().await?.map(Arc::new);
        }
        Ok(state.clone())
    }

    /// What is committed, read again.
    pub(crate) async fn reload(&self) -> Result<Option<Arc<State>>, Error> {
        *self.state.lock().await = None;
        self.state().await
    }

    async fn load(&self) -> Result<Option<State>, Error> {
        let error = Error::log(self.table.name);
        if !self.store.is_delta_table_location().await.map_err(&error)? {
            return Ok(None);
        }
        let snapshot = match EagerSnapshot::try_new(self.store.as_ref(), None).await {
            Ok(snapshot) => snapshot,
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            Err(source) => return Err(error(source)),
        };
        let protocol = snapshot.protocol();
        let (reader, writer) = (protocol.min_reader_version(), protocol.min_writer_version());
        if reader > 1 || writer > 2 {
            let reason = format!("it demands reader version {reader} and writer version {writer}, not 1 and 2");
            return Err(Error::RaisedProtocol { table: self.table.name, reason });
        }
        let log = snapshot.try_log_data().map_err(&error)?;
        let files = log.iter().map(|file| {
            let path = paths::in_lake(self.table, &file.object_store_path());
            let size = u64::try_from(file.size()).unwrap_or_default();
            let values = file.partition_values_map();
            let week = values.get(WEEK_START).and_then(|value| Week::parse(value.as_deref()?));
            Arc::new(DataFile::new(self.table, path, week, size, file.modification_time(), file.stats()))
        });
        let files = files.collect();
        Ok(Some(State { version: snapshot.version(), metadata: snapshot.metadata().clone(), files }))
    }

    /// Makes the table, without rows.
    pub(crate) async fn create(&self, instance: &Instance, lake: &url::Url) -> Result<(), Error> {
        let protocol: Protocol = schema::protocol(self.table)?;
        let metadata = schema::metadata(self.table, &Uuid::new_v4().to_string(), instance)?;
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: paths::table_url(lake, self.table),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        let bytes = self.bytes(actions, operation, None, &HashMap::new())?;
        self.put(0, bytes).await?;
        self.reload().await.map(drop)
    }

    /// Replaces the metadata. `false`: somebody else's commit came first.
    pub(crate) async fn set_metadata(&self, from: &State, metadata: Metadata) -> Result<bool, Error> {
        let fields = schema::delta_schema(self.table, &metadata)?;
        let known = schema::delta_schema(self.table, &from.metadata)?;
        let fields: Vec<_> = fields.fields().filter(|field| known.field(field.name()).is_none()).cloned().collect();
        let operation = if fields.is_empty() {
            let is_new = |(key, text): &(&String, &String)| from.metadata.configuration().get(*key) != Some(text);
            let properties = metadata.configuration().iter().filter(is_new);
            let properties = properties.map(|(key, text)| (key.clone(), text.clone())).collect();
            DeltaOperation::SetTableProperties { properties }
        } else {
            DeltaOperation::AddColumn { fields }
        };
        let bytes = self.bytes(vec![Action::Metadata(metadata)], operation, Some(from.version), &HashMap::new())?;
        let version = from.version + 1;
        let won = self.put(version, bytes).await?;
        self.reload().await?;
        if won {
            self.checkpoint_after(version).await;
        }
        Ok(won)
    }

    /// Says of files what the log said wrongly or in part; their rows stay what they are. `false`: somebody else's commit
    /// came first.
    pub(crate) async fn restate(&self, from: &State, files: &[DataFile]) -> Result<bool, Error> {
        let add = |file: &DataFile| Action::Add(Add { data_change: false, ..file.add(self.table) });
        let actions = files.iter().map(add).collect();
        let bytes = self.bytes(actions, DeltaOperation::FileSystemCheck {}, Some(from.version), &HashMap::new())?;
        let version = from.version + 1;
        let won = self.put(version, bytes).await?;
        self.reload().await?;
        if won {
            self.checkpoint_after(version).await;
        }
        Ok(won)
    }

    /// Commits files to a table as it was read in `from`.
    ///
    /// The caller holds `writing`. On an error nothing was committed, except perhaps on [`Error::Doubtful`].
    pub(crate) async fn commit(
        &self,
        from: &State,
        add: &[DataFile],
        remove: &[Arc<DataFile>],
        run_id: &str,
    ) -> Result<Outcome, Error> {
        let removes = remove.iter().map(|file| Action::Remove(file.remove(self.table)));
        let adds = add.iter().map(|file| Action::Add(file.add(self.table)));
        let actions = removes.chain(adds).collect();
        let operation = DeltaOperation::Merge {
            predicate: None,
            merge_predicate: Some(format!("equal {}", self.table.key.join(", "))),
            matched_predicates: vec![],
            not_matched_predicates: vec![],
            not_matched_by_source_predicates: vec![],
        };
        let more = HashMap::from([("copilotLake.run".to_owned(), json!(run_id))]);
        let bytes = self.bytes(actions, operation, Some(from.version), &more)?;
        let version = from.version + 1;
        if !self.put(version, bytes).await? {
            self.reload().await?;
            return Ok(Outcome::Conflict);
        }
        let gone: HashSet<&Path> = remove.iter().map(|file| &file.path).collect();
        let kept = from.files.iter().filter(|file| !gone.contains(&file.path)).cloned();
        let files = kept.chain(add.iter().cloned().map(Arc::new)).collect();
        let state = Arc::new(State { version, metadata: from.metadata.clone(), files });
        *self.state.lock().await = Some(Arc::clone(&state));
        self.checkpoint_after(version).await;
        Ok(Outcome::Committed(state))
    }

    /// Writes a checkpoint when it is time for one.
    async fn checkpoint_after(&self, version: u64) {
        if (version + 1).is_multiple_of(CHECKPOINT)
            && let Err(error) = self.checkpoint().await
        {
            // The table is as good without it; the next one comes.
            tracing::warn!(table = self.table.name, version, %error, "no checkpoint was written");
        }
    }

    /// Writes a checkpoint, and removes log files that are older than the table's retention (30 days by default).
    async fn checkpoint(&self) -> Result<(), Error> {
        let error = Error::log(self.table.name);
        let mut table = DeltaTable::new(Arc::clone(&self.store));
        table.load().await.map_err(&error)?;
        deltalake::checkpoints::create_checkpoint(&table, None).await.map_err(&error)?;
        deltalake::checkpoints::cleanup_metadata(&table, None).await.map_err(&error)?;
        Ok(())
    }

    /// The files that a commit removed, with the time of that, in milliseconds.
    pub(crate) async fn removed(&self) -> Result<Vec<(Path, i64)>, Error> {
        let error = Error::log(self.table.name);
        let mut table = DeltaTable::new(Arc::clone(&self.store));
        table.load().await.map_err(&error)?;
        let state = table.snapshot().map_err(&error)?;
        let removed = state.all_tombstones(self.store.as_ref()).map_ok(|file| {
            let path = Path::parse(file.path()).unwrap_or_else(|_| Path::from(file.path().as_ref()));
            (paths::in_lake(self.table, &path), file.deletion_timestamp().unwrap_or(i64::MAX))
        });
        removed.try_collect().await.map_err(&error)
    }

    fn bytes(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        read: Option<u64>,
        more: &HashMap<String, serde_json::Value>,
    ) -> Result<bytes::Bytes, Error> {
        let mut about = more.clone();
        // Said to other writers, which check their commits against ours: the whole table was read.
        about.insert("isBlindAppend".to_owned(), json!(false));
        about.insert("isolationLevel".to_owned(), json!("Serializable"));
        if let Some(version) = read {
            about.insert("readVersion".to_owned(), json!(version));
        }
        let data = CommitData::new(actions, operation, about, vec![]);
        data.get_bytes().map_err(|source| Error::log(self.table.name)(source.into()))
    }

    /// Puts a commit under its number. `false`: that number is taken.
    ///
    /// A store may report a failure, or a taken number, for a commit that it did take: whoever asks twice is told.
    async fn put(&self, version: u64, bytes: bytes::Bytes) -> Result<bool, Error> {
        let entry = CommitOrBytes::LogBytes(bytes.clone());
        let failure = match self.store.write_commit_entry(version, entry, Uuid::new_v4()).await {
            Ok(()) => return Ok(true),
            Err(failure) => failure,
        };
        match self.store.read_commit_entry(version).await {
            Ok(Some(there)) if there == bytes => Ok(true),
            Ok(Some(_)) => Ok(false),
            Ok(None) => match failure {
                TransactionError::VersionAlreadyExists(_) => Ok(false),
                failure => Err(Error::log(self.table.name)(failure.into())),
            },
            // Neither yes nor no can be said: the files must stay until the next run has read the log.
            Err(error) => Err(Error::Doubtful { table: self.table.name, reason: format!("{failure}; then {error}") }),
        }
    }
}
