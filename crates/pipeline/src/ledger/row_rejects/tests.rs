//! Whose rejects stay, of several versions of a row.

use copilot_lake_decoder::{Decoded, decode_page};
use copilot_lake_tables::{COPILOT_INTERACTION, Labels};
use copilot_lake_writer::{Instance, LakeOptions, Scan};
use futures::TryStreamExt as _;

use super::*;

use crate::cells::text;

const ID: &str = "00000000-0000-4000-8000-000000000001";

/// A page of one row in that version, with these other properties.
fn page(version: i64, more: &str) -> Decoded {
    // The row moves by a week every ten versions.
    let day = 20 + version / 10 * 7;
    let row = format!(
        "[{{\"msdyn_copilotinteractionid\":\"{ID}\",\"createdon\":\"2025-10-{day}T10:00:00Z\",\"versionnumber\":{version}{more}}}]"
    );
    decode_page(&COPILOT_INTERACTION, row.as_bytes(), at(version), &Labels::default()).unwrap()
}

fn at(seconds: i64) -> Instant {
    Instant::from_seconds(1_760_000_000 + seconds)
}

async fn lake() -> Lake {
    let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
    lake.prepare(&Instance::default(), false).await.unwrap();
    lake
}

/// Reads these versions as one slice: rejects first, then rows. `settle`: so many rejects came in between that they do
/// not wait.
async fn read(lake: &Lake, rejects: &Rejects, pages: Vec<(i64, &str)>, mode: MergeMode, settle: bool) {
    let table = &COPILOT_INTERACTION;
    let mut of_rows = RowRejects::new(lake, rejects, table, mode, "run", true);
    let mut changes = lake.changes(table, mode);
    for (version, more) in pages {
        let decoded = page(version, more);
        of_rows.push(&decoded.batches, decoded.rejects, at(version)).await.unwrap();
        if settle {
            of_rows.settle().await.unwrap();
        }
        for (week, batch) in decoded.batches {
            changes.push(Some(week), batch).await.unwrap();
        }
    }
    of_rows.commit().await.unwrap();
    changes.commit("run").await.unwrap();
}

/// Columns and texts of all rejects.
async fn rejected(lake: &Lake) -> Vec<String> {
    let scan = Scan { columns: vec!["record_key", "column_name", "raw_json"], ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(&REJECTED_RECORD, scan).await.unwrap().try_collect().await.unwrap();
    let row = |batch: &RecordBatch, row| {
        assert_eq!(text(batch, "record_key", row), ID);
        format!("{} {}", text(batch, "column_name", row), text(batch, "raw_json", row))
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at))).collect()
}

const BAD_SCENARIO: &str = ",\"msdyn_scenariotype\":\"high\"";
const BAD_TYPE: &str = ",\"msdyn_interactiontype\":\"low\"";

#[tokio::test]
async fn within_a_slice_the_newest_version_has_its_rejects() {
    for settle in [false, true] {
        let lake = lake().await;
        let rejects = Rejects::new(&lake);
        read(&lake, &rejects, vec![(1, BAD_SCENARIO), (2, BAD_TYPE)], MergeMode::Upsert, settle).await;
        assert_eq!(rejected(&lake).await, ["msdyn_interactiontype \"low\""]);
        read(&lake, &rejects, vec![(4, BAD_SCENARIO), (3, "")], MergeMode::Upsert, settle).await;
        assert_eq!(rejected(&lake).await, ["msdyn_scenariotype \"high\""]);
        read(&lake, &rejects, vec![(5, BAD_TYPE), (6, "")], MergeMode::Upsert, settle).await;
        assert_eq!(rejected(&lake).await, [""; 0]);
    }
}

#[tokio::test]
async fn an_older_version_changes_no_rejects_of_the_lake() {
    let lake = lake().await;
    read(&lake, &Rejects::new(&lake), vec![(10, BAD_SCENARIO)], MergeMode::Upsert, false).await;
    for mode in [MergeMode::Upsert, MergeMode::UpsertReread] {
        read(&lake, &Rejects::new(&lake), vec![(9, "")], mode, false).await;
        read(&lake, &Rejects::new(&lake), vec![(8, BAD_TYPE)], mode, false).await;
        read(&lake, &Rejects::new(&lake), vec![(10, BAD_SCENARIO)], mode, false).await;
        assert_eq!(rejected(&lake).await, ["msdyn_scenariotype \"high\""]);
    }
    read(&lake, &Rejects::new(&lake), vec![(11, "")], MergeMode::Upsert, false).await;
    assert_eq!(rejected(&lake).await, [""; 0]);
}
