//! How a store keeps two writing commands apart.

use crate::storage::local_store::LocalStore;

/// How a store keeps two writing commands apart.
#[derive(Clone)]
pub(crate) enum LockKind {
    /// The system's lock on a file.
    File(LocalStore),
    /// A lease object: whoever holds it renews it, and a commit is put if absent.
    Lease,
    /// No other process can reach the store.
    Process,
}
