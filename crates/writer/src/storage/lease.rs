//! The lease of a lake in a store that several machines reach: an object that whoever holds it renews.
//!
//! A holder that stops renewing it, because it was killed, paused or cut off, loses it to whoever has watched it long
//! enough. A paused holder does not know: so it looks at its lease before each commit, and whoever takes over commits to
//! every table, after which a commit that was prepared before conflicts.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use copilot_lake_tables::Instant as LakeInstant;
use object_store::{ObjectStore, PutMode, UpdateVersion};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::clock::now_millis;
use crate::error::Error;
use crate::storage::background::Background;
use crate::storage::lease_object::{FoundLease, LeasePut, LeaseText, check_conditions, put_if, read};

/// How often a lease is renewed.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// How soon after a failure.
const RENEWED_AGAIN: Duration = Duration::from_secs(2);
/// How long a renewal may take: less than it takes to lose the lease, so that a connection that hangs does not cost it.
const RENEWED_WITHIN: Duration = Duration::from_secs(20);
/// How long a lease is watched, without a renewal, before it is taken over.
const WATCHED_FOR: Duration = Duration::from_secs(30);
/// How often a watched lease is looked at.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(2);
/// How long after its last renewal a holder relies on a lease without looking.
const RELIED_ON_FOR: Duration = Duration::from_secs(15);
/// How long a holder that must know tries to renew its lease: as long as the store's requests are retried.
const RETRIED_FOR: Duration = Duration::from_secs(180);
/// How long a release may take: the run has ended.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);
/// How long a run that lost its lease may take to remove its files. The run that took over does not wait for it.
const CLEARED_WITHIN: Duration = Duration::from_secs(60);
/// Attempts to take a lease that others take and release meanwhile, or to renew one whose renewals were not answered.
const ATTEMPTS: usize = 8;

/// A lease that this process holds, or held.
pub(crate) struct Lease {
    store: Arc<dyn ObjectStore>,
    /// Renewals are made one at a time.
    held: tokio::sync::Mutex<HeldLease>,
    state: Mutex<LeaseState>,
    renewing: Mutex<Option<JoinHandle<()>>>,
    /// Commits that were sent and whose outcome is unknown, and files that may be left outside the tables.
    commits: AtomicUsize,
    /// Uploads that are not ended.
    uploads: AtomicUsize,
    /// What is carried to its end before the lease is released.
    pub(crate) background: Background,
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

/// A lease that was taken.
pub(crate) struct Acquired {
    pub(crate) lease: Arc<Lease>,
    /// Whether somebody who held it before may have left a commit that still arrives.
    pub(crate) needs_fence: bool,
    /// Whether somebody who held it before may have left uploads.
    pub(crate) may_have_uploads: bool,
}

/// What may outlive the holder of a lease.
#[derive(Debug, Clone, Copy)]
enum LeasedWork {
    Commit,
    Upload,
}

/// A request whose outcome is unknown, or an upload that is not ended, until it is settled. Dropping it settles nothing.
#[must_use]
pub(crate) struct Unsettled {
    lease: Arc<Lease>,
    work: LeasedWork,
}

impl Unsettled {
    /// The outcome is known.
    pub(crate) fn settle(self) {
        self.lease.unsettled(self.work).fetch_sub(1, Ordering::Relaxed);
    }

    /// The file that was sent may arrive after the holder has ended.
    pub(crate) fn may_arrive(&self) {
        self.lease.require_fence();
    }

    /// Ends what is counted, before the lease is released.
    pub(crate) fn end_with(self, end: impl Future<Output = bool> + Send + 'static) {
        Arc::clone(&self.lease).background.spawn(async move {
            if end.await {
                self.settle();
            }
        });
    }
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
        let mut found = None;
        for _ in 0..ATTEMPTS {
            let sent = Instant::now();
            found = match put_if(&*store, &text, PutMode::Create).await? {
                LeasePut::Done(version) => {
                    if !single_writer {
                        check_conditions(&*store, &text).await?;
                    }
                    let lease = Self::begin(store, text, version, sent);
                    // Nothing tells how a holder before has ended.
                    return Ok(Acquired { lease, needs_fence: true, may_have_uploads: true });
                }
                LeasePut::Refused(found) => found,
            };
            let Some(of_other) = found.take() else { continue };
            let of_other = if of_other.text.released { of_other } else { watch(&*store, of_other).await? };
            let needs_fence = !of_other.text.released || of_other.text.unsettled;
            let may_have_uploads = needs_fence || of_other.text.has_uploads;
            let sent = Instant::now();
            match put_if(&*store, &text, PutMode::Update(of_other.version)).await? {
                LeasePut::Done(version) => {
                    let lease = Self::begin(store, text, version, sent);
                    return Ok(Acquired { lease, needs_fence, may_have_uploads });
                }
                LeasePut::Refused(other) => found = other,
            }
        }
        let (run_id, since) = found.map(|found| found.text).unwrap_or_default().named();
        Err(Error::Held { run_id, since })
    }

    fn begin(store: Arc<dyn ObjectStore>, text: LeaseText, version: UpdateVersion, sent: Instant) -> Arc<Self> {
        let lease = Arc::new(Self {
            store,
            held: tokio::sync::Mutex::new(HeldLease { text, version }),
            state: Mutex::new(LeaseState { renewed_at: sent, is_lost: false }),
            renewing: Mutex::new(None),
            commits: AtomicUsize::new(0),
            uploads: AtomicUsize::new(0),
            background: Background::default(),
        });
        let renewed = Arc::downgrade(&lease);
        let renewing = tokio::spawn(async move {
            let mut pause = RENEWED_EVERY;
            loop {
                tokio::time::sleep(pause).await;
                let Some(lease) = renewed.upgrade() else { return };
                pause = match lease.renew(Instant::now()).await {
                    Ok(()) => RENEWED_EVERY,
                    Err(Error::LeaseLost { .. }) => return,
                    // The store may answer again in time.
                    Err(error) => {
                        tracing::warn!(%error, "the lease of the lake was not renewed");
                        RENEWED_AGAIN
                    }
                };
            }
        });
        *lease.renewing.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewing);
        lease
    }

    /// Checks that the lease is held still: by the time of its last renewal, or by renewing it.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        // A machine that has only just started has no earlier instant.
        let now = Instant::now();
        self.check_since(now.checked_sub(RELIED_ON_FOR).unwrap_or(now)).await
    }

    /// Checks that the lease is held still, by renewing it: somebody else has committed, or may have while this process
    /// was paused.
    pub(crate) async fn check_now(&self) -> Result<(), Error> {
        self.check_since(Instant::now()).await
    }

    async fn check_since(&self, since: Instant) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            match self.renew(since).await {
                Err(Error::Store { .. }) if began.elapsed() < RETRIED_FOR => {
                    tokio::time::sleep(RENEWED_AGAIN).await;
                }
                renewed => return renewed,
            }
        }
    }

    /// Counts a commit that is about to be sent. If it is never settled, the next holder fences.
    pub(crate) fn begins(self: &Arc<Self>) -> Unsettled {
        self.begins_work(LeasedWork::Commit)
    }

    /// Counts an upload that is about to begin. If it is never settled, the next holder looks for abandoned uploads.
    pub(crate) fn begins_upload(self: &Arc<Self>) -> Unsettled {
        self.begins_work(LeasedWork::Upload)
    }

    /// A table's folder may hold a file that is not the table's: the next holder fences, and hence lists the folders.
    pub(crate) fn require_fence(&self) {
        self.unsettled(LeasedWork::Commit).fetch_add(1, Ordering::Relaxed);
    }

    fn begins_work(self: &Arc<Self>, work: LeasedWork) -> Unsettled {
        self.unsettled(work).fetch_add(1, Ordering::Relaxed);
        Unsettled { lease: Arc::clone(self), work }
    }

    fn unsettled(&self, work: LeasedWork) -> &AtomicUsize {
        match work {
            LeasedWork::Commit => &self.commits,
            LeasedWork::Upload => &self.uploads,
        }
    }

    /// Renews the lease, unless a renewal that was sent since has succeeded.
    async fn renew(&self, since: Instant) -> Result<(), Error> {
        let is_renewed = || {
            let LeaseState { renewed_at, is_lost } = *self.state();
            !is_lost && renewed_at > since
        };
        if is_renewed() {
            return Ok(());
        }
        let mut held = self.held.lock().await;
        if is_renewed() {
            return Ok(());
        }
        if self.state().is_lost {
            return Err(self.lost(None).await);
        }
        match timeout(RENEWED_WITHIN, self.replace(&mut held)).await {
            Ok(Ok(sent)) => {
                self.state().renewed_at = sent;
                Ok(())
            }
            Ok(Err(ReplaceError::Lost(found))) => {
                self.state().is_lost = true;
                Err(self.lost(found).await)
            }
            Ok(Err(ReplaceError::Store(error))) => Err(error),
            Err(_) => Err(timed_out()),
        }
    }

    /// Replaces what this holder wrote last, renewed by one. Returns when that was sent.
    async fn replace(&self, held: &mut HeldLease) -> Result<Instant, ReplaceError> {
        for _ in 0..ATTEMPTS {
            held.text.renewal += 1;
            let sent = Instant::now();
            match put_if(&*self.store, &held.text, PutMode::Update(held.version.clone())).await {
                Ok(LeasePut::Done(version)) => {
                    held.version = version;
                    return Ok(sent);
                }
                // An earlier renewal was not answered, and was done: when, it does not tell.
                Ok(LeasePut::Refused(Some(found))) if found.text.holder == held.text.holder => {
                    held.version = found.version;
                    held.text.renewal = held.text.renewal.max(found.text.renewal);
                }
                Ok(LeasePut::Refused(found)) => return Err(ReplaceError::Lost(found)),
                Err(error) => return Err(ReplaceError::Store(error)),
            }
        }
        Err(ReplaceError::Store(timed_out()))
    }

    async fn lost(&self, found: Option<FoundLease>) -> Error {
        let found = match found {
            Some(found) => Some(found),
            None => timeout(RELEASED_WITHIN, read(&*self.store)).await.ok().and_then(Result::ok).flatten(),
        };
        let (run_id, since) = found.map(|found| found.text).unwrap_or_default().named();
        Error::LeaseLost { run_id, since }
    }

    /// Ends the lease, so that the next run need not watch it, after what is under way has ended.
    pub(crate) async fn release(&self) {
        if self.state().is_lost && timeout(CLEARED_WITHIN, self.background.ended()).await.is_err() {
            tracing::warn!("files of this run may be left in the lake: `copilot-lake maintain` removes them");
        }
        let released = async {
            self.background.ended().await;
            // A renewal that is under way ends first: its outcome would be unknown.
            let mut held = self.held.lock().await;
            if let Some(renewing) = self.renewing.lock().unwrap_or_else(PoisonError::into_inner).take() {
                renewing.abort();
            }
            if std::mem::replace(&mut self.state().is_lost, true) {
                return Ok(());
            }
            held.text.released = true;
            let is_unsettled = |work| self.unsettled(work).load(Ordering::Relaxed) > 0;
            held.text.unsettled = is_unsettled(LeasedWork::Commit);
            held.text.has_uploads = is_unsettled(LeasedWork::Upload);
            match self.replace(&mut held).await {
                // Somebody else holds it, and knows what to do.
                Ok(_) | Err(ReplaceError::Lost(_)) => Ok(()),
                Err(ReplaceError::Store(error)) => Err(error),
            }
        };
        if let Err(error) = timeout(RELEASED_WITHIN, released).await.unwrap_or_else(|_| Err(timed_out())) {
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

/// Why what a holder wrote was not replaced.
enum ReplaceError {
    /// Somebody else's is there, or none.
    Lost(Option<FoundLease>),
    Store(Error),
}

/// Watches a lease of somebody else. Returns it when its holder has ended, or has not renewed it for long enough.
async fn watch(store: &dyn ObjectStore, found: FoundLease) -> Result<FoundLease, Error> {
    tracing::info!(run_id = found.text.run_id, "another run holds the lake: watching whether it still runs");
    let mut began = Instant::now();
    while began.elapsed() < WATCHED_FOR {
        tokio::time::sleep(LOOKED_AT_EVERY).await;
        let asked = Instant::now();
        let now = read(store).await?;
        if asked.elapsed() > LOOKED_AT_EVERY {
            // While the store does not answer, nobody can renew.
            began = Instant::now();
        }
        match now {
            Some(now) if now.is_unchanged(&found) => {}
            Some(now) if now.text.released => return Ok(now),
            Some(now) => {
                let (run_id, since) = now.text.named();
                return Err(Error::Held { run_id, since });
            }
            None => break,
        }
    }
    Ok(found)
}

fn timed_out() -> Error {
    let source = "the store did not answer in time".into();
    Error::store("renew the lock of the lake".to_owned())(object_store::Error::Generic { store: "lease", source })
}
