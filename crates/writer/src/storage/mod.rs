//! Where the files of a lake are: its location, every path in it, its lock, which files stay when a table's folder is
//! recovered, the local file system as an object store whose commits survive a power cut, and the stores of clouds.
//!
//! Knows files and folders; knows neither rows nor the Delta log. Reading local files is left to `object_store`'s own
//! local store.

pub(crate) mod abandoned_uploads;
mod background;
pub(crate) mod cloud_store;
pub(crate) mod counted_store;
pub(crate) mod file_rights;
pub(crate) mod file_upload;
pub(crate) mod folders;
pub(crate) mod lease;
mod lease_object;
pub(crate) mod listing;
mod local_io;
pub(crate) mod local_store;
mod local_upload;
pub(crate) mod location;
pub(crate) mod lock;
pub(crate) mod lock_kind;
pub(crate) mod log_cache;
pub(crate) mod part_upload;
pub(crate) mod paths;
pub(crate) mod probe;
mod publish;
pub(crate) mod readers;
pub(crate) mod recovery;
mod repeated_deletes;
#[cfg(feature = "s3")]
mod s3_uploads;
pub(crate) mod shown_location;
mod staged_file;
pub(crate) mod store_options;
pub(crate) mod stored_file;

#[cfg(test)]
mod tests;
