//! Changes: the rows of one slice, and the keys of rows to be deleted, until they are committed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use copilot_lake_tables::Week;

use crate::delta::log::Log;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::merge::carry::Carry;
use crate::merge::delete_keys::DeleteKeys;
use crate::merge::memory_consumer::MemoryConsumers;
use crate::merge::mode::MergeMode;
use crate::merge::row_buffer::RowBuffer;
use crate::merge::transaction::{Committed, Transaction};
use crate::merge::visible_files::VisibleFiles;

/// Rows of a table that become part of it together, or not at all.
///
/// Rows may come in any order, and a key may come several times. They stay in memory until the lake's budget is used
/// up; then the changes that hold the most spill theirs to files that are not visible yet.
pub struct Changes {
    lake: Arc<LakeStorage>,
    consumers: Arc<MemoryConsumers>,
    log: Arc<Log>,
    mode: MergeMode,
    rows: RowBuffer,
    delete_keys: DeleteKeys,
    /// Makes a row from a new one and the one that it replaces; without it, the new one is stored as it is.
    carry: Option<Carry>,
}

/// Changes whose rows are in order, ready to be committed.
pub struct SortedChanges {
    transaction: Transaction,
}

impl Changes {
    pub(crate) fn new(lake: Arc<LakeStorage>, consumers: Arc<MemoryConsumers>, log: Arc<Log>, mode: MergeMode) -> Self {
        let rows = RowBuffer::new(Arc::clone(&lake), Arc::clone(&consumers), Arc::clone(&log));
        let delete_keys = DeleteKeys::new(log.table);
        Self { lake, consumers, log, mode, rows, delete_keys, carry: None }
    }

    /// Adds rows of one week (`None` in tables that are not partitioned), with exactly the table's schema.
    ///
    /// When memory is short, waits until other rows have been encoded and written.
    ///
    /// # Errors
    /// [`Error::Rows`] when they do not have that schema; errors of writing these rows or earlier ones. Then the
    /// changes are lost.
    pub async fn push(&mut self, week: Option<Week>, batch: RecordBatch) -> Result<(), Error> {
        self.rows.push(week, batch).await
    }

    /// From now on a row that replaces another is made from both by `carry`.
    pub fn carry(&mut self, carry: Carry) {
        self.carry = Some(carry);
    }

    /// Adds keys of rows to be deleted, unless a row with that key is pushed. The batch has the key columns by name,
    /// or the first few of them: then every row is deleted whose key begins with these values.
    ///
    /// # Errors
    /// [`Error::Rows`] when a key column is missing before one that is given, or all are.
    pub fn remove(&mut self, keys: &RecordBatch) -> Result<(), Error> {
        self.delete_keys.add(keys, false).map_err(Error::rows(self.log.table.name))
    }

    /// As [`Changes::remove`], for rows whose times are known: the batch also has the column that files are sorted by,
    /// and rows are looked up only between the least and the greatest of its times.
    ///
    /// # Errors
    /// As [`Changes::remove`].
    pub fn remove_within(&mut self, keys: &RecordBatch) -> Result<(), Error> {
        self.delete_keys.add(keys, true).map_err(Error::rows(self.log.table.name))
    }

    /// Makes the rows part of the table: one row per key afterwards, the newest version.
    ///
    /// Rows that the table has already, in a newer version or with equal values but for `extracted_at`, change nothing.
    /// Without any other row there is no commit.
    ///
    /// # Errors
    /// Nothing is committed, except perhaps on [`Error::CommitUnknown`].
    pub async fn commit(self, run_id: &str) -> Result<Committed, Error> {
        self.sort().await?.commit(run_id).await
    }

    /// Puts the rows in order, for [`SortedChanges::commit`].
    ///
    /// # Errors
    /// Writing these rows or earlier ones.
    pub async fn sort(self) -> Result<SortedChanges, Error> {
        let Self { lake, consumers, log, mode, rows, delete_keys, carry } = self;
        let files = log.files().await?;
        let mode = if mode == MergeMode::Append && !delete_keys.is_empty() { MergeMode::Upsert } else { mode };
        let inputs = rows.finish_for(mode, &files).await?;
        let visible = VisibleFiles::new(Arc::clone(&log));
        Ok(SortedChanges {
            transaction: Transaction {
                lake,
                consumers,
                log,
                mode,
                inputs,
                delete_keys,
                carry,
                visible,
                unchanged: 0,
                app_id: None,
            },
        })
    }
}

impl SortedChanges {
    /// The keys and times of the table's rows, in whatever version, that have the key of a row that was pushed.
    ///
    /// # Errors
    /// Reading the log or a file.
    pub async fn existing(self) -> Result<(Self, Vec<RecordBatch>), Error> {
        let (transaction, existing) = self.transaction.existing().await?;
        Ok((Self { transaction }, existing))
    }

    /// As [`Changes::commit`].
    ///
    /// # Errors
    /// As [`Changes::commit`].
    pub async fn commit(self, run_id: &str) -> Result<Committed, Error> {
        self.transaction.commit(run_id).await
    }
}
