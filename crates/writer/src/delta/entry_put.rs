//! Putting a log entry: whether it is there afterwards, whatever the store said.
//!
//! A store may report a failure, or a taken version, for an entry that it did write: so it is read back. One that is
//! reached over a network may also write it after it has failed: so it is put again, until some entry is there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use deltalake::kernel::transaction::TransactionError;
use deltalake::logstore::{CommitOrBytes, LogStoreRef};
use uuid::Uuid;

use crate::error::Error;
use crate::storage::lease::{Lease, Unsettled};

/// Attempts to put an entry into a store that fails and does not have it.
const ATTEMPTS: usize = 3;

/// Pause between two of them.
const PUT_AGAIN: Duration = Duration::from_secs(2);

/// The entry of a version that is to be put.
pub(super) struct EntryPut<'s> {
    pub(super) table: &'static str,
    pub(super) store: &'s LogStoreRef,
    pub(super) version: u64,
    pub(super) bytes: Bytes,
}

/// How putting it ended.
enum PutOutcome {
    Written,
    /// Another entry is there.
    Taken,
    /// There is none, though the store said that the version is taken, or failed.
    Absent(TransactionError),
}

impl EntryPut<'_> {
    /// Puts it where nothing arrives late. `false`: the version is taken.
    pub(super) async fn once_and_for_all(&self) -> Result<bool, Error> {
        match self.attempt().await? {
            PutOutcome::Written => Ok(true),
            PutOutcome::Taken | PutOutcome::Absent(TransactionError::VersionAlreadyExists(_)) => Ok(false),
            PutOutcome::Absent(failure) => Err(Error::log(self.table)(failure.into())),
        }
    }

    /// Puts it over a network. `false`: the version is taken.
    pub(super) async fn under_lease(&self, lease: &Arc<Lease>) -> Result<bool, Error> {
        lease.check().await?;
        let sent = lease.begins();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let failure = match self.attempt().await? {
                PutOutcome::Written => {
                    sent.settle();
                    return Ok(true);
                }
                PutOutcome::Taken => {
                    sent.settle();
                    lease.check_now().await?;
                    return Ok(false);
                }
                PutOutcome::Absent(failure) => failure,
            };
            if attempt == 1 && is_refusal(&failure) {
                sent.settle();
                return Err(Error::log(self.table)(failure.into()));
            }
            if attempt == ATTEMPTS {
                return Err(self.unknown(failure.to_string()));
            }
            let (table, version) = (self.table, self.version);
            tracing::warn!(table, version, %failure, "a commit is sent again: it is not there");
            tokio::time::sleep(PUT_AGAIN).await;
            if let Err(lost) = lease.check().await {
                return self.after_loss(lost, &failure, sent).await;
            }
        }
    }

    /// What became of an entry that was not there before the lease was lost. The run that takes over puts another.
    async fn after_loss(&self, lost: Error, failure: &TransactionError, sent: Unsettled) -> Result<bool, Error> {
        match self.read_back(|| format!("{failure}; then {lost}")).await? {
            Some(is_own) => {
                sent.settle();
                if is_own { Ok(true) } else { Err(lost) }
            }
            None => Err(self.unknown(format!("{failure}; then {lost}"))),
        }
    }

    async fn attempt(&self) -> Result<PutOutcome, Error> {
        let entry = CommitOrBytes::LogBytes(self.bytes.clone());
        let failure = match self.store.write_commit_entry(self.version, entry, Uuid::new_v4()).await {
            Ok(()) => return Ok(PutOutcome::Written),
            Err(failure) => failure,
        };
        Ok(match self.read_back(|| failure.to_string()).await? {
            Some(true) => PutOutcome::Written,
            Some(false) => PutOutcome::Taken,
            None => PutOutcome::Absent(failure),
        })
    }

    /// Whether this entry is there, or another; `None`: neither. `failure`: why that has to be read.
    async fn read_back(&self, failure: impl FnOnce() -> String) -> Result<Option<bool>, Error> {
        match self.store.read_commit_entry(self.version).await {
            Ok(there) => Ok(there.map(|there| there == self.bytes)),
            Err(error) => Err(self.unknown(format!("{}; then {error}", failure()))),
        }
    }

    /// The outcome is unknown: the files must stay until the next run has read the log.
    fn unknown(&self, reason: String) -> Error {
        Error::CommitUnknown { table: self.table, reason }
    }
}

/// Whether the store answered that it does not do this.
fn is_refusal(failure: &TransactionError) -> bool {
    use object_store::Error as StoreError;
    let TransactionError::ObjectStore { source } = failure else { return false };
    matches!(
        source,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } | StoreError::NotFound { .. }
    )
}
