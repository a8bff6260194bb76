use super::*;

/// The result of an independent parser: the rows as a value, and the links.
fn oracle(body: &[u8]) -> Option<(serde_json::Value, [Option<String>; 2])> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    let link = |name: &str| value.get(name).and_then(|link| link.as_str()).map(str::to_owned);
    let links = ["@odata.nextLink", "@odata.deltaLink"].map(link);
    value.get("value").filter(|rows| rows.is_array()).map(|rows| (rows.clone(), links))
}

/// Asserts that both paths agree with the oracle, and whether the fast one suffices.
fn check(body: &str, fast: bool) -> Envelope {
    let (rows, expected) = oracle(body.as_bytes()).expect("the test's own body is complete");
    let envelope = parse(body.as_bytes()).unwrap();
    let found: serde_json::Value = serde_json::from_slice(&body.as_bytes()[envelope.rows.clone()]).unwrap();
    assert_eq!((found, [envelope.next.clone(), envelope.delta.clone()]), (rows, expected), "{body}");
    assert_eq!(slow_path(body.as_bytes()).unwrap(), envelope, "{body}");
    assert_eq!(fast_path(body.as_bytes()).is_some(), fast, "{body}");
    envelope
}

const ROWS: &str = r#"[{"@odata.etag":"W/\"1\"","a":"x]}","b":null},{"@odata.etag":"W/\"2\"","a":"],\"@odata.nextLink\":\"no\"}","b":-1.5e3},{"@odata.etag":"W/\"3\"","a":"\\","b":"{\"@odata.etag\":[1]}"}]"#;

#[test]
fn usual_pages_are_read_from_both_ends() {
    let link = r#""@odata.nextLink":"https://h.example/api?$skiptoken=%3Ccookie%20a=%221%22%20/%3E\u0026x=\"y\"""#;
    let next = Some("https://h.example/api?$skiptoken=%3Ccookie%20a=%221%22%20/%3E&x=\"y\"".to_owned());
    assert_eq!(check(&format!(r#"{{"@odata.context":"c","value":{ROWS},{link}}}"#), true).next, next);
    assert_eq!(check(&format!(r#"{{"@odata.context":"c",{link},"value":{ROWS}}}"#), true).next, next);
    assert_eq!(check(&format!(r#"{{"value":{ROWS}}}"#), true).next, None);
    assert_eq!(check(&format!("\u{feff}{{\"@odata.count\":-1,\"value\":{ROWS}}}\r\n"), true).next, None);
    let spaced = format!("{{ \"a\" : true ,\n\"value\" : {ROWS} ,\t{link} , \"z\" : 1.5 }} ");
    assert_eq!(check(&spaced, true).next, next);
    for empty in ["[]", "[ \n ]"] {
        assert_eq!(check(&format!(r#"{{"value":{empty},{link}}}"#), true).next, next);
    }
}

#[test]
fn the_link_to_later_changes_is_found_at_both_ends() {
    let delta = r#""@odata.deltaLink":"https://h.example/api?$deltatoken=919%2108%2F22\u0026x""#;
    let expected = Some("https://h.example/api?$deltatoken=919%2108%2F22&x".to_owned());
    for body in [format!(r#"{{"value":{ROWS},{delta}}}"#), format!(r#"{{"@odata.context":"c",{delta},"value":[]}}"#)] {
        let envelope = check(&body, true);
        assert_eq!((envelope.next, envelope.delta), (None, expected.clone()));
    }
    // Deleted rows begin otherwise than the others.
    let mixed = r#"[{"@odata.etag":"1","a":"1"},{"@odata.context":"c","id":"1","reason":"deleted"}]"#;
    assert_eq!(check(&format!(r#"{{"value":{mixed},{delta}}}"#), false).delta, expected);
}

#[test]
fn unusual_pages_are_parsed_as_a_whole() {
    check(&format!(r#"{{"value":{ROWS},"@odata.nextLink":"https://h.example/?a[]=1"}}"#), false);
    check(&format!(r#"{{"value":{ROWS},"more":{{"a":[1]}}}}"#), false);
    check(&format!(r#"{{"more":[1],"value":{ROWS}}}"#), false);
    check(r#"{"value":[{},{}]}"#, false);
    check(r#"{"value":[1,"a",[2]]}"#, false);
    check(r#"{"value":[{"[":1}]}"#, false);
    check(r#"{"value":[],"@odata.nextLink":null}"#, false);
    let escaped = r#"{"v\u0061lue":[{"a":1}],"\u0040odata.nextLink":"https://h.example/"}"#;
    assert_eq!(check(escaped, false).next.as_deref(), Some("https://h.example/"));
}

#[test]
fn rows_with_other_first_names_need_not_be_the_usual_ones() {
    // The last row lacks the etag: the row before it is found, and something other than `]` follows it.
    check(r#"{"value":[{"@odata.etag":"1","a":1},{"a":2}]}"#, false);
    check(r#"{"value":[{"a":[{"b":1}]},{"a":[{"a":[]}]}]}"#, false);
}

#[test]
fn a_page_cut_anywhere_is_an_error() {
    let link = r#""@odata.nextLink":"https://h.example/?a]}b""#;
    let pages = [
        format!(r#"{{"@odata.context":"c","value":{ROWS},{link}}}"#),
        format!(r#"{{"@odata.context":"c","value":{ROWS}}}"#),
        format!(r#"{{{link},"value":{ROWS},"z":12}}"#),
        r#"{"value":[]}"#.to_owned(),
        r#"{"value":[{"a":"{\"a\":1}]}","b":"]}"},{"a":"]}","b":"{\"a\":1}]}"}]}"#.to_owned(),
        r#"{"value":[{"id":1,"m":[{"id":2}]},{"id":3,"m":[{"id":4}]}]}"#.to_owned(),
        r#"{"value":[{"a":1,"b":[1]},{"a":1,"b":[{"c":1}]},{"a":[1],"b":[[]]}]}"#.to_owned(),
    ];
    for page in pages {
        check_complete(&page);
        for cut in 0..page.len() {
            assert!(parse(&page.as_bytes()[..cut]).is_err(), "cut after {cut} of {page}");
        }
    }
}

fn check_complete(page: &str) {
    assert!(oracle(page.as_bytes()).is_some() && parse(page.as_bytes()).is_ok(), "{page}");
}

#[test]
fn what_is_no_page_is_an_error() {
    for (body, reason) in [
        ("", "the response is empty"),
        ("<html></html>", "the response is not a JSON object"),
        (r#"{"@odata.context":"c"}"#, "the response has no usable `value`"),
        (r#"{"value":{}}"#, "`value` is not an array"),
        (r#"{"value":[],"value":[]}"#, "the response has no usable `value`"),
        (r#"{"value":[{"a":1}],"@odata.nextLink":7}"#, "the response has no usable `value`"),
        (r#"{"@odata.nextLink":"a","value":[{"a":1}],"@odata.nextLink":"b"}"#, "the response has no usable `value`"),
        (r#"{"value":[{"a":1}],"error":{"code":"x","message":"y"}}"#, "the response ends with an error"),
        (r#"{"value":[{"a":1}],"error":"x"}"#, "the response ends with an error"),
        (r#"{"value":[{"a":1}]}}"#, "the response is not valid JSON"),
        (r#"{"value":[{"a":1}]"#, "the response ends before its JSON does"),
    ] {
        assert_eq!(parse(body.as_bytes()).unwrap_err(), reason, "{body}");
    }
}

/// JSON that is nested a million times is skipped without recursion, wherever it stands.
#[test]
fn depth_needs_no_stack() {
    const DEPTH: usize = 1_000_000;
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let inside = if open == "[" { "" } else { "1" };
        let deep = open.repeat(DEPTH) + inside + &close.repeat(DEPTH);
        for (body, is_page) in [
            (deep.clone(), false),
            (format!(r#"{{"value":{deep}}}"#), open == "["),
            (format!(r#"{{"value":[{deep}]}}"#), true),
            (format!(r#"{{"value":[{{"@odata.etag":"1","a":{deep}}}]}}"#), true),
            (format!(r#"{{"more":{deep},"value":[]}}"#), true),
            (format!(r#"{{"value":[],"more":{deep}}}"#), true),
            (format!(r#"{{"value":[],"@odata.nextLink":{deep}}}"#), false),
            (format!(r#"{{"value":[],"error":{deep}}}"#), false),
        ] {
            assert_eq!(parse(body.as_bytes()).is_ok(), is_page, "{body:.60}");
            assert!(parse(&body.as_bytes()[..body.len() / 2]).is_err(), "{body:.60}");
        }
    }
}
