//! Merging by key: which of the new rows and which of the table's rows stay. Knows keys, versions and files; knows no
//! service.
//!
//! [`NewRows`](new_rows::NewRows) are the new rows that the table may hold already, [`lookup`] finds the table's rows with
//! the same keys, [`resolve`] decides which of them give way.

pub(crate) mod carry;
pub(crate) mod changes;
pub(crate) mod dedupe;
pub(crate) mod delete_keys;
pub(crate) mod key_filter;
pub(crate) mod key_reader;
pub(crate) mod lookup;
pub(crate) mod memory_consumer;
pub(crate) mod mode;
pub(crate) mod new_rows;
pub(crate) mod pending_rows;
pub(crate) mod resolve;
pub(crate) mod rewrite;
pub(crate) mod row_buffer;
pub(crate) mod row_digest;
pub(crate) mod sorted_run;
pub(crate) mod table_keys;
pub(crate) mod transaction;
pub(crate) mod version;
