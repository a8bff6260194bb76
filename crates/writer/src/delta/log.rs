//! The log of a table: what is committed, and the next commit.
//!
//! A commit takes the version after the one that it is based on, and fails if that is taken. So it always builds on the
//! whole table as it was read, and two blind appends conflict instead of both adding their rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use copilot_lake_tables::{Table, WEEK_START, Week};
use deltalake::kernel::transaction::CommitData;
use deltalake::kernel::{Action, Add, EagerSnapshot, Metadata, Protocol};
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::delta::commit_info::{CLEAN, NewestCommit, RUN};
use crate::delta::data_file::DataFile;
use crate::delta::entry_put::EntryPut;
use crate::delta::file_commit::FileCommit;
use crate::delta::instance::Instance;
use crate::delta::schema;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LeaseSlot;
use crate::storage::lease::Lease;
use crate::storage::paths;
use crate::storage::readers::Readers;
use crate::table_keys::TableKeys;

/// Attempts to commit to a table whose former writer may still commit.
const FENCE_ATTEMPTS: usize = 8;

/// The log of one table. Loaded once, then kept in step with this process's commits.
pub(crate) struct Log {
    pub(crate) table: &'static Table,
    pub(super) store: LogStoreRef,
    snapshot: Mutex<Option<Arc<Snapshot>>>,
    /// Held from reading a snapshot until the commit that is based on it: this process makes one commit of a table at a
    /// time.
    pub(crate) writing: Mutex<TableKeys>,
    /// Streams that are reading the table's files.
    pub(crate) readers: Arc<Readers>,
    /// What commits depend on, in a store that several machines reach.
    lease: LeaseSlot,
    /// Whether files that a commit removes are kept for readers of older versions.
    keeps_removed: bool,
    /// Whether the folder may hold orphan files: another tool committed, or removed files are kept, and the folder was
    /// not listed since. The next run lists it.
    is_unclean: AtomicBool,
}

/// How a commit ended.
pub(crate) enum CommitOutcome {
    /// The files are part of the table.
    Committed(Arc<Snapshot>),
    /// Another writer committed first; the snapshot was loaded again.
    Conflict,
}

impl Log {
    pub(crate) fn new(
        table: &'static Table,
        store: LogStoreRef,
        readers: Arc<Readers>,
        lease: LeaseSlot,
        keeps_removed: bool,
    ) -> Self {
        Self {
            table,
            store,
            snapshot: Mutex::new(None),
            writing: Mutex::default(),
            readers,
            lease,
            keeps_removed,
            is_unclean: AtomicBool::new(true),
        }
    }

    /// What commits depend on, if it is taken.
    pub(crate) fn lease(&self) -> Option<&Arc<Lease>> {
        self.lease.get()
    }

    /// The newest version known; `None` when there is no table yet.
    pub(crate) async fn snapshot(&self) -> Result<Option<Arc<Snapshot>>, Error> {
        let mut snapshot = self.snapshot.lock().await;
        if snapshot.is_none() {
            *snapshot = self.load().await?.map(Arc::new);
        }
        Ok(snapshot.clone())
    }

    /// Whether there is a table. A log that is not known yet is listed, and not read.
    pub(crate) async fn exists(&self) -> Result<bool, Error> {
        if self.snapshot.lock().await.is_some() {
            return Ok(true);
        }
        self.store.is_delta_table_location().await.map_err(Error::log(self.table.name))
    }

    /// The files of the newest version known; none when there is no table yet.
    pub(crate) async fn files(&self) -> Result<Vec<Arc<DataFile>>, Error> {
        Ok(self.snapshot().await?.map(|snapshot| snapshot.files.clone()).unwrap_or_default())
    }

    /// The newest version, read again.
    pub(crate) async fn reload(&self) -> Result<Option<Arc<Snapshot>>, Error> {
        *self.snapshot.lock().await = None;
        self.snapshot().await
    }

    /// Names of the columns of which the log keeps statistics.
    pub(crate) async fn indexed_columns(&self) -> Result<Vec<String>, Error> {
        match self.snapshot().await? {
            Some(snapshot) => schema::indexed(self.table, &snapshot.metadata),
            None => Ok(schema::default_indexed(self.table)),
        }
    }

    async fn load(&self) -> Result<Option<Snapshot>, Error> {
        let error = Error::log(self.table.name);
        let loaded = match EagerSnapshot::try_new(self.store.as_ref(), None).await {
            Ok(loaded) => loaded,
            Err(DeltaTableError::NotATable(_)) => return Ok(None),
            // Only now: it is a listing more.
            Err(_) if !self.store.is_delta_table_location().await.map_err(&error)? => return Ok(None),
            Err(source) => return Err(error(source)),
        };
        let unwritable = schema::unwritable_reason(self.table, loaded.protocol())?
            .or_else(|| schema::foreign_reason(self.table, loaded.metadata()));
        let log = loaded.try_log_data().map_err(&error)?;
        let files = log.iter().map(|file| {
            let path = paths::in_lake(self.table, &file.object_store_path());
            let size = u64::try_from(file.size()).unwrap_or_default();
            let values = file.partition_values_map();
            let week = values.get(WEEK_START).and_then(|value| Week::parse(value.as_deref()?));
            Arc::new(DataFile::new(self.table, path, week, size, file.modification_time(), file.stats()))
        });
        let files = files.collect();
        let (version, metadata) = (loaded.version(), loaded.metadata().clone());
        Ok(Some(Snapshot { table: self.table, version, metadata, files, unwritable }))
    }

    /// Creates the table, without rows, with these notes in its configuration.
    pub(crate) async fn create(
        &self,
        instance: &Instance,
        lake: &url::Url,
        notes: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), Error> {
        let protocol: Protocol = schema::protocol(self.table)?;
        let metadata = schema::metadata(self.table, &Uuid::new_v4().to_string(), instance, notes)?;
        self.set_clean(true);
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: paths::table_url(lake, self.table),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        let bytes = self.entry_bytes(actions, operation, None, HashMap::new())?;
        self.put(0, bytes).await?;
        self.reload().await.map(drop)
    }

    /// Replaces the metadata. `false`: another writer committed first.
    pub(crate) async fn set_metadata(&self, from: &Snapshot, metadata: Metadata) -> Result<bool, Error> {
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
        self.put_actions(from, vec![Action::Metadata(metadata)], operation).await
    }

    /// Commits without a change, so that a commit that somebody else has prepared conflicts.
    pub(crate) async fn fence(&self) -> Result<(), Error> {
        for _ in 0..FENCE_ATTEMPTS {
            let Some(snapshot) = self.reload().await? else { return Ok(()) };
            if snapshot.unwritable.is_some() || self.set_metadata(&snapshot, snapshot.metadata.clone()).await? {
                return Ok(());
            }
        }
        Err(Error::Contended { table: self.table.name, attempts: FENCE_ATTEMPTS })
    }

    /// Removes missing files from the table, and replaces the metadata. `false`: another writer committed first.
    pub(crate) async fn remove_missing(
        &self,
        from: &Snapshot,
        files: &[Arc<DataFile>],
        metadata: Metadata,
    ) -> Result<bool, Error> {
        let removes = files.iter().map(|file| Action::Remove(file.remove(self.table)));
        let actions = removes.chain([Action::Metadata(metadata)]).collect();
        self.put_actions(from, actions, DeltaOperation::FileSystemCheck {}).await
    }

    /// Corrects what the log says of files; their rows do not change. `false`: another writer committed first.
    pub(crate) async fn correct_files(&self, from: &Snapshot, files: &[DataFile]) -> Result<bool, Error> {
        let add = |file: &DataFile| Action::Add(Add { data_change: false, ..file.add(self.table) });
        let actions = files.iter().map(add).collect();
        self.put_actions(from, actions, DeltaOperation::FileSystemCheck {}).await
    }

    /// Commits on top of `from`, and reads the table again. `false`: another writer committed first.
    async fn put_actions(
        &self,
        from: &Snapshot,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<bool, Error> {
        self.check_writable(from)?;
        let bytes = self.entry_bytes(actions, operation, Some(from.version), HashMap::new())?;
        let version = from.version + 1;
        let won = self.put(version, bytes).await?;
        if !won {
            self.set_clean(false);
        }
        self.reload().await?;
        if won {
            self.checkpoint_after(version).await;
        }
        Ok(won)
    }

    pub(crate) fn check_writable(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let refuse = |reason: &String| Err(Error::RaisedProtocol { table: self.table.name, reason: reason.clone() });
        snapshot.unwritable.as_ref().map_or(Ok(()), refuse)
    }

    /// Whether the log has a commit with this application id of the Delta `txn` action.
    pub(crate) async fn has_committed(&self, app_id: &str) -> Result<bool, Error> {
        let (error, table) = (Error::log(self.table.name), self.load_table().await?);
        let version = table.snapshot().map_err(&error)?.transaction_version(self.store.as_ref(), app_id).await;
        Ok(version.map_err(&error)?.is_some())
    }

    /// Who made the newest commit.
    pub(crate) async fn newest(&self, snapshot: &Snapshot) -> Result<NewestCommit, Error> {
        let entry = self.store.read_commit_entry(snapshot.version).await.map_err(Error::log(self.table.name))?;
        let newest = entry.as_deref().map_or(NewestCommit::Foreign, NewestCommit::from_entry);
        self.set_clean(newest == NewestCommit::Clean);
        Ok(newest)
    }

    /// Sets whether the folder is known to hold only the table's files.
    pub(crate) fn set_clean(&self, is_clean: bool) {
        self.is_unclean.store(!is_clean, Ordering::Relaxed);
    }

    /// Commits files on top of `from`, and deletes removed ones unless they are kept for readers of older versions.
    ///
    /// `keys` is what `writing` guards. After an error nothing was committed, except perhaps after
    /// [`Error::CommitUnknown`].
    pub(crate) async fn commit(
        &self,
        keys: &mut TableKeys,
        from: &Snapshot,
        commit: FileCommit<'_>,
    ) -> Result<CommitOutcome, Error> {
        self.check_writable(from)?;
        if self.keeps_removed && !commit.remove.is_empty() {
            self.set_clean(false);
        }
        let about = HashMap::from([(RUN.to_owned(), json!(commit.run_id))]);
        let (actions, operation) = (commit.actions(self.table, &from.metadata), commit.operation(self.table));
        let bytes = self.entry_bytes(actions, operation, Some(from.version), about)?;
        let version = from.version + 1;
        if !self.put(version, bytes).await? {
            self.set_clean(false);
            self.reload().await?;
            return Ok(CommitOutcome::Conflict);
        }
        let removed: HashSet<&Path> = commit.remove.iter().map(|file| &file.path).collect();
        let kept = from.files.iter().filter(|file| !removed.contains(&file.path)).cloned();
        let files = kept.chain(commit.add.iter().cloned().map(Arc::new)).collect();
        let metadata = from.metadata.clone();
        let snapshot = Arc::new(Snapshot { table: self.table, version, metadata, files, unwritable: None });
        *self.snapshot.lock().await = Some(Arc::clone(&snapshot));
        keys.committed(version);
        self.checkpoint_after(version).await;
        if !self.keeps_removed {
            self.readers.delete(removed.into_iter().cloned().collect()).await;
        }
        Ok(CommitOutcome::Committed(snapshot))
    }

    /// The newest version, as deltalake has it.
    pub(super) async fn load_table(&self) -> Result<DeltaTable, Error> {
        let mut table = DeltaTable::new(Arc::clone(&self.store));
        table.load().await.map_err(Error::log(self.table.name))?;
        Ok(table)
    }

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
            for line in bytes.split(|byte| *byte == b'\n') {
                let Ok(mut action) = serde_json::from_slice::<Value>(line) else { continue };
                let remove = action["remove"].take();
                let Some(path) = remove["path"].as_str().and_then(|path| Path::from_url_path(path).ok()) else {
                    continue;
                };
                let at = remove["deletionTimestamp"].as_i64().unwrap_or(i64::MAX);
                removed.push((paths::in_lake(self.table, &path), at));
            }
        }
        Ok(removed)
    }

    /// The log entry of a commit. `read`: the version that it is based on.
    fn entry_bytes(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        read: Option<u64>,
        mut about: HashMap<String, Value>,
    ) -> Result<bytes::Bytes, Error> {
        // For other writers, which check their commits against this one: the whole table was read.
        about.insert("isBlindAppend".to_owned(), json!(false));
        about.insert("isolationLevel".to_owned(), json!("Serializable"));
        // No two entries are equal: one that is read back tells who wrote it.
        about.insert("txnId".to_owned(), json!(Uuid::new_v4()));
        let is_clean = !self.is_unclean.load(Ordering::Relaxed) && !self.readers.has_undeleted();
        about.insert(CLEAN.to_owned(), json!(is_clean));
        if let Some(version) = read {
            about.insert("readVersion".to_owned(), json!(version));
        }
        let data = CommitData::new(actions, operation, about, vec![]);
        data.get_bytes().map_err(|source| Error::log(self.table.name)(source.into()))
    }

    /// Writes the log entry of a version. `false`: that version is taken.
    async fn put(&self, version: u64, bytes: bytes::Bytes) -> Result<bool, Error> {
        let put = EntryPut { table: self.table.name, store: &self.store, version, bytes };
        match self.lease() {
            Some(lease) => put.under_lease(lease).await,
            None => put.once_and_for_all().await,
        }
    }
}
