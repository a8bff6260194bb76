//! Fetching files.

use super::*;
use crate::{File, FileAddress};

fn address() -> FileAddress {
    FileAddress {
        table: &COPILOT_EVENT,
        key: vec!["f9d841e5-0000-4000-8000-000000000001".to_owned(), "20250622-20250628-100230203".to_owned()],
        column: "msdyn_interactiondata",
    }
}

async fn fetch(answer: impl Fn(usize) -> Reply + Send + Sync + 'static) -> (Result<File, Error>, Server) {
    let server = Server::start(move |request| answer(request.number)).await;
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
    let (found, server) = fetch(|_| Reply::ok("12345").header("x-ms-file-size", "6")).await;
    let error = found.unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { cause, .. } if cause == "the file ended after 5 of 6 bytes"),
        "{error}"
    );
    assert_eq!(server.asked().len(), 5);
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
