//! The rejects of rows on their way into a table: those of the version that stays.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use copilot_lake_decoder::{Error as DecodeError, RecordKeys, Reject, reject_batch};
use copilot_lake_tables::{Instant, REJECTED_RECORD, Table, Week};
use copilot_lake_writer::{Changes, Lake, MergeMode, RowVersion, version_columns};

use super::known::hash;
use super::{Rejects, keys_of};
use crate::ingest::NotDone;

/// More rows with rejects, or bytes of them, do not wait until it is known which stay.
const ROWS: usize = 10_000;
const BYTES: usize = 4 << 20;

/// The rejects of one table's rows, which are committed before the rows.
///
/// A row gives way to the newer version that the lake has, or that came before: then its rejects are none of the table's,
/// and those of the newer version stay.
pub(crate) struct RowRejects<'a> {
    lake: &'a Lake,
    rejects: &'a Rejects,
    table: &'static Table,
    find: MergeMode,
    run_id: &'a str,
    /// Whether the rows have every column: then what was wrong with them before is gone.
    is_whole: bool,
    changes: Changes,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// The newest version that came of each row that has, or had, rejects.
    newest: HashMap<u64, RowVersion>,
    /// Rows whose rejects are in `changes`.
    pushed: HashSet<u64>,
}

/// Rows of a batch that have rejects, now or in the lake.
struct Waiting {
    week: Week,
    /// Their keys and versions.
    rows: RecordBatch,
    records: Vec<String>,
    /// What was rejected of each.
    rejects: Vec<Arc<Vec<Reject>>>,
}

impl<'a> RowRejects<'a> {
    pub(crate) fn new(
        lake: &'a Lake,
        rejects: &'a Rejects,
        table: &'static Table,
        find: MergeMode,
        run_id: &'a str,
        is_whole: bool,
    ) -> Self {
        let changes = changes(lake, find);
        let (waiting, newest, pushed) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { lake, rejects, table, find, run_id, is_whole, changes, waiting, waiting_bytes: 0, newest, pushed }
    }

    /// Takes the rows of a page, and what was rejected of them.
    pub(crate) async fn take(
        &mut self,
        batches: &[(Week, RecordBatch)],
        rejects: Vec<Reject>,
        extracted_at: Instant,
    ) -> Result<(), NotDone> {
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
                // Of two rows of a page with one key nobody knows whose they are: the one that stays has them.
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
            self.waiting.push(Waiting { week: *week, rows, records, rejects });
        }
        // Of what is no row at all nothing else is known.
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

    /// Commits what stays.
    pub(crate) async fn commit(mut self) -> Result<(), NotDone> {
        self.settle().await?;
        self.changes.commit(self.run_id).await?;
        Ok(())
    }

    /// Decides which of the waiting rows stay: their rejects replace those that the lake has.
    async fn settle(&mut self) -> Result<(), NotDone> {
        let waiting = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let in_lake = self.in_lake(&waiting).await?;
        let mut staying: BTreeMap<String, (Instant, Arc<Vec<Reject>>)> = BTreeMap::new();
        let mut in_lake = in_lake.into_iter();
        for Waiting { rows, records, rejects, .. } in waiting {
            let versions = RowVersion::from_batch(self.table, &rows)?;
            for ((record, rejects), version) in records.into_iter().zip(rejects).zip(versions) {
                let (hash, lake) = (hash(&record), in_lake.next().flatten());
                // Of equal versions the last one stays.
                let gives_way = self.newest.get(&hash).is_some_and(|before| before.compare(version).is_gt());
                if gives_way || lake.is_some_and(|lake| self.gives_way(version, lake)) {
                    continue;
                }
                self.newest.insert(hash, version);
                staying.insert(record, (version.extracted_at, rejects));
            }
        }
        if staying.keys().any(|record| self.pushed.contains(&hash(record))) {
            // What is pushed cannot be taken back, and what is committed is replaced. Rejects may come before their row.
            let pushed = std::mem::replace(&mut self.changes, changes(self.lake, self.find));
            pushed.commit(self.run_id).await?;
            self.pushed.clear();
        }
        let records: Vec<&String> = staying.keys().collect();
        if self.is_whole
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

    /// What the lake has of each of the waiting rows.
    ///
    /// Files of their weeks are looked at first: a first pass would look at all that came before. A row whose rejects the
    /// lake has may have moved to another week since.
    async fn in_lake(&self, waiting: &[Waiting]) -> Result<Vec<Option<RowVersion>>, NotDone> {
        let is_versioned = !self.table.layout().version().is_empty();
        let Some(first) = waiting.first().filter(|_| is_versioned || self.find == MergeMode::UpsertReread) else {
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

    /// Whether a row gives way to the lake's, as the commit will decide.
    fn gives_way(&self, row: RowVersion, lake: RowVersion) -> bool {
        match row.compare(lake) {
            Ordering::Less => true,
            Ordering::Equal => self.find == MergeMode::UpsertReread && row.extracted_at < lake.extracted_at,
            Ordering::Greater => false,
        }
    }
}

fn changes(lake: &Lake, find: MergeMode) -> Changes {
    let find = if find == MergeMode::UpsertReread { MergeMode::UpsertReread } else { MergeMode::Upsert };
    lake.changes(&REJECTED_RECORD, find)
}

#[cfg(test)]
mod tests;
