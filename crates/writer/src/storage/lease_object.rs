//! The object of a lease: its text, and how it is read and replaced when requests fail with an unknown outcome.

use std::time::Duration;

use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutResult, UpdateVersion};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::storage::paths::LOCK;

/// What the object says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeaseText {
    pub(super) run_id: String,
    pub(super) since: String,
    /// Tells two holders with the same run apart.
    pub(super) holder: String,
    /// Counts up, so that each renewal changes the object's ETag.
    pub(super) renewal: u64,
    /// The holder has ended.
    pub(super) released: bool,
    /// A commit of the holder, which has ended, may still arrive.
    #[serde(default)]
    pub(super) unsettled: bool,
    /// The holder, which has ended, may have left uploads, or has not found out whether others did.
    #[serde(default)]
    pub(super) has_uploads: bool,
}

impl LeaseText {
    /// The run and the time, for messages.
    pub(super) fn named(self) -> (String, String) {
        let or = |text: String, unnamed: &str| if text.is_empty() { unnamed.to_owned() } else { text };
        (or(self.run_id, "an unnamed run"), or(self.since, "an unknown time"))
    }
}

/// The object as it was read.
pub(super) struct FoundLease {
    pub(super) text: LeaseText,
    pub(super) version: UpdateVersion,
}

impl FoundLease {
    /// Whether nobody has written it since.
    pub(super) fn is_unchanged(&self, since: &Self) -> bool {
        is_same(&self.version, &since.version) && self.text == since.text
    }
}

fn is_same(a: &UpdateVersion, b: &UpdateVersion) -> bool {
    a.e_tag == b.e_tag && a.version == b.version
}

/// How a conditional put ended.
pub(super) enum LeasePut {
    /// The object has the text, in this version.
    Done(UpdateVersion),
    /// The condition does not hold: this is there.
    Refused(Option<FoundLease>),
}

/// Attempts to put a text that the store neither took nor refused.
const ATTEMPTS: usize = 3;

/// Pause between two of them.
const PUT_AGAIN: Duration = Duration::from_secs(1);

/// Puts a text on a condition.
///
/// A put that failed may have been done, and one that is sent again is refused because of itself: so what is there is
/// read. No two puts have the same text.
pub(super) async fn put_if(store: &dyn ObjectStore, text: &LeaseText, mode: PutMode) -> Result<LeasePut, Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let failure = match put(store, text, mode.clone()).await {
            Ok(put) => return Ok(LeasePut::Done(put.into())),
            Err(failure) => failure,
        };
        let found = read(store).await?;
        if let Some(FoundLease { version, .. }) = found.as_ref().filter(|found| found.text == *text) {
            return Ok(LeasePut::Done(version.clone()));
        }
        if is_refused(&failure, &mode, found.as_ref()) {
            return Ok(LeasePut::Refused(found));
        }
        if attempt == ATTEMPTS || !matches!(failure, StoreError::Generic { .. }) {
            return Err(failed("write")(failure));
        }
        tokio::time::sleep(PUT_AGAIN).await;
    }
}

/// Whether the condition does not hold, by what the store said or by what is there.
fn is_refused(failure: &StoreError, mode: &PutMode, found: Option<&FoundLease>) -> bool {
    let is_said = matches!(failure, StoreError::AlreadyExists { .. } | StoreError::Precondition { .. });
    is_said
        || match (mode, found) {
            (PutMode::Update(expected), Some(found)) => !is_same(expected, &found.version),
            (PutMode::Update(_), None) => true,
            (_, found) => found.is_some(),
        }
}

/// The object; `None` if there is none.
pub(super) async fn read(store: &dyn ObjectStore) -> Result<Option<FoundLease>, Error> {
    let found = match store.get(&Path::from(LOCK)).await {
        Ok(found) => found,
        Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(failed("read")(error)),
    };
    let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
    let text = found.bytes().await.map_err(failed("read"))?;
    // A text that another program wrote holds until nobody has changed it for long enough.
    Ok(Some(FoundLease { text: serde_json::from_slice(&text).unwrap_or_default(), version }))
}

/// Checks that the store does not replace an object that must be absent, or that has changed meanwhile.
pub(super) async fn check_conditions(store: &dyn ObjectStore, text: &LeaseText) -> Result<(), Error> {
    let outdated = UpdateVersion { e_tag: Some("\"0\"".to_owned()), version: Some("1".to_owned()) };
    for mode in [PutMode::Create, PutMode::Update(outdated)] {
        match put(store, text, mode).await {
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {}
            Err(error) => return Err(failed("write")(error)),
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

fn failed(action: &str) -> impl FnOnce(StoreError) -> Error + use<> {
    Error::store(format!("{action} the lock of the lake"))
}
