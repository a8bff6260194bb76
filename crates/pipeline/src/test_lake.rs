//! A lake in memory, for unit tests.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use copilot_lake_decoder::assemble;
use copilot_lake_tables::{Instant, Table, Week};
use copilot_lake_writer::{Instance, Lake, LakeOptions, MergeMode, Scan};
use futures::TryStreamExt as _;

use crate::cells::text;

/// An empty lake with all tables.
pub(crate) async fn empty() -> Lake {
    let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
    lake.prepare(&Instance::default(), false).await.unwrap();
    lake
}

/// Rows of a table with these texts, one list per row; read at `time`, and of that time; other columns are null.
pub(crate) fn rows(table: &'static Table, columns: &[&str], rows: &[&[Option<&str>]], time: Instant) -> RecordBatch {
    let texts = columns.iter().enumerate().map(|(at, name)| {
        let values: StringArray = rows.iter().map(|row| row[at]).collect();
        (*name, Arc::new(values) as ArrayRef)
    });
    let times = ["row_time", "extracted_at"].into_iter().filter(|name| table.layout().position(name).is_some());
    let times = times.map(|name| {
        let values = TimestampMicrosecondArray::from(vec![time.0; rows.len()]).with_timezone("UTC");
        (name, Arc::new(values) as ArrayRef)
    });
    assemble(table, texts.chain(times).collect()).unwrap()
}

/// Commits rows by key, in the week of `time`.
pub(crate) async fn put(lake: &Lake, table: &'static Table, batch: RecordBatch, time: Instant) {
    let mut changes = lake.changes(table, MergeMode::Upsert);
    changes.push(table.is_partitioned().then(|| Week::of(time)), batch).await.unwrap();
    changes.commit("run").await.unwrap();
}

/// The texts of a column, sorted.
pub(crate) async fn texts(lake: &Lake, table: &'static Table, column: &'static str) -> Vec<String> {
    let scan = Scan { columns: vec![column], ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(table, scan).await.unwrap().try_collect().await.unwrap();
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| text(batch, column, row)));
    let mut texts: Vec<String> = rows.map(str::to_owned).collect();
    texts.sort();
    texts
}
