//! Bodies as the service sends them, as it does not, and cut at every byte.

use super::*;

const TYPE: &str = "multipart/mixed; boundary=batchresponse_1f";

fn part(status: &str, body: &str) -> String {
    format!(
        "--batchresponse_1f\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
         HTTP/1.1 {status}\r\nContent-Type: application/json; odata.metadata=minimal\r\nOData-Version: 4.0\r\n\r\n\
         {body}\r\n"
    )
}

fn whole() -> String {
    let parts =
        [part("200 OK", r#"{"value":"QQ=="}"#), part("404 Not Found", r#"{"error":{}}"#), part("204 No Content", "")];
    format!("{}--batchresponse_1f--\r\n", parts.concat())
}

/// Status and body of each part.
fn found(content_type: &str, text: &str) -> Result<Vec<Option<(u16, String)>>, &'static str> {
    let read = super::read(content_type, text.as_bytes())?;
    let of_part = |part: PartResponse| (part.status.as_u16(), text[part.body].to_owned());
    Ok(read.into_iter().map(|part| part.map(of_part)).collect())
}

fn expected() -> Vec<Option<(u16, String)>> {
    let part = |status, body: &str| Some((status, body.to_owned()));
    vec![part(200, r#"{"value":"QQ=="}"#), part(404, r#"{"error":{}}"#), part(204, "")]
}

#[test]
fn responses_come_in_their_order_with_status_headers_and_body() {
    assert_eq!(found(TYPE, &whole()).unwrap(), expected());
    let parts = super::read(TYPE, whole().as_bytes()).unwrap();
    assert_eq!(parts[0].as_ref().unwrap().headers["odata-version"], "4.0");
}

#[test]
fn other_spellings_mean_the_same() {
    for content_type in
        ["multipart/mixed;boundary=batchresponse_1f", "Multipart/Mixed; charset=utf-8; Boundary=\"batchresponse_1f\""]
    {
        assert_eq!(found(content_type, &whole()).unwrap(), expected(), "{content_type}");
    }
    for text in [
        whole().replace("\r\n", "\n"),
        whole().to_lowercase().replace("http/1.1", "HTTP/1.1").replace("qq==", "QQ=="),
        whole().replace("Content-Type: application/http", "CONTENT-TYPE:application/http; msgtype=response"),
        format!("before the first\r\n\r\n{}after the last", whole()),
        whole().replace("--batchresponse_1f\r\n", "--batchresponse_1f \t\r\n"),
        whole().trim_end().to_owned(),
    ] {
        assert_eq!(found(TYPE, &text).unwrap(), expected(), "{text}");
    }
}

#[test]
fn a_boundary_counts_at_the_beginning_of_a_line_alone() {
    let body = r#"{"value":"--batchresponse_1f--"}"#;
    let text = format!("{}--batchresponse_1f--", part("200 OK", body));
    assert_eq!(found(TYPE, &text).unwrap(), [Some((200, body.to_owned()))]);
    let longer = whole().replace("--batchresponse_1f\r\n", "--batchresponse_1f0\r\n");
    assert_eq!(found(TYPE, &longer).unwrap(), [], "none of its parts begins");
}

#[test]
fn what_is_no_multipart_body_or_has_no_end_is_an_error() {
    for (content_type, text) in [
        ("", whole()),
        ("multipart/mixed", whole()),
        ("multipart/mixed; boundary=", whole()),
        ("multipart/mixed; boundary=other", whole()),
        ("application/json; boundary=batchresponse_1f", whole()),
        (TYPE, String::new()),
        (TYPE, "<html>".to_owned()),
    ] {
        assert_eq!(found(content_type, &text), Err(NOT_MULTIPART), "{content_type} {text}");
    }
    let without_end = whole().replace("--batchresponse_1f--\r\n", "");
    assert_eq!(found(TYPE, &without_end), Err(INCOMPLETE));
}

#[test]
fn a_part_that_holds_no_response_is_told_from_its_neighbours() {
    for odd in [
        "",
        "\r\n",
        "Content-Type: application/json\r\n\r\n{}",
        "Content-Type: multipart/mixed; boundary=changesetresponse\r\n\r\n--changesetresponse--",
        "Content-Type: application/http\r\n\r\n",
        "Content-Type: application/http\r\n\r\n{\"value\":\"\"}",
        "Content-Type: application/http\r\n\r\nHTTP/1.1",
        "Content-Type: application/http\r\n\r\nHTTP/1.1 OK\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\n{}",
    ] {
        let text = format!("--batchresponse_1f\r\n{odd}\r\n{}", whole());
        let read = found(TYPE, &text).unwrap();
        assert_eq!((read[0].as_ref(), &read[1..]), (None, &expected()[..]), "{odd:?}");
    }
}

#[test]
fn a_body_that_is_cut_anywhere_is_an_error_and_no_panic() {
    for text in [whole(), whole().replace("\r\n", "\n")] {
        let end = text.trim_end().len();
        for cut in 0..end {
            assert!(found(TYPE, &text[..cut]).is_err(), "{cut}: {}", &text[..cut]);
        }
        // What begins in the middle is read without a panic.
        for start in 0..text.len() {
            drop(super::read(TYPE, &text.as_bytes()[start..]));
            let without = [&text.as_bytes()[..start], &text.as_bytes()[start + 1..]].concat();
            drop(super::read(TYPE, &without));
        }
    }
}
