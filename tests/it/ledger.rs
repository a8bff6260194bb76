//! Bookkeeping: how many files it has, and what reading it costs.

use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, new_null_array};
use copilot_lake_tables::{EXTRACTION_SLICE, Instant, REJECTED_RECORD, Table};
use copilot_lake_writer::{Lake, LakeOptions, MergeMode};

use crate::harness::{World, is_soak, package, python, text};

const BOTH: &str = "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 20\ninteractions = 200\nlicensed = 1.0
    deleted = 0.0\nlate = { share = 0.0 }\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 200\nweeks = 3\n";

/// Data files of the lake, and those of the ledger.
fn files(world: &World) -> (usize, usize) {
    let lake = world.lake();
    let count = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).count()
    };
    let mut all = 0;
    for table in std::fs::read_dir(&lake).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let weeks = std::fs::read_dir(&table).unwrap().map(|entry| entry.unwrap().path());
        all += count(&table) + weeks.filter(|path| path.is_dir()).map(|week| count(&week)).sum::<usize>();
    }
    (all, count(&lake.join("extraction_slice")))
}

/// The peak memory of a complete run, in MiB, and its duration in seconds.
pub(crate) fn used(world: &World) -> (u64, f64) {
    let begun = std::time::Instant::now();
    let run = world.command(&["extract", "-q"]);
    // Linux counts the memory of the process that starts another to that one's peak: here of a small one.
    let mut peak = Command::new(python());
    peak.arg(package().join("python/peak.py")).arg(run.get_program()).args(run.get_args());
    let output = peak.current_dir(world.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let kibibytes: u64 = text(&output.stdout).trim().parse().unwrap();
    (kibibytes >> 10, begun.elapsed().as_secs_f64())
}

#[test]
fn runs_that_find_nothing_leave_few_files() {
    let mut world = World::parse(BOTH).of_graph("licensed", "2025-07-01");
    world.keys.remove("dataverse.url");
    world.extract(&[], 0);
    let (mut before, slices) = files(&world);
    assert!(slices <= 2, "one of each service: {slices}");
    for _ in 0..if is_soak() { 1_000 } else { 8 } {
        world.extract(&[], 0);
        let (all, slices) = files(&world);
        assert!(all <= before + 2 && slices <= 30, "{before} files, then {all}, {slices} of the ledger");
        before = all;
    }
    world.check_lake();
    let count = |sql: &str| world.sql(sql)[0][0].parse::<u64>().unwrap();
    let runs = count("SELECT count(*) FROM extraction_run WHERE outcome = 'complete'");
    assert_eq!(count("SELECT count(DISTINCT run_id) FROM extraction_slice"), runs, "every run is in the ledger");
}

/// A batch of a table with these columns; the others are null.
pub(crate) fn batch(table: &'static Table, columns: &[(&str, ArrayRef)]) -> RecordBatch {
    let schema = table.layout().schema();
    let rows = columns[0].1.len();
    let column = |name: &str| columns.iter().find(|(given, _)| *given == name).map(|(_, array)| Arc::clone(array));
    let fields = schema.fields().iter();
    let arrays = fields.map(|field| column(field.name()).unwrap_or_else(|| new_null_array(field.data_type(), rows)));
    RecordBatch::try_new(Arc::clone(schema), arrays.collect()).unwrap()
}

pub(crate) fn texts(texts: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(texts))
}

pub(crate) fn same(text: &str, rows: usize) -> ArrayRef {
    texts(std::iter::repeat_n(text.to_owned(), rows))
}

pub(crate) fn times(at: Instant, rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_value(at.0, rows).with_timezone("UTC"))
}

pub(crate) async fn commit(lake: &Lake, batch: RecordBatch, table: &'static Table) {
    let mut changes = lake.changes(table, MergeMode::Append);
    changes.push(None, batch).await.unwrap();
    changes.commit("test").await.unwrap();
}

#[test]
fn rejects_take_a_few_bytes_each() {
    let world =
        World::parse("clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 500\nweeks = 2");
    world.extract(&[], 0);
    let rows = if is_soak() { 1_000_000 } else { 20_000 };
    world.runtime.block_on(async {
        let lake = Lake::open(world.lake().to_str().unwrap(), LakeOptions::default()).await.unwrap();
        let key = |row: usize| format!("{:08x}-0000-4000-8000-{row:012x}/20251026-20251101-100230205", row * 7_919);
        let columns = [
            ("source", same("dataverse", rows)),
            ("table_name", same("msdyn_copilotevent", rows)),
            ("record_key", texts((0..rows).map(key))),
            ("column_name", same("msdyn_interactioncontext", rows)),
            ("raw_json", same("plain text of a scenario whose context is no JSON", rows)),
            ("extracted_at", times(Instant::parse("2025-11-01").unwrap(), rows)),
        ];
        commit(&lake, batch(&REJECTED_RECORD, &columns), &REJECTED_RECORD).await;
    });
    let (mebibytes, _) = used(&world);
    assert!(mebibytes <= 256, "{mebibytes} MiB");
    world.check_lake();
    assert_eq!(world.sql("SELECT count(*) FROM rejected_record"), [[rows.to_string()]]);
}

#[test]
fn a_ledger_of_many_files_is_read_and_folded_together() {
    let world =
        World::parse("clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 50\nweeks = 1");
    world.extract(&[], 0);
    let made = if is_soak() { 5_000 } else { 300 };
    world.runtime.block_on(async {
        let lake = Lake::open(world.lake().to_str().unwrap(), LakeOptions::default()).await.unwrap();
        for row in 0..made {
            let at = Instant::parse("2025-11-05T11:00:00Z").unwrap().plus_seconds(row / 2);
            let columns = [
                ("run_id", texts(std::iter::once(format!("older-{row}")))),
                ("source", same("dataverse", 1)),
                ("table_name", same("msdyn_copilotinteraction", 1)),
                ("scope", same("", 1)),
                ("clock", same("modifiedon", 1)),
                ("window_start", times(at, 1)),
                ("finished_at", times(at, 1)),
                ("status", same("failed", 1)),
                ("extracted_at", times(at, 1)),
            ];
            commit(&lake, batch(&EXTRACTION_SLICE, &columns), &EXTRACTION_SLICE).await;
        }
    });
    let rows = world.sql("SELECT count(*) FROM extraction_slice");
    let before = files(&world).1;
    let (mebibytes, seconds) = used(&world);
    let after = files(&world).1;
    assert!(after + 250 <= before, "{before} files, then {after}");
    assert!(mebibytes <= 256 && seconds < 60.0, "{mebibytes} MiB, {seconds:.1} s");
    world.check_lake();
    let sql = "SELECT count(*) FROM extraction_slice WHERE run_id LIKE 'older-%'";
    assert_eq!(world.sql(sql), [[made.to_string()]], "of {rows:?}");
}
