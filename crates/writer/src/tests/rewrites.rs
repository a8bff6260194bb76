//! Files that another tool wrote, read and rewritten: the lake's types, and no order that is not there.

use ::parquet::arrow::ArrowWriter;
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type as Int64Column, Int96, Int96Type};
use ::parquet::file::metadata::{ParquetMetaData, SortingColumn};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use arrow::array::{Int32Array, LargeStringArray, TimestampNanosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;

use super::*;

const FOLDER: &str = "msdyn_copilotevent/week_start=2025-06-22";

/// Commits a file that lies in the week's folder, as another tool does.
pub(super) fn commit_foreign(root: &Path, name: &str, version: u64, rows: usize) {
    let size = std::fs::metadata(root.join(FOLDER).join(name)).unwrap().len();
    let add = json!({ "add": {
        "path": format!("week_start=2025-06-22/{name}"), "partitionValues": { "week_start": "2025-06-22" }, "size": size,
        "modificationTime": 1, "dataChange": false, "stats": json!({ "numRecords": rows }).to_string(),
    } });
    let info = json!({ "commitInfo": { "operation": "OPTIMIZE", "timestamp": 1 } });
    let path = root.join(format!("msdyn_copilotevent/_delta_log/{version:020}.json"));
    std::fs::write(path, format!("{info}\n{add}\n")).unwrap();
}

/// Writes rows by way of Arrow, in one row group.
pub(super) fn write_foreign(root: &Path, name: &str, batch: &RecordBatch, properties: Option<WriterProperties>) {
    std::fs::create_dir_all(root.join(FOLDER)).unwrap();
    let file = std::fs::File::create(root.join(FOLDER).join(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), properties).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

/// Events as some tools write them: nanoseconds without a zone, large strings, wide integers, a column of their own.
pub(super) fn foreign_events(rows: &[(&str, i64, i64, &str)]) -> RecordBatch {
    let nanos =
        || Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|row| at(row.1).0 * 1_000))) as ArrayRef;
    let large = |values: Vec<&str>| Arc::new(LargeStringArray::from(values)) as ArrayRef;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("their_note", large(vec!["kept"; rows.len()])),
        ("msdyn_verbatim", large(rows.iter().map(|row| row.3).collect())),
        ("msdyn_copiloteventid", large(rows.iter().map(|row| row.0).collect())),
        ("partitionid", large(vec!["20250622-20250628-1"; rows.len()])),
        ("row_time", nanos()),
        ("createdon", nanos()),
        ("modifiedon", nanos()),
        ("msdyn_scenariotype", Arc::new(Int64Array::from(vec![5; rows.len()]))),
        ("versionnumber", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.2 as i32)))),
        ("extracted_at", nanos()),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The one file of the table: its rows and its footer.
async fn only_file(root: &Path, lake: &Lake) -> (RecordBatch, Arc<ParquetMetaData>) {
    let files = logged(lake, &COPILOT_EVENT).await;
    assert_eq!(files.len(), 1, "{files:?}");
    let (batches, metadata) = read(&root.join(&files[0]));
    (arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap(), metadata)
}

fn assert_layout_types(rows: &RecordBatch) {
    for field in COPILOT_EVENT.layout().schema().fields() {
        if let Some(column) = rows.column_by_name(field.name()) {
            assert_eq!(column.data_type(), field.data_type(), "{}", field.name());
        }
    }
}

fn is_sorted(rows: &RecordBatch) -> bool {
    rows.column_by_name("row_time").unwrap().as_primitive::<TimestampMicrosecondType>().values().is_sorted()
}

fn declares_order(metadata: &ParquetMetaData) -> bool {
    metadata.row_groups().iter().any(|group| group.sorting_columns().is_some_and(|columns| !columns.is_empty()))
}

async fn opened(root: &Path, memory: usize) -> Lake {
    let lake = open(root, LakeOptions { memory, ..LakeOptions::default() }).await;
    lake.prepare(&instance(), false).await.unwrap();
    lake
}

#[tokio::test]
async fn a_foreign_file_gets_the_lakes_types_and_its_order() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    let rows = [("d", 40, 1, "four"), ("b", 20, 1, "two"), ("a", 10, 1, "one"), ("c", 30, 1, "three")];
    write_foreign(root, "theirs.parquet", &foreign_events(&rows), None);
    commit_foreign(root, "theirs.parquet", 1, 4);
    drop(lake);
    let lake = opened(root, LakeOptions::default().memory).await;

    let done = put(&lake, &[("b", 20, 2, "changed")]).await;
    assert_eq!((done.rows_written, done.files_removed), (1, 1));
    let expected = [("a", "one"), ("b", "changed"), ("c", "three"), ("d", "four")];
    assert_eq!(verbatims(&lake).await, expected.map(|(id, text)| (id.to_owned(), text.to_owned())));
    let files = logged(&lake, &COPILOT_EVENT).await;
    let (rest, metadata) =
        files.iter().map(|file| read(&root.join(file))).find(|(rows, _)| rows[0].num_rows() == 3).unwrap();
    let rest = &rest[0];
    assert_layout_types(rest);
    assert!(is_sorted(rest) && declares_order(&metadata));
    assert_eq!(rest.schema().field(0).name(), "msdyn_copiloteventid");
    let note = rest.column_by_name("their_note").expect("columns that we do not know are kept");
    assert!((0..3).all(|row| note.as_string::<i32>().value(row) == "kept"));
    assert_eq!(rest.column_by_name("row_time").unwrap().as_primitive::<TimestampMicrosecondType>().value(0), at(10).0);
}

#[tokio::test]
async fn a_large_foreign_file_declares_no_order() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    let ids: Vec<String> = (0..2_000i64).map(|n| format!("{n:05}")).collect();
    let rows: Vec<_> = ids.iter().zip(0..).map(|(id, n)| (id.as_str(), n * 7_919 % 2_000, 1, id.as_str())).collect();
    write_foreign(root, "theirs.parquet", &foreign_events(&rows), None);
    commit_foreign(root, "theirs.parquet", 1, rows.len());
    drop(lake);
    let lake = opened(root, 64 << 10).await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    let key = batch_of_keys(&["00007"]);
    changes.remove(&key).unwrap();
    changes.commit("run-1").await.unwrap();
    let (rest, metadata) = only_file(root, &lake).await;
    assert_eq!(rest.num_rows(), 1_999);
    assert_layout_types(&rest);
    assert!(!is_sorted(&rest) && !declares_order(&metadata));
}

fn batch_of_keys(ids: &[&str]) -> RecordBatch {
    RecordBatch::try_from_iter([
        ("msdyn_copiloteventid", texts(ids)),
        ("partitionid", texts(&vec!["20250622-20250628-1"; ids.len()])),
    ])
    .unwrap()
}

#[tokio::test]
async fn an_order_that_a_file_declares_falsely_is_not_declared_again() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    let layout = COPILOT_EVENT.layout();
    let sorting =
        layout.sort().iter().map(|&at| SortingColumn { column_idx: at as i32, descending: false, nulls_first: true });
    let properties = WriterProperties::builder()
        .set_created_by("copilot-lake 0.1.0".to_owned())
        .set_sorting_columns(Some(sorting.collect()))
        .build();
    let ids: Vec<String> = (0..2_000i64).map(|n| format!("{n:05}")).collect();
    let rows: Vec<_> = ids.iter().zip(0..).map(|(id, n)| (id.as_str(), n * 7_919 % 2_000, 1, id.as_str())).collect();
    write_foreign(root, "part-false.parquet", &events(&rows), Some(properties));
    commit_foreign(root, "part-false.parquet", 1, rows.len());
    drop(lake);
    for memory in [64 << 10, LakeOptions::default().memory] {
        let lake = opened(root, memory).await;
        let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
        changes.remove(&batch_of_keys(&[if memory == 64 << 10 { "00007" } else { "00008" }])).unwrap();
        changes.commit("run-1").await.unwrap();
        let (rest, metadata) = only_file(root, &lake).await;
        assert_eq!(declares_order(&metadata), is_sorted(&rest));
        assert_eq!(is_sorted(&rest), memory != 64 << 10, "what fits in memory is sorted");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_an_error_that_names_the_file() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    let fine = foreign_events(&[("a", 10, 1, "one"), ("b", 20, 1, "two")]);
    let fields = fine.schema().fields().iter().map(|field| Field::clone(field)).collect::<Vec<_>>();
    let at_scenario = fine.schema().index_of("msdyn_scenariotype").unwrap();
    let mut columns = fine.columns().to_vec();
    columns[at_scenario] = Arc::new(Int64Array::from(vec![5, 1 << 40]));
    assert_eq!(fields[at_scenario].data_type(), &DataType::Int64);
    let wide = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    write_foreign(root, "theirs.parquet", &wide, None);
    commit_foreign(root, "theirs.parquet", 1, 2);
    drop(lake);
    let lake = opened(root, LakeOptions::default().memory).await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove(&batch_of_keys(&["a"])).unwrap();
    let error = changes.commit("run-1").await.unwrap_err().to_string();
    assert!(error.contains("theirs.parquet") && error.contains("msdyn_scenariotype"), "{error}");
    assert_eq!(logged(&lake, &COPILOT_EVENT).await, [format!("{FOLDER}/theirs.parquet")]);
}

/// A file of four columns, with timestamps of 96 bits.
fn write_int96(root: &Path, name: &str, rows: &[(&str, Instant, i64)]) {
    std::fs::create_dir_all(root.join(FOLDER)).unwrap();
    let schema = "message spark_schema {
        OPTIONAL BYTE_ARRAY msdyn_copiloteventid (UTF8);
        OPTIONAL BYTE_ARRAY partitionid (UTF8);
        OPTIONAL INT96 row_time;
        OPTIONAL INT96 msdyn_clienttimestamp;
        OPTIONAL INT64 versionnumber;
    }";
    let schema = Arc::new(::parquet::schema::parser::parse_message_type(schema).unwrap());
    let file = std::fs::File::create(root.join(FOLDER).join(name)).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let there = vec![1i16; rows.len()];
    let wide = |instant: Instant| {
        let (days, micros) = (instant.0.div_euclid(86_400_000_000), instant.0.rem_euclid(86_400_000_000));
        let nanos = micros as u64 * 1_000;
        let mut wide = Int96::new();
        wide.set_data(nanos as u32, (nanos >> 32) as u32, (days + 2_440_588) as u32);
        wide
    };
    let far = Instant::parse("9999-12-31T23:59:59Z").unwrap();
    let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
    for column in 0..5 {
        let mut next = group.next_column().unwrap().unwrap();
        let def = Some(there.as_slice());
        match column {
            0 => next.typed::<ByteArrayType>().write_batch(
                &rows.iter().map(|row| text(row.0)).collect::<Vec<_>>(),
                def,
                None,
            ),
            1 => next.typed::<ByteArrayType>().write_batch(&vec![text("20250622-20250628-1"); rows.len()], def, None),
            2 => next.typed::<Int96Type>().write_batch(
                &rows.iter().map(|row| wide(row.1)).collect::<Vec<_>>(),
                def,
                None,
            ),
            3 => next.typed::<Int96Type>().write_batch(&vec![wide(far); rows.len()], def, None),
            _ => next.typed::<Int64Column>().write_batch(&rows.iter().map(|row| row.2).collect::<Vec<_>>(), def, None),
        }
        .unwrap();
        next.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[tokio::test]
async fn timestamps_of_96_bits_are_read_and_rewritten_as_instants() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    let before = Instant(at(10).0 + 123_456);
    write_int96(root, "spark.parquet", &[("b", at(20), 1), ("a", before, 1)]);
    commit_foreign(root, "spark.parquet", 1, 2);
    drop(lake);
    let lake = opened(root, LakeOptions::default().memory).await;
    let scan = || Scan { columns: vec!["row_time", "msdyn_clienttimestamp"], ..Scan::default() };
    let times = |rows: Vec<RecordBatch>| {
        let rows = arrow::compute::concat_batches(&rows[0].schema(), &rows).unwrap();
        let column = |at: usize| rows.column(at).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        (column(0), column(1))
    };
    let far = Instant::parse("9999-12-31T23:59:59Z").unwrap().0;
    let read: Vec<RecordBatch> = lake.scan(&COPILOT_EVENT, scan()).await.unwrap().try_collect().await.unwrap();
    assert_eq!(times(read), (vec![at(20).0, before.0], vec![far; 2]));

    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove(&batch_of_keys(&["b"])).unwrap();
    changes.commit("run-1").await.unwrap();
    let (rest, metadata) = only_file(root, &lake).await;
    assert_layout_types(&rest);
    assert!(declares_order(&metadata));
    assert_eq!(
        times(vec![rest.project(&[2, rest.schema().index_of("msdyn_clienttimestamp").unwrap()]).unwrap()]),
        (vec![before.0], vec![far])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_row_group_is_read_page_by_page() {
    let (folder, lake) = lake().await;
    let root = folder.path();
    // 12 MiB that do not shrink, in one row group.
    let text = |n: i64| {
        let mut state = n as u64 + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (state >> 33) as u8 % 90)
        };
        (0..16_384).map(|_| next()).collect::<String>()
    };
    let ids: Vec<String> = (0..768i64).map(|n| format!("{n:05}")).collect();
    let values: Vec<String> = (0..768).map(text).collect();
    let rows: Vec<_> =
        ids.iter().zip(&values).zip(0..).map(|((id, text), n)| (id.as_str(), n, 1, text.as_str())).collect();
    write_foreign(root, "theirs.parquet", &foreign_events(&rows), None);
    commit_foreign(root, "theirs.parquet", 1, rows.len());
    drop(lake);
    let lake = opened(root, 8 << 20).await;
    put(&lake, &[("00007", 7, 2, "changed")]).await;
    let found = verbatims(&lake).await;
    assert_eq!(found.len(), 768);
    for (row, (id, text)) in found.iter().enumerate() {
        assert_eq!(id, &ids[row]);
        assert!(text == if row == 7 { "changed" } else { &values[row] }, "{id}");
    }
    let files = logged(&lake, &COPILOT_EVENT).await;
    assert_eq!(files.len(), 2);
}
