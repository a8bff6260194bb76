//! What the log says of files: whole statistics, or the number of rows alone; and lakes from before that.

use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Int32Array};
use arrow::datatypes::{DataType, TimeUnit};
use copilot_lake_tables::{GRAPH_USER, TABLES};
use serde_json::{Value, json};

use super::*;

/// Two values of a type, the lesser one first, and what statistics say of each.
fn two(ty: &DataType) -> (ArrayRef, [Value; 2]) {
    match ty {
        DataType::Utf8 => (texts(&["a", "b"]), [json!("a"), json!("b")]),
        DataType::Int32 => (Arc::new(Int32Array::from(vec![-1, 7])), [json!(-1), json!(7)]),
        DataType::Int64 => (Arc::new(Int64Array::from(vec![-1, 1 << 60])), [json!(-1), json!(1i64 << 60)]),
        DataType::Boolean => (Arc::new(BooleanArray::from(vec![false, true])), [json!(false), json!(true)]),
        DataType::Decimal128(precision, scale) => {
            let values = Decimal128Array::from(vec![-1, 1_500_000_000_000]);
            (Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap()), [json!(-1e-12), json!(1.5)])
        }
        DataType::Date32 => (Arc::new(Date32Array::from(vec![-1, 20_261])), [json!("1969-12-31"), json!("2025-06-22")]),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let (low, high) = (Instant(at(1).0 + 1), Instant(at(2).0 + 1));
            (times([low, high].into_iter()), [json!("2025-06-22T00:00:01.000Z"), json!("2025-06-22T00:00:02.001Z")])
        }
        other => panic!("{other}"),
    }
}

/// The statistics of the newest `add` of a log entry.
fn stats_of(root: &Path, table: &str, version: u64) -> Vec<(String, Value)> {
    let path = root.join(table).join(format!("_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    let adds = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let adds = adds.filter_map(|action| action.get("add").cloned());
    adds.map(|add| (add["path"].to_string(), serde_json::from_str(add["stats"].as_str().unwrap()).unwrap())).collect()
}

async fn upsert(lake: &Lake, table: &'static Table, rows: RecordBatch, find: MergeMode) -> crate::Committed {
    let mut changes = lake.changes(table, find);
    changes.push(table.is_partitioned().then(week), rows).await.unwrap();
    changes.commit("run-1").await.unwrap()
}

#[tokio::test]
async fn every_indexed_column_with_a_value_has_bounds() {
    let (folder, lake) = lake().await;
    for table in TABLES {
        let fields = table.layout().fields();
        let columns: Vec<_> = fields.iter().map(|field| (field.name.as_str(), two(&field.ty.data_type()).0)).collect();
        upsert(&lake, table, batch(table, &columns), MergeMode::Append).await;
        let stats = stats_of(folder.path(), table.name, 1).remove(0).1;
        assert_eq!(stats["numRecords"], 2);
        assert_eq!(stats["nullCount"].as_object().unwrap().len(), fields.len().min(32), "{}", table.name);
        for field in fields.iter().take(32) {
            let expected = two(&field.ty.data_type()).1;
            let said = [&stats["minValues"][&field.name], &stats["maxValues"][&field.name]];
            assert_eq!(said, [&expected[0], &expected[1]], "{}.{}", table.name, field.name);
            assert_eq!(stats["nullCount"][&field.name], 0);
        }
    }
}

#[tokio::test]
async fn without_a_bound_only_the_rows_are_counted() {
    let (folder, lake) = lake().await;
    // No text of 32 characters is as great; no date after it has four digits.
    let top = "\u{10FFFF}".repeat(40);
    let end = Instant::parse("9999-12-31T23:59:59.9999999Z").unwrap();
    let rows = |text: &str, seen: Instant, read: i64| {
        let columns = [
            ("user_id", texts(&["u"])),
            ("department", texts(&[text])),
            ("first_seen_at", times([seen].into_iter())),
            ("extracted_at", times([at(read)].into_iter())),
        ];
        batch(&GRAPH_USER, &columns)
    };
    for (version, (text, seen)) in [(top.as_str(), at(1)), ("x", end)].into_iter().enumerate() {
        let done = upsert(&lake, &GRAPH_USER, rows(text, seen, version as i64), MergeMode::Upsert).await;
        assert_eq!(done.rows_written, 1);
        assert_eq!(stats_of(folder.path(), "graph_user", version as u64 + 1)[0].1, json!({ "numRecords": 1 }));
    }
    // Our own merge reads a file that bounds nothing.
    assert_eq!(super::rows(&lake, &GRAPH_USER, "user_id", "department").await, [("u".to_owned(), "x".to_owned())]);
}

#[test]
fn bounds_that_were_cut_inside_a_character_are_widened() {
    use crate::parquet::statistics::{text_above, text_below};
    use ::parquet::data_type::ByteArray;
    let bytes = |bytes: &[u8]| ByteArray::from(bytes.to_vec());
    assert_eq!(text_below(&bytes(b"ab\xc3")), "ab");
    assert_eq!(text_above(&bytes(b"ab\xc3")).as_deref(), Some("ac"));
    assert_eq!(text_above(&bytes(b"ab")).as_deref(), Some("ab"));
    assert_eq!(text_above(&bytes("\u{10FFFF}\u{10FFFF}".as_bytes().split_last().unwrap().1)), None);
    assert_eq!(text_above(&bytes(b"\xc3")), None);
}

/// Makes a table's log say what an older program said.
fn age(root: &Path, table: &str, change: impl Fn(&mut Value)) {
    let mut version = 0;
    loop {
        let path = root.join(table).join(format!("_delta_log/{version:020}.json"));
        let Ok(text) = std::fs::read_to_string(&path) else { break };
        let lines = text.lines().map(|line| {
            let mut action: Value = serde_json::from_str(line).unwrap();
            change(&mut action);
            format!("{action}\n")
        });
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        version += 1;
    }
}

/// As version 1 wrote it: booleans had no bounds.
fn to_version_1(action: &mut Value) {
    if let Some(configuration) = action.pointer_mut("/metaData/configuration") {
        configuration["copilotLake.schemaVersion"] = json!("1");
    }
    if let Some(text) = action.pointer_mut("/add/stats") {
        let mut stats: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        for part in ["minValues", "maxValues"] {
            stats[part].as_object_mut().unwrap().retain(|_, bound| !bound.is_boolean());
        }
        *text = json!(stats.to_string());
    }
}

fn users(rows: &[(&str, bool)]) -> RecordBatch {
    let ids: Vec<_> = rows.iter().map(|row| row.0).collect();
    let licensed: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<BooleanArray>());
    let read = times(rows.iter().map(|_| at(0)));
    batch(&GRAPH_USER, &[("user_id", texts(&ids)), ("has_copilot_license", licensed), ("extracted_at", read)])
}

fn versions_of(root: &Path, table: &str) -> usize {
    std::fs::read_dir(root.join(table).join("_delta_log")).unwrap().count()
}

#[tokio::test]
async fn statistics_of_an_older_lake_are_completed_once() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    upsert(&lake, &GRAPH_USER, users(&[("a", true)]), MergeMode::Append).await;
    upsert(&lake, &GRAPH_USER, users(&[("b", false), ("c", true)]), MergeMode::Append).await;
    let files = logged(&lake, &GRAPH_USER).await;
    drop(lake);
    age(root, "graph_user", to_version_1);

    let lake = open(root, LakeOptions::default()).await;
    lake.prepare(&instance(), false).await.unwrap();
    let mended = stats_of(root, "graph_user", 3);
    assert_eq!(mended.len(), 2);
    for (path, stats) in &mended {
        assert!(files.iter().any(|file| path.contains(file.rsplit('/').next().unwrap())), "{path}");
        assert!(stats["minValues"]["has_copilot_license"].is_boolean(), "{stats}");
    }
    let entry = std::fs::read_to_string(root.join("graph_user/_delta_log/00000000000000000003.json")).unwrap();
    assert!(entry.contains("\"dataChange\":false") && !entry.contains("\"dataChange\":true"), "{entry}");
    assert!(!entry.contains("\"remove\""), "{entry}");
    assert_eq!(logged(&lake, &GRAPH_USER).await, files);
    assert_eq!(super::rows(&lake, &GRAPH_USER, "user_id", "display_name").await.len(), 3);
    assert_glob_is_log(root, &lake).await;

    // The next run has nothing to do.
    let before = versions_of(root, "graph_user");
    let again = open(root, LakeOptions::default()).await;
    again.prepare(&instance(), false).await.unwrap();
    assert_eq!(versions_of(root, "graph_user"), before);

    // A run that was killed before the version was raised left the rest to the next one.
    std::fs::remove_file(root.join("graph_user/_delta_log/00000000000000000004.json")).unwrap();
    let again = open(root, LakeOptions::default()).await;
    again.prepare(&instance(), false).await.unwrap();
    assert_eq!(versions_of(root, "graph_user"), before);
    let entry = std::fs::read_to_string(root.join("graph_user/_delta_log/00000000000000000004.json")).unwrap();
    assert!(entry.contains("\"copilotLake.schemaVersion\":\"2\"") && !entry.contains("\"add\""), "{entry}");
    assert_eq!(logged(&again, &GRAPH_USER).await, files);
}

#[tokio::test]
async fn statistics_say_of_a_new_column_that_older_files_lack_it() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    upsert(&lake, &GRAPH_USER, users(&[("a", true)]), MergeMode::Append).await;
    drop(lake);
    // As if the table had been made before the column was there.
    age(root, "graph_user", |action| {
        if let Some(text) = action.pointer_mut("/metaData/schemaString") {
            let mut schema: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "job_title");
            *text = json!(schema.to_string());
        }
        if let Some(text) = action.pointer_mut("/add/stats") {
            let mut stats: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
            stats["nullCount"].as_object_mut().unwrap().remove("job_title");
            *text = json!(stats.to_string());
        }
    });
    let lake = open(root, LakeOptions::default()).await;
    lake.prepare(&instance(), false).await.unwrap();
    assert_eq!(stats_of(root, "graph_user", 2)[0].1["nullCount"]["job_title"], 1);
    assert!(!stats_of(root, "graph_user", 3).iter().any(|_| true), "then the column is added");
}

#[tokio::test]
async fn files_of_other_tools_keep_their_statistics() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    upsert(&lake, &GRAPH_USER, users(&[("a", true)]), MergeMode::Append).await;
    let name = logged(&lake, &GRAPH_USER).await.remove(0);
    drop(lake);
    age(root, "graph_user", to_version_1);
    // The same rows, written by somebody else.
    let (batches, _) = read(&root.join(&name));
    let file = std::fs::File::create(root.join(&name)).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
    writer.write(&batches[0]).unwrap();
    writer.close().unwrap();
    let size = std::fs::metadata(root.join(&name)).unwrap().len();
    age(root, "graph_user", |action| {
        if let Some(of) = action.pointer_mut("/add/size") {
            *of = json!(size);
        }
    });
    let lake = open(root, LakeOptions::default()).await;
    lake.prepare(&instance(), false).await.unwrap();
    assert!(stats_of(root, "graph_user", 2).is_empty(), "nothing but the version is changed");
    assert_eq!(super::rows(&lake, &GRAPH_USER, "user_id", "display_name").await.len(), 1);
}
