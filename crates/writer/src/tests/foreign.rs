//! Other tools that write to a lake's tables, and what is missing of them.

use std::collections::BTreeSet;
use std::time::Duration;

use copilot_lake_tables::{CALENDAR, SYSTEM_USER, TABLES};
use serde_json::{Value, json};

use super::*;
use crate::{Error, Extent, Remedy};

const FOREIGN: &str = "part-00000-11111111-2222-3333-4444-555555555555-c000.zstd.parquet";

/// Puts a log entry as another tool would.
pub(super) fn commit(root: &Path, table: &str, actions: &[Value]) {
    let log = root.join(table).join("_delta_log");
    let entries = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let version = entries.filter(|name| name.ends_with(".json")).count();
    let info = json!({ "commitInfo": { "operation": "OPTIMIZE", "timestamp": now() } });
    let lines: Vec<String> = std::iter::once(&info).chain(actions).map(Value::to_string).collect();
    std::fs::write(log.join(format!("{version:020}.json")), lines.join("\n")).unwrap();
}

fn now() -> i64 {
    crate::clock::now_millis()
}

/// Writes a file of another tool, with the rows of the table's only file; returns that one's path in the table.
async fn write_foreign(root: &Path, lake: &Lake) -> String {
    let files = logged(lake, &COPILOT_EVENT).await;
    let old = files[0].strip_prefix("msdyn_copilotevent/").unwrap().to_owned();
    std::fs::copy(root.join(&files[0]), root.join(&files[0]).with_file_name(FOREIGN)).unwrap();
    old
}

pub(super) fn remove(path: &str, at: i64) -> Value {
    json!({ "remove": { "path": path, "dataChange": false, "deletionTimestamp": at } })
}

pub(super) fn add(path: &str, size: u64) -> Value {
    json!({ "add": { "path": path, "partitionValues": { "week_start": "2025-06-22" }, "size": size,
        "modificationTime": now(), "dataChange": false } })
}

fn foreign_path() -> String {
    format!("week_start=2025-06-22/{FOREIGN}")
}

#[tokio::test]
async fn a_file_of_another_tool_waits_for_its_commit_and_the_replaced_one_goes() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    let old = write_foreign(folder.path(), &lake).await;
    let next = open(folder.path(), LakeOptions::default()).await;
    next.prepare(&instance(), true).await.unwrap();
    assert_eq!(glob(folder.path(), "msdyn_copilotevent").len(), 2, "nobody knows whether it will be committed");

    // Its log says a size that is not the file's.
    commit(folder.path(), "msdyn_copilotevent", &[remove(&old, now()), add(&foreign_path(), 10_000)]);
    let next = open(folder.path(), LakeOptions::default()).await;
    next.prepare(&instance(), false).await.unwrap();
    assert_glob_is_log(folder.path(), &next).await;
    assert_eq!(logged(&next, &COPILOT_EVENT).await, [format!("msdyn_copilotevent/{}", foreign_path())]);
    assert_eq!(verbatims(&next).await.len(), 2);

    // What one of our commits removes is deleted at once, whichever tool wrote it.
    put(&next, &[("a", 1, 2, "new")]).await;
    assert_glob_is_log(folder.path(), &next).await;
    assert!(!logged(&next, &COPILOT_EVENT).await[0].contains(FOREIGN));
}

#[tokio::test]
async fn what_another_tool_removed_waits_as_long_as_asked() {
    let folder = TempDir::new().unwrap();
    let options = || LakeOptions { removed_files: Some(Duration::from_hours(24)), ..LakeOptions::default() };
    let lake = open(folder.path(), options()).await;
    lake.prepare(&instance(), false).await.unwrap();
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    let old = write_foreign(folder.path(), &lake).await;
    let an_hour_ago = now() - 3_600_000;
    commit(folder.path(), "msdyn_copilotevent", &[remove(&old, an_hour_ago), add(&foreign_path(), 10_000)]);
    let next = open(folder.path(), options()).await;
    next.prepare(&instance(), false).await.unwrap();
    assert_eq!(glob(folder.path(), "msdyn_copilotevent").len(), 2, "a day is not over");
    put(&next, &[("c", 3, 1, "c")]).await;
    // The time is over for a run that keeps files for less: our commit in between hides nothing.
    let options = LakeOptions { removed_files: Some(Duration::from_mins(30)), ..LakeOptions::default() };
    let next = open(folder.path(), options).await;
    next.prepare(&instance(), false).await.unwrap();
    assert_glob_is_log(folder.path(), &next).await;
}

#[tokio::test]
async fn folders_are_listed_after_commits_of_other_tools_only() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    let file = folder.path().join(&logged(&lake, &COPILOT_EVENT).await[0]);
    let orphan = file.with_file_name(crate::storage::paths::data_file(&COPILOT_EVENT, None, 1).filename().unwrap());
    let is_listed = async || {
        std::fs::write(&orphan, "").unwrap();
        open(folder.path(), LakeOptions::default()).await.prepare(&instance(), false).await.unwrap();
        !orphan.exists()
    };
    assert!(!is_listed().await, "the newest commit is ours");
    commit(folder.path(), "msdyn_copilotevent", &[]);
    assert!(is_listed().await);
    let next = open(folder.path(), LakeOptions::default()).await;
    next.prepare(&instance(), false).await.unwrap();
    put(&next, &[("b", 2, 1, "b")]).await;
    assert!(!is_listed().await, "it was listed before our commit");
    // It comes while a run writes: our later commits do not hide it.
    commit(folder.path(), "msdyn_copilotevent", &[]);
    put(&next, &[("c", 3, 1, "c")]).await;
    put(&next, &[("d", 4, 1, "d")]).await;
    assert!(is_listed().await);
    // It comes while a run reads: its next commit, which builds on it, does not hide it either.
    let next = open(folder.path(), LakeOptions::default()).await;
    next.prepare(&instance(), false).await.unwrap();
    put(&next, &[("e", 5, 1, "e")]).await;
    assert!(!is_listed().await, "it was listed before our commit");
    commit(folder.path(), "msdyn_copilotevent", &[]);
    next.reload(&COPILOT_EVENT).await.unwrap();
    put(&next, &[("f", 6, 1, "f")]).await;
    assert!(is_listed().await);
}

#[tokio::test]
async fn files_without_a_log_are_somebody_elses() {
    let folder = TempDir::new().unwrap();
    let mine = folder.path().join("systemuser/mine.parquet");
    std::fs::create_dir(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, "mine").unwrap();
    let lake = open(folder.path(), LakeOptions::default()).await;
    let survey = lake.survey(&instance()).await.unwrap();
    let absent = survey.absent.iter().find(|absent| absent.table.name == "systemuser").unwrap();
    let error = absent.not_a_table(&lake).unwrap();
    let told = format!("the folder {}/systemuser/ holds systemuser/mine.parquet", folder.path().display());
    assert!(error.to_string().starts_with(&told), "{error}");
    assert_eq!((error.remedy(), error.stops_table()), (Some(Remedy::MoveAway), Some("systemuser")));
    assert!(lake.repair(&instance(), &SYSTEM_USER, ("run-2", at(0))).await.is_err());
    let others: Vec<_> = TABLES.iter().copied().filter(|table| table.name != "systemuser").collect();
    assert!(lake.ready(&instance(), &others, true).await.unwrap().is_empty());
    assert_eq!(walk(mine.parent().unwrap()), [mine], "nothing was written beside it");
}

#[tokio::test]
async fn a_raised_protocol_stops_its_table_alone() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    let raise = |table: &str, protocol: Value| commit(folder.path(), table, &[json!({ "protocol": protocol })]);
    raise("msdyn_copilotevent", json!({ "minReaderVersion": 1, "minWriterVersion": 3 }));
    let vectors = json!(["deletionVectors"]);
    raise(
        "payload",
        json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": vectors, "writerFeatures": vectors }),
    );
    let next = open(folder.path(), LakeOptions::default()).await;
    let survey = next.survey(&instance()).await.unwrap();
    let stopped: Vec<_> = survey.stopped.iter().map(|(table, error)| (table.name, error.remedy())).collect();
    let expected = [("msdyn_copilotevent", Some(Remedy::Recreate)), ("payload", Some(Remedy::PurgeDeletionVectors))];
    assert_eq!(stopped, expected);
    assert_eq!(verbatims(&next).await.len(), 1, "a constraint concerns no reader");
    assert!(matches!(next.files(&PAYLOAD).await, Err(Error::UnknownFeatures { table: "payload", .. })));
    let mut changes = next.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("a", 1, 2, "b")])).await.unwrap();
    let error = changes.commit("run-1").await.unwrap_err();
    assert!(matches!(error, Error::RaisedProtocol { table: "msdyn_copilotevent", .. }), "{error}");
    assert_eq!(glob(folder.path(), "msdyn_copilotevent").len(), 1);
}

#[tokio::test]
async fn another_shape_stops_its_table() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    let log = folder.path().join("msdyn_copilotevent/_delta_log");
    let entry = std::fs::read_to_string(log.join("00000000000000000000.json")).unwrap();
    let actions = entry.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut metadata = actions.into_iter().find_map(|mut action| action.get_mut("metaData").map(Value::take)).unwrap();
    metadata["partitionColumns"] = json!([]);
    commit(folder.path(), "msdyn_copilotevent", &[json!({ "metaData": metadata })]);
    let survey = open(folder.path(), LakeOptions::default()).await.survey(&instance()).await.unwrap();
    let [(_, error)] = &survey.stopped[..] else { panic!("{survey:?}") };
    assert!(error.to_string().ends_with("it is partitioned by []"), "{error}");
}

#[tokio::test]
async fn lost_files_stop_the_table_until_it_is_repaired() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week().next()), events(&[("c", 8 * 86_400, 1, "c")])).await.unwrap();
    changes.commit("run-1").await.unwrap();
    std::fs::remove_dir_all(folder.path().join("msdyn_copilotevent/week_start=2025-06-22")).unwrap();

    let next = open(folder.path(), LakeOptions::default()).await;
    let stopped = next.ready(&instance(), TABLES, false).await.unwrap();
    let [(_, error)] = &stopped[..] else { panic!("{stopped:?}") };
    let told = "table msdyn_copilotevent is damaged: 1 of 2 files missing or truncated in the week of 2025-06-22, the \
                first is msdyn_copilotevent/week_start=2025-06-22/part-";
    assert!(error.to_string().starts_with(told), "{error}");
    assert!(matches!(next.check_files(&COPILOT_EVENT).await, Err(Error::Damaged { .. })));
    // A read finds it too.
    let scan = next.scan(&COPILOT_EVENT, Scan::default()).await.unwrap();
    let error = scan.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.stops_table(), Some("msdyn_copilotevent"), "{error}");

    assert!(next.repair(&instance(), &COPILOT_EVENT, ("run-2", at(0))).await.unwrap());
    assert!(!next.repair(&instance(), &COPILOT_EVENT, ("run-2", at(0))).await.unwrap(), "once");
    assert!(next.ready(&instance(), TABLES, true).await.unwrap().is_empty());
    assert_eq!(verbatims(&next).await, [("c".to_owned(), "c".to_owned())]);
    // Another process knows what is to be read again.
    let other = open(folder.path(), LakeOptions::default()).await;
    let Extent::Weeks(weeks) = other.lost(&COPILOT_EVENT).await.unwrap().unwrap().extent else { panic!() };
    assert_eq!(weeks.into_keys().collect::<Vec<_>>(), [week()]);
    other.recovered(&COPILOT_EVENT).await.unwrap();
    let last = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(last.lost(&COPILOT_EVENT).await.unwrap(), None);
}

#[tokio::test]
async fn a_cut_file_and_a_lost_table_are_repaired() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    let file = folder.path().join(&logged(&lake, &COPILOT_EVENT).await[0]);
    std::fs::File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
    let next = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(next.ready(&instance(), TABLES, true).await.unwrap().len(), 1);
    assert!(next.repair(&instance(), &COPILOT_EVENT, ("run-2", at(0))).await.unwrap());
    next.prepare(&instance(), true).await.unwrap();
    assert_glob_is_log(folder.path(), &next).await;

    put(&next, &[("b", 1, 1, "b")]).await;
    std::fs::remove_dir_all(folder.path().join("msdyn_copilotevent/_delta_log")).unwrap();
    let next = open(folder.path(), LakeOptions::default()).await;
    let survey = next.survey(&instance()).await.unwrap();
    let absent: BTreeSet<_> = survey.absent.iter().map(|absent| (absent.table.name, absent.is_own)).collect();
    assert_eq!(absent, BTreeSet::from([("msdyn_copilotevent", true)]));
    assert!(next.repair(&instance(), &COPILOT_EVENT, ("run-2", at(0))).await.unwrap());
    assert_eq!(next.lost(&COPILOT_EVENT).await.unwrap().unwrap().extent, Extent::Everything);
    assert!(verbatims(&next).await.is_empty());
    assert_glob_is_log(folder.path(), &next).await;
}

#[tokio::test]
async fn a_file_with_other_rows_than_its_log_says_is_named() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a"), ("b", 2, 1, "b")]).await;
    lake.check_rows(&COPILOT_EVENT).await.unwrap();
    let path = logged(&lake, &COPILOT_EVENT).await.remove(0);
    let size = std::fs::metadata(folder.path().join(&path)).unwrap().len();
    let mut entry = add(path.strip_prefix("msdyn_copilotevent/").unwrap(), size);
    entry["add"]["stats"] = json!("{\"numRecords\":3}");
    commit(folder.path(), "msdyn_copilotevent", &[entry]);
    let next = open(folder.path(), LakeOptions::default()).await;
    let found = next.check_rows(&COPILOT_EVENT).await.unwrap_err();
    assert!(matches!(&found, Error::Parquet { path: of, .. } if *of == path), "{found}");
    assert!(found.to_string().contains("it has 2 rows, and 3 by the log"), "{found}");
    let read = next.scan(&COPILOT_EVENT, Scan::default()).await.unwrap().try_collect::<Vec<_>>().await;
    assert_eq!(read.unwrap_err().to_string(), found.to_string(), "whoever opens it");
}

#[tokio::test]
async fn a_table_that_is_named_as_a_view_is_somebody_elses() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("calendar/_delta_log");
    std::fs::create_dir_all(&log).unwrap();
    let field = json!({ "name": "date", "type": "date", "nullable": false, "metadata": {} });
    let schema = json!({ "type": "struct", "fields": [field] }).to_string();
    let metadata = json!({ "metaData": { "id": "11111111-2222-3333-4444-555555555555", "schemaString": schema,
        "format": { "provider": "parquet", "options": {} }, "partitionColumns": [], "configuration": {},
        "createdTime": now() } });
    let mine = json!({ "add": { "path": FOREIGN, "partitionValues": {}, "size": 4, "modificationTime": now(),
        "dataChange": true } });
    let protocol = json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } });
    commit(folder.path(), "calendar", &[protocol, metadata, mine]);
    std::fs::write(folder.path().join("calendar").join(FOREIGN), "mine").unwrap();
    let before = walk(&folder.path().join("calendar"));

    let lake = open(folder.path(), LakeOptions::default()).await;
    let survey = lake.survey(&instance()).await.unwrap();
    assert!(!survey.has_rows, "its rows are not the lake's");
    let [(table, error)] = &survey.stopped[..] else { panic!("{:?}", survey.stopped) };
    assert_eq!((table.name, error.stops_table()), ("calendar", Some("calendar")));
    assert_eq!(error.remedy(), Some(Remedy::Recreate));
    assert!(error.to_string().contains("table calendar ") && error.to_string().contains("somebody else's"), "{error}");
    let others: Vec<_> = TABLES.iter().copied().filter(|table| table.name != "calendar").collect();
    assert!(lake.ready(&instance(), &others, true).await.unwrap().is_empty());
    // A run that takes over a lease commits to every table but this one, and nobody can adopt it.
    lake.inner.log(&CALENDAR).fence().await.unwrap();
    let stopped = lake.ready(&instance(), &[&CALENDAR], true).await.unwrap();
    assert_eq!(stopped.iter().map(|(table, _)| table.name).collect::<Vec<_>>(), ["calendar"]);
    assert_eq!(walk(&folder.path().join("calendar")), before, "nothing was written beside it");
}
