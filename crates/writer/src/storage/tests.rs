//! What this program and deltalake rely on.

use std::path::Path as FilePath;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};
use tempfile::TempDir;

use crate::storage::file_rights::FileRights;
use crate::storage::local_store::LocalStore;
use crate::storage::location::Location;
use crate::storage::store_options::StoreOptions;

fn store(folder: &FilePath) -> LocalStore {
    Location::parse(folder.to_str().unwrap(), FileRights::Private, &StoreOptions::default()).unwrap().local.unwrap()
}

fn names(folder: &FilePath) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn text(store: &LocalStore, path: &Path) -> String {
    String::from_utf8(store.get(path).await.unwrap().bytes().await.unwrap().into()).unwrap()
}

#[tokio::test]
async fn a_put_creates_or_replaces_as_asked() {
    let folder = TempDir::new().unwrap();
    let (store, path) = (store(&folder.path().join("not/there")), Path::from("log/1.json"));
    store.put_opts(&path, "a".into(), PutMode::Create.into()).await.unwrap();
    let refused = store.put_opts(&path, "b".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    assert_eq!(text(&store, &path).await, "a");
    store.put(&path, "c".into()).await.unwrap();
    assert_eq!(text(&store, &path).await, "c");
    assert_eq!(names(&folder.path().join("not/there/log")), ["1.json"], "nothing temporary is left");
    let (copy, moved) = (Path::from("log/2.json"), Path::from("log/3.json"));
    store.copy(&path, &copy).await.unwrap();
    assert!(matches!(store.copy_if_not_exists(&path, &copy).await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(store.rename_if_not_exists(&copy, &path).await, Err(Error::AlreadyExists { .. })));
    store.rename_if_not_exists(&copy, &moved).await.unwrap();
    assert_eq!((text(&store, &moved).await, names(&folder.path().join("not/there/log")).len()), ("c".to_owned(), 2));
    store.delete(&path).await.unwrap();
    assert!(matches!(store.get(&path).await, Err(Error::NotFound { .. })));
    assert!(matches!(store.delete(&path).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn an_upload_is_seen_when_it_is_complete() {
    let folder = TempDir::new().unwrap();
    let (store, path) = (store(folder.path()), Path::from("t/file.parquet"));
    let mut upload = store.put_multipart(&path).await.unwrap();
    let (second, first) = (upload.put_part("abc".into()), upload.put_part("def".into()));
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(names(&folder.path().join("t")), ["file.parquet#1"]);
    assert!(store.list(None).try_collect::<Vec<_>>().await.unwrap().is_empty(), "it is hidden");
    upload.complete().await.unwrap();
    assert!(upload.complete().await.is_err() && upload.put_part("x".into()).await.is_err());
    assert_eq!(store.get_range(&path, 2..4).await.unwrap(), "cd");
    assert_eq!(store.get_ranges(&path, &[0..1, 5..6]).await.unwrap(), ["a", "f"]);
    assert_eq!(store.head(&path).await.unwrap().size, 6);

    let mut dropped = store.put_multipart(&path).await.unwrap();
    dropped.put_part("x".into()).await.unwrap();
    drop(dropped);
    assert_eq!(names(&folder.path().join("t")), ["file.parquet"]);
    assert_eq!(text(&store, &path).await, "abcdef");
}

#[tokio::test]
async fn listings_are_sorted_and_hide_what_is_staged() {
    let folder = TempDir::new().unwrap();
    let store = store(folder.path());
    for number in [3, 1, 2, 5, 4] {
        store.put(&Path::from(format!("log/{number}.json")), "x".into()).await.unwrap();
    }
    std::fs::write(folder.path().join("log/6.json#1"), "cut").unwrap();
    let listed = store.list_with_offset(Some(&Path::from("log")), &Path::from("log/1.json"));
    let listed: Vec<_> = listed.map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    assert_eq!(listed, ["log/2.json", "log/3.json", "log/4.json", "log/5.json"]);
    let listed = store.list_with_delimiter(None).await.unwrap();
    assert_eq!((listed.common_prefixes, listed.objects.len()), (vec![Path::from("log")], 0));
    assert!(store.put(&Path::parse("log/7.json#1").unwrap(), "x".into()).await.is_err());
}
