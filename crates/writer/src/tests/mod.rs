//! Tests on real files.

mod archives;
mod checkpoints;
mod commits;
mod compaction;
mod counting;
mod duplicates;
mod failures;
mod files;
mod fingerprints;
mod foreign;
mod kept_files;
mod keys;
mod lakes;
mod leases;
mod machine;
mod parts;
mod removed_files;
mod requests;
mod rewrites;
mod small_files;
mod statistics;
mod uploads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use copilot_lake_tables::{COPILOT_EVENT, EXTRACTION_SLICE, Instant, PAYLOAD, Table, Week};
use futures::TryStreamExt;
use tempfile::TempDir;

use crate::{Instance, Lake, LakeOptions, MergeMode, Scan, StoreOptions};

/// A lake in a folder of its own, prepared.
pub(crate) async fn lake() -> (TempDir, Lake) {
    let folder = TempDir::new().unwrap();
    let lake = open(folder.path(), LakeOptions::default()).await;
    lake.prepare(&instance(), false).await.unwrap();
    (folder, lake)
}

async fn open(folder: &Path, options: LakeOptions) -> Lake {
    Lake::open(folder.to_str().unwrap(), options).await.unwrap()
}

fn instance() -> Instance {
    Instance { organization: Some("org-1".to_owned()), tenant: None }
}

pub(crate) fn week() -> Week {
    Week::parse("2025-06-22").unwrap()
}

/// An instant so many seconds into the week.
fn at(seconds: i64) -> Instant {
    week().start().plus_seconds(seconds)
}

/// A batch of the table with these columns; the others are null.
fn batch(table: &'static Table, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = Arc::clone(table.layout().schema());
    let rows = columns[0].1.len();
    let arrays = schema.fields().iter().map(|field| {
        let given = columns.iter().find(|(name, _)| name == field.name()).map(|(_, array)| Arc::clone(array));
        given.unwrap_or_else(|| match field.is_nullable() {
            true => new_null_array(field.data_type(), rows),
            false => texts(&vec![""; rows]),
        })
    });
    let arrays = arrays.collect();
    RecordBatch::try_new(schema, arrays).unwrap()
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn times(values: impl Iterator<Item = Instant>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(values.map(|at| at.0)).with_timezone("UTC"))
}

/// Events: id, seconds into the week, version, a text.
pub(crate) fn events(rows: &[(&str, i64, i64, &str)]) -> RecordBatch {
    let of_time = || times(rows.iter().map(|row| at(row.1)));
    let versions: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)));
    batch(
        &COPILOT_EVENT,
        &[
            ("msdyn_copiloteventid", texts(&rows.iter().map(|row| row.0).collect::<Vec<_>>())),
            ("partitionid", texts(&vec!["20250622-20250628-1"; rows.len()])),
            ("row_time", of_time()),
            ("createdon", of_time()),
            ("modifiedon", of_time()),
            ("versionnumber", versions),
            ("msdyn_verbatim", texts(&rows.iter().map(|row| row.3).collect::<Vec<_>>())),
            ("extracted_at", times(rows.iter().map(|_| Instant(crate::clock::now_millis() * 1000)))),
        ],
    )
}

/// Payloads: source id, seconds into the week, status.
fn payloads(rows: &[(&str, i64, &str)]) -> RecordBatch {
    batch(
        &PAYLOAD,
        &[
            ("source_id", texts(&rows.iter().map(|row| row.0).collect::<Vec<_>>())),
            ("row_time", times(rows.iter().map(|row| at(row.1)))),
            ("status", texts(&rows.iter().map(|row| row.2).collect::<Vec<_>>())),
            ("extracted_at", times(rows.iter().map(|_| Instant(crate::clock::now_millis() * 1000)))),
        ],
    )
}

/// Ledger rows: run, end of the slice in seconds, status.
fn slices(rows: &[(&str, i64, &str)]) -> RecordBatch {
    batch(
        &EXTRACTION_SLICE,
        &[
            ("run_id", texts(&rows.iter().map(|row| row.0).collect::<Vec<_>>())),
            ("window_start", times(rows.iter().map(|_| at(0)))),
            ("finished_at", times(rows.iter().map(|row| at(row.1)))),
            ("status", texts(&rows.iter().map(|row| row.2).collect::<Vec<_>>())),
        ],
    )
}

/// Commits one batch of events of the week.
async fn put(lake: &Lake, rows: &[(&str, i64, i64, &str)]) -> crate::Committed {
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(rows)).await.unwrap();
    changes.commit("run-1").await.unwrap()
}

/// Commits an event of the week that is so many after the first.
async fn put_in_week(lake: &Lake, n: i64) {
    let week = (0..n).fold(week(), |week, _| week.next());
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week), events(&[(&format!("w{n}"), n * 7 * Instant::DAY_SECONDS, 1, "x")])).await.unwrap();
    changes.commit("run-1").await.unwrap();
}

/// Every row of the table as the log has it: a key column and a value column.
async fn rows(lake: &Lake, table: &'static Table, key: &'static str, value: &'static str) -> Vec<(String, String)> {
    let scan = Scan { columns: vec![key, value], ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(table, scan).await.unwrap().try_collect().await.unwrap();
    let mut rows: Vec<_> = batches.iter().flat_map(pairs).collect();
    rows.sort();
    rows
}

/// Ids and texts of all events.
async fn verbatims(lake: &Lake) -> Vec<(String, String)> {
    rows(lake, &COPILOT_EVENT, "msdyn_copiloteventid", "msdyn_verbatim").await
}

fn pairs(batch: &RecordBatch) -> Vec<(String, String)> {
    let (keys, values) = (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
    (0..batch.num_rows()).map(|row| (keys.value(row).to_owned(), values.value(row).to_owned())).collect()
}

/// All files under a folder whose name a glob `*.parquet` finds, within the lake.
fn glob(root: &Path, table: &str) -> Vec<String> {
    let mut found: Vec<String> = walk(&root.join(table))
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|e| e == "parquet") && !path.to_string_lossy().contains("_delta_log")
        })
        .map(|path| path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"))
        .collect();
    found.sort();
    found
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// The files of a table, sorted by path.
async fn logged(lake: &Lake, table: &'static Table) -> Vec<String> {
    let mut files: Vec<_> = lake.files(table).await.unwrap().into_iter().map(|file| file.path).collect();
    files.sort();
    files
}

/// What the folder shows is what the log says.
async fn assert_glob_is_log(root: &Path, lake: &Lake) {
    for table in copilot_lake_tables::TABLES {
        assert_eq!(glob(root, table.name), logged(lake, table).await, "table {}", table.name);
    }
}

/// Reads a file with the plain Parquet reader.
fn read(path: &Path) -> (Vec<RecordBatch>, Arc<::parquet::file::metadata::ParquetMetaData>) {
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let builder = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let metadata = Arc::clone(builder.metadata());
    (builder.build().unwrap().collect::<Result<_, _>>().unwrap(), metadata)
}

/// Asserts that files are sorted by time and key as a whole, and that no key is in the table twice.
fn assert_sorted_and_unique(root: &Path, files: &[String]) -> usize {
    let mut keys = BTreeMap::new();
    for file in files {
        let mut last: Option<(i64, String)> = None;
        for batch in read(&root.join(file)).0 {
            let ids = batch.column_by_name("msdyn_copiloteventid").unwrap().as_string::<i32>().clone();
            let of = batch.column_by_name("row_time").unwrap().as_primitive::<TimestampMicrosecondType>().clone();
            for row in 0..batch.num_rows() {
                let this = (of.value(row), ids.value(row).to_owned());
                assert!(last.as_ref().is_none_or(|last| *last < this), "{file}: {last:?} before {this:?}");
                assert_eq!(keys.insert(this.1.clone(), file), None, "{} twice", this.1);
                last = Some(this);
            }
        }
    }
    keys.len()
}

/// The version numbers by id.
fn versions(batches: &[RecordBatch]) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    for batch in batches {
        let ids = batch.column_by_name("msdyn_copiloteventid").unwrap().as_string::<i32>();
        let numbers = batch.column_by_name("versionnumber").unwrap().as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            found.insert(ids.value(row).to_owned(), numbers.value(row));
        }
    }
    found
}
