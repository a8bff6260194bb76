//! The storage of a lake: its object store, and the budgets of memory and threads that all its readers and writers
//! share. Knows no table.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use object_store::ObjectStore;
use object_store::path::Path;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use url::Url;

use crate::error::Error;
use crate::key_filter::FilterBudget;
use crate::memory::MemoryPool;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::counted_store::CountedStore;
use crate::storage::lease::Lease;
use crate::storage::local_store::LocalStore;
use crate::storage::location::Location;
use crate::storage::lock_kind::LockKind;
use crate::storage::log_cache::LogCache;
use crate::storage::part_upload::UploadTarget;

/// Days for which removed files stay for readers of older versions, except in local folders.
const RETENTION_DAYS: u64 = 7;

/// Parts of uploads to a store that would take up the memory budget.
const PARTS_OF_BUDGET: usize = 16;

/// The share of the memory budget that parts in flight may take beside it: a slow store then makes no rows spill.
const IN_FLIGHT_FRACTION: usize = 4;

/// The lease of a lake that commits depend on; empty in stores that need none.
pub(crate) type LeaseSlot = Arc<OnceLock<Arc<Lease>>>;

/// The storage of a lake.
pub(crate) struct LakeStorage {
    /// Ends with `/`.
    pub(crate) url: Url,
    /// Rooted at the lake.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same store for logs, whose entries and checkpoints are read once. In a local folder that would save nothing.
    pub(crate) log_store: Arc<dyn ObjectStore>,
    /// The same store, unless it is a local folder.
    pub(crate) counted: Option<CountedStore>,
    /// The same store, when it is a local folder.
    pub(crate) local: Option<LocalStore>,
    /// The folder, when it is a local one.
    pub(crate) root: Option<PathBuf>,
    /// How one writing command at a time is ensured.
    pub(crate) lock_kind: LockKind,
    /// Uploads that a killed run left.
    pub(crate) uploads: AbandonedUploads,
    /// The lease, once it is taken.
    pub(crate) lease: LeaseSlot,
    /// Whether the lake is written although the store cannot keep two writers apart.
    pub(crate) single_writer: bool,
    /// How long files stay that a commit removed.
    pub(crate) removed_files: Duration,
    /// Memory of buffered rows and open row groups.
    pub(crate) memory: MemoryPool,
    /// Memory of parts of uploads in flight, beside one of each upload.
    parts_in_flight: MemoryPool,
    /// Memory of key filters.
    pub(crate) filter_budget: FilterBudget,
    /// Permits to encode rows: as many as there are cores.
    pub(crate) encoders: Arc<Semaphore>,
}

impl LakeStorage {
    /// The storage at a location. `removed_files`: how long files stay that a commit removed; `None`: the default.
    pub(crate) fn new(location: Location, removed_files: Option<Duration>, memory: usize, single_writer: bool) -> Self {
        let Location { url, store, page, local, lock_kind, uploads } = location;
        let root = local.as_ref().map(|local| local.root().to_owned());
        let default = if root.is_some() { Duration::ZERO } else { Duration::from_hours(RETENTION_DAYS * 24) };
        let counted = local.is_none().then(|| CountedStore::new(Arc::clone(&store), page));
        let store = counted.clone().map_or(store, |counted| Arc::new(counted) as _);
        let log_store: Arc<dyn ObjectStore> = match &counted {
            Some(counted) => Arc::new(LogCache::new(Arc::new(counted.clone()))),
            None => Arc::clone(&store),
        };
        Self {
            url,
            store,
            log_store,
            counted,
            local,
            root,
            lock_kind,
            uploads,
            lease: LeaseSlot::default(),
            single_writer,
            removed_files: removed_files.unwrap_or(default),
            memory: MemoryPool::new(memory),
            parts_in_flight: MemoryPool::new(memory / IN_FLIGHT_FRACTION),
            filter_budget: FilterBudget::default(),
            encoders: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(2, usize::from))),
        }
    }

    /// Checks that nobody has taken the lake over until now: what was listed before is listed by the lake's only writer.
    pub(crate) async fn check_lease(&self) -> Result<(), Error> {
        match self.lease.get() {
            Some(lease) => lease.check_now().await,
            None => Ok(()),
        }
    }

    /// Where a new file of a name of its own is uploaded to. One of at most `single_bytes` takes one request.
    pub(crate) fn upload_to(&self, path: Path, single_bytes: usize) -> UploadTarget {
        let is_remote = self.root.is_none();
        UploadTarget {
            store: Arc::clone(&self.store),
            path,
            keeps_parts: is_remote,
            single_bytes,
            replaces: false,
            unsettled: self.lease.get().map(Lease::begins_upload),
            memory: is_remote.then(|| self.parts_in_flight.clone()),
        }
    }

    /// Aborts uploads that killed runs have left, and returns how many. The caller must hold the lock. They take room, and
    /// harm nobody: a failure is a warning, and the next command that writes tries again.
    pub(crate) async fn abort_uploads(&self) -> usize {
        let unsettled = self.lease.get().map(Lease::begins_upload);
        match self.uploads.abort().await {
            Ok(aborted) => {
                if let Some(unsettled) = unsettled {
                    unsettled.settle();
                }
                aborted
            }
            Err(error) => {
                tracing::warn!(%error, "uploads that killed runs left were not aborted: the next command tries again");
                0
            }
        }
    }

    /// Begins work that is carried to its end before the lease is released.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match (self.lease.get(), Handle::try_current()) {
            (Some(lease), _) => lease.background.spawn(work),
            (None, Ok(runtime)) => drop(runtime.spawn(work)),
            // Without a runtime, it is left to the next run.
            (None, Err(_)) => {}
        }
    }

    /// Bytes of a part of an upload: stores want at least 5 MiB, and few requests; a local file wants little memory. Two
    /// parts of each open file are in memory, and more where the budget of parts in flight has room for them.
    pub(crate) fn part_bytes(&self) -> usize {
        if self.root.is_some() { 1 << 20 } else { (self.memory.limit() / PARTS_OF_BUDGET).clamp(5 << 20, 8 << 20) }
    }
}
