//! The transaction: new rows are merged with the table, written to files, and committed in one atomic step; on a
//! conflict the merge starts over.

use std::sync::{Arc, Weak};

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::oneshot;

use crate::delta::data_file::DataFile;
use crate::delta::file_commit::{CommitKind, FileCommit};
use crate::delta::log::{CommitOutcome, Log};
use crate::delta::removed_file::expect_removed;
use crate::delta::snapshot::Snapshot;
use crate::error::Error;
use crate::lake_storage::LakeStorage;
use crate::merge::carry::{Carry, CarryMerge};
use crate::merge::delete_keys::DeleteKeys;
use crate::merge::key_scan::filter_for;
use crate::merge::lookup::{Lookup, LookupResult};
use crate::merge::memory_consumer::MemoryConsumers;
use crate::merge::mode::MergeMode;
use crate::merge::new_rows::{Candidates, NewRows};
use crate::merge::pending_rows::PendingRows;
use crate::merge::resolve::{SupersededRows, ascending, resolve};
use crate::merge::rewrite::rewrite;
use crate::merge::row_buffer::RowBuffer;
use crate::merge::visible_files::VisibleFiles;
use crate::parquet::row_selection::{projected, rows_at};
use crate::parquet::writer::{DataFileWriter, NewFile, StagedDataFile};
use crate::reread::READ_ATTEMPTS;
use crate::table_keys::TableKeys;

/// Commit attempts before giving up on a contended table.
const ATTEMPTS: usize = 8;

/// Files written or moved concurrently.
pub(crate) const CONCURRENT_FILES: usize = 4;

/// What a commit did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// The table's version; `None` when there was nothing to commit.
    pub version: Option<i64>,
    /// Rows that were new or changed.
    pub rows_written: u64,
    /// Rows that the table had already, in this or a newer version.
    pub rows_unchanged: u64,
    /// Files that became part of the table.
    pub files_added: usize,
    /// Files that are no longer part of the table.
    pub files_removed: usize,
    /// Bytes of the files that were added.
    pub bytes: u64,
}

/// What is to be committed to a table.
pub(crate) struct Transaction {
    pub(crate) lake: Arc<LakeStorage>,
    pub(crate) consumers: Arc<MemoryConsumers>,
    pub(crate) log: Arc<Log>,
    pub(crate) mode: MergeMode,
    pub(crate) inputs: Vec<PendingRows>,
    pub(crate) delete_keys: DeleteKeys,
    pub(crate) carry: Option<Carry>,
    pub(crate) visible: VisibleFiles,
    /// Rows that the table had already, and that are no more among the inputs.
    pub(crate) unchanged: u64,
    /// Application id of the Delta `txn` action of the commit, which is then made even without rows.
    pub(crate) app_id: Option<String>,
}

/// The caller that waits for a step of a transaction. The step goes on if the caller is dropped.
#[derive(Default)]
struct Caller(Option<Weak<()>>);

impl Caller {
    /// Fails if the caller was dropped: nothing more is committed for it.
    fn check(&self, table: &'static str) -> Result<(), Error> {
        match &self.0 {
            Some(waits) if waits.strong_count() == 0 => {
                Err(Error::Interrupted { table, reason: "it was given up".to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// The files of a commit.
struct CommitFiles {
    /// Of new rows.
    new: Vec<StagedDataFile>,
    /// Of the table's rows, without superseded ones.
    rewritten: Vec<StagedDataFile>,
    /// What `rewritten` replaces.
    replaced: Vec<Arc<DataFile>>,
}

impl Transaction {
    /// Commits. One transaction of a table runs at a time; the others wait here.
    ///
    /// In a store, a commit that is given up is carried on until it is known what became of it.
    pub(crate) async fn commit(self, run_id: &str) -> Result<Committed, Error> {
        let run_id = run_id.to_owned();
        self.carried_through(move |this, caller| this.commit_for(run_id, caller)).await
    }

    async fn commit_for(mut self, run_id: String, caller: Caller) -> Result<Committed, Error> {
        let log = Arc::clone(&self.log);
        let mut keys = log.writing.lock().await;
        let result = self.merge_and_commit(&run_id, &mut keys, &caller).await;
        if matches!(result, Err(Error::CommitUnknown { .. })) {
            self.visible.keep();
        } else {
            // After a success these are files of new rows that were rewritten without superseded ones.
            self.visible.delete().await;
        }
        result
    }

    /// Runs a step, in a store to its end even if this is dropped.
    async fn carried_through<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
        self,
        step: impl FnOnce(Self, Caller) -> F,
    ) -> Result<T, Error> {
        let table = self.log.table.name;
        let Some(lease) = self.log.lease().map(Arc::clone) else { return step(self, Caller::default()).await };
        let waits = Arc::new(());
        let (done, result) = oneshot::channel();
        let step = step(self, Caller(Some(Arc::downgrade(&waits))));
        // Nobody may wait for it any more.
        lease.background.spawn(async move { drop(done.send(step.await)) });
        let result = result.await;
        drop(waits);
        result.unwrap_or_else(|_| Err(Error::Interrupted { table, reason: "its commit was broken off".to_owned() }))
    }

    /// The keys and times of the table's rows that share a key with a new one.
    pub(crate) async fn existing(self) -> Result<(Self, Vec<RecordBatch>), Error> {
        let read = |mut this: Self, _| async move { this.read_existing().await.map(|existing| (this, existing)) };
        self.carried_through(read).await
    }

    async fn read_existing(&mut self) -> Result<Vec<RecordBatch>, Error> {
        let log = Arc::clone(&self.log);
        let mut keys = log.writing.lock().await;
        for _ in 1..READ_ATTEMPTS {
            match self.read_existing_of_snapshot(&mut keys).await {
                Err(error) => expect_removed(&log, error).await?,
                existing => return existing,
            }
        }
        self.read_existing_of_snapshot(&mut keys).await
    }

    async fn read_existing_of_snapshot(&mut self, keys: &mut TableKeys) -> Result<Vec<RecordBatch>, Error> {
        let (lake, log) = (Arc::clone(&self.lake), Arc::clone(&self.log));
        let Some(snapshot) = log.snapshot().await? else { return Ok(vec![]) };
        self.publish_unread().await?;
        let candidates = match filter_for(keys, &lake, &snapshot, self.rows()).await? {
            Some(filters) => {
                Candidates::select(&lake.store, log.table, &self.inputs, |of| filters.contains(of.key)).await?
            }
            None => Candidates::All,
        };
        let nothing = DeleteKeys::new(log.table);
        let new = NewRows::read(&lake.store, log.table, &self.inputs, &candidates, nothing.probe().clone()).await?;
        let mut positions = vec![Vec::new(); snapshot.files.len()];
        for found in self.lookup(&snapshot, &nothing).find(&new).await?.matches {
            positions[found.file as usize].push(found.row);
        }
        let schema = projected(log.table, log.table.layout().sort());
        let mut existing = Vec::new();
        for (file, positions) in snapshot.files.iter().zip(positions).filter(|(_, positions)| !positions.is_empty()) {
            existing.extend(rows_at(&lake.store, file, &schema, &ascending(positions)).await?);
        }
        Ok(existing)
    }

    fn rows(&self) -> u64 {
        self.inputs.iter().map(PendingRows::rows).sum()
    }

    fn lookup<'a>(&'a self, snapshot: &'a Snapshot, delete_keys: &'a DeleteKeys) -> Lookup<'a> {
        Lookup {
            store: &self.lake.store,
            table: self.log.table,
            inputs: &self.inputs,
            files: &snapshot.files,
            delete_keys,
        }
    }

    /// Publishes files that have to be read for their keys.
    async fn publish_unread(&mut self) -> Result<(), Error> {
        for input in self.inputs.iter_mut().filter(|input| !input.has_keys()) {
            if let PendingRows::InFile { staged, .. } = input {
                publish(staged, &mut self.visible).await?;
            }
        }
        Ok(())
    }

    /// Merges with the newest snapshot and commits, again after each conflict.
    async fn merge_and_commit(
        &mut self,
        run_id: &str,
        keys: &mut TableKeys,
        caller: &Caller,
    ) -> Result<Committed, Error> {
        let log = Arc::clone(&self.log);
        for _ in 0..ATTEMPTS {
            caller.check(log.table.name)?;
            let Some(snapshot) = log.snapshot().await? else {
                let reason = "it does not exist, since the lake was not prepared".to_owned();
                return Err(Error::Interrupted { table: log.table.name, reason });
            };
            let mut files = match self.merge(&snapshot, keys).await {
                Ok(files) => files,
                // Files of this transaction are in no snapshot: it cannot do without them.
                Err(error) if !snapshot.lacks(&error) => return Err(error),
                Err(error) => {
                    expect_removed(&log, error).await?;
                    continue;
                }
            };
            if files.new.is_empty() && files.replaced.is_empty() && self.app_id.is_none() {
                return Ok(Committed { rows_unchanged: self.unchanged, ..Committed::default() });
            }
            publish_all(files.new.iter_mut().chain(&mut files.rewritten), &mut self.visible).await?;
            let add: Vec<DataFile> =
                files.new.iter().chain(&files.rewritten).map(|staged| staged.file.clone()).collect();
            caller.check(log.table.name)?;
            let (kind, app_id) = (CommitKind::Merge, self.app_id.as_deref());
            let commit = FileCommit { kind, add: &add, remove: &files.replaced, run_id, app_id };
            match log.commit(keys, &snapshot, commit).await? {
                CommitOutcome::Committed(snapshot) => {
                    self.visible.retain(|path| !add.iter().any(|file| file.path == *path));
                    return Ok(Committed {
                        version: i64::try_from(snapshot.version).ok(),
                        rows_written: files.new.iter().filter_map(|staged| staged.file.rows).sum(),
                        rows_unchanged: self.unchanged,
                        files_added: add.len(),
                        files_removed: files.replaced.len(),
                        bytes: add.iter().map(|file| file.size).sum(),
                    });
                }
                // What was read may be outdated: only the new rows are kept for the next attempt.
                CommitOutcome::Conflict => {
                    self.inputs = files.new.into_iter().map(in_file).collect();
                }
            }
        }
        Err(Error::Contended { table: log.table.name, attempts: ATTEMPTS })
    }

    /// Drops superseded rows, so that every key stays once, and writes what is still in memory.
    async fn merge(&mut self, snapshot: &Snapshot, keys: &mut TableKeys) -> Result<CommitFiles, Error> {
        let (lake, log, table) = (Arc::clone(&self.lake), Arc::clone(&self.log), self.log.table);
        let (lake, log) = (&*lake, &*log);
        let mut made = Vec::new();
        let superseded_rows = match self.mode {
            MergeMode::Append => {
                if let Some(filters) = keys.filters(snapshot.version) {
                    self.publish_unread().await?;
                    Candidates::select(&lake.store, table, &self.inputs, |of| filters.insert(of)).await?;
                }
                SupersededRows::new(vec![vec![]; self.inputs.len()])
            }
            MergeMode::Upsert | MergeMode::UpsertReread => {
                self.publish_unread().await?;
                let filters = filter_for(keys, lake, snapshot, self.rows()).await?;
                // Before the new keys are in the filters.
                let narrowed = filters.as_ref().and_then(|filters| self.delete_keys.narrowed(filters));
                let delete_keys = narrowed.as_ref().unwrap_or(&self.delete_keys);
                let candidates = match filters {
                    Some(to) => Candidates::select(&lake.store, table, &self.inputs, |of| to.insert(of)).await?,
                    None => Candidates::All,
                };
                let probe = delete_keys.probe().clone();
                let new = NewRows::read(&lake.store, table, &self.inputs, &candidates, probe).await?;
                let found = self.lookup(snapshot, delete_keys).find(&new).await?;
                self.resolve(snapshot, new, found, &mut made).await?
            }
        };
        let inputs = std::mem::take(&mut self.inputs);
        self.unchanged += superseded_rows.unchanged;
        let with_superseded =
            inputs.into_iter().zip(superseded_rows.new).chain(made.into_iter().map(|input| (input, vec![])));
        let (mut new, mut rows) = (Vec::new(), 0);
        for (mut input, superseded) in with_superseded {
            rows += input.rows().saturating_sub(superseded.len() as u64);
            if let (PendingRows::InFile { staged, .. }, false) = (&mut input, superseded.is_empty()) {
                // It has to be read.
                publish(staged, &mut self.visible).await?;
            }
            new.push(file_of(lake, log, input, superseded));
        }
        let new: Vec<Option<StagedDataFile>> = stream::iter(new).buffered(CONCURRENT_FILES).try_collect().await?;
        let written: u64 = new.iter().flatten().filter_map(|staged| staged.file.rows).sum();
        if written != rows {
            let reason = format!("{rows} new rows were to be written, and {written} were");
            return Err(Error::Interrupted { table: table.name, reason });
        }
        let replaced: Vec<_> = superseded_rows.old.keys().map(|file| Arc::clone(&snapshot.files[*file])).collect();
        let rewritten =
            replaced.iter().zip(superseded_rows.old.values()).map(|(file, rows)| rewrite(lake, log, file, rows));
        let rewritten: Vec<Option<StagedDataFile>> =
            match stream::iter(rewritten.collect::<Vec<_>>()).buffered(CONCURRENT_FILES).try_collect().await {
                Ok(rewritten) => rewritten,
                Err(error) => {
                    // For the next attempt, if there is one.
                    self.inputs = new.into_iter().flatten().map(in_file).collect();
                    return Err(error);
                }
            };
        Ok(CommitFiles {
            new: new.into_iter().flatten().collect(),
            rewritten: rewritten.into_iter().flatten().collect(),
            replaced,
        })
    }

    /// Decides which rows are superseded; rows made by the carry are added to `made`.
    async fn resolve(
        &mut self,
        snapshot: &Snapshot,
        new: NewRows,
        found: LookupResult,
        made: &mut Vec<PendingRows>,
    ) -> Result<SupersededRows, Error> {
        let (table, superseded_rows) = (self.log.table, SupersededRows::new(new.superseded));
        let is_read: std::collections::BTreeSet<u32> = found.matches.iter().map(|found| found.input).collect();
        for at in is_read {
            if let PendingRows::InFile { staged, .. } = &mut self.inputs[at as usize] {
                publish(staged, &mut self.visible).await?;
            }
        }
        let (store, files) = (&self.lake.store, &snapshot.files[..]);
        let Some(carry) = &self.carry else {
            return resolve(store, table, self.mode, &self.inputs, files, found, superseded_rows).await;
        };
        let carried = CarryMerge { store, table, mode: self.mode, inputs: &self.inputs, files, carry };
        let rows = RowBuffer::new(Arc::clone(&self.lake), Arc::clone(&self.consumers), Arc::clone(&self.log));
        let superseded_rows = carried.resolve(found, superseded_rows, &rows).await?;
        made.extend(rows.finish().await?);
        Ok(superseded_rows)
    }
}

/// New rows that are written and not committed.
fn in_file(staged: StagedDataFile) -> PendingRows {
    PendingRows::InFile { staged, keys: None }
}

/// The file of new rows without superseded ones; `None` when none is left.
async fn file_of(
    lake: &LakeStorage,
    log: &Log,
    input: PendingRows,
    superseded: Vec<u32>,
) -> Result<Option<StagedDataFile>, Error> {
    match input {
        PendingRows::InFile { staged, .. } if superseded.is_empty() => Ok(Some(staged)),
        PendingRows::InFile { staged, .. } => rewrite(lake, log, &staged.file, &superseded).await,
        PendingRows::InMemory { week, mut run, reservation, .. } => {
            run.drop_rows(&superseded);
            if run.len() == 0 {
                return Ok(None);
            }
            let file = NewFile::sorted(log.table, week, log.indexed_columns().await?, run.len());
            let file = DataFileWriter::create(lake, file, lake.memory.reserve()).await?;
            let file = file.write(run.into_batches()).await?;
            drop(reservation);
            file.finish().await.map(Some)
        }
    }
}

/// Publishes files, several at a time, and remembers them in case the commit fails.
async fn publish_all(
    files: impl Iterator<Item = &mut StagedDataFile>,
    visible: &mut VisibleFiles,
) -> Result<(), Error> {
    let files: Vec<&mut StagedDataFile> = files.filter(|staged| !staged.is_complete()).collect();
    visible.add(files.iter().map(|staged| staged.file.path.clone()));
    let completed = stream::iter(files).map(StagedDataFile::complete).buffer_unordered(CONCURRENT_FILES);
    // All of them end before an error is returned: none may be published after the others were deleted.
    completed.collect::<Vec<_>>().await.into_iter().collect()
}

/// Publishes a file under its name, and remembers it in case the commit fails.
async fn publish(staged: &mut StagedDataFile, visible: &mut VisibleFiles) -> Result<(), Error> {
    if !staged.is_complete() {
        visible.add([staged.file.path.clone()]);
        staged.complete().await?;
    }
    Ok(())
}
