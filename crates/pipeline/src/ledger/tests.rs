//! What is recorded, and how its files stay few.

use arrow::array::RecordBatch;
use copilot_lake_extractor::Slice;

use super::slice_row::SliceCounts;
use super::windows::MODIFIED;
use super::*;
use copilot_lake_tables::{COPILOT_EVENT, COPILOT_INTERACTION};
use copilot_lake_writer::{Instance, LakeOptions};

fn at(text: &str) -> Instant {
    Instant::parse(text).unwrap()
}

/// An empty lake with all tables.
async fn lake() -> Lake {
    let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
    lake.prepare(&Instance::default(), false).await.unwrap();
    lake
}

/// The row of a slice that begins and ends then.
fn row(table: &'static Table, start: &str, finished_at: &str, status: SliceStatus) -> SliceRow {
    let (start, end) = (at(start), at(start).plus_seconds(60));
    SliceRow {
        slice: Slice { table, scope: String::new(), time_column: MODIFIED, start, end },
        selection: "a,b".to_owned(),
        status,
        reason: None,
        watermark: Watermark::OfWindows,
        token: None,
        finished_at: at(finished_at),
        received: SliceCounts::default(),
    }
}

/// Table, start and end of every slice, by time.
async fn recorded(lake: &Lake) -> Vec<(String, Instant, Instant)> {
    let scan = Scan { columns: vec!["table_name", "window_start", "finished_at"], ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(&EXTRACTION_SLICE, scan).await.unwrap().try_collect().await.unwrap();
    let row = |batch: &RecordBatch, row| {
        (
            text(batch, "table_name", row).to_owned(),
            instant(batch, "window_start", row),
            instant(batch, "finished_at", row),
        )
    };
    let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at)));
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|(.., finished_at)| *finished_at);
    rows
}

#[tokio::test]
async fn a_slice_that_is_recorded_again_has_one_row() {
    let lake = lake().await;
    let ledger = Ledger::read(&lake).await.unwrap();
    let skipped = |finished_at| row(&COPILOT_EVENT, "2025-11-05T00:00:00Z", finished_at, SliceStatus::Skipped);
    assert!(ledger.record("r", &skipped("2025-11-05T12:00:00Z")).await.unwrap());
    let other = row(&COPILOT_INTERACTION, "2025-11-05T00:00:00Z", "2025-11-05T12:00:01Z", SliceStatus::Done);
    assert!(ledger.record("r", &other).await.unwrap());
    assert_eq!(recorded(&lake).await, [], "they wait");
    assert!(!ledger.record("r", &skipped("2025-11-05T12:00:02Z")).await.unwrap());
    ledger.flush("r").await.unwrap();
    let start = at("2025-11-05T00:00:00Z");
    let of = |table: &Table, finished_at| (table.name.to_owned(), start, at(finished_at));
    let first = of(&COPILOT_INTERACTION, "2025-11-05T12:00:01Z");
    assert_eq!(recorded(&lake).await, [first.clone(), of(&COPILOT_EVENT, "2025-11-05T12:00:02Z")]);
    // Also when it is committed by then.
    assert!(!ledger.record("r", &skipped("2025-11-05T12:00:03Z")).await.unwrap());
    ledger.flush("r").await.unwrap();
    assert_eq!(recorded(&lake).await, [first, of(&COPILOT_EVENT, "2025-11-05T12:00:03Z")]);
}

#[tokio::test]
async fn groups_are_one_file_each_and_are_compacted() {
    let lake = lake().await;
    let mut ledger = Ledger::read(&lake).await.unwrap();
    ledger.start_run("r", "extract", at("2025-11-05T00:00:00Z")).await.unwrap();
    let mut most = 0;
    for group in 0..40 {
        for slice in 0..5 {
            let start = at("2025-11-05T00:00:00Z").plus_seconds(group * 300 + slice * 60).to_string();
            let finished = at("2025-11-05T12:00:00Z").plus_seconds(group * 5 + slice).to_string();
            ledger.record("r", &row(&COPILOT_EVENT, &start, &finished, SliceStatus::Done)).await.unwrap();
        }
        ledger.flush("r").await.unwrap();
        most = most.max(lake.files(&EXTRACTION_SLICE).await.unwrap().len());
    }
    assert_eq!(most, 16, "fifteen, and the one into which those before were compacted");
    let report = Report::new("r".to_owned());
    ledger.end_run("extract", at("2025-11-05T00:00:00Z"), at("2025-11-05T13:00:00Z"), &report).await.unwrap();
    assert_eq!(lake.files(&EXTRACTION_SLICE).await.unwrap().len(), 1);
    assert_eq!(recorded(&lake).await.len(), 200);
    let again = Ledger::read(&lake).await.unwrap();
    let mut windows = again.windows(&COPILOT_EVENT, "a,b").await;
    windows.sort_by_key(|window| window.start);
    assert_eq!(windows.len(), 200);
    assert_eq!(windows[199].end, at("2025-11-05T03:20:00Z"));
}

#[tokio::test]
async fn what_was_requested_in_vain_is_known_to_the_next_run() {
    let lake = lake().await;
    let ledger = Ledger::read(&lake).await.unwrap();
    let (day, week) = ("2025-11-05T00:00:00Z", "2025-11-06T00:00:00Z");
    for (start, finished_at, requests) in [
        (day, "2025-11-07T12:00:00Z", 5),
        (day, "2025-11-06T12:00:00Z", 5),
        // The table was not worth a request.
        (week, "2025-11-08T12:00:00Z", 0),
    ] {
        let mut failed = row(&COPILOT_EVENT, start, finished_at, SliceStatus::Failed);
        failed.received.requests = requests;
        ledger.record(finished_at, &failed).await.unwrap();
        ledger.flush(finished_at).await.unwrap();
    }
    let ledger = Ledger::read(&lake).await.unwrap();
    let last = |table, start: &str, seconds| {
        let start = at(start).plus_seconds(seconds);
        let slice = Slice { table, scope: String::new(), time_column: MODIFIED, start, end: start.plus_seconds(60) };
        ledger.last_failure(&slice)
    };
    assert_eq!(last(&COPILOT_EVENT, day, 30), Some(at("2025-11-07T12:00:00Z")), "an overlapping one");
    assert_eq!(last(&COPILOT_EVENT, day, 60), None, "its neighbour");
    assert_eq!(last(&COPILOT_EVENT, week, 0), None, "not requested");
    assert_eq!(last(&COPILOT_INTERACTION, day, 0), None, "another table");
}
