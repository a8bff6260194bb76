//! Change tracking, and rows by id.

use super::*;
use copilot_lake_tables::{COPILOT_TRANSCRIPT_DATA, SYSTEM_USER};
use futures::TryStreamExt;

const FIRST: &str = "AAAAAAAA-0000-4000-8000-000000000001";
const SECOND: &str = "aaaaaaaa-0000-4000-8000-000000000002";
const TOKEN: &str = "/api/data/v9.2/t?$select=x&$deltatoken=919042%2108%2f22%2f2017%2008%3a10%3a44";

/// The last page of changes.
fn changes(request: &Request, rows: &str, token: &str) -> Reply {
    let token = format!("{}{token}", request.base());
    Reply::ok(format!(r#"{{"@odata.context":"c/$delta","value":{rows},"@odata.deltaLink":"{token}"}}"#))
}

fn gone(id: &str) -> String {
    format!(r#"{{"@odata.context":"https://h.example/$metadata#t/$deletedEntity","id":"{id}","reason":"deleted"}}"#)
}

#[tokio::test]
async fn the_first_read_keeps_only_the_token() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, r#"[{"@odata.etag":"1","msdyn_copilottranscriptdataid":"a"}]"#, Some("/2")),
        _ => changes(&request, r#"[{"@odata.etag":"2","msdyn_copilottranscriptdataid":"b"}]"#, TOKEN),
    })
    .await;
    let tracking = dataverse(server.url.clone()).deleted(&COPILOT_TRANSCRIPT_DATA, None).await.unwrap();
    assert_eq!((tracking.deleted.len(), tracking.pages, tracking.rows, tracking.requests), (0, 2, 2, 2));
    assert_eq!(tracking.token, format!("{}{}", server.url, &TOKEN[1..]));
    let asked = server.asked();
    let collection = "/api/data/v9.2/msdyn_copilottranscriptdatas?$select=msdyn_copilottranscriptdataid";
    assert_eq!((asked[0].target.as_str(), asked[1].target.as_str()), (collection, "/2"));
    for request in &asked {
        assert_eq!(request.header("prefer"), Some("odata.maxpagesize=3,odata.track-changes"));
    }
}

#[tokio::test]
async fn later_reads_follow_the_token_verbatim_and_find_what_was_deleted() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, &format!(r#"[{{"@odata.etag":"1","a":"b"}},{}]"#, gone(FIRST)), Some("/2")),
        2 => changes(&request, &format!("[{}]", gone(SECOND)), "/later"),
        _ => changes(&request, "[]", "/later"),
    })
    .await;
    let service = dataverse(server.url.clone());
    let token = format!("{}{}", server.url, &TOKEN[1..]);
    let tracking = service.deleted(&COPILOT_TRANSCRIPT_DATA, Some(&token)).await.unwrap();
    assert_eq!(tracking.deleted, [FIRST.to_lowercase().as_str(), SECOND]);
    assert_eq!((tracking.pages, tracking.rows), (2, 1));
    assert_eq!(server.asked()[0].target, TOKEN);
    assert_eq!(server.asked()[0].header("prefer"), Some("odata.maxpagesize=3"));
    let again = service.deleted(&COPILOT_TRANSCRIPT_DATA, Some(&tracking.token)).await.unwrap();
    assert_eq!(again.token, tracking.token, "nothing changed, and the token may stay the same");
}

#[tokio::test]
async fn an_expired_token_is_told_whatever_the_status() {
    for (status, code) in [(400, "0x80044352"), (500, "-2147204270"), (410, ""), (404, "0X80044352")] {
        let server = Server::start(move |_| refusal(status, code, "Version stamp has expired.")).await;
        let token = format!("{}{}", server.url, &TOKEN[1..]);
        let tracked = dataverse(server.url.clone()).deleted(&COPILOT_TRANSCRIPT_DATA, Some(&token)).await;
        let error = tracked.unwrap_err();
        assert!(matches!(error, Error::DeltaTokenExpired { table: "msdyn_copilottranscriptdata", .. }), "{error}");
        assert!(!error.to_string().contains("919042") && server.asked().len() == 1, "{error}");
    }
}

#[tokio::test]
async fn a_token_leads_nowhere_else() {
    let server = Server::start(|request| match request.number {
        1 => Reply::ok(r#"{"value":[],"@odata.deltaLink":"https://h.example/x"}"#),
        _ => page(&request, "[]", None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let read = async |token| service.deleted(&COPILOT_TRANSCRIPT_DATA, token).await.unwrap_err();
    assert!(matches!(read(Some("https://h.example/x?y")).await, Error::ForeignLink { .. }));
    assert!(matches!(read(Some("919042!")).await, Error::BadPage { .. }));
    assert!(server.asked().is_empty());
    assert!(matches!(read(None).await, Error::ForeignLink { .. }), "a foreign token is not kept");
    let error = read(None).await;
    let Error::BadPage { reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "it has neither a next link nor a delta link");
}

#[tokio::test]
async fn rows_are_asked_for_by_forty_ids_at_a_time() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, r#"[{"a":1}]"#, Some("/rest")),
        _ => page(&request, r#"[{"a":2}]"#, None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let ids: Vec<_> = (0..41).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
    let selection = Selection::all(&SYSTEM_USER);
    let pages: Vec<_> = service.rows_of(&SYSTEM_USER, &ids, &selection).try_collect().await.unwrap();
    assert_eq!(pages.iter().map(|page| page.number).collect::<Vec<_>>(), [1, 2, 3]);
    let asked = server.asked();
    assert!(asked.iter().all(|request| request.target.len() < 4_000));
    assert_eq!(asked[1].target, "/rest");
    let last = "&$filter=systemuserid%20eq%2000000000-0000-4000-8000-000000000040";
    assert!(asked[2].target.ends_with(last), "{}", asked[2].target);
    let prefer = "odata.maxpagesize=3,odata.include-annotations=\"OData.Community.Display.V1.FormattedValue\"";
    assert!(asked.iter().all(|request| request.header("prefer") == Some(prefer)));

    let none: Vec<_> = service.rows_of(&SYSTEM_USER, &[], &selection).try_collect().await.unwrap();
    assert!(none.is_empty() && server.asked().len() == 3);
}

#[tokio::test]
async fn after_an_error_no_further_ids_are_asked_for() {
    let server = Server::start(|_| refusal(400, "0x80040203", "")).await;
    let ids: Vec<_> = (0..90).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
    let service = dataverse(server.url.clone());
    let pages: Vec<_> = service.rows_of(&SYSTEM_USER, &ids, &Selection::all(&SYSTEM_USER)).collect().await;
    assert!(matches!(pages.as_slice(), [Err(Error::Refused { .. })]), "{pages:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn the_keys_of_existing_rows_are_whole() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, &format!(r#"[{{"msdyn_copiloteventid":"{FIRST}","partitionid":"p"}}]"#), Some("/2")),
        _ => page(&request, &format!(r#"[{{"msdyn_copiloteventid":"{FIRST}","partitionid":"q"}}]"#), None),
    })
    .await;
    let ids = [FIRST.to_owned(), SECOND.to_owned()];
    let found = dataverse(server.url.clone()).existing(&COPILOT_EVENT, &ids).await.unwrap();
    let id = FIRST.to_lowercase();
    let expected = [vec![id.clone(), "p".to_owned()], vec![id, "q".to_owned()]];
    assert!(found.into_iter().eq(expected));
    let target = &server.asked()[0].target;
    assert!(target.contains("?$select=msdyn_copiloteventid,partitionid&$filter=msdyn_copiloteventid%20eq%20aaaaaaaa-"));
    assert!(target.contains("000000000001%20or%20msdyn_copiloteventid%20eq%20aaaaaaaa-"), "{target}");
}
