//! Dataverse: rows of tables, their metadata, deletions, and the bytes of File columns.
//!
//! Knows nothing of Microsoft Graph.

pub(crate) mod batch_size;
pub(crate) mod batched_fetch;
pub(crate) mod change_tracking;
pub(crate) mod choice_cast;
pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod file_address;
pub(crate) mod file_batch;
pub(crate) mod file_batches;
pub(crate) mod key;
pub(crate) mod labels;
pub(crate) mod multipart;
pub(crate) mod privileges;
pub(crate) mod probe;
pub(crate) mod request;
pub(crate) mod row_counts;
pub(crate) mod selection;
pub(crate) mod service;
pub(crate) mod table_metadata;
pub(crate) mod web_api_dialect;
pub(crate) mod web_api_error;
pub(crate) mod who_am_i;
