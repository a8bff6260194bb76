//! What `rejected_record` holds, so that a row that is read again replaces its rejects.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use copilot_lake_decoder::{Error, Reject, assemble, record_key};
use copilot_lake_tables::{Instant, REJECTED_RECORD, Table};
use copilot_lake_writer::{Find, Lake, Scan};
use futures::TryStreamExt as _;

use crate::ledger::{instant, text};

/// The columns that were rejected and when, by table and row.
#[derive(Debug, Default)]
pub(crate) struct Rejects {
    columns: Mutex<Columns>,
}

type Columns = HashMap<String, BTreeMap<String, Vec<(String, Instant)>>>;

impl Rejects {
    pub(crate) async fn read(lake: &Lake) -> Result<Self, copilot_lake_writer::Error> {
        let scan = Scan { columns: vec!["table_name", "record_key", "column_name", "extracted_at"], ..Scan::default() };
        let mut columns = Columns::new();
        let mut batches = std::pin::pin!(lake.scan(&REJECTED_RECORD, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let of_table = columns.entry(text(&batch, "table_name", row).to_owned()).or_default();
                let of_row = of_table.entry(text(&batch, "record_key", row).to_owned()).or_default();
                of_row.push((text(&batch, "column_name", row).to_owned(), instant(&batch, "extracted_at", row)));
            }
        }
        Ok(Self { columns: Mutex::new(columns) })
    }

    /// Takes in rejects of this run: what it reads later may replace them.
    pub(crate) fn learn(&self, table: &'static Table, rejects: &[Reject], extracted_at: Instant) {
        let mut columns = self.columns();
        let of_table = columns.entry(table.name.to_owned()).or_default();
        for reject in rejects {
            let of_row = of_table.entry(reject.record_key.clone()).or_default();
            if !of_row.iter().any(|(column, _)| column == reject.column_name) {
                of_row.push((reject.column_name.to_owned(), extracted_at));
            }
        }
    }

    fn columns(&self) -> MutexGuard<'_, Columns> {
        self.columns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys in `rejected_record` of what these rows had before they were read; none for nearly every batch.
    pub(crate) fn of_rows(
        &self,
        table: &'static Table,
        batch: &RecordBatch,
        extracted_at: Instant,
        find: Find,
    ) -> Result<Option<RecordBatch>, Error> {
        let columns_of = self.columns();
        let Some(known) = columns_of.get(table.name) else { return Ok(None) };
        let (mut records, mut columns) = (Vec::new(), Vec::new());
        for row in 0..batch.num_rows() {
            let record = record_key(table, batch, row);
            let before = known.get(&record).into_iter().flatten();
            // Of rows that come again the lake may have a later reading.
            for (column, _) in before.filter(|(_, at)| find != Find::Again || *at <= extracted_at) {
                records.push(record.clone());
                columns.push(column.as_str());
            }
        }
        keys(table, &records, columns)
    }

    /// The keys in `rejected_record` of all rows of a derived table whose key begins with one of these.
    pub(crate) fn below(&self, table: &'static Table, parents: &[String]) -> Result<Option<RecordBatch>, Error> {
        let columns_of = self.columns();
        let Some(known) = columns_of.get(table.name) else { return Ok(None) };
        let (mut records, mut columns) = (Vec::new(), Vec::new());
        for parent in parents {
            let start = format!("{parent}/");
            for (record, of_record) in known.range(start.clone()..).take_while(|(record, _)| record.starts_with(&start))
            {
                for (column, _) in of_record {
                    records.push(record.clone());
                    columns.push(column.as_str());
                }
            }
        }
        keys(table, &records, columns)
    }
}

/// The keys of these rejects; none when there are none.
fn keys(table: &'static Table, records: &[String], columns: Vec<&str>) -> Result<Option<RecordBatch>, Error> {
    if records.is_empty() {
        return Ok(None);
    }
    let same = |text: &str| Arc::new(StringArray::from(vec![text; records.len()])) as ArrayRef;
    let keys = vec![
        ("source", same(table.source_name())),
        ("table_name", same(table.name)),
        ("record_key", Arc::new(StringArray::from_iter_values(records)) as ArrayRef),
        ("column_name", Arc::new(StringArray::from(columns))),
    ];
    assemble(&REJECTED_RECORD, keys).map(Some)
}
