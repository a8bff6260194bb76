//! Merging by key: new rows wait in bounded memory as sorted runs, are looked up in the table by key, and replace its
//! rows in one transaction. Knows keys, versions and files; knows no service and no [`Lake`](crate::Lake).
//!
//! In order: [`changes`] takes rows, [`row_buffer`] and [`memory_consumer`] hold and spill them, [`transaction`]
//! commits them. Within a transaction [`new_rows`] selects the rows that the table may hold already, [`lookup`] finds
//! the table's rows with the same keys, [`resolve`] decides which rows are superseded, [`carry`] keeps values of
//! replaced rows, and [`rewrite`] writes files without superseded rows. [`dedupe`] removes duplicates that other tools
//! and older versions left; [`replace_files`] commits its files, and those of a compaction.

pub(crate) mod carry;
pub(crate) mod changes;
pub(crate) mod dedupe;
pub(crate) mod delete_keys;
pub(crate) mod gather;
pub(crate) mod key_reader;
pub(crate) mod key_scan;
pub(crate) mod lookup;
pub(crate) mod memory_consumer;
pub(crate) mod mode;
pub(crate) mod new_rows;
pub(crate) mod pending_rows;
pub(crate) mod replace_files;
pub(crate) mod resolve;
pub(crate) mod rewrite;
pub(crate) mod row_buffer;
pub(crate) mod row_digest;
pub(crate) mod sorted_run;
pub(crate) mod transaction;
pub(crate) mod version;
pub(crate) mod visible_files;
