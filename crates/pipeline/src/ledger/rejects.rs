//! Which rows have rejects, so that a row that is read again replaces them. `rejected_record` is read for those rows only.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use copilot_lake_decoder::{Error as DecodeError, RecordKeys, Reject};
use copilot_lake_tables::{REJECTED_RECORD, Table};
use copilot_lake_writer::{Error as LakeError, Lake, Scan};
use futures::TryStreamExt as _;
use tokio::sync::OnceCell;

use super::reject_index::{RejectIndex, hash, parent};
use crate::cells::text;
use crate::error::Error;
use crate::reread::reread;
use crate::slice_error::SliceError;

/// The rows with rejects: those of the lake when the first row came, and those of this run.
pub(crate) struct Rejects {
    lake: Lake,
    known: OnceCell<RejectIndex>,
    /// Hashes of the keys of rows that were rejected by this run, by table.
    learned: Mutex<HashMap<&'static str, HashSet<u64>>>,
}

/// The keys of rows whose derived rows have rejects, by derived table.
pub(crate) type RejectParents = BTreeMap<&'static str, BTreeSet<String>>;

impl Rejects {
    /// The rejects of a lake, which is read when the first row comes.
    pub(crate) fn new(lake: &Lake) -> Self {
        Self { lake: lake.clone(), known: OnceCell::new(), learned: Mutex::default() }
    }

    /// Whether the lake had rejects of a row when the first row came.
    pub(super) fn had(&self, table: &'static Table, record_key: &str) -> bool {
        self.known.get().is_some_and(|known| known.hashes(table).binary_search(&hash(record_key)).is_ok())
    }

    /// Adds rejects of this run: rows that it reads later may replace them.
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

    /// Which of these rows, or of the rows derived from them, may have rejects; `None` when no row of the table has
    /// any. `read` writes the key of a row.
    pub(super) async fn marked(
        &self,
        table: &'static Table,
        rows: usize,
        read: impl Fn(usize, &mut String),
    ) -> Result<Option<Vec<bool>>, LakeError> {
        let known = self.known.get_or_try_init(|| reread(|| RejectIndex::read(&self.lake))).await?.hashes(table);
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

    /// The keys in `rejected_record` under which these rows may have rejects; `None` for nearly every batch.
    pub(crate) async fn of_rows(
        &self,
        table: &'static Table,
        batch: &RecordBatch,
    ) -> Result<Option<RecordBatch>, SliceError> {
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

    /// Adds the keys of rows whose derived rows in that table may have rejects.
    pub(crate) async fn collect_parents(
        &self,
        table: &'static Table,
        rows: &[String],
        parents: &mut RejectParents,
    ) -> Result<(), Error> {
        let read = |row: usize, key: &mut String| rows[row].clone_into(key);
        if let Some(marked) = self.marked(table, rows.len(), read).await? {
            let noted = rows.iter().zip(marked).filter(|(_, marked)| *marked).map(|(row, _)| row.clone());
            parents.entry(table.name).or_default().extend(noted);
        }
        Ok(())
    }

    /// The keys in `rejected_record` of rejects of rows derived from these.
    pub(crate) async fn keys_below(&self, parents: &RejectParents) -> Result<Vec<RecordBatch>, Error> {
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

/// The leading parts of the keys of these rows' rejects, whatever the column; `None` when there are no rows.
pub(super) fn keys_of(table: &'static Table, records: &[impl AsRef<str>]) -> Result<Option<RecordBatch>, DecodeError> {
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

#[cfg(test)]
mod tests {
    use arrow::array::AsArray as _;
    use copilot_lake_tables::{COPILOT_EVENT, Instant, TRANSCRIPT_MESSAGE};

    use super::*;
    use crate::test_lake::{empty, put, rows};

    const TIME: Instant = Instant::from_seconds(1_760_000_000);

    fn events(ids: &[&str]) -> RecordBatch {
        let ids: Vec<_> = ids.iter().map(|id| [Some(*id), Some("p")]).collect();
        let ids: Vec<&[Option<&str>]> = ids.iter().map(|row| &row[..]).collect();
        rows(&COPILOT_EVENT, &["msdyn_copiloteventid", "partitionid"], &ids, TIME)
    }

    fn reject(record_key: &str) -> Reject {
        let (reason, raw_json) = ("bad".to_owned(), "1".to_owned());
        Reject { record_key: record_key.to_owned(), column_name: "createdon", reason, raw_json }
    }

    fn record_keys(batch: &RecordBatch) -> Vec<&str> {
        batch.column(2).as_string::<i32>().iter().flatten().collect()
    }

    async fn put_reject(lake: &Lake, table: &'static Table, record_key: &str) {
        let columns = ["run_id", "source", "table_name", "record_key", "column_name", "reason", "raw_json"];
        let row = ["run", table.source_name(), table.name, record_key, "c", "bad", "1"].map(Some);
        put(lake, &REJECTED_RECORD, rows(&REJECTED_RECORD, &columns, &[&row], TIME), TIME).await;
    }

    #[tokio::test]
    async fn only_rows_with_rejects_have_keys() {
        let lake = empty().await;
        let rejects = Rejects::new(&lake);
        assert!(rejects.of_rows(&COPILOT_EVENT, &events(&["a", "b"])).await.unwrap().is_none(), "there are none");
        rejects.learn(&COPILOT_EVENT, &[reject("b/p")]);
        let keys = rejects.of_rows(&COPILOT_EVENT, &events(&["a", "b"])).await.unwrap().unwrap();
        assert_eq!(record_keys(&keys), ["b/p"], "of this run");
        assert!(rejects.of_rows(&COPILOT_EVENT, &events(&["a"])).await.unwrap().is_none());

        put_reject(&lake, &COPILOT_EVENT, "a/p").await;
        assert!(rejects.of_rows(&COPILOT_EVENT, &events(&["a"])).await.unwrap().is_none(), "it is read once");
        let keys = Rejects::new(&lake).of_rows(&COPILOT_EVENT, &events(&["a", "b"])).await.unwrap().unwrap();
        assert_eq!(record_keys(&keys), ["a/p"], "of the lake");
    }

    #[tokio::test]
    async fn rejects_of_derived_rows_are_found_by_their_parent() {
        let lake = empty().await;
        put_reject(&lake, &TRANSCRIPT_MESSAGE, "a/1").await;
        put_reject(&lake, &TRANSCRIPT_MESSAGE, "b/1").await;
        let (rejects, mut parents) = (Rejects::new(&lake), RejectParents::new());
        let transcripts = ["a", "c"].map(str::to_owned);
        rejects.collect_parents(&TRANSCRIPT_MESSAGE, &transcripts, &mut parents).await.unwrap();
        assert_eq!(parents[TRANSCRIPT_MESSAGE.name], BTreeSet::from(["a".to_owned()]));
        let keys = rejects.keys_below(&parents).await.unwrap();
        assert_eq!(keys.iter().flat_map(record_keys).collect::<Vec<_>>(), ["a/1"]);
    }
}
