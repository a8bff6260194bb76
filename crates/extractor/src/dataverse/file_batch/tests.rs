//! The files of a batch, and parts that are none.

use copilot_lake_tables::COPILOT_EVENT;
use reqwest::header::HeaderValue;

use super::*;
use crate::http::body_buffer::BodyBuffer;

fn file(number: u8) -> FileAddress {
    FileAddress {
        table: &COPILOT_EVENT,
        key: vec![format!("f9d841e5-0000-4000-8000-0000000000{number:02x}"), "p'1".to_owned()],
        column: "msdyn_interactiondata",
        name: None,
    }
}

fn files() -> Vec<FileAddress> {
    (10..13).map(file).collect()
}

/// A part that holds the base64 of the file's number, and names its row in this way.
fn part(number: u8, context: &str) -> String {
    let context = context.replace('*', &format!("F9D841E5-0000-4000-8000-0000000000{number:02x}"));
    let value = STANDARD.encode_to_string([number; 5]);
    response(200, &format!(r#"{{"@odata.context":"{context}","value":"{value}"}}"#))
}

fn response(status: u16, body: &str) -> String {
    format!("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\nRetry-After: 7\r\n\r\n{body}\r\n")
}

/// What is read: the first byte of a file, the status of a refusal, or nothing.
fn read(parts: &[String]) -> Vec<Option<u16>> {
    let body = format!("{}--b--", parts.concat());
    let mut buffer = BodyBuffer::new(None, 0);
    buffer.extend(body.as_bytes()).unwrap();
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("multipart/mixed; boundary=b"))]);
    let response = ServiceResponse { status: StatusCode::OK, headers, body: buffer };
    let read = super::read(response, &files()).unwrap();
    let of_part = |part: FilePart| match part {
        FilePart::Bytes(bytes) => {
            assert_eq!(bytes, [bytes[0]; 5].as_slice());
            Some(u16::from(bytes[0]))
        }
        FilePart::Response { status, headers, .. } => {
            assert_eq!(headers["retry-after"], "7");
            Some(status.as_u16())
        }
        FilePart::Unusable => None,
    };
    read.into_iter().map(of_part).collect()
}

const CONTEXT: &str =
    "https://x/$metadata#msdyn_copilotevents(msdyn_copiloteventid=*,partitionid='p')/msdyn_interactiondata";

#[test]
fn files_are_decoded_and_refusals_kept() {
    let all: Vec<_> = (10..13).map(|number| part(number, CONTEXT)).collect();
    assert_eq!(read(&all), [Some(10), Some(11), Some(12)]);
    let plain: Vec<_> = (10..13).map(|number| part(number, "https://x/$metadata#Edm.Binary")).collect();
    assert_eq!(read(&plain), [Some(10), Some(11), Some(12)], "by their order");
    let refused = [all[0].clone(), response(404, r#"{"error":{}}"#), all[2].clone()];
    assert_eq!(read(&refused), [Some(10), Some(404), Some(12)]);
}

#[test]
fn a_file_of_another_row_is_never_taken() {
    let all: Vec<_> = (10..13).map(|number| part(number, CONTEXT)).collect();
    let swapped = [all[1].clone(), all[0].clone(), all[2].clone()];
    assert_eq!(read(&swapped), [None, None, Some(12)]);
    assert_eq!(read(&all[1..]), [None, None, None], "the first one is missing");
    assert_eq!(read(&all[..2]), [Some(10), Some(11), None]);
    let plain: Vec<_> = (10..13).map(|number| part(number, "")).collect();
    assert_eq!(read(&plain[..2]), [None, None, None], "which one is missing is unknown");
    assert_eq!(read(&[response(404, "{}"), all[2].clone()]), [None, None, None]);
    assert_eq!(read(&[]), [None, None, None]);
}

#[test]
fn what_holds_no_base64_is_no_file() {
    for odd in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"value":null}"#,
        r#"{"value":7}"#,
        r#"{"value":"QQ="}"#,
        r#"{"value":"Q Q=="}"#,
        r#"{"value":"QQ"#,
        r#"{"value":"\u0051Q=="}"#,
        r#"{"value":"dear customer"}"#,
    ] {
        let parts = [part(10, CONTEXT), response(200, odd), part(12, CONTEXT)];
        assert_eq!(read(&parts), [Some(10), None, Some(12)], "{odd}");
    }
}

#[test]
fn a_request_names_no_host_and_ends_its_lines_as_documented() {
    let api = Url::parse("https://contoso.crm.dynamics.com/api/data/v9.2/").unwrap();
    let request = batch_request(&api, &files()[..2], 0).unwrap();
    assert_eq!(request.url.as_str(), "https://contoso.crm.dynamics.com/api/data/v9.2/$batch");
    let body = String::from_utf8(request.body.unwrap().to_vec()).unwrap();
    let row =
        |number| format!("msdyn_copiloteventid=f9d841e5-0000-4000-8000-0000000000{number},partitionid='p%27%271'");
    let part = |number| {
        let path = format!("/api/data/v9.2/msdyn_copilotevents({})/msdyn_interactiondata", row(number));
        format!(
            "--batch_files\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             GET {path} HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        )
    };
    assert_eq!(body, format!("{}{}--batch_files--\r\n", part("0a"), part("0b")));
}
