//! The rejects of rows on their way into a table. Only those of the version that stays are kept.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use copilot_lake_decoder::{Error as DecodeError, RecordKeys, Reject, reject_batch};
use copilot_lake_tables::{Instant, REJECTED_RECORD, Table, Week};
use copilot_lake_writer::{Changes, Lake, MergeMode, RowVersion, version_columns};

use super::reject_index::hash;
use super::rejects::{Rejects, keys_of};

use crate::slice_error::SliceError;

/// Rows with rejects, and bytes of rejects, that wait at most until it is decided which stay.
const ROWS: usize = 10_000;
const BYTES: usize = 4 << 20;

/// The rejects of one table's rows, which are committed before the rows.
///
/// When the lake has a newer version of a row, or one came before, the row is superseded: its rejects are not stored,
/// and those of the newer version stay.
pub(crate) struct RowRejects<'a> {
    lake: &'a Lake,
    rejects: &'a Rejects,
    table: &'static Table,
    mode: MergeMode,
    run_id: &'a str,
    /// Whether the rows have every column: then their earlier rejects are obsolete.
    has_all_columns: bool,
    changes: Changes,
    waiting: Vec<UnsettledRows>,
    waiting_bytes: usize,
    /// The newest version so far of each row that has, or had, rejects.
    newest: HashMap<u64, RowVersion>,
    /// Rows whose rejects are in `changes`.
    pushed: HashSet<u64>,
}

/// Rows of a batch that have rejects, now or in the lake.
struct UnsettledRows {
    week: Week,
    /// Their keys and versions.
    rows: RecordBatch,
    records: Vec<String>,
    /// The rejects of each.
    rejects: Vec<Arc<Vec<Reject>>>,
}

impl<'a> RowRejects<'a> {
    pub(crate) fn new(
        lake: &'a Lake,
        rejects: &'a Rejects,
        table: &'static Table,
        mode: MergeMode,
        run_id: &'a str,
        has_all_columns: bool,
    ) -> Self {
        let changes = changes(lake, mode);
        let (waiting, newest, pushed) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { lake, rejects, table, mode, run_id, has_all_columns, changes, waiting, waiting_bytes: 0, newest, pushed }
    }

    /// Adds the rows of a page and their rejects.
    pub(crate) async fn push(
        &mut self,
        batches: &[(Week, RecordBatch)],
        rejects: Vec<Reject>,
        extracted_at: Instant,
    ) -> Result<(), SliceError> {
        self.rejects.learn(self.table, &rejects);
        self.waiting_bytes += rejects.iter().map(|reject| reject.raw_json.len()).sum::<usize>();
        let mut of_rows: HashMap<String, (Arc<Vec<Reject>>, bool)> = HashMap::new();
        for reject in rejects {
            match of_rows.get_mut(&reject.record_key) {
                Some((of_row, _)) => Arc::make_mut(of_row).push(reject),
                None => drop(of_rows.insert(reject.record_key.clone(), (Arc::new(vec![reject]), false))),
            }
        }
        for (week, batch) in batches {
            let keys = RecordKeys::new(self.table, batch);
            let read = |row, key: &mut String| keys.read(row, key);
            let Some(marked) = self.rejects.marked(self.table, batch.num_rows(), read).await? else { continue };
            let (mut rows, mut records, mut rejects) = (vec![], vec![], vec![]);
            for (row, _) in marked.iter().enumerate().filter(|(_, marked)| **marked) {
                let mut key = String::new();
                keys.read(row, &mut key);
                // When a page has two rows of one key, it is unknown whose rejects these are: the row that stays has
                // them.
                let of_row = of_rows.get_mut(&key).map(|(of_row, is_taken)| {
                    *is_taken = true;
                    Arc::clone(of_row)
                });
                rows.push(row as u32);
                records.push(key);
                rejects.push(of_row.unwrap_or_default());
            }
            if rows.is_empty() {
                continue;
            }
            let error = |source| DecodeError::Schema { table: self.table.name, source };
            let columns: BTreeSet<usize> =
                version_columns(self.table).filter_map(|name| batch.schema().index_of(name).ok()).collect();
            let rows = batch
                .project(&columns.into_iter().collect::<Vec<_>>())
                .and_then(|batch| take_record_batch(&batch, &UInt32Array::from(rows)))
                .map_err(error)?;
            self.waiting.push(UnsettledRows { week: *week, rows, records, rejects });
        }
        // Rejects without a row: nothing else is known of them.
        let others = of_rows.into_values().filter(|(_, is_taken)| !is_taken);
        let others: Vec<Reject> = others.flat_map(|(of_row, _)| Arc::unwrap_or_clone(of_row)).collect();
        if !others.is_empty() {
            self.changes.push(None, reject_batch(self.table, &others, self.run_id, extracted_at)?).await?;
        }
        let waiting: usize = self.waiting.iter().map(|waiting| waiting.records.len()).sum();
        if waiting >= ROWS || self.waiting_bytes >= BYTES {
            self.settle().await?;
        }
        Ok(())
    }

    /// Commits the rejects that stay.
    pub(crate) async fn commit(mut self) -> Result<(), SliceError> {
        self.settle().await?;
        self.changes.commit(self.run_id).await?;
        Ok(())
    }

    /// Decides which of the waiting rows stay; their rejects replace those of the lake.
    async fn settle(&mut self) -> Result<(), SliceError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let in_lake = self.versions_in_lake(&waiting).await?;
        let mut staying: BTreeMap<String, (Instant, Arc<Vec<Reject>>)> = BTreeMap::new();
        let mut in_lake = in_lake.into_iter();
        for UnsettledRows { rows, records, rejects, .. } in waiting {
            let versions = RowVersion::from_batch(self.table, &rows)?;
            for ((record, rejects), version) in records.into_iter().zip(rejects).zip(versions) {
                let (hash, lake) = (hash(&record), in_lake.next().flatten());
                // Of equal versions the last one stays.
                let is_older = self.newest.get(&hash).is_some_and(|before| before.compare(version).is_gt());
                if is_older || lake.is_some_and(|lake| self.is_superseded(version, lake)) {
                    continue;
                }
                self.newest.insert(hash, version);
                staying.insert(record, (version.extracted_at, rejects));
            }
        }
        if staying.keys().any(|record| self.pushed.contains(&hash(record))) {
            // Pushed rejects cannot be taken back, but committed ones are replaced. Rejects may be committed before
            // their row.
            let pushed = std::mem::replace(&mut self.changes, changes(self.lake, self.mode));
            pushed.commit(self.run_id).await?;
            self.pushed.clear();
        }
        let records: Vec<&String> = staying.keys().collect();
        if self.has_all_columns
            && let Some(keys) = keys_of(self.table, &records)?
        {
            self.changes.remove(&keys)?;
        }
        let mut by_time: BTreeMap<Instant, Vec<Reject>> = BTreeMap::new();
        for (record, (extracted_at, rejects)) in staying {
            if !rejects.is_empty() {
                self.pushed.insert(hash(&record));
                by_time.entry(extracted_at).or_default().extend(Arc::unwrap_or_clone(rejects));
            }
        }
        for (extracted_at, rejects) in by_time {
            self.changes.push(None, reject_batch(self.table, &rejects, self.run_id, extracted_at)?).await?;
        }
        Ok(())
    }

    /// The lake's version of each waiting row.
    ///
    /// Files of their weeks are searched first, or a first pass would search everything before it. A row whose rejects
    /// the lake has may have moved to another week since.
    async fn versions_in_lake(&self, waiting: &[UnsettledRows]) -> Result<Vec<Option<RowVersion>>, SliceError> {
        let is_versioned = !self.table.layout().version().is_empty();
        let Some(first) = waiting.first().filter(|_| is_versioned || self.mode == MergeMode::UpsertReread) else {
            return Ok(vec![]);
        };
        let error = |source| DecodeError::Schema { table: self.table.name, source };
        let rows = concat_batches(&first.rows.schema(), waiting.iter().map(|waiting| &waiting.rows)).map_err(error)?;
        let weeks: BTreeSet<Week> = waiting.iter().map(|waiting| waiting.week).collect();
        let mut versions = self.lake.versions_of(self.table, &rows, Some(&weeks)).await?;
        let records = waiting.iter().flat_map(|waiting| &waiting.records);
        let elsewhere = versions.iter().zip(records).enumerate();
        let elsewhere =
            elsewhere.filter(|(_, (found, record))| found.is_none() && self.rejects.had(self.table, record));
        let elsewhere: Vec<u32> = elsewhere.map(|(at, _)| at as u32).collect();
        if !elsewhere.is_empty() {
            let rows = take_record_batch(&rows, &UInt32Array::from(elsewhere.clone())).map_err(error)?;
            let found = self.lake.versions_of(self.table, &rows, None).await?;
            elsewhere.into_iter().zip(found).for_each(|(at, found)| versions[at as usize] = found);
        }
        Ok(versions)
    }

    /// Whether the lake's version supersedes a row, as the commit will decide.
    fn is_superseded(&self, row: RowVersion, lake: RowVersion) -> bool {
        match row.compare(lake) {
            Ordering::Less => true,
            Ordering::Equal => self.mode == MergeMode::UpsertReread && row.extracted_at < lake.extracted_at,
            Ordering::Greater => false,
        }
    }
}

fn changes(lake: &Lake, mode: MergeMode) -> Changes {
    let mode = if mode == MergeMode::UpsertReread { MergeMode::UpsertReread } else { MergeMode::Upsert };
    lake.changes(&REJECTED_RECORD, mode)
}

#[cfg(test)]
mod tests;
