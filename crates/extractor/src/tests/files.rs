//! Fetching files.

use super::*;
use crate::{FileAddress, FileContent};

fn address() -> FileAddress {
    FileAddress {
        table: &COPILOT_EVENT,
        key: vec!["f9d841e5-0000-4000-8000-000000000001".to_owned(), "20250622-20250628-100230203".to_owned()],
        column: "msdyn_interactiondata",
        name: None,
    }
}

async fn fetch(response: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (Result<FileContent, Error>, Server) {
    let server = Server::start(move |request| response(request.number)).await;
    (dataverse(server.url.clone()).file(&address()).await, server)
}

fn file(bytes: &[u8]) -> Reply {
    Reply::ok(bytes).header("x-ms-file-size", bytes.len().to_string()).header("x-ms-file-name", "summary.txt")
}

#[tokio::test]
async fn a_file_is_fetched_by_its_rows_address() {
    let (found, server) = fetch(|_| file(b"bytes \x00\xff")).await;
    let found = found.unwrap();
    assert_eq!((&found.bytes[..], found.name.as_deref()), (&b"bytes \x00\xff"[..], Some("summary.txt")));
    assert_eq!(
        server.asked()[0].target,
        "/api/data/v9.2/msdyn_copilotevents(msdyn_copiloteventid=f9d841e5-0000-4000-8000-000000000001,\
         partitionid='20250622-20250628-100230203')/msdyn_interactiondata/$value"
    );
    assert_eq!(server.asked()[0].header("prefer"), None);
    assert!(!format!("{found:?}").contains("bytes \\"), "{found:?}");
}

#[tokio::test]
async fn a_file_without_a_declared_length_is_read_to_its_end() {
    let long: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
    let body = long.clone();
    let (found, _server) = fetch(move |_| Reply::ok(body.clone()).unframed()).await;
    let found = found.unwrap();
    assert!(found.bytes == long && found.name.is_none());
    let (found, _server) = fetch(|_| Reply::ok("")).await;
    assert!(found.unwrap().bytes.is_empty());
}

#[tokio::test]
async fn a_file_of_another_size_than_declared_is_asked_again() {
    for wrong in ["4", "6"] {
        let (found, server) = fetch(move |number| match number {
            1 => Reply::ok("12345").header("x-ms-file-size", wrong).unframed(),
            2 => file(b"12345").cut(3),
            _ => file(b"12345"),
        })
        .await;
        assert_eq!(&found.unwrap().bytes[..], b"12345");
        assert_eq!(server.asked().len(), 3);
    }
    // Never twice alike: it is cut on the way.
    let other = |number: usize| Reply::ok(&b"123456789"[..number]).header("x-ms-file-size", "10");
    let (found, server) = fetch(other).await;
    let error = found.unwrap_err();
    let expected = "the size of the file is not the one that the service declares";
    assert!(matches!(&error, Error::Unreachable { cause, .. } if cause == expected), "{error}");
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_file_of_another_size_that_comes_twice_alike_is_kept() {
    for size in ["6", "4", "0"] {
        let (found, server) = fetch(move |_| Reply::ok("12345").header("x-ms-file-size", size)).await;
        let found = found.unwrap();
        assert_eq!((&found.bytes[..], found.declared_size), (&b"12345"[..], size.parse().ok()));
        assert_eq!(server.asked().len(), 2);
    }
    let (found, _server) = fetch(|_| file(b"12345")).await;
    assert_eq!(found.unwrap().declared_size, None);
}

#[tokio::test]
async fn a_name_outside_ascii_is_decoded_where_it_is_utf_8() {
    for (sent, name) in [
        ("Transkript%20%C3%A4.json", "Transkript ä.json"),
        ("100% sure.txt", "100% sure.txt"),
        ("latin%E4.txt", "latin%E4.txt"),
        ("plain.txt", "plain.txt"),
    ] {
        let (found, _server) = fetch(move |_| Reply::ok("x").header("x-ms-file-name", sent)).await;
        assert_eq!(found.unwrap().name.as_deref(), Some(name));
    }
}

/// Serves a file in the requested parts.
fn served(request: &Request, bytes: &[u8]) -> Reply {
    let Some(range) = request.header("range") else { return file(bytes) };
    let (start, end) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap();
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    let part = bytes.get(start..bytes.len().min(end + 1)).unwrap_or_default();
    let header = format!("bytes {start}-{}/{}", start + part.len(), bytes.len());
    Reply::new(206, part).header("x-ms-file-size", bytes.len().to_string()).header("Content-Range", header)
}

fn large() -> Vec<u8> {
    (0..(17 << 20) as u32).map(|n| (n >> 12) as u8).collect()
}

async fn fetch_by(response: impl Fn(Request) -> Reply + Send + Sync + 'static) -> (Result<FileContent, Error>, Server) {
    let server = Server::start(response).await;
    (dataverse(server.url.clone()).file(&address()).await, server)
}

#[tokio::test]
async fn a_file_above_16_mib_comes_in_parts_of_which_each_is_tried_alone() {
    let (found, server) = fetch_by(|request| match request.number {
        3 => served(&request, &large()).cut(100),
        5 => Reply::new(503, ""),
        _ => served(&request, &large()),
    })
    .await;
    let found = found.unwrap();
    assert!(found.bytes == large() && found.declared_size.is_none());
    let ranges: Vec<_> = server.asked().iter().map(|asked| asked.header("range").map(str::to_owned)).collect();
    let range = |part: usize| Some(format!("bytes={}-{}", part << 22, ((part + 1) << 22) - 1));
    let expected = [None, range(0), range(1), range(1), range(2), range(2), range(3), range(4)];
    assert_eq!(ranges, expected);
}

#[tokio::test]
async fn a_large_file_comes_whole_where_the_service_serves_no_parts() {
    let message = "Downloading in multiple chunks is not supported for the files stored in the database.";
    let (found, server) = fetch_by(move |request| match request.header("range") {
        Some(_) => refusal(400, "0x80090017", message),
        None => file(&large()),
    })
    .await;
    assert!(found.unwrap().bytes == large());
    assert_eq!(server.asked().len(), 3);
    let (found, server) = fetch_by(|_| file(&large())).await;
    let found = found.unwrap();
    assert!(found.bytes == large() && found.name.as_deref() == Some("summary.txt"));
    assert_eq!(server.asked().len(), 2, "the response to the first part is all of it");
    let (found, _server) = fetch_by(|request| match request.header("range") {
        Some(_) => served(&request, &large()),
        None => refusal(413, "", "too large"),
    })
    .await;
    assert!(found.unwrap().bytes == large());
}

#[tokio::test]
async fn a_file_that_changes_while_it_comes_in_parts_is_not_put_together() {
    let (found, _server) = fetch_by(|request| {
        let shorter = large().len() - request.number;
        served(&request, &large()[..shorter])
    })
    .await;
    assert!(matches!(found, Err(Error::Unreachable { .. })), "{found:?}");
}

#[tokio::test]
async fn a_file_above_32_mib_is_not_read() {
    let (found, server) = fetch(|_| Reply::ok("x").header("x-ms-file-size", "33554433").unframed()).await;
    assert!(matches!(found, Err(Error::FileTooLarge { size: 33_554_433, .. })), "{found:?}");
    assert_eq!(server.asked().len(), 1);
    let (found, _server) = fetch(|_| Reply::ok(vec![b'x'; (32 << 20) + 1]).unframed()).await;
    assert!(matches!(found, Err(Error::FileTooLarge { .. })), "{found:?}");
    let (found, _server) = fetch(|_| file(&vec![b'x'; 32 << 20])).await;
    assert_eq!(found.unwrap().bytes.len(), 32 << 20);
}

#[tokio::test]
async fn a_missing_file_says_why() {
    let absent = "No file attachment found for attribute: msdyn_interactiondata EntityId: 1.";
    for (status, code, message, expected) in [
        (404, "0x80040217", absent, "the service has no file for this column of the row"),
        (404, "0x80040217", "Entity does not exist", "the service has no such row, or no file for it"),
        (404, "0x80060891", "", "the service has no such row"),
        (204, "", "", "the service answers without content"),
    ] {
        let (found, server) =
            fetch(move |_| if status == 204 { Reply::new(204, "") } else { refusal(status, code, message) }).await;
        let error = found.unwrap_err();
        assert!(matches!(&error, Error::FileMissing { reason, .. } if *reason == expected), "{error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_secured_column_is_told_apart_from_a_missing_privilege() {
    let (found, server) = fetch(|_| refusal(403, "-2147158780", "The user does not have read permissions")).await;
    let error = found.unwrap_err();
    let Error::ColumnSecured { table: "msdyn_copilotevent", column: "msdyn_interactiondata", .. } = error else {
        panic!("{error}")
    };
    let text = "permission missing: the column `msdyn_interactiondata` of `msdyn_copilotevent` is secured";
    assert!(error.to_string().starts_with(text) && error.to_string().contains("column security profile"), "{error}");
    assert_eq!(server.asked().len(), 1);
    let (found, _server) =
        fetch(|_| refusal(403, "0x80040220", "is missing prvReadmsdyn_copilotevent privilege")).await;
    assert!(matches!(found, Err(Error::PermissionMissing { .. })), "{found:?}");
}

#[tokio::test]
async fn the_rooms_of_dropped_files_serve_the_next() {
    let server = Server::start(|_| file(&vec![b'x'; 30 << 20])).await;
    let service = dataverse(server.url.clone());
    let address = address();
    for _ in 0..4 {
        // Two fit at once, three do not.
        let (one, two) = tokio::join!(service.file(&address), service.file(&address));
        assert_eq!(one.unwrap().bytes.len() + two.unwrap().bytes.len(), 60 << 20);
    }
}

/// Two files of 30 MiB, which leave 4 MiB of the budget.
async fn two_large_files(service: &Dataverse) -> (FileContent, FileContent) {
    let address = address();
    let (one, two) = tokio::join!(service.file(&address), service.file(&address));
    (one.unwrap(), two.unwrap())
}

fn spawn_fetch(service: &Dataverse) -> tokio::task::JoinHandle<Result<FileContent, Error>> {
    let service = service.clone();
    tokio::spawn(async move { service.file(&address()).await })
}

#[tokio::test]
async fn a_file_that_outgrows_its_memory_is_requested_again_and_waits_with_none() {
    let server = Server::start(|request| match request.number {
        // Each is first requested whole.
        1..=4 => file(&vec![b'x'; 30 << 20]),
        _ => Reply::ok(vec![b'y'; 6 << 20]).unframed(),
    })
    .await;
    let service = dataverse(server.url.clone());
    let (one, two) = two_large_files(&service).await;
    let third = spawn_fetch(&service);
    server.until_asked(6).await;
    // A clone or a slice of the bytes holds their memory, too.
    let slice = one.bytes.slice(..1);
    drop(one);
    assert!(!third.is_finished());
    drop(slice);
    assert!(third.await.unwrap().unwrap().bytes == vec![b'y'; 6 << 20]);
    assert_eq!(server.asked().len(), 6);
    drop(two);
}

#[tokio::test]
async fn a_file_that_waits_for_memory_holds_no_permit_and_whether_one_exists_needs_no_memory() {
    let server = Server::start(|request| {
        let reply = match (request.target.contains("WhoAmI"), request.number) {
            (true, _) => who_am_i(),
            (false, 1..=4) => file(&vec![b'x'; 30 << 20]),
            (false, _) => file(&vec![b'y'; 10 << 20]),
        };
        // One request at a time.
        reply.header("x-ms-dop-hint", "1")
    })
    .await;
    let service = dataverse(server.url.clone());
    let (one, two) = two_large_files(&service).await;
    let third = spawn_fetch(&service);
    server.until_asked(5).await;
    service.who_am_i().await.unwrap();
    assert!(service.has_file(&address()).await.unwrap());
    assert!(!third.is_finished());
    drop(one);
    assert_eq!(third.await.unwrap().unwrap().bytes.len(), 10 << 20);
    assert_eq!(server.asked().len(), 7, "nothing was requested twice");
    drop(two);
}

#[tokio::test]
async fn whether_a_file_exists_is_known_without_its_bytes() {
    let server = Server::start(|request| match request.number {
        1 => file(&vec![b'x'; 33 << 20]),
        2 => refusal(503, "", ""),
        3 => refusal(404, "0x80040217", "No file attachment found for attribute"),
        _ => refusal(403, "0x80040220", "is missing prvReadmsdyn_copilotevent privilege"),
    })
    .await;
    let service = dataverse(server.url.clone());
    assert!(service.has_file(&address()).await.unwrap());
    assert!(!service.has_file(&address()).await.unwrap());
    let error = service.has_file(&address()).await.unwrap_err();
    assert!(matches!(&error, Error::PermissionMissing { .. }), "{error}");
}
