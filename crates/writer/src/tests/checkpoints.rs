//! Checkpoints: every reader can read them, they say what the entries said, and old entries go.

use std::fs::File;
use std::time::{Duration, SystemTime};

use ::parquet::basic::{Compression, Encoding};
use deltalake::kernel::Metadata;

use super::*;
use crate::delta::tombstones::Tombstone;
use crate::parquet::properties::CREATED_BY;

fn log_of(root: &Path) -> PathBuf {
    root.join("msdyn_copilotevent/_delta_log")
}

/// The versions of files of the log whose name ends like this.
fn versions_of(root: &Path, ending: &str) -> Vec<u64> {
    let names = std::fs::read_dir(log_of(root)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut versions: Vec<u64> = names.filter_map(|name| name.strip_suffix(ending)?.parse().ok()).collect();
    versions.sort_unstable();
    versions
}

fn entries(root: &Path) -> Vec<u64> {
    versions_of(root, ".json")
}

/// The versions that have a checkpoint, each of which must be in the form that all readers read: without dictionaries,
/// which some, such as Fabric, do not read there.
fn checkpoints(root: &Path) -> Vec<u64> {
    let versions = versions_of(root, ".checkpoint.parquet");
    for version in &versions {
        let (_, metadata) = read(&log_of(root).join(format!("{version:020}.checkpoint.parquet")));
        assert!(metadata.file_metadata().created_by().unwrap().starts_with(CREATED_BY));
        assert!(metadata.num_row_groups() > 0);
        for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
            // The levels of nested columns are always RLE.
            let encodings: Vec<Encoding> = column.encodings().collect();
            let is_plain = encodings.iter().all(|encoding| [Encoding::PLAIN, Encoding::RLE].contains(encoding));
            assert!(is_plain, "{}: {encodings:?}", column.column_path());
            assert_eq!(column.dictionary_page_offset(), None, "{}", column.column_path());
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", column.column_path());
        }
    }
    versions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_gets_checkpoints() {
    let (folder, lake) = lake().await;
    for n in 1..=101i64 {
        put(&lake, &[("a", 1, n, "a")]).await;
    }
    assert_eq!(checkpoints(folder.path()), [19, 39, 59, 79, 99]);
    let again = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(verbatims(&again).await.len(), 1);
    put(&again, &[("a", 1, 102, "b")]).await;
    assert_eq!(verbatims(&again).await[0].1, "b");
    assert_glob_is_log(folder.path(), &again).await;
}

/// A table as `deltalake` reads its log.
#[derive(Debug, PartialEq)]
struct LoadedTable {
    version: u64,
    metadata: Metadata,
    files: Vec<String>,
    removed: Vec<Tombstone>,
}

impl LoadedTable {
    async fn load(root: &Path) -> Self {
        let log = open(root, LakeOptions::default()).await.inner.log(&COPILOT_EVENT);
        let snapshot = log.snapshot().await.unwrap().unwrap();
        let mut files: Vec<_> = snapshot.files.iter().map(|file| format!("{file:?}")).collect();
        files.sort();
        let mut removed = log.tombstones().await.unwrap();
        removed.sort_by(|a, b| a.path.cmp(&b.path));
        Self { version: snapshot.version, metadata: snapshot.metadata.clone(), files, removed }
    }
}

#[tokio::test]
async fn a_checkpoint_says_what_the_entries_said() {
    let (folder, lake) = lake().await;
    for n in 0..6 {
        put_in_week(&lake, n).await;
    }
    put(&lake, &[("w0", 0, 2, "changed")]).await;
    let (before, rows) = (LoadedTable::load(folder.path()).await, verbatims(&lake).await);
    assert_eq!((before.files.len(), before.removed.len(), rows.len()), (6, 1, 6));

    lake.checkpoint(&COPILOT_EVENT).await.unwrap();
    assert_eq!(checkpoints(folder.path()), [before.version]);
    for version in 0..before.version {
        std::fs::remove_file(log_of(folder.path()).join(format!("{version:020}.json"))).unwrap();
    }
    assert_eq!(LoadedTable::load(folder.path()).await, before);
    let again = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(verbatims(&again).await, rows);
    assert!(!again.is_checkpoint_due(&COPILOT_EVENT).await.unwrap());

    // The next one begins with the first.
    put_in_week(&again, 6).await;
    again.checkpoint(&COPILOT_EVENT).await.unwrap();
    assert_eq!(checkpoints(folder.path()), [before.version, before.version + 1]);
    std::fs::remove_file(log_of(folder.path()).join(format!("{:020}.json", before.version))).unwrap();
    let last = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(verbatims(&last).await.len(), 7);
    assert_glob_is_log(folder.path(), &last).await;
}

#[tokio::test]
async fn old_entries_go_with_a_later_checkpoint() {
    let (folder, lake) = lake().await;
    for n in 0..6 {
        put_in_week(&lake, n).await;
    }
    lake.checkpoint(&COPILOT_EVENT).await.unwrap();
    let all = entries(folder.path());
    let old = *all.last().unwrap();
    assert_eq!((all, checkpoints(folder.path())), ((0..=old).collect(), vec![old]), "nothing is old");

    let a_month_ago = SystemTime::now() - Duration::from_hours(24 * 31);
    for file in walk(&log_of(folder.path())) {
        File::options().write(true).open(file).unwrap().set_modified(a_month_ago).unwrap();
    }
    for n in 6..9 {
        put_in_week(&lake, n).await;
    }
    lake.checkpoint(&COPILOT_EVENT).await.unwrap();
    // The old checkpoint stays: the versions of the last 30 days begin with it.
    assert_eq!(entries(folder.path()), (old..=old + 3).collect::<Vec<_>>());
    assert_eq!(checkpoints(folder.path()), [old, old + 3]);
    let again = open(folder.path(), LakeOptions::default()).await;
    assert_eq!(verbatims(&again).await.len(), 9);
    put(&again, &[("w0", 0, 2, "changed")]).await;
    assert_eq!(verbatims(&again).await[0], ("w0".to_owned(), "changed".to_owned()));
    assert_glob_is_log(folder.path(), &again).await;
}
