//! What is kept of the service's answers, and how it is read again.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::*;
use crate::{ArchiveEntry, ArchivedContent, ArchivedFolder, EntryKind, Error, RunArchive, archived};

fn body(n: u32) -> Bytes {
    format!("{{\"value\":[{}]}}", "{\"a\":1},".repeat(n as usize * 100)).into()
}

pub(super) fn entry(kind: EntryKind, about: &str, content: Option<Bytes>) -> ArchiveEntry {
    ArchiveEntry { slice: 0, kind, about: RawValue::from_string(about.to_owned()).unwrap(), content }
}

/// A slice with so many pages, one payload, and one that has no bytes.
pub(super) async fn keep(run: &RunArchive, table: &str, name: &str, pages: u32) {
    let archive = run.begin(table, name);
    for n in 0..pages {
        archive.push(vec![entry(EntryKind::Page, &n.to_string(), Some(body(n)))]).await.unwrap();
    }
    let payload = entry(EntryKind::Payload, "\"p\"", Some(Bytes::from_static(b"\0\x01payload")));
    archive.push(vec![payload, entry(EntryKind::Payload, "null", None)]).await.unwrap();
    run.finish(table, archive, format!("{{\"slice\":\"{name}\"}}")).await.unwrap();
}

async fn found(place: impl AsRef<std::path::Path>) -> Vec<ArchivedFolder> {
    archived(place.as_ref().to_str().unwrap(), &StoreOptions::default()).await.unwrap()
}

/// An entry: its slice, what is said of it, and its bytes or why they cannot be read.
type FoundEntry = (u32, String, Option<Result<Bytes, String>>);

/// What an archive has.
async fn content(folder: &ArchivedFolder) -> Vec<FoundEntry> {
    let entries = folder.entries().await.unwrap();
    let contents: Vec<_> = entries.iter().filter_map(|entry| entry.content.clone()).collect();
    let mut read = folder.read(&contents).await.into_iter().map(|read| read.map_err(|error| error.to_string()));
    let each = |entry: &crate::ArchivedEntry| {
        (entry.slice, entry.about.to_string(), entry.content.as_ref().and_then(|_| read.next()))
    };
    entries.iter().map(each).collect()
}

fn kept(slice: u32, pages: u32) -> Vec<FoundEntry> {
    let mut all: Vec<_> = (0..pages).map(|n| (slice, n.to_string(), Some(Ok(body(n))))).collect();
    all.push((slice, "\"p\"".to_owned(), Some(Ok(Bytes::from_static(b"\0\x01payload")))));
    all.push((slice, "null".to_owned(), None));
    all
}

/// The files below a folder, sorted.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

#[tokio::test]
async fn pages_and_payloads_come_back_as_they_were() {
    let (folder, lake) = lake().await;
    keep(&lake.archive("run-2"), "msdyn_copilotevent", "createdon 2025-06-22T00:00:00Z/../x", 12).await;
    keep(&lake.archive("run-1"), "msdyn_copilotevent", "b", 1).await;
    // Not finished, and without payloads.
    let run = lake.archive("run-3");
    let unfinished = run.begin("payload", "a");
    unfinished.push(vec![entry(EntryKind::Page, "1", Some(body(1)))]).await.unwrap();
    run.finish("payload", run.begin("payload", "c"), "{}".to_owned()).await.unwrap();
    assert!(folder.path().join("_raw/msdyn_copilotevent/run-1/000001-000001-b/bundle-0001.zst").exists());
    assert_eq!(files(&folder.path().join("_raw")).len(), 3 + 3 + 1, "three for each archive, one without entries");

    let root = folder.path().to_str().unwrap();
    for place in [root.to_owned(), format!("{root}/_raw"), lake.url().to_string()] {
        let found = archived(&place, &StoreOptions::default()).await.unwrap();
        assert_eq!(found.len(), 3, "{place}");
        assert!(found.is_sorted_by_key(|slice| slice.path.clone()));
        assert_eq!(found[0].slice_json().await.unwrap(), "{\"slice\":\"b\"}");
        assert_eq!(content(&found[0]).await, kept(0, 1));
        assert_eq!(content(&found[1]).await, kept(0, 12));
        assert_eq!(found[2].slice_json().await.unwrap(), "{}");
        assert!(found[2].entries().await.unwrap().is_empty());
        let error = found[2].read(&[ArchivedContent::InFile(EntryKind::Page, 7)]).await.pop().unwrap().unwrap_err();
        assert!(error.to_string().contains("7.json"), "{error}");
    }
    // An archive's own folder is a place too.
    let own = found(format!("{root}/_raw/msdyn_copilotevent/run-1/000001-000001-b")).await;
    assert_eq!((own.len(), own[0].path.as_str()), (1, ""));
    assert_eq!(content(&own[0]).await, kept(0, 1));

    // The tables do not see it.
    lake.prepare(&instance(), true).await.unwrap();
    assert_glob_is_log(folder.path(), &lake).await;
    assert!(lake.weeks(&COPILOT_EVENT).await.unwrap().is_empty());
    assert_eq!(archived(root, &StoreOptions::default()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn small_archives_are_merged_into_few_objects() {
    let (folder, lake) = lake().await;
    let run = lake.archive("run-1");
    for n in 0..40 {
        keep(&run, "payload", &format!("part {n}"), n % 4).await;
    }
    keep(&run, "msdyn_copilotevent", "alone", 2).await;
    let raw = folder.path().join("_raw");
    assert_eq!(files(&raw).len(), 41 * 3);
    let before = files(&raw.join("payload")).iter().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>();
    let first = raw.join("payload/run-1/000001-000001-part_0-");
    run.merge_all().await.unwrap();
    assert_eq!(files(&raw).len(), 2 * 3, "one archive for each table");
    assert_eq!(std::fs::read_dir(raw.join("payload/run-1")).unwrap().count(), 1, "no empty folder stays");
    assert!(!first.exists());
    let found = found(folder.path()).await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].path, "_raw/payload/run-1/000001-000040-merged");
    let slices: Vec<_> = (0..40).map(|n| format!("{{\"slice\":\"part {n}\"}}\n")).collect();
    assert_eq!(found[1].slice_json().await.unwrap(), slices.concat());
    let all: Vec<_> = (0..40).flat_map(|n| kept(n, n % 4)).collect();
    assert_eq!(content(&found[1]).await, all);

    // A run that is killed while it removes what was merged leaves an archive that is part of another one.
    let left_over = raw.join("payload/run-1/000007-000007-part");
    std::fs::create_dir(&left_over).unwrap();
    for (name, bytes) in ["bundle-0001.zst", "index.jsonl.zst", "slice.json"].into_iter().zip(&before) {
        std::fs::write(left_over.join(name), bytes).unwrap();
    }
    assert_eq!(archived(raw.to_str().unwrap(), &StoreOptions::default()).await.unwrap().len(), 2);
    // Unless the other one is not complete.
    std::fs::remove_file(raw.join("payload/run-1/000001-000040-merged/slice.json")).unwrap();
    assert_eq!(archived(raw.to_str().unwrap(), &StoreOptions::default()).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_large_archive_has_bundles_of_128_mib() {
    let (folder, lake) = lake().await;
    let run = lake.archive("run-1");
    let archive = run.begin("payload", "large");
    // Bytes that cannot be compressed, without a generator: each block of a counter's hash.
    let mut state = 1_u64;
    let mut random = || {
        let next = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        Bytes::from_iter(next.take(20 << 20))
    };
    let payloads: Vec<_> = (0..8).map(|_| random()).collect();
    for (n, payload) in payloads.iter().enumerate() {
        archive.push(vec![entry(EntryKind::Payload, &n.to_string(), Some(payload.clone()))]).await.unwrap();
    }
    run.finish("payload", archive, "{}".to_owned()).await.unwrap();
    run.merge_all().await.unwrap();
    let sizes: Vec<_> = files(&folder.path().join("_raw")).iter().map(|path| path.metadata().unwrap().len()).collect();
    assert_eq!(sizes.len(), 4, "two bundles, index and description: {sizes:?}");
    assert!((120 << 20) < sizes[0] && sizes[0] <= 128 << 20 && (40 << 20) < sizes[1], "{sizes:?}");
    let read = content(&found(folder.path()).await[0]).await;
    assert!(read.into_iter().zip(payloads).all(|((.., read), payload)| read == Some(Ok(payload))));
}

#[tokio::test]
async fn an_archive_that_is_given_up_leaves_nothing() {
    let (folder, lake) = lake().await;
    let archive = lake.archive("run-1").begin("payload", "a");
    archive.push(vec![entry(EntryKind::Payload, "1", Some(vec![7; 9 << 20].into()))]).await.unwrap();
    drop(archive);
    tokio::task::yield_now().await;
    assert!(!folder.path().join("_raw").exists() || files(&folder.path().join("_raw")).is_empty());
}

#[tokio::test]
async fn a_copy_of_the_older_form_may_be_decompressed() {
    let folder = TempDir::new().unwrap();
    let slice = folder.path().join("copy/of it");
    std::fs::create_dir_all(&slice).unwrap();
    std::fs::write(slice.join("slice.json"), "{}").unwrap();
    std::fs::write(slice.join("0.json"), "{\"value\":[]}").unwrap();
    std::fs::write(slice.join("3.bin"), [0, 255]).unwrap();
    std::fs::write(slice.join("9.json.zst"), "cut").unwrap();
    std::fs::write(slice.join("notes.txt"), "").unwrap();
    let found = found(folder.path()).await;
    assert_eq!((found.len(), found[0].path.as_str()), (1, "copy/of it"));
    let files = [(EntryKind::Page, 0), (EntryKind::Payload, 3), (EntryKind::Page, 9)];
    let mut read = found[0].read(&files.map(|(kind, number)| ArchivedContent::InFile(kind, number))).await;
    let error = read.pop().unwrap().unwrap_err();
    assert_eq!(read.pop().unwrap().unwrap(), &[0, 255][..]);
    assert_eq!(read.pop().unwrap().unwrap(), "{\"value\":[]}");
    assert_eq!(found[0].payload_files().collect::<Vec<_>>(), [3]);
    assert!(error.to_string().contains("decompress copy/of it/9.json.zst"), "{error}");
}

#[tokio::test]
async fn a_damaged_byte_is_found_wherever_it_is_and_spoils_one_entry() {
    let (folder, lake) = lake().await;
    keep(&lake.archive("run-1"), "msdyn_copilotevent", "a", 3).await;
    let archive = &found(folder.path()).await[0];
    let whole = kept(0, 3);
    assert_eq!(content(archive).await, whole);
    let file = folder.path().join("_raw/msdyn_copilotevent/run-1/000001-000001-a/bundle-0001.zst");
    let bytes = std::fs::read(&file).unwrap();
    let mut spoilt = std::collections::BTreeSet::new();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&file, damaged).unwrap();
        let read = content(archive).await;
        let differ: Vec<_> = (0..read.len()).filter(|n| read[*n] != whole[*n]).collect();
        assert!(differ.len() <= 1, "byte {at}: {differ:?}");
        for entry in differ {
            let Some(Err(reason)) = &read[entry].2 else { panic!("byte {at} is read as if it were whole") };
            assert!(reason.contains("bundle-0001.zst at ") && reason.contains("its hash is not that"), "{reason}");
            spoilt.insert(entry);
        }
    }
    assert_eq!(spoilt.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    for length in 0..bytes.len() {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let read = content(&found(folder.path()).await[0]).await;
        let first_lost = read.iter().position(|(.., read)| matches!(read, Some(Err(_)))).unwrap_or(read.len());
        assert_eq!(read[..first_lost], whole[..first_lost]);
        for (.., lost) in &read[first_lost..4.max(first_lost)] {
            let reason = lost.as_ref().unwrap().as_ref().unwrap_err();
            assert!(reason.contains("bundle-0001.zst at ") && reason.contains("the bundle is cut"), "{reason}");
        }
    }
    std::fs::remove_file(&file).unwrap();
    let read = content(&found(folder.path()).await[0]).await;
    assert!(read[0].2.as_ref().unwrap().as_ref().unwrap_err().ends_with("bundle-0001.zst at 0: not in the archive"));
}

#[tokio::test]
async fn an_index_from_elsewhere_lists_no_bytes_twice_and_nothing_too_large() {
    let (folder, lake) = lake().await;
    keep(&lake.archive("run-1"), "msdyn_copilotevent", "a", 2).await;
    let archive = &found(folder.path()).await[0];
    let index = archive.index().await.unwrap();
    let file = folder.path().join("_raw/msdyn_copilotevent/run-1/000001-000001-a/index.jsonl.zst");
    let write = |text: &str| std::fs::write(&file, zstd::bulk::compress(text.as_bytes(), 1).unwrap()).unwrap();
    let first = index.lines().next().unwrap();
    for (text, expected) in [
        (
            format!("{first}\n{first}\n"),
            "line 2 of the index of _raw/msdyn_copilotevent/run-1/000001-000001-a: it lists",
        ),
        (index.replace("\"length\"", "\"l\""), "line 1 of the index"),
        (index.replace("\"slice\":0", "\"slice\":\"forged\""), "line 1 of the index"),
    ] {
        write(&text);
        let error = archive.entries().await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("forged"), "{error}");
    }
    let size = format!("\"size\":{}", body(0).len());
    for (size_told, reason) in [
        ((64 << 20) + 1, "it has more than 64 MiB, the limit for a page"),
        (body(0).len() as u64 - 1, "too small"),
        (body(0).len() as u64 + 1, "it has another size"),
    ] {
        write(&index.replacen(&size, &format!("\"size\":{size_told}"), 1));
        let read = content(archive).await;
        let error = read[0].2.as_ref().unwrap().as_ref().unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert_eq!(read[1..], kept(0, 2)[1..]);
    }
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
    let found = &found(folder.path()).await[0];
    let file =
        async |kind, number| found.read(&[ArchivedContent::InFile(kind, number)]).await.pop().unwrap().unwrap_err();
    for (error, expected) in [
        (
            found.slice_json().await.unwrap_err(),
            "cannot read a/slice.json: it has more than 256 MiB, the limit for a description",
        ),
        (
            found.index().await.unwrap_err(),
            "cannot read a/index.jsonl: it has more than 256 MiB, the limit for a description",
        ),
        (file(EntryKind::Page, 0).await, "cannot read a/0.json: it has more than 64 MiB, the limit for a page"),
        (file(EntryKind::Payload, 0).await, "cannot read a/0.bin: it has more than 32 MiB, the limit for a payload"),
        (
            file(EntryKind::Payload, 1).await,
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
    keep(&lake.archive("run-1"), "msdyn_copilotevent", "a", 1).await;
    let elsewhere = TempDir::new().unwrap();
    std::fs::write(elsewhere.path().join("0.json"), "secret").unwrap();
    let named = elsewhere.path().join("named");
    symlink(folder.path().join("_raw"), &named).unwrap();
    assert_eq!(
        archived(named.to_str().unwrap(), &StoreOptions::default()).await.unwrap().len(),
        1,
        "the place itself may be a link"
    );

    let slice = folder.path().join("_raw/msdyn_copilotevent/run-1/000001-000001-a");
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
