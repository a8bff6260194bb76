//! What files look like, and that memory is kept.

use ::parquet::basic::{Compression, Encoding};
use serde_json::Value;

use super::*;

fn adds(root: &Path, table: &str, version: u64) -> Vec<Value> {
    let path = root.join(table).join(format!("_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    actions.filter_map(|action| action.get("add").cloned()).collect()
}

#[tokio::test]
async fn a_file_has_the_properties_of_its_table() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "one"), ("b", 2, 1, "two")]).await;
    let file = &logged(&lake, &COPILOT_EVENT).await[0];
    assert!(file.starts_with("msdyn_copilotevent/week_start=2025-06-22/part-"));
    let (_, metadata) = read(&folder.path().join(file));
    let group = metadata.row_group(0);
    let layout = COPILOT_EVENT.layout();
    let sorting: Vec<usize> = group.sorting_columns().unwrap().iter().map(|c| c.column_idx as usize).collect();
    assert_eq!(sorting, layout.sort());
    for (column, field) in group.columns().iter().zip(layout.fields()) {
        assert!(matches!(column.compression(), Compression::ZSTD(_)));
        assert_eq!(column.bloom_filter_offset().is_some(), field.bloom, "{}", field.name);
        // Booleans never have one.
        let dictionary = field.dictionary && column.column_type() != ::parquet::basic::Type::BOOLEAN;
        assert_eq!(column.dictionary_page_offset().is_some(), dictionary, "{}", field.name);
        let allowed = [Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY, Encoding::PLAIN_DICTIONARY];
        assert!(column.encodings().all(|encoding| allowed.contains(&encoding)), "{}", field.name);
        assert!(column.column_index_offset().is_some());
    }
    let about = metadata.file_metadata().key_value_metadata().unwrap();
    let keys: Vec<&str> = about.iter().map(|kv| kv.key.as_str()).collect();
    assert_eq!(keys, ["copilot_lake.version", "copilot_lake.table", "copilot_lake.schema_version"]);
    assert_eq!(about[1].value.as_deref(), Some("msdyn_copilotevent"));
}

#[tokio::test]
async fn the_log_has_bounds_that_hold() {
    let (folder, lake) = lake().await;
    let long = "z".repeat(40);
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    let rows = [("b", 7, 3, long.as_str()), ("a", 5, 9, "")];
    changes.push(Some(week()), events(&rows)).await.unwrap();
    changes.commit("run-1").await.unwrap();
    let add = &adds(folder.path(), "msdyn_copilotevent", 1)[0];
    assert_eq!(add["partitionValues"], serde_json::json!({ "week_start": "2025-06-22" }));
    assert_eq!(add["dataChange"], true);
    let size = std::fs::metadata(folder.path().join("msdyn_copilotevent").join(add["path"].as_str().unwrap()));
    assert_eq!(add["size"], size.unwrap().len());
    let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    assert_eq!(stats["numRecords"], 2);
    assert_eq!(stats["minValues"]["msdyn_copiloteventid"], "a");
    assert_eq!(stats["maxValues"]["msdyn_copiloteventid"], "b");
    assert_eq!(stats["minValues"]["row_time"], "2025-06-22T00:00:05.000Z");
    assert_eq!(stats["maxValues"]["row_time"], "2025-06-22T00:00:07.000Z");
    assert_eq!(stats["nullCount"]["msdyn_aiagent"], 2);
    assert!(stats["minValues"].get("msdyn_aiagent").is_none());
    assert!(stats["nullCount"].as_object().unwrap().len() <= 32);
}

#[test]
fn text_bounds_are_cut_outward() {
    use crate::parquet::statistics::{truncate_down, truncate_up};
    assert_eq!(truncate_up("short").as_deref(), Some("short"));
    let long = format!("{}{}", "a".repeat(31), "bc");
    assert_eq!(truncate_down(&long), format!("{}b", "a".repeat(31)));
    assert_eq!(truncate_up(&long), Some(format!("{}c", "a".repeat(31))));
    let top = format!("a{}", "\u{10FFFF}".repeat(40));
    assert_eq!(truncate_up(&top).as_deref(), Some("b"));
    assert_eq!(truncate_up(&"\u{10FFFF}".repeat(40)), None);
    assert_eq!(truncate_up(&format!("{}\u{D7FF}x", "a".repeat(31))), Some(format!("{}\u{E000}", "a".repeat(31))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiny_budget_gives_the_same_rows() {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions { memory: 64 << 10, ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();

    // Two slices at a time, in order of time with many ties, with keys that come twice.
    let task = |slice: i64| {
        let lake = lake.clone();
        async move {
            let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
            let week = if slice == 0 { week() } else { week().next() };
            for page in 0..20i64 {
                let ids: Vec<String> =
                    (0..100).map(|n| format!("{slice}-{:05}", (page * 95 + n) * 7919 % 100_003)).collect();
                let rows: Vec<_> = (0..100)
                    .map(|n| (ids[n as usize].as_str(), (page * 95 + n) / 10 + slice * 604_800, page, "some text"))
                    .collect();
                changes.push(Some(week), events(&rows)).await.unwrap();
            }
            changes.commit("run-1").await.unwrap()
        }
    };
    let (first, second) = tokio::join!(tokio::spawn(task(0)), tokio::spawn(task(1)));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.rows_written, second.rows_written), (1905, 1905));
    let files = logged(&lake, &COPILOT_EVENT).await;
    assert_eq!(assert_sorted_and_unique(folder.path(), &files), 3810);
    // In order of time, so one file per week, in spite of the ties between pages.
    assert_eq!(files.len(), 2);
    let found = versions(&read(&folder.path().join(&files[0])).0);
    let id = format!("0-{:05}", 95 * 7919 % 100_003);
    assert_eq!(found[&id], 1, "the newer one of two pages");
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_out_of_order_give_sorted_files_and_one_row_per_key() {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions { memory: 64 << 10, ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    for page in 0..10i64 {
        let ids: Vec<String> = (0..100).map(|n| format!("{:05}", (page * 90 + n) * 7919 % 100_003)).collect();
        let rows: Vec<_> = (0..100i64)
            .map(|n| (ids[n as usize].as_str(), (page * 90 + n) * 48_271 % 600_000, page, "some text"))
            .collect();
        changes.push(Some(week()), events(&rows)).await.unwrap();
    }
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!(done.rows_written, 910);
    let files = logged(&lake, &COPILOT_EVENT).await;
    assert_eq!(assert_sorted_and_unique(folder.path(), &files), 910);
    let all: Vec<RecordBatch> = files.iter().flat_map(|file| read(&folder.path().join(file)).0).collect();
    let found = versions(&all);
    assert_eq!(found[&format!("{:05}", 90 * 7919 % 100_003)], 1, "the newer one of two pages");
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_that_were_put_aside_come_back() {
    let folder = TempDir::new().unwrap();
    // Room for some batches, so that one row group grows over many steps.
    let options = LakeOptions { memory: 48 << 20, ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    let id = |n: i64| format!("{:016x}-{n:08}", (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for page in 0..20i64 {
        let ids: Vec<String> = (0..5_000).map(|n| id(page * 5_000 + n)).collect();
        let rows: Vec<_> = ids.iter().zip(page * 5_000..).map(|(id, n)| (id.as_str(), n, n, id.as_str())).collect();
        changes.push(Some(week()), events(&rows)).await.unwrap();
    }
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.rows_written, done.files_added), (100_000, 1));
    let files = logged(&lake, &COPILOT_EVENT).await;
    assert_eq!(assert_sorted_and_unique(folder.path(), &files), 100_000);
    let (batches, metadata) = read(&folder.path().join(&files[0]));
    assert_eq!(metadata.num_row_groups(), 1);
    let found = versions(&batches);
    assert!((0..100_000).step_by(9_999).all(|n| found[&id(n)] == n));
    // Nothing is left beside the tables.
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), copilot_lake_tables::TABLES.len());
}
