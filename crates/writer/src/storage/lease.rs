//! The lease of a lake in a store that several machines reach: an object that whoever holds it renews.
//!
//! A holder that stops renewing it, because it was killed, paused or cut off, loses it to whoever has watched it long
//! enough. A paused holder does not know: so it looks at its lease before each commit, and whoever takes over commits to
//! every table, after which a commit that was prepared before conflicts.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use copilot_lake_tables::Instant as LakeInstant;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutResult, UpdateVersion};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::now_millis;
use crate::error::Error;
use crate::storage::paths::LOCK;

/// How often a lease is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How long a lease is watched, without a renewal, before it is taken over.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// How often a watched lease is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(2);
/// How long after its last renewal a holder relies on a lease without looking.
const RELIED_ON_FOR: Duration = Duration::from_secs(15);
/// Attempts to take a lease that others take and release meanwhile.
const ATTEMPTS: usize = 8;

/// What the object says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct LeaseText {
    run_id: String,
    since: String,
    /// Tells two holders with the same run apart.
    holder: String,
    /// Counts up, so that each renewal changes the object's ETag.
    renewal: u64,
    /// The holder has ended.
    released: bool,
}

/// A lease that this process holds, or held.
pub(crate) struct Lease {
    store: Arc<dyn ObjectStore>,
    /// Renewals are made one at a time.
    held: tokio::sync::Mutex<HeldLease>,
    state: Mutex<LeaseState>,
    renewing: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("state", &*self.state()).finish_non_exhaustive()
    }
}

struct HeldLease {
    text: LeaseText,
    version: UpdateVersion,
}

#[derive(Debug, Clone, Copy)]
struct LeaseState {
    /// Before the last renewal that succeeded was sent.
    renewed_at: Instant,
    is_lost: bool,
}

/// A lease, and whether it was taken from a holder that did not release it.
pub(crate) struct Acquired {
    pub(crate) lease: Arc<Lease>,
    pub(crate) is_taken_over: bool,
}

impl Lease {
    /// Takes the lease for a run, and renews it until it is released.
    ///
    /// `single_writer`: the store need not keep two writers apart.
    pub(crate) async fn acquire(
        store: Arc<dyn ObjectStore>,
        run_id: &str,
        single_writer: bool,
    ) -> Result<Acquired, Error> {
        let since = LakeInstant(now_millis() * 1000).floor_second().to_string();
        let text = LeaseText {
            run_id: run_id.to_owned(),
            since,
            holder: Uuid::new_v4().simple().to_string(),
            ..LeaseText::default()
        };
        for _ in 0..ATTEMPTS {
            let sent = Instant::now();
            match put(&*store, &text, PutMode::Create).await {
                Ok(put) => {
                    if !single_writer {
                        check_conditions(&*store, &text).await?;
                    }
                    return Ok(Self::begin(store, text, put, sent, false));
                }
                Err(StoreError::AlreadyExists { .. }) => {}
                Err(error) => return Err(failed("take")(error)),
            }
            let Some((found, version)) = read(&*store).await? else { continue };
            if found.holder == text.holder {
                // The first attempt was not answered, and was done.
                return Ok(Self::begin(store, text, into_put(version), sent, false));
            }
            let is_taken_over = !found.released;
            let version = if found.released { version } else { watch(&*store, found, version).await? };
            let sent = Instant::now();
            match put(&*store, &text, PutMode::Update(version)).await {
                Ok(put) => return Ok(Self::begin(store, text, put, sent, is_taken_over)),
                Err(StoreError::Precondition { .. } | StoreError::NotFound { .. }) => {}
                Err(error) => return Err(failed("take")(error)),
            }
        }
        let found = read(&*store).await?.map(|(found, _)| found).unwrap_or_default();
        Err(Error::Held { run_id: found.run_id, since: found.since })
    }

    fn begin(
        store: Arc<dyn ObjectStore>,
        text: LeaseText,
        put: PutResult,
        sent: Instant,
        is_taken_over: bool,
    ) -> Acquired {
        let held = HeldLease { text, version: put.into() };
        let lease = Arc::new(Self {
            store,
            held: tokio::sync::Mutex::new(held),
            state: Mutex::new(LeaseState { renewed_at: sent, is_lost: false }),
            renewing: Mutex::new(None),
        });
        let renewed = Arc::downgrade(&lease);
        let renewing = tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEWED_EVERY).await;
                let Some(lease) = renewed.upgrade() else { return };
                match lease.renew().await {
                    Ok(()) => {}
                    Err(Error::LeaseLost { .. }) => return,
                    // The store may answer again in time.
                    Err(error) => tracing::warn!(%error, "the lease of the lake was not renewed"),
                }
            }
        });
        *lease.renewing.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewing);
        Acquired { lease, is_taken_over }
    }

    /// Checks that the lease is held still: by the time of its last renewal, or by renewing it.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let LeaseState { renewed_at, is_lost } = *self.state();
        if !is_lost && renewed_at.elapsed() < RELIED_ON_FOR { Ok(()) } else { self.renew().await }
    }

    /// Checks that the lease is held still, by renewing it: somebody else has committed.
    pub(crate) async fn check_now(&self) -> Result<(), Error> {
        self.renew().await
    }

    /// Renews the lease.
    async fn renew(&self) -> Result<(), Error> {
        let mut held = self.held.lock().await;
        if self.state().is_lost {
            return Err(self.lost().await);
        }
        held.text.renewal += 1;
        let sent = Instant::now();
        match put(&*self.store, &held.text, PutMode::Update(held.version.clone())).await {
            Ok(put) => held.version = put.into(),
            Err(StoreError::Precondition { .. } | StoreError::NotFound { .. }) => {
                match read(&*self.store).await? {
                    // An earlier renewal was not answered, and was done: the next one tells how long it holds.
                    Some((found, version)) if found.holder == held.text.holder && !found.released => {
                        held.version = version;
                        held.text.renewal = held.text.renewal.max(found.renewal) + 1;
                        let sent = Instant::now();
                        let again = put(&*self.store, &held.text, PutMode::Update(held.version.clone())).await;
                        held.version = again.map_err(failed("renew"))?.into();
                        self.state().renewed_at = sent;
                        return Ok(());
                    }
                    _ => {
                        self.state().is_lost = true;
                        return Err(self.lost().await);
                    }
                }
            }
            Err(error) => return Err(failed("renew")(error)),
        }
        self.state().renewed_at = sent;
        Ok(())
    }

    async fn lost(&self) -> Error {
        let found = read(&*self.store).await.ok().flatten().map(|(found, _)| found).unwrap_or_default();
        Error::LeaseLost { run_id: found.run_id, since: found.since }
    }

    /// Ends the lease, so that the next run need not watch it.
    pub(crate) async fn release(&self) {
        if let Some(renewing) = self.renewing.lock().unwrap_or_else(PoisonError::into_inner).take() {
            renewing.abort();
        }
        let mut held = self.held.lock().await;
        if std::mem::replace(&mut self.state().is_lost, true) {
            return;
        }
        held.text.released = true;
        held.text.renewal += 1;
        if let Err(error) = put(&*self.store, &held.text, PutMode::Update(held.version.clone())).await {
            tracing::warn!(%error, "the lock of the lake was not released: the next run watches it for 30 s");
        }
    }

    /// Stops renewing it, as if the process were paused.
    #[cfg(test)]
    pub(crate) fn pause(&self) {
        self.renewing.lock().unwrap().as_ref().unwrap().abort();
    }

    fn state(&self) -> MutexGuard<'_, LeaseState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches a lease of somebody else. Returns the version to replace, when nobody has renewed it for long enough.
async fn watch(store: &dyn ObjectStore, found: LeaseText, version: UpdateVersion) -> Result<UpdateVersion, Error> {
    tracing::info!(run_id = found.run_id, "another run holds the lake: watching whether it still runs");
    let began = Instant::now();
    while began.elapsed() < WATCHED_FOR {
        tokio::time::sleep(LOOKED_AT_EVERY).await;
        match read(store).await? {
            // It ended meanwhile.
            Some((now, version)) if now.released => return Ok(version),
            Some((now, _)) if now != found => return Err(Error::Held { run_id: now.run_id, since: now.since }),
            Some(_) => {}
            None => break,
        }
    }
    Ok(version)
}

/// Checks that the store does not replace an object that must be absent, or that has changed meanwhile.
async fn check_conditions(store: &dyn ObjectStore, text: &LeaseText) -> Result<(), Error> {
    let outdated = UpdateVersion { e_tag: Some("\"0\"".to_owned()), version: Some("1".to_owned()) };
    for mode in [PutMode::Create, PutMode::Update(outdated)] {
        match put(store, text, mode).await {
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {}
            Err(error) => return Err(failed("take")(error)),
            Ok(_) => return Err(Error::NoConditionalPut),
        }
    }
    Ok(())
}

async fn put(store: &dyn ObjectStore, text: &LeaseText, mode: PutMode) -> Result<PutResult, StoreError> {
    let text =
        serde_json::to_vec(text).map_err(|source| StoreError::Generic { store: "lease", source: source.into() })?;
    store.put_opts(&Path::from(LOCK), text.into(), mode.into()).await
}

/// What the lease says, and its version; `None` if there is none.
async fn read(store: &dyn ObjectStore) -> Result<Option<(LeaseText, UpdateVersion)>, Error> {
    let found = match store.get(&Path::from(LOCK)).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed("read")(error)),
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let text = found.bytes().await.map_err(failed("read"))?;
    // A text that another program wrote holds until nobody has changed it for long enough.
    Ok(Some((serde_json::from_slice(&text).unwrap_or_default(), version)))
}

fn into_put(version: UpdateVersion) -> PutResult {
    PutResult { e_tag: version.e_tag, version: version.version }
}

fn failed(action: &str) -> impl FnOnce(StoreError) -> Error + use<> {
    Error::store(format!("{action} the lock of the lake"))
}
