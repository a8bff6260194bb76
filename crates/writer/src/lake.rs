//! A lake: the way in to its tables.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use copilot_lake_tables::{Table, Week};
use deltalake::logstore::{StorageConfig, default_logstore};
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::archive::run_archive::RunArchive;
use crate::delta::data_file::DataFile;
use crate::delta::log::Log;
use crate::delta::schema;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::merge::changes::Changes;
use crate::merge::memory_consumer::MemoryConsumers;
use crate::merge::mode::MergeMode;
use crate::storage::counted_store::{CountedStore, StoreRequests};
use crate::storage::file_rights::FileRights;
use crate::storage::lease::Lease;
use crate::storage::location::Location;
use crate::storage::lock::Lock;
use crate::storage::lock_kind::LockKind;
use crate::storage::readers::Readers;
use crate::storage::store_options::StoreOptions;
use crate::storage::{paths, probe};

/// How a lake is opened.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// How long files that a commit removed are kept for readers of older versions; `None`: not at all in a local
    /// folder, 7 days elsewhere.
    pub removed_files: Option<Duration>,
    /// Memory budget in bytes, over all changes, for buffered rows and open row groups. Uploads to a store may take a
    /// quarter of it besides.
    pub memory: usize,
    /// Who may read what is created, in a local folder.
    pub rights: FileRights,
    /// How the store of a cloud is reached.
    pub store: StoreOptions,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self { removed_files: None, memory: 48 << 20, rights: FileRights::Private, store: StoreOptions::default() }
    }
}

/// A data file that is part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeFile {
    /// Within the lake: `<table>/week_start=2025-06-22/<name>.parquet`.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Rows; 0 when the log does not say.
    pub rows: u64,
    /// Its week; `None` in tables that are not partitioned.
    pub week: Option<Week>,
}

/// A lake. Clones are the same lake.
#[derive(Clone)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

/// The storage of a lake, and what is known of its tables.
pub(crate) struct Inner {
    pub(crate) storage: Arc<LakeStorage>,
    pub(crate) consumers: Arc<MemoryConsumers>,
    /// The root of the store, as logs know it.
    store_url: Url,
    logs: Mutex<HashMap<&'static str, Arc<Log>>>,
}

impl Lake {
    /// Opens the lake at a path, a `file://` URL, the URL of a cloud's store, or `memory://` (gone with the last clone).
    /// Nothing is written, and nothing is requested.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other URLs.
    pub async fn open(url: &str, options: LakeOptions) -> Result<Self, Error> {
        Self::at(Location::parse(url, options.rights, &options.store)?, &options)
    }

    /// The lake at a location.
    pub(crate) fn at(location: Location, options: &LakeOptions) -> Result<Self, Error> {
        let storage = LakeStorage::new(location, options.removed_files, options.memory, options.store.single_writer);
        let unsupported =
            |e: url::ParseError| Error::Unsupported { url: storage.url.to_string(), reason: e.to_string() };
        let store_url = paths::store_url().map_err(unsupported)?;
        let inner = Inner { storage: Arc::new(storage), consumers: Arc::default(), store_url, logs: Mutex::default() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Takes the lock of the lake for a run, until it is released or dropped.
    ///
    /// # Errors
    /// [`Error::Held`] when another run has it; [`Error::NoConditionalPut`] when the store cannot keep two runs apart.
    pub async fn lock(&self, run_id: &str) -> Result<Lock, Error> {
        let LakeStorage { store, lock_kind, lease, single_writer, .. } = &*self.inner.storage;
        match lock_kind {
            LockKind::File(local) => Lock::on_file(local.root(), local.rights(), run_id),
            LockKind::Process => Ok(Lock::process()),
            LockKind::Lease => {
                let acquired = Lease::acquire(Arc::clone(store), run_id, *single_writer).await?;
                if lease.set(Arc::clone(&acquired.lease)).is_err() {
                    acquired.lease.release().await;
                    return Err(Error::Held { run_id: run_id.to_owned(), since: "this process".to_owned() });
                }
                if acquired.needs_fence {
                    self.fence().await?;
                }
                let aborted_uploads = match acquired.may_have_uploads {
                    true => self.inner.storage.abort_uploads().await,
                    false => 0,
                };
                Ok(Lock::lease(acquired.lease, aborted_uploads))
            }
        }
    }

    /// Commits to every table, so that what a former holder of the lease has sent, or prepared, conflicts.
    async fn fence(&self) -> Result<(), Error> {
        for table in copilot_lake_tables::TABLES.iter().copied() {
            self.inner.log(table).fence().await?;
        }
        Ok(())
    }

    /// Begins changes of a table. Several may be open at a time, also of one table.
    pub fn changes(&self, table: &'static Table, mode: MergeMode) -> Changes {
        let Inner { storage, consumers, .. } = &*self.inner;
        Changes::new(Arc::clone(storage), Arc::clone(consumers), self.inner.log(table), mode)
    }

    /// The archive of a run. Nothing is written yet.
    pub fn archive(&self, run_id: &str) -> RunArchive {
        RunArchive::new(Arc::clone(&self.inner.storage), run_id.to_owned())
    }

    /// Tests whether the lake can be written: writes small files to a folder at its root, as a commit does, and removes
    /// them. The folder of a local lake is created if it is missing, and removed again.
    ///
    /// # Errors
    /// What could not be done, and why.
    pub async fn probe(&self) -> Result<(), Error> {
        probe::probe(&self.inner.storage).await
    }

    /// The weeks that have files, ascending.
    pub async fn weeks(&self, table: &'static Table) -> Result<Vec<Week>, Error> {
        let files = self.inner.log(table).files().await?;
        Ok(files.iter().filter_map(|file| file.week).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Whether the table exists, even without rows. Its log is listed, and not read.
    pub async fn has(&self, table: &'static Table) -> Result<bool, Error> {
        self.inner.log(table).exists().await
    }

    /// The newest version of a table that is known; `None` when there is no table yet.
    pub async fn version(&self, table: &'static Table) -> Result<Option<i64>, Error> {
        let snapshot = self.inner.log(table).snapshot().await?;
        Ok(snapshot.and_then(|snapshot| i64::try_from(snapshot.version).ok()))
    }

    /// The files of a table as committed; none when there is no table yet.
    pub async fn files(&self, table: &'static Table) -> Result<Vec<LakeFile>, Error> {
        let file = |file: &Arc<DataFile>| LakeFile {
            path: file.path.to_string(),
            size: file.size,
            rows: file.rows.unwrap_or_default(),
            week: file.week,
        };
        Ok(self.inner.log(table).files().await?.iter().map(file).collect())
    }

    /// Reads the log of a table again.
    ///
    /// # Errors
    /// Reading the log.
    pub async fn reload(&self, table: &'static Table) -> Result<(), Error> {
        self.inner.log(table).reload().await?;
        Ok(())
    }

    /// Whether a file that was part of a table is so no more: another tool, or another run, removed it. Reads the log of
    /// its table again. The path may begin outside the lake.
    ///
    /// # Errors
    /// Reading the log.
    pub async fn is_removed(&self, path: &str) -> Result<bool, Error> {
        let Some(table) = path.rsplit('/').find_map(copilot_lake_tables::table) else { return Ok(false) };
        let now = self.inner.log(table).reload().await?;
        Ok(!now.iter().flat_map(|now| &now.files).any(|file| path.ends_with(file.path.as_ref())))
    }

    /// The notes in a table's configuration, by name.
    pub async fn notes(&self, table: &'static Table) -> Result<BTreeMap<String, String>, Error> {
        let snapshot = self.inner.log(table).snapshot().await?;
        let configuration = snapshot.iter().flat_map(|snapshot| snapshot.metadata.configuration());
        let note =
            |(key, text): (&String, &String)| Some((key.strip_prefix(schema::NOTE_PREFIX)?.to_owned(), text.clone()));
        Ok(configuration.filter_map(note).collect())
    }

    /// Removes notes from a table's configuration. Best effort: they stay if another writer commits at the same time.
    ///
    /// # Errors
    /// Reading or writing the log.
    pub async fn remove_notes(&self, table: &'static Table, names: &BTreeSet<String>) -> Result<(), Error> {
        let is_removed = |key: &str| key.strip_prefix(schema::NOTE_PREFIX).is_some_and(|name| names.contains(name));
        self.edit_configuration(table, |configuration| configuration.retain(|key, _| !is_removed(key))).await
    }

    /// Edits a table's configuration. Best effort: nothing is changed if another writer commits at the same time.
    pub(crate) async fn edit_configuration(
        &self,
        table: &'static Table,
        edit: impl FnOnce(&mut HashMap<String, String>),
    ) -> Result<(), Error> {
        let log = self.inner.log(table);
        let mut keys = log.writing.lock().await;
        let Some(snapshot) = log.snapshot().await? else { return Ok(()) };
        let mut configuration = snapshot.metadata.configuration().clone();
        edit(&mut configuration);
        if let Some(metadata) = schema::changed(table, &snapshot.metadata, &configuration)?
            && log.set_metadata(&snapshot, metadata).await?
        {
            keys.committed(snapshot.version + 1);
        }
        Ok(())
    }

    /// Requests to the store so far; `None` for a local folder.
    pub fn store_requests(&self) -> Option<StoreRequests> {
        self.inner.storage.counted.as_ref().map(CountedStore::requests)
    }

    /// The store, rooted at the lake.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.storage.store)
    }

    /// Where the lake is; ends with `/`.
    pub fn url(&self) -> &Url {
        &self.inner.storage.url
    }
}

impl Inner {
    /// The log of a table, created on first use.
    pub(crate) fn log(&self, table: &'static Table) -> Arc<Log> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(table.name).or_insert_with(|| {
            let LakeStorage { store, log_store, local, removed_files, lease, .. } = &*self.storage;
            let prefixed = Arc::new(PrefixStore::new(Arc::clone(log_store), paths::table(table)));
            let location = paths::table_url(&self.store_url, table);
            let log_store = default_logstore(prefixed, Arc::clone(log_store), &location, &StorageConfig::default());
            let readers = Readers::new(Arc::clone(store), local.clone(), Arc::clone(lease));
            Arc::new(Log::new(table, log_store, Arc::new(readers), Arc::clone(lease), !removed_files.is_zero()))
        });
        Arc::clone(log)
    }
}
