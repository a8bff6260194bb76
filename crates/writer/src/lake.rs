//! A lake: a store, its tables, and what is known of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use copilot_lake_tables::{SCHEMA_VERSION, Table, Week};
use deltalake::logstore::{StorageConfig, default_logstore};
use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use tokio::sync::Semaphore;
use url::Url;

use crate::delta::log::{Log, Snapshot};
use crate::delta::schema;
use crate::error::Error;
use crate::memory::MemoryPool;
use crate::merge::changes::{Changes, MemoryConsumer};
use crate::merge::key_filter::FilterBudget;
use crate::storage::LocalStore;
use crate::storage::location::Location;
use crate::storage::lock::Lock;
use crate::storage::paths;
use crate::storage::readers::Readers;

/// How a lake is opened.
#[derive(Debug, Clone)]
pub struct LakeOptions {
    /// How long files that a commit removed stay for readers of older versions; `None`: not at all in a local folder,
    /// 7 days elsewhere.
    pub removed_files: Option<Duration>,
    /// Bytes of rows that wait and of row groups that are open, over all changes.
    pub memory: usize,
}

impl Default for LakeOptions {
    fn default() -> Self {
        Self { removed_files: None, memory: 80 << 20 }
    }
}

/// The source that a lake mirrors; what is not known yet is not checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Instance {
    /// The Dataverse organization id.
    pub organization: Option<String>,
    /// The Microsoft Entra tenant id.
    pub tenant: Option<String>,
}

/// How a table's row with the same key is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMode {
    /// There is none, and no key comes twice: nothing is read.
    Append,
    /// By its key, whatever its week and time.
    Upsert,
    /// As by key, for rows that were read before and come again: of equal versions the reading that is later stays.
    UpsertReread,
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

pub(crate) struct Inner {
    pub(crate) url: Url,
    /// The root of `store`, as logs are told.
    store_url: Url,
    /// Rooted at the lake.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store, when it is a local folder.
    pub(crate) local: Option<LocalStore>,
    /// The folder, when it is a local one.
    pub(crate) root: Option<PathBuf>,
    pub(crate) removed_files: Duration,
    pub(crate) memory: Arc<MemoryPool<MemoryConsumer>>,
    /// The right to encode rows.
    pub(crate) encoders: Arc<Semaphore>,
    /// Memory of key filters.
    pub(crate) filter_budget: FilterBudget,
    logs: Mutex<HashMap<&'static str, Arc<Log>>>,
}

impl Lake {
    /// Opens the lake at a path, a `file://` URL, or `memory://` (gone with the last clone). Nothing is written.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for other URLs.
    pub async fn open(url: &str, options: LakeOptions) -> Result<Self, Error> {
        Self::at(Location::parse(url)?, &options)
    }

    /// The lake at that place.
    pub(crate) fn at(location: Location, options: &LakeOptions) -> Result<Self, Error> {
        let Location { url, store, local } = location;
        let store_url = paths::store_url();
        let store_url = store_url.map_err(|e| Error::Unsupported { url: url.to_string(), reason: e.to_string() })?;
        let root = local.as_ref().map(|local| local.root().to_owned());
        let kept = if root.is_some() { Duration::ZERO } else { Duration::from_hours(7 * 24) };
        let inner = Inner {
            url,
            store_url,
            store,
            local,
            root,
            removed_files: options.removed_files.unwrap_or(kept),
            memory: Arc::new(MemoryPool::new(options.memory)),
            encoders: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from))),
            filter_budget: FilterBudget::default(),
            logs: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Takes the right to write for a run, until dropped.
    ///
    /// # Errors
    /// [`Error::Held`] when another run has it.
    pub async fn lock(&self, run_id: &str) -> Result<Lock, Error> {
        match &self.inner.root {
            Some(root) => Lock::take(root, run_id),
            None => Ok(Lock::none()),
        }
    }

    /// Begins changes of a table. Several may be open at a time, also of one table.
    pub fn changes(&self, table: &'static Table, find: MergeMode) -> Changes {
        Changes::new(Arc::clone(&self.inner), table, find)
    }

    /// The weeks that have files, ascending.
    pub async fn weeks(&self, table: &'static Table) -> Result<Vec<Week>, Error> {
        let state = self.inner.log(table).state().await?;
        let files = state.iter().flat_map(|state| &state.files);
        Ok(files.filter_map(|file| file.week).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Whether the lake has that table, be it empty.
    pub async fn has(&self, table: &'static Table) -> Result<bool, Error> {
        Ok(self.inner.log(table).state().await?.is_some())
    }

    /// The files of a table as committed; none when there is no table yet.
    pub async fn files(&self, table: &'static Table) -> Result<Vec<LakeFile>, Error> {
        let state = self.inner.log(table).state().await?;
        let file = |file: &Arc<crate::delta::data_file::DataFile>| LakeFile {
            path: file.path.to_string(),
            size: file.size,
            rows: file.rows.unwrap_or_default(),
            week: file.week,
        };
        Ok(state.iter().flat_map(|state| &state.files).map(file).collect())
    }

    /// What the files of each week are: as long as none came and none went, the same number.
    pub async fn week_prints(&self, table: &'static Table) -> Result<BTreeMap<Week, u64>, Error> {
        let state = self.inner.log(table).state().await?;
        let mut prints = BTreeMap::new();
        for file in state.iter().flat_map(|state| &state.files) {
            if let Some(week) = file.week {
                let print: &mut u64 = prints.entry(week).or_default();
                *print = print.wrapping_add(fnv1a(file.path.as_ref()));
            }
        }
        Ok(prints)
    }

    /// The notes that were left about a table, by name.
    pub async fn notes(&self, table: &'static Table) -> Result<BTreeMap<String, String>, Error> {
        let state = self.inner.log(table).state().await?;
        let configuration = state.iter().flat_map(|state| state.metadata.configuration());
        let note = |(key, text): (&String, &String)| Some((key.strip_prefix(schema::NOTE)?.to_owned(), text.clone()));
        Ok(configuration.filter_map(note).collect())
    }

    /// Leaves notes about a table, in its configuration. Best effort: when somebody else commits meanwhile, they are not
    /// there.
    pub async fn set_notes(&self, table: &'static Table, notes: BTreeMap<String, String>) -> Result<(), Error> {
        let log = self.inner.log(table);
        let mut keys = log.writing.lock().await;
        let Some(state) = log.state().await? else { return Ok(()) };
        let mut configuration = state.metadata.configuration().clone();
        configuration.extend(notes.into_iter().map(|(name, text)| (format!("{}{name}", schema::NOTE), text)));
        if let Some(metadata) = schema::changed(table, &state.metadata, &configuration)?
            && log.set_metadata(&state, metadata).await?
        {
            keys.committed(state.version + 1);
        }
        Ok(())
    }

    /// The store, rooted at the lake.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.inner.store)
    }

    /// Where the lake is; ends with `/`.
    pub fn url(&self) -> &Url {
        &self.inner.url
    }
}

impl Inner {
    /// Bytes of a part of an upload: stores want at least 5 MiB, and few requests; a local file wants little memory.
    pub(crate) fn part_bytes(&self) -> usize {
        if self.root.is_some() { 1 << 20 } else { 8 << 20 }
    }

    /// The log of a table, made when first asked for.
    pub(crate) fn log(&self, table: &'static Table) -> Arc<Log> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = logs.entry(table.name).or_insert_with(|| {
            let store = Arc::new(PrefixStore::new(Arc::clone(&self.store), paths::table(table)));
            let location = paths::table_url(&self.store_url, table);
            let store = default_logstore(store, Arc::clone(&self.store), &location, &StorageConfig::default());
            let readers = Readers::new(Arc::clone(&self.store), self.local.clone());
            Arc::new(Log::new(table, store, Arc::new(readers), !self.removed_files.is_zero()))
        });
        Arc::clone(log)
    }
}

/// A hash that every build computes alike.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Refuses another instance's lake and a newer program's.
pub(crate) fn check(table: &'static Table, state: &Snapshot, instance: &Instance) -> Result<(), Error> {
    let configuration = state.metadata.configuration();
    let version = configuration.get(schema::VERSION).and_then(|text| text.parse().ok()).unwrap_or(SCHEMA_VERSION);
    if version > SCHEMA_VERSION {
        return Err(Error::NewerLake { table: table.name, lake: version, known: SCHEMA_VERSION });
    }
    let parts =
        [("organization", schema::ORGANIZATION, &instance.organization), ("tenant", schema::TENANT, &instance.tenant)];
    for (what, key, asked) in parts {
        match (configuration.get(key), asked) {
            (Some(lake), Some(asked)) if !lake.eq_ignore_ascii_case(asked) => {
                return Err(Error::OtherInstance { what, lake: lake.clone(), asked: asked.clone() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Adds columns that a table lacks, and what is now known of the instance.
pub(crate) async fn adapt(log: &Log, mut state: Arc<Snapshot>, instance: &Instance) -> Result<(), Error> {
    for _ in 0..5 {
        let mut configuration = state.metadata.configuration().clone();
        configuration.insert(schema::VERSION.to_owned(), SCHEMA_VERSION.to_string());
        let known = [(schema::ORGANIZATION, &instance.organization), (schema::TENANT, &instance.tenant)];
        for (key, id) in known {
            if let Some(id) = id {
                configuration.entry(key.to_owned()).or_insert_with(|| id.clone());
            }
        }
        let Some(metadata) = schema::changed(log.table, &state.metadata, &configuration)? else { return Ok(()) };
        if log.set_metadata(&state, metadata).await? {
            return Ok(());
        }
        let Some(now) = log.state().await? else { break };
        check(log.table, &now, instance)?;
        state = now;
    }
    Err(Error::Contended { table: log.table.name, attempts: 5 })
}
