//! What is kept of the service's answers, and how it is read again.

use bytes::Bytes;

use super::*;
use crate::{Error, archived};

fn body(n: u32) -> Bytes {
    format!("{{\"value\":[{}]}}", "{\"a\":1},".repeat(n as usize * 100)).into()
}

/// A slice with so many pages and one payload.
async fn keep(lake: &Lake, run: &str, slice: &str, pages: u32) {
    let archive = lake.archive("msdyn_copilotevent", run, slice);
    for n in 0..pages {
        archive.page(n, body(n)).await.unwrap();
    }
    archive.payload(0, Bytes::from_static(b"\0\x01payload")).await.unwrap();
    archive.finish(format!("{{\"slice\":\"{slice}\"}}"), "{\"file_id\":\"f\"}\n".to_owned()).await.unwrap();
}

#[tokio::test]
async fn pages_and_payloads_come_back_as_they_were() {
    let (folder, lake) = lake().await;
    keep(&lake, "run-2", "createdon 2025-06-22T00:00:00Z/../x", 12).await;
    keep(&lake, "run-1", "b", 1).await;
    // Not finished, and without payloads.
    lake.archive("payload", "run-1", "a").page(0, body(1)).await.unwrap();
    lake.archive("payload", "run-1", "c").finish("{}".to_owned(), String::new()).await.unwrap();
    assert!(folder.path().join("_raw/msdyn_copilotevent/run-1/b/0.json.zst").exists());

    let root = folder.path().to_str().unwrap();
    for place in [root.to_owned(), format!("{root}/_raw"), lake.url().to_string()] {
        let found = archived(&place, &StoreOptions::default()).await.unwrap();
        assert_eq!(found.len(), 3, "{place}");
        assert!(found.is_sorted_by_key(|slice| slice.path.clone()));
        assert_eq!(found[0].slice_json().await.unwrap(), "{\"slice\":\"b\"}");
        assert_eq!(found[0].index().await.unwrap(), "{\"file_id\":\"f\"}\n");
        assert_eq!(found[1].page_numbers(), (0..12).collect::<Vec<_>>());
        for n in 0..12 {
            assert_eq!(found[1].page(n).await.unwrap(), body(n));
        }
        assert_eq!(found[1].payload(0).await.unwrap(), &b"\0\x01payload"[..]);
        assert_eq!(found[2].slice_json().await.unwrap(), "{}");
        assert_eq!((found[2].index().await.unwrap(), found[2].page_numbers()), (String::new(), vec![]));
        let error = found[2].page(7).await.unwrap_err();
        assert!(error.to_string().contains("7.json"), "{error}");
    }
    // A slice's own folder is a place too.
    let own = archived(&format!("{root}/_raw/msdyn_copilotevent/run-1/b"), &StoreOptions::default()).await.unwrap();
    assert_eq!((own.len(), own[0].path.as_str()), (1, ""));
    assert_eq!(own[0].page(0).await.unwrap(), body(0));

    // The tables do not see it.
    lake.prepare(&instance(), true).await.unwrap();
    assert_glob_is_log(folder.path(), &lake).await;
    assert!(lake.weeks(&COPILOT_EVENT).await.unwrap().is_empty());
    assert_eq!(archived(root, &StoreOptions::default()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_slice_that_is_read_again_replaces_what_was_kept() {
    let (folder, lake) = lake().await;
    keep(&lake, "run-1", "a", 5).await;
    keep(&lake, "run-1", "a", 2).await;
    let found = archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].page_numbers(), [0, 1]);
}

#[tokio::test]
async fn a_copy_may_be_decompressed() {
    let folder = TempDir::new().unwrap();
    let slice = folder.path().join("copy/of it");
    std::fs::create_dir_all(&slice).unwrap();
    std::fs::write(slice.join("slice.json"), "{}").unwrap();
    std::fs::write(slice.join("0.json"), "{\"value\":[]}").unwrap();
    std::fs::write(slice.join("3.bin"), [0, 255]).unwrap();
    std::fs::write(slice.join("9.json.zst"), "cut").unwrap();
    std::fs::write(slice.join("notes.txt"), "").unwrap();
    let found = archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.unwrap();
    assert_eq!((found.len(), found[0].path.as_str()), (1, "copy/of it"));
    assert_eq!(found[0].page_numbers(), [0, 9]);
    assert_eq!(found[0].page(0).await.unwrap(), "{\"value\":[]}");
    assert_eq!(found[0].payload(3).await.unwrap(), &[0, 255][..]);
    let error = found[0].page(9).await.unwrap_err();
    assert!(error.to_string().contains("decompress copy/of it/9.json.zst"), "{error}");
}

#[tokio::test]
async fn a_damaged_byte_is_found_wherever_it_is() {
    let (folder, lake) = lake().await;
    keep(&lake, "run-1", "a", 1).await;
    let slice = &archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.unwrap()[0];
    let original = slice.payload(0).await.unwrap();
    let file = folder.path().join("_raw/msdyn_copilotevent/run-1/a/0.bin.zst");
    let whole = std::fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&file, damaged).unwrap();
        // A bit that means nothing may differ.
        assert!(slice.payload(0).await.map_or(true, |bytes| bytes == original), "byte {at}");
    }
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(slice.payload(0).await.unwrap(), original);
}

#[tokio::test]
async fn a_file_that_no_service_could_have_sent_is_not_read() {
    let folder = TempDir::new().unwrap();
    let slice = folder.path().join("a");
    std::fs::create_dir_all(&slice).unwrap();
    // Files with holes take no space.
    for (name, mebibytes) in
        [("slice.json", 257), ("index.jsonl", 257), ("0.json", 65), ("0.bin", 33), ("1.bin.zst", 33)]
    {
        std::fs::File::create(slice.join(name)).unwrap().set_len(mebibytes << 20).unwrap();
    }
    let found = &archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.unwrap()[0];
    for (error, expected) in [
        (
            found.slice_json().await.unwrap_err(),
            "cannot read a/slice.json: it has more than 256 MiB, the limit for a description",
        ),
        (
            found.index().await.unwrap_err(),
            "cannot read a/index.jsonl: it has more than 256 MiB, the limit for a description",
        ),
        (found.page(0).await.unwrap_err(), "cannot read a/0.json: it has more than 64 MiB, the limit for a page"),
        (found.payload(0).await.unwrap_err(), "cannot read a/0.bin: it has more than 32 MiB, the limit for a payload"),
        (
            found.payload(1).await.unwrap_err(),
            "cannot read a/1.bin.zst: it has more than 32 MiB, the limit for a payload",
        ),
    ] {
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_place_without_anything_is_an_error() {
    let folder = TempDir::new().unwrap();
    assert!(archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.unwrap().is_empty());
    let error = archived(folder.path().join("none").to_str().unwrap(), &StoreOptions::default()).await.err().unwrap();
    assert!(matches!(error, Error::File { .. }), "{error}");
    let error = archived("ftp://somewhere", &StoreOptions::default()).await.err().unwrap();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn below_the_place_that_is_named_no_link_is_followed() {
    use std::os::unix::fs::symlink;
    let (folder, lake) = lake().await;
    keep(&lake, "run-1", "a", 1).await;
    let elsewhere = TempDir::new().unwrap();
    std::fs::write(elsewhere.path().join("0.json"), "secret").unwrap();
    let named = elsewhere.path().join("named");
    symlink(folder.path().join("_raw"), &named).unwrap();
    assert_eq!(
        archived(named.to_str().unwrap(), &StoreOptions::default()).await.unwrap().len(),
        1,
        "the place itself may be a link"
    );

    let slice = folder.path().join("_raw/msdyn_copilotevent/run-1/a");
    for (target, link) in [
        (elsewhere.path().join("0.json"), slice.join("1.json")),
        (elsewhere.path().to_owned(), folder.path().join("_raw/elsewhere")),
        (elsewhere.path().join("nothing"), slice.join("2.json")),
    ] {
        symlink(&target, &link).unwrap();
        let error =
            archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.err().unwrap().to_string();
        let name = link.file_name().unwrap().to_str().unwrap();
        assert!(error.ends_with(&format!("{name}: it is a symbolic link, which is not followed")), "{error}");
        std::fs::remove_file(link).unwrap();
    }
    std::fs::rename(folder.path().join("_raw"), elsewhere.path().join("raw")).unwrap();
    symlink(elsewhere.path().join("raw"), folder.path().join("_raw")).unwrap();
    let error = archived(folder.path().to_str().unwrap(), &StoreOptions::default()).await.err().unwrap().to_string();
    assert!(error.ends_with("_raw: it is a symbolic link, which is not followed"), "{error}");
}

#[test]
fn names_of_slices_stay_two_and_safe() {
    let name = |slice| crate::storage::paths::archive("t", "run-1", slice).to_string();
    assert_eq!(name("createdon-2025.06_22"), "_raw/t/run-1/createdon-2025.06_22");
    let odd = ["a b", "a/b", "a:b", "..", "", ".a", "ä", &"x".repeat(300), &"x".repeat(301)].map(name);
    for path in &odd {
        let last = path.strip_prefix("_raw/t/run-1/").unwrap();
        assert!(last.len() < 140 && !last.starts_with('.'), "{path}");
        assert!(last.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c)), "{path}");
    }
    assert_eq!(odd.iter().collect::<std::collections::BTreeSet<_>>().len(), odd.len());
}
