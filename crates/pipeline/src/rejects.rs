//! Which rows have rejects, so that a row that is read again replaces them: `rejected_record` is read for those alone.

mod known;
pub(crate) mod of_rows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use copilot_lake_decoder::{Error as DecodeError, RecordKeys, Reject};
use copilot_lake_tables::{REJECTED_RECORD, Table};
use copilot_lake_writer::{Error as LakeError, Lake, Scan};
use futures::TryStreamExt as _;
use tokio::sync::OnceCell;

use self::known::{Known, hash, parent};
use crate::error::Error;
use crate::ingest::NotDone;
use crate::ledger::text;

/// Which rows have rejects: in the lake as it was when the first row came, and by this run.
pub(crate) struct Rejects {
    lake: Lake,
    known: OnceCell<Known>,
    /// Hashes of the keys of rows that were rejected by this run, by table.
    learned: Mutex<HashMap<&'static str, HashSet<u64>>>,
}

/// Rows with the keys of what belongs to them, by derived table.
pub(crate) type Parents = BTreeMap<&'static str, BTreeSet<String>>;

impl Rejects {
    /// Those of a lake, which is read when the first row comes.
    pub(crate) fn of(lake: &Lake) -> Self {
        Self { lake: lake.clone(), known: OnceCell::new(), learned: Mutex::default() }
    }

    /// Whether the lake had rejects of a row when the first row came.
    fn had(&self, table: &'static Table, record_key: &str) -> bool {
        self.known.get().is_some_and(|known| known.of(table).binary_search(&hash(record_key)).is_ok())
    }

    /// Takes in rejects of this run: what it reads later may replace them.
    pub(crate) fn learn(&self, table: &'static Table, rejects: &[Reject]) {
        let hashes: Vec<u64> = rejects
            .iter()
            .flat_map(|reject| [Some(&*reject.record_key), parent(table, &reject.record_key)])
            .flatten()
            .map(hash)
            .collect();
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.entry(table.name).or_default().extend(hashes);
    }

    /// Which of these rows, or of what belongs to them, may have rejects; `None`: none of the table's. The rows are given
    /// by how many they are, and what reads the key of one of them.
    async fn marked(
        &self,
        table: &'static Table,
        rows: usize,
        read: impl Fn(usize, &mut String),
    ) -> Result<Option<Vec<bool>>, LakeError> {
        let known = self.known.get_or_try_init(|| Known::read(&self.lake)).await?.of(table);
        let learned = || self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() && !learned().contains_key(table.name) {
            return Ok(None);
        }
        let mut key = String::new();
        let hashes: Vec<u64> = (0..rows)
            .map(|row| {
                read(row, &mut key);
                hash(&key)
            })
            .collect();
        let mut marked: Vec<bool> = hashes.iter().map(|hash| known.binary_search(hash).is_ok()).collect();
        if let Some(learned) = learned().get(table.name) {
            marked.iter_mut().zip(&hashes).for_each(|(marked, hash)| *marked |= learned.contains(hash));
        }
        Ok(Some(marked))
    }

    /// The keys in `rejected_record` under which these rows may have rejects; none for nearly every batch.
    pub(crate) async fn of_rows(
        &self,
        table: &'static Table,
        batch: &RecordBatch,
    ) -> Result<Option<RecordBatch>, NotDone> {
        let keys = RecordKeys::new(table, batch);
        let read = |row, key: &mut String| keys.read(row, key);
        let Some(marked) = self.marked(table, batch.num_rows(), read).await? else { return Ok(None) };
        let records = marked.iter().enumerate().filter(|(_, marked)| **marked);
        let records = records.map(|(row, _)| {
            let mut key = String::new();
            keys.read(row, &mut key);
            key
        });
        Ok(keys_of(table, &records.collect::<Vec<_>>())?)
    }

    /// Adds those of these rows that something may belong to which has rejects, in a derived table.
    pub(crate) async fn note_parents(
        &self,
        table: &'static Table,
        rows: &[String],
        parents: &mut Parents,
    ) -> Result<(), Error> {
        let read = |row: usize, key: &mut String| rows[row].clone_into(key);
        if let Some(marked) = self.marked(table, rows.len(), read).await? {
            let noted = rows.iter().zip(marked).filter(|(_, marked)| *marked).map(|(row, _)| row.clone());
            parents.entry(table.name).or_default().extend(noted);
        }
        Ok(())
    }

    /// The keys in `rejected_record` of what belongs to these rows.
    pub(crate) async fn below(&self, parents: &Parents) -> Result<Vec<RecordBatch>, Error> {
        let mut found = Vec::new();
        for (name, parents) in parents.iter().filter(|(_, parents)| !parents.is_empty()) {
            let Some(table) = copilot_lake_tables::table(name) else { continue };
            let columns = vec!["table_name", "record_key"];
            let scan = Scan { columns, key: Some(("table_name", table.name)), ..Scan::default() };
            let mut batches = std::pin::pin!(self.lake.scan(&REJECTED_RECORD, scan).await?);
            while let Some(batch) = batches.try_next().await? {
                let of_table = (0..batch.num_rows()).filter(|row| text(&batch, "table_name", *row) == table.name);
                let records = of_table.map(|row| text(&batch, "record_key", row));
                let is_below = |record: &&str| parent(table, record).is_some_and(|parent| parents.contains(parent));
                found.extend(keys_of(table, &records.filter(is_below).collect::<Vec<_>>())?);
            }
        }
        Ok(found)
    }
}

/// The beginnings of the keys of these rows' rejects, whatever the column; none when there are no rows.
fn keys_of(table: &'static Table, records: &[impl AsRef<str>]) -> Result<Option<RecordBatch>, DecodeError> {
    if records.is_empty() {
        return Ok(None);
    }
    let same = |text: &str| Arc::new(StringArray::from(vec![text; records.len()])) as ArrayRef;
    let columns = [
        ("source", same(table.source_name())),
        ("table_name", same(table.name)),
        ("record_key", Arc::new(StringArray::from_iter_values(records)) as ArrayRef),
    ];
    let error = |source| DecodeError::Schema { table: REJECTED_RECORD.name, source };
    RecordBatch::try_from_iter(columns).map(Some).map_err(error)
}
