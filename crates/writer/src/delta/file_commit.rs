//! A commit that replaces files of a table by others.

use std::sync::Arc;

use copilot_lake_tables::Table;
use deltalake::kernel::{Action, Add, Metadata, Remove, Transaction};
use deltalake::protocol::DeltaOperation;

use crate::clock::now_millis;
use crate::delta::data_file::DataFile;

/// A commit that adds and removes files.
pub(crate) struct FileCommit<'a> {
    pub(crate) kind: CommitKind,
    pub(crate) add: &'a [DataFile],
    pub(crate) remove: &'a [Arc<DataFile>],
    /// The run that commits.
    pub(crate) run_id: &'a str,
    /// Application id of the Delta `txn` action, by which the commit is not made twice.
    pub(crate) app_id: Option<&'a str>,
}

/// What a commit of files does to the rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitKind {
    /// Rows are added, replaced or removed.
    Merge,
    /// The added files have the same rows as the removed ones.
    Compaction,
}

impl FileCommit<'_> {
    /// The log actions on a table with this metadata: files are removed before others are added.
    ///
    /// A compaction sets the metadata to what it is. `deltalake` lets a commit remove files that a concurrent compaction
    /// has removed, as if rows could not be in the table twice then; commits concurrent to new metadata it refuses.
    pub(crate) fn actions(&self, table: &'static Table, metadata: &Metadata) -> Vec<Action> {
        let data_change = self.kind == CommitKind::Merge;
        let removes = self.remove.iter().map(|file| Action::Remove(Remove { data_change, ..file.remove(table) }));
        let adds = self.add.iter().map(|file| Action::Add(Add { data_change, ..file.add(table) }));
        let txn = self.app_id.map(|id| Action::Txn(Transaction::new_with_last_update(id, 0, Some(now_millis()))));
        let metadata = (self.kind == CommitKind::Compaction).then(|| Action::Metadata(metadata.clone()));
        txn.into_iter().chain(metadata).chain(removes).chain(adds).collect()
    }

    /// The operation, as the log names it.
    pub(crate) fn operation(&self, table: &'static Table) -> DeltaOperation {
        match self.kind {
            CommitKind::Merge => DeltaOperation::Merge {
                predicate: None,
                merge_predicate: Some(format!("equal {}", table.key.join(", "))),
                matched_predicates: vec![],
                not_matched_predicates: vec![],
                not_matched_by_source_predicates: vec![],
            },
            CommitKind::Compaction => {
                let sizes = self.add.iter().map(|file| i64::try_from(file.size).unwrap_or(i64::MAX));
                DeltaOperation::Optimize { predicate: None, target_size: sizes.max().unwrap_or_default() }
            }
        }
    }
}
