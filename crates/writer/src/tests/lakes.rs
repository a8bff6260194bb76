//! Opening, preparing, locking and cleaning up a lake.

use serde_json::Value;

use super::*;
use crate::{Error, FileRights};

fn log_entry(root: &Path, table: &str, version: u64) -> Vec<Value> {
    let path = root.join(table).join(format!("_delta_log/{version:020}.json"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_new_lake_has_all_tables_and_no_rows() {
    let (folder, lake) = lake().await;
    for table in copilot_lake_tables::TABLES {
        assert!(lake.files(table).await.unwrap().is_empty());
        let entry = log_entry(folder.path(), table.name, 0);
        let protocol = entry.iter().find_map(|action| action.get("protocol")).unwrap();
        assert_eq!(protocol, &serde_json::json!({ "minReaderVersion": 1, "minWriterVersion": 2 }));
        let metadata = entry.iter().find_map(|action| action.get("metaData")).unwrap();
        assert_eq!(metadata["configuration"]["copilotLake.organization"], "org-1");
        assert_eq!(metadata["configuration"]["copilotLake.schemaVersion"], "2");
        let partitions = if table.is_partitioned() { serde_json::json!(["week_start"]) } else { serde_json::json!([]) };
        assert_eq!(metadata["partitionColumns"], partitions);
        let schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        assert!(schema["fields"][0]["metadata"]["comment"].as_str().is_some_and(|doc| !doc.is_empty()));
    }
    // Preparing again changes nothing.
    lake.prepare(&instance(), true).await.unwrap();
    assert!(!folder.path().join("payload/_delta_log/00000000000000000001.json").exists());
}

#[tokio::test]
async fn opening_writes_nothing_and_reads_nothing() {
    let folder = TempDir::new().unwrap();
    let lake = open(&folder.path().join("not-there"), LakeOptions::default()).await;
    assert!(lake.files(&COPILOT_EVENT).await.unwrap().is_empty());
    assert!(!folder.path().join("not-there").exists());
    let error = Lake::open("ftp://somewhere/lake", LakeOptions::default()).await.err().unwrap();
    assert!(matches!(error, Error::Unsupported { .. }));
}

#[tokio::test]
async fn a_lake_survives_reopening_and_lives_in_memory_too() {
    let (folder, first) = lake().await;
    put(&first, &[("a", 1, 1, "a")]).await;
    let url = first.url().to_string();
    drop(first);
    let again = Lake::open(&url, LakeOptions::default()).await.unwrap();
    assert_eq!(verbatims(&again).await.len(), 1);
    put(&again, &[("a", 1, 2, "b")]).await;
    assert_eq!(verbatims(&again).await[0].1, "b");
    drop(folder);

    let memory = Lake::open("memory://", LakeOptions::default()).await.unwrap();
    memory.prepare(&instance(), true).await.unwrap();
    put(&memory, &[("a", 1, 1, "a")]).await;
    put(&memory, &[("a", 1, 2, "b")]).await;
    assert_eq!(verbatims(&memory).await.len(), 1);
}

#[tokio::test]
async fn another_instance_and_a_newer_lake_are_refused() {
    let (folder, lake) = lake().await;
    let other = Instance { organization: Some("org-2".to_owned()), tenant: None };
    let error = lake.prepare(&other, false).await.unwrap_err();
    assert!(matches!(error, Error::OtherInstance { what: "organization", .. }), "{error}");
    // What was not known is stored when it is.
    let more = Instance { tenant: Some("tenant-1".to_owned()), ..instance() };
    lake.prepare(&more, false).await.unwrap();
    let error = lake.prepare(&Instance { tenant: Some("x".to_owned()), ..instance() }, false).await.unwrap_err();
    assert!(matches!(error, Error::OtherInstance { what: "tenant", .. }), "{error}");

    let path = folder.path().join("payload/_delta_log/00000000000000000001.json");
    let entry = std::fs::read_to_string(&path).unwrap();
    let newer = entry.replace("\"copilotLake.schemaVersion\":\"2\"", "\"copilotLake.schemaVersion\":\"9\"");
    std::fs::write(&path, newer).unwrap();
    let error = lake.prepare(&more, false).await.unwrap_err();
    assert!(matches!(error, Error::NewerLake { table: "payload", lake: 9, known: 2 }), "{error}");
}

#[tokio::test]
async fn missing_columns_are_added_and_read_as_null() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    // As a program made it that did not know a column yet.
    let path = folder.path().join("msdyn_copilotevent/_delta_log/00000000000000000000.json");
    let mut entry = log_entry(folder.path(), "msdyn_copilotevent", 0);
    for action in &mut entry {
        let Some(metadata) = action.get_mut("metaData") else { continue };
        let mut schema: Value = serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != "deleted_at");
        metadata["schemaString"] = Value::from(schema.to_string());
    }
    let lines: Vec<String> = entry.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();

    let again = open(folder.path(), LakeOptions::default()).await;
    again.prepare(&instance(), false).await.unwrap();
    let added = log_entry(folder.path(), "msdyn_copilotevent", 2);
    let metadata = added.iter().find_map(|action| action.get("metaData")).unwrap();
    assert!(metadata["schemaString"].as_str().unwrap().contains("deleted_at"));
    put(&again, &[("a", 1, 2, "b")]).await;
    assert_eq!(verbatims(&again).await.len(), 1);
}

#[tokio::test]
async fn an_empty_log_entry_changes_nothing() {
    let (folder, lake) = lake().await;
    put(&lake, &[("a", 1, 1, "a")]).await;
    // As a commit leaves it that is cut short where no link and no rename refuses to replace.
    std::fs::write(folder.path().join("msdyn_copilotevent/_delta_log/00000000000000000002.json"), "").unwrap();
    let again = open(folder.path(), LakeOptions::default()).await;
    again.prepare(&instance(), true).await.unwrap();
    assert_eq!(put(&again, &[("b", 2, 1, "b")]).await.version, Some(3));
    assert_eq!(verbatims(&again).await.len(), 2);
    assert_glob_is_log(folder.path(), &again).await;
}

#[tokio::test]
async fn one_run_holds_the_lake() {
    let (folder, lake) = lake().await;
    let lock = lake.lock("run-7").await.unwrap();
    let other = open(folder.path(), LakeOptions::default()).await;
    match other.lock("run-8").await {
        Err(Error::Held { run_id, since }) => {
            assert_eq!(run_id, "run-7");
            assert!(Instant::parse(&since).is_some(), "{since}");
        }
        _ => panic!("two runs hold the lake"),
    }
    drop(lock);
    drop(other.lock("run-8").await.unwrap());
}

#[tokio::test]
async fn orphan_files_of_a_killed_run_are_deleted() {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions { memory: 1, ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();
    put(&lake, &[("a", 1, 1, "a")]).await;

    // Killed while a file was written, and between the naming of a file and its commit.
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("b", 2, 1, "b"), ("c", 3, 1, "c")])).await.unwrap();
    let staged = |root: &Path| walk(root).iter().filter(|path| path.to_string_lossy().contains(".parquet#")).count();
    assert_eq!(staged(folder.path()), 1);
    assert_glob_is_log(folder.path(), &lake).await;
    std::mem::forget(changes);
    let committed = folder.path().join(&logged(&lake, &COPILOT_EVENT).await[0]);
    let left = crate::storage::paths::data_file(&COPILOT_EVENT, None, 1);
    std::fs::copy(&committed, committed.with_file_name(left.filename().unwrap())).unwrap();
    std::fs::write(folder.path().join("payload").join(left.filename().unwrap()), "cut").unwrap();
    std::fs::write(folder.path().join("payload/_delta_log/00000000000000000000.json#1"), "cut").unwrap();
    let entry = std::fs::read(folder.path().join("payload/_delta_log/00000000000000000000.json")).unwrap();
    let staged_entry = folder.path().join("payload/_delta_log/00000000000000000001.json#1");
    std::fs::write(staged_entry, &entry[..entry.len() - 9]).unwrap();

    let next = open(folder.path(), LakeOptions::default()).await;
    next.prepare(&instance(), true).await.unwrap();
    assert_eq!(staged(folder.path()), 0);
    assert!(!walk(folder.path()).iter().any(|path| path.to_string_lossy().contains('#')));
    assert_glob_is_log(folder.path(), &next).await;
    assert_eq!(verbatims(&next).await.len(), 1);
}

#[tokio::test]
async fn dropped_changes_leave_nothing_to_be_seen() {
    let folder = TempDir::new().unwrap();
    let options = LakeOptions { memory: 1, ..LakeOptions::default() };
    let lake = open(folder.path(), options).await;
    lake.prepare(&instance(), false).await.unwrap();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.push(Some(week()), events(&[("b", 2, 1, "b"), ("c", 3, 1, "c")])).await.unwrap();
    drop(changes);
    assert_glob_is_log(folder.path(), &lake).await;
    assert!(verbatims(&lake).await.is_empty());
}

#[tokio::test]
async fn probing_leaves_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let nested = open(&folder.path().join("a/b/lake"), LakeOptions::default()).await;
    nested.probe().await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let lake = open(folder.path(), LakeOptions::default()).await;
    lake.probe().await.unwrap();
    assert!(folder.path().exists() && walk(folder.path()).is_empty());
    Lake::open("memory://", LakeOptions::default()).await.unwrap().probe().await.unwrap();

    // A file is in the way of the folder.
    std::fs::write(folder.path().join("file"), "").unwrap();
    let blocked = folder.path().join("file/lake");
    let error = open(&blocked, LakeOptions::default()).await.probe().await.unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
    assert!(error.to_string().contains(&format!("create the folder {}", blocked.display())), "{error}");
}

#[tokio::test]
async fn a_lake_may_lie_anywhere() {
    let folder = TempDir::new().unwrap();
    let names = ["100%20off", "per%cent", "%25", "a b", "lake#1", "what?", "größe/ä", "[a-z]*", "it's", "absent/../up"];
    for (at, name) in names.into_iter().enumerate() {
        let root = folder.path().join(name);
        let lake = open(&root, LakeOptions::default()).await;
        let root = lake.url().to_file_path().unwrap();
        lake.probe().await.unwrap();
        lake.prepare(&instance(), false).await.unwrap();
        // In the first, so many that there is a checkpoint, which is read afterwards.
        let versions = if at == 0 { 101 } else { 2 };
        for version in 1..=versions {
            put(&lake, &[("a", 1, version, "a")]).await;
        }
        for place in [root.to_str().unwrap(), lake.url().as_str()] {
            let again = Lake::open(place, LakeOptions::default()).await.unwrap();
            assert_eq!(verbatims(&again).await, [("a".to_owned(), "a".to_owned())], "{name}");
        }
        let log = root.join("msdyn_copilotevent/_delta_log");
        assert_eq!(log.join("_last_checkpoint").exists(), at == 0);
        lake.prepare(&instance(), true).await.unwrap();
        assert_glob_is_log(&root, &lake).await;
    }
    assert!(folder.path().join("up/payload/_delta_log").is_dir());
}

/// Every file and folder below a folder, with its mode.
#[cfg(unix)]
fn modes(folder: &Path) -> BTreeMap<PathBuf, u32> {
    use std::os::unix::fs::PermissionsExt;
    let (mut found, mut waiting) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let entry = entry.unwrap();
            let of = entry.metadata().unwrap();
            if of.is_dir() {
                waiting.push(entry.path());
            }
            found.insert(entry.path(), of.permissions().mode() & 0o777);
        }
    }
    found
}

#[cfg(unix)]
#[tokio::test]
async fn a_lake_belongs_to_its_user_unless_it_is_shared() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    // What the umask of this process makes of a file.
    let by_umask = std::fs::metadata(&plain).unwrap().permissions().mode() & 0o777;
    for (rights, file_mode) in [(FileRights::Private, 0o600), (FileRights::Shared, by_umask)] {
        let place = folder.path().join(format!("{rights:?}"));
        let root = place.join("deep/lake");
        let lake = open(&root, LakeOptions { rights, ..LakeOptions::default() }).await;
        let lock = lake.lock("run").await.unwrap();
        lake.prepare(&instance(), false).await.unwrap();
        put(&lake, &[("a", 1, 1, "text")]).await;
        archives::keep(&lake.archive("run"), "msdyn_copilotevent", "a", 1).await;
        drop(lock);
        lake.probe().await.unwrap();
        let found = modes(&place);
        let count = |name: &str| found.keys().filter(|path| path.to_string_lossy().contains(name)).count();
        assert!(
            count("_lock") == 1 && count(".parquet") == 1 && count("bundle-0001.zst") == 1 && count("_delta_log/") > 1
        );
        for (path, mode) in &found {
            let wanted = if path.is_dir() { file_mode | (file_mode >> 2 & 0o111) } else { file_mode };
            assert_eq!(mode, &wanted, "{}", path.display());
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_lock_is_not_taken_through_a_link() {
    let (folder, lake) = lake().await;
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "mine").unwrap();
    let _ = std::fs::remove_file(folder.path().join("_lock"));
    std::os::unix::fs::symlink(&victim, folder.path().join("_lock")).unwrap();
    let error = lake.lock("run").await.unwrap_err().to_string();
    assert!(error.ends_with("_lock: it is a symbolic link, which is not followed"), "{error}");
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
}
