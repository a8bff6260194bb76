//! The log of a table: what is committed, and the next commit.
//!
//! A commit takes the version after the one that it is based on, and fails if that is taken. So it always builds on the
//! whole table as it was read, and two blind appends conflict instead of both adding their rows.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use copilot_lake_tables::{Table, WEEK_START, Week};
use deltalake::kernel::transaction::CommitData;
use deltalake::kernel::{Action, Add, EagerSnapshot, Metadata, Protocol};
use deltalake::logstore::LogStoreRef;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::{DeltaTable, DeltaTableError};
use futures::{Stream, StreamExt, stream};
use object_store::path::Path;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::delta::commit_info::{FolderState, KeptFiles, NewestCommit, RUN};
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

/// Log entries that are requested at a time.
const ENTRIES_AHEAD: usize = 8;

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
    /// What the folder holds besides the table's files, as far as is known. After a commit of another tool, only a
    /// listing tells.
    folder: std::sync::Mutex<FolderState>,
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
            folder: std::sync::Mutex::new(FolderState::Unknown),
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
        let known = self.snapshot.lock().await.take().map(|known| known.version);
        self.expect(known).await
    }

    /// The newest version, which is this one unless another writer has committed since.
    async fn expect(&self, version: Option<u64>) -> Result<Option<Arc<Snapshot>>, Error> {
        let read = self.snapshot().await;
        let is_other = !matches!(&read, Ok(Some(read)) if version == Some(read.version));
        if version.is_some() && is_other {
            self.set_folder_state(FolderState::Unknown);
        }
        read
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
        self.set_folder_state(FolderState::Clean);
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: paths::table_url(lake, self.table),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let actions = vec![Action::Protocol(protocol), Action::Metadata(metadata)];
        let (bytes, _) = self.entry(actions, operation, None, HashMap::new())?;
        if !self.put(0, bytes).await? {
            self.set_folder_state(FolderState::Unknown);
        }
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
        let (bytes, folder) = self.entry(actions, operation, Some(from.version), HashMap::new())?;
        let version = from.version + 1;
        let won = self.put(version, bytes).await?;
        self.set_folder_state(if won { folder } else { FolderState::Unknown });
        *self.snapshot.lock().await = None;
        self.expect(Some(version)).await?;
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

    /// The entry of a version; `None`: it is no longer there.
    pub(crate) async fn read_entry(&self, version: u64) -> Result<Option<bytes::Bytes>, Error> {
        self.store.read_commit_entry(version).await.map_err(Error::log(self.table.name))
    }

    /// The entries of versions, in this order, some of them requested ahead; `None`: one is no longer there.
    pub(crate) fn read_entries(
        &self,
        versions: impl Iterator<Item = u64>,
    ) -> impl Stream<Item = Result<Option<bytes::Bytes>, Error>> {
        stream::iter(versions).map(|version| self.read_entry(version)).buffered(ENTRIES_AHEAD)
    }

    /// Who made the newest commit.
    pub(crate) async fn newest(&self, snapshot: &Snapshot) -> Result<NewestCommit, Error> {
        let entry = self.read_entry(snapshot.version).await?;
        let newest = entry.as_deref().map_or(NewestCommit::Foreign, NewestCommit::from_entry);
        self.set_folder_state(match newest {
            NewestCommit::Own(state) => state,
            NewestCommit::Foreign => FolderState::Unknown,
        });
        Ok(newest)
    }

    /// What the folder holds besides the table's files, as far as is known.
    pub(crate) fn folder_state(&self) -> FolderState {
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_folder_state(&self, state: FolderState) {
        *self.folder.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Commits nothing but what is known of the folder, so that the next run need not find it out. Best effort: another
    /// writer may commit first.
    pub(crate) async fn record_folder_state(&self, from: &Snapshot) -> Result<(), Error> {
        let operation = DeltaOperation::VacuumEnd { status: "COMPLETED".to_owned() };
        self.put_actions(from, vec![], operation).await.map(drop)
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
        let about = HashMap::from([(RUN.to_owned(), json!(commit.run_id))]);
        let (actions, operation) = (commit.actions(self.table, &from.metadata), commit.operation(self.table));
        let (bytes, folder) = self.entry(actions, operation, Some(from.version), about)?;
        let version = from.version + 1;
        if !self.put(version, bytes).await? {
            self.set_folder_state(FolderState::Unknown);
            self.reload().await?;
            return Ok(CommitOutcome::Conflict);
        }
        self.set_folder_state(folder);
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

    /// The log entry of a commit, and what the folder holds once it is made. `read`: the version that it is based on.
    fn entry(
        &self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        read: Option<u64>,
        mut about: HashMap<String, Value>,
    ) -> Result<(bytes::Bytes, FolderState), Error> {
        // For other writers, which check their commits against this one: the whole table was read.
        about.insert("isBlindAppend".to_owned(), json!(false));
        about.insert("isolationLevel".to_owned(), json!("Serializable"));
        // No two entries are equal: one that is read back tells who wrote it.
        about.insert("txnId".to_owned(), json!(Uuid::new_v4()));
        let folder = self.folder_after(read.map_or(0, |read| read + 1), &actions);
        folder.add_to(&mut about);
        if let Some(version) = read {
            about.insert("readVersion".to_owned(), json!(version));
        }
        let data = CommitData::new(actions, operation, about, vec![]);
        let bytes = data.get_bytes().map_err(|source| Error::log(self.table.name)(source.into()))?;
        Ok((bytes, folder))
    }

    /// What the folder holds after a commit with these actions.
    fn folder_after(&self, version: u64, actions: &[Action]) -> FolderState {
        if self.readers.has_undeleted() {
            return FolderState::Unknown;
        }
        let removed = actions.iter().filter_map(|action| match action {
            Action::Remove(remove) => remove.deletion_timestamp,
            _ => None,
        });
        match (self.folder_state(), removed.min()) {
            (FolderState::Clean, Some(removed_at)) if self.keeps_removed => {
                FolderState::KeepsRemoved(KeptFiles { version, removed_at })
            }
            (state, _) => state,
        }
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
