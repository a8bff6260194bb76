//! Uploads in parts: several parts in flight within the memory budget, and nothing left of those that are given up.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use tokio::task::JoinHandle;

use super::archives::entry;
use super::machine::{Machine, PartFate};
use super::*;
use crate::EntryKind;
use crate::storage::abandoned_uploads::AbandonedUploads;
use crate::storage::file_upload::FileUpload;
use crate::storage::paths;

/// Bytes of a part.
const PART: usize = 10;

/// Nine parts and a short one.
fn content() -> Vec<u8> {
    (0..95).collect()
}

fn path() -> StorePath {
    StorePath::from("payload/file")
}

fn with_memory(memory: usize) -> LakeOptions {
    LakeOptions { memory, ..LakeOptions::default() }
}

/// Uploads the content.
fn upload(lake: &Lake) -> JoinHandle<object_store::Result<()>> {
    let mut upload = FileUpload::new(lake.inner.storage.upload_to(path(), PART), PART);
    tokio::spawn(async move {
        upload.write(&content()).await?;
        upload.finish().await
    })
}

#[tokio::test]
async fn parts_are_in_flight_side_by_side_as_far_as_memory_allows() {
    // Of one part the memory is not reserved; the others take it from a quarter of that of the lake.
    for (memory, expected) in [(0, 1), (100, 3), (4000, 4)] {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        let lake = machine.lake_with(&with_memory(memory), AbandonedUploads::Unlisted);
        let pool = lake.inner.storage.upload_to(path(), PART).memory.unwrap();
        machine.set_parts(PartFate::Held);
        let uploading = upload(&lake);
        machine.parts_are_in_flight(expected).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!((machine.parts_in_flight(), pool.is_exceeded()), (expected, false), "memory of {memory} bytes");
        machine.set_parts(PartFate::Sent);
        uploading.await.unwrap().unwrap();
        assert_eq!(store.get(&path()).await.unwrap().bytes().await.unwrap(), content());
        assert!(pool.try_reserve(memory / 4).is_some(), "nothing is reserved any more");
    }
    let (_folder, local) = lake().await;
    assert!(local.inner.storage.upload_to(path(), PART).memory.is_none(), "a disk gets one part after another");
}

#[tokio::test]
async fn a_part_that_fails_ends_the_upload() {
    let store = Arc::new(InMemory::new());
    let machine = Machine::new(&store);
    let lake = machine.lake_with(&with_memory(1000), AbandonedUploads::Unlisted);
    machine.set_parts(PartFate::Held);
    let uploading = upload(&lake);
    machine.parts_are_in_flight(4).await;
    machine.set_parts(PartFate::Failed);
    uploading.await.unwrap().unwrap_err();
    machine.uploads_ended().await;
    assert_eq!(machine.uploads(), (1, 1), "it is aborted");
    assert!(store.head(&path()).await.is_err());
    let pool = lake.inner.storage.upload_to(path(), PART).memory.unwrap();
    assert!(pool.try_reserve(1000 / 4).is_some(), "nothing is reserved any more");
}

/// Bytes that cannot be compressed, more than a part of a lake's upload.
fn incompressible() -> Bytes {
    let mut state = 1_u64;
    let next = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    next.take(6 << 20).collect()
}

/// Whether the lease that was released says that commits, and uploads, may be left.
async fn left(store: &InMemory) -> (bool, bool) {
    let text = store.get(&StorePath::from(paths::LOCK)).await.unwrap().bytes().await.unwrap();
    let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
    (text["unsettled"].as_bool().unwrap(), text["has_uploads"].as_bool().unwrap())
}

#[tokio::test]
async fn a_bundle_that_is_given_up_is_aborted_before_the_lease_is_released() {
    for is_aborted in [true, false] {
        let store = Arc::new(InMemory::new());
        let machine = Machine::new(&store);
        machine.fail_aborts(!is_aborted);
        let lake = machine.lake();
        let lock = lake.lock("run-1").await.unwrap();
        let archive = lake.archive("run-1").begin("payload", "a");
        archive.push(vec![entry(EntryKind::Payload, "1", Some(incompressible()))]).await.unwrap();
        assert_eq!(machine.uploads(), (1, 0));
        drop(archive);
        lock.release().await;
        assert_eq!(machine.uploads(), (1, usize::from(is_aborted)));
        assert_eq!(left(&store).await, (false, !is_aborted), "the next command looks for what is left");
        let next = Machine::new(&store).lake();
        next.lock("run-2").await.unwrap().release().await;
        assert_eq!(left(&store).await, (false, false));
    }
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn uploads_that_could_not_be_looked_for_are_left_to_the_next_command() {
    use crate::storage::cloud_store;
    // Nobody listens there any more.
    let endpoint = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = [
        ("aws_endpoint", format!("http://{endpoint}")),
        ("aws_region", "us-east-1".to_owned()),
        ("aws_access_key_id", "any".to_owned()),
        ("aws_secret_access_key", "any".to_owned()),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value));
    let options = StoreOptions { options: options.into(), ..StoreOptions::default() };
    let uploads = cloud_store::open(&url::Url::parse("s3://bucket/lake").unwrap(), &options).unwrap().uploads;
    let store = Arc::new(InMemory::new());
    let lake = Machine::new(&store).lake_with(&LakeOptions::default(), uploads);
    let lock = lake.lock("run-1").await.unwrap();
    assert_eq!((lock.aborted_uploads, lake.abort_uploads().await, lake.abandoned_uploads().await), (0, 0, 0));
    lake.prepare(&instance(), false).await.unwrap();
    lock.release().await;
    assert_eq!(left(&store).await, (false, true));
    let version = lake.version(&COPILOT_EVENT).await.unwrap();
    let next = Machine::new(&store).lake();
    next.lock("run-2").await.unwrap().release().await;
    assert_eq!(left(&store).await, (false, false), "it has looked");
    assert_eq!(next.version(&COPILOT_EVENT).await.unwrap(), version, "no commit can arrive late: nothing is fenced");
}
