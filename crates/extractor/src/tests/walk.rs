//! Page streams of Dataverse.

use super::*;
use futures::TryStreamExt;
use std::io::Write;

#[tokio::test]
async fn a_walk_follows_links_verbatim_until_there_is_none() {
    const LINK: &str = "/api/data/v9.2/any?$skiptoken=%3ccookie%20pagenumber=%222%22+x%2F%3E&a='b',(c);d$e{f}|g";
    let server = Server::start(|request| match request.number {
        1 => page(&request, r#"[{"a":1},{"a":2}]"#, Some(LINK)),
        2 => page(&request, "[]", Some("/third")),
        _ => page(&request, r#"[{"a":3}]"#, None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let pages = walk(&service).await;
    assert_eq!(rows(&pages), [r#"[{"a":1},{"a":2}]"#, "[]", r#"[{"a":3}]"#]);
    let numbers: Vec<_> =
        pages.iter().map(|page| page.as_ref().unwrap()).map(|page| (page.number, page.requests)).collect();
    assert_eq!(numbers, [(1, 1), (2, 1), (3, 1)]);

    let asked = server.asked();
    assert!(
        asked[0].target.starts_with("/api/data/v9.2/msdyn_copilotevents?$select=msdyn_copiloteventid,partitionid,")
    );
    assert_eq!((asked[1].target.as_str(), asked[2].target.as_str()), (LINK, "/third"));
    for request in &asked {
        assert_eq!(request.header("prefer"), Some("odata.maxpagesize=3"));
        assert_eq!(request.header("authorization"), Some("Bearer token-1"));
        assert_eq!(request.header("if-none-match"), Some("null"));
        assert_eq!(request.header("odata-maxversion"), Some("4.0"));
        assert_eq!(request.header("odata-version"), Some("4.0"));
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("accept-encoding"), Some("gzip"));
        assert_eq!(request.header("user-agent"), Some(concat!("copilot-lake/", env!("CARGO_PKG_VERSION"))));
    }
    assert_eq!(service.meter().requests, 3);
    assert_eq!(service.meter().throttled_seconds, 0.0);
}

#[tokio::test]
async fn the_next_page_is_asked_for_while_the_last_is_in_hand_and_no_further() {
    let server = Server::start(|request| {
        let link = format!("/page-{}", request.number + 1);
        page(&request, r#"[{"a":1}]"#, Some(&link).filter(|_| request.number < 3).map(String::as_str))
    })
    .await;
    let service = dataverse(server.url.clone());
    let mut pages = std::pin::pin!(service.pages(&slice(), &Selection::all(&COPILOT_EVENT)));
    assert!(server.asked().is_empty(), "nothing is sent before the first poll");
    pages.try_next().await.unwrap().unwrap();
    // Nobody polls the stream now.
    server.until_asked(2).await;
    assert_eq!(server.asked().len(), 2);
    pages.try_next().await.unwrap().unwrap();
    server.until_asked(3).await;
    pages.try_next().await.unwrap().unwrap();
    assert!(pages.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_compressed_page_is_the_same_page() {
    let server = Server::start(|_| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(br#"{"value":[{"a":"x"}]}"#).unwrap();
        Reply::ok(gzip.finish().unwrap()).header("Content-Encoding", "gzip")
    })
    .await;
    assert_eq!(rows(&walk(&dataverse(server.url.clone())).await), [r#"[{"a":"x"}]"#]);
}

#[tokio::test]
async fn a_link_to_another_origin_is_not_followed() {
    let other = Server::start(|request| page(&request, "[]", None)).await;
    let foreign = other.url.clone();
    let server = Server::start(move |_| {
        Reply::ok(format!(r#"{{"value":[{{"a":1}}],"@odata.nextLink":"{foreign}api/data/v9.2/x?secret=1"}}"#))
    })
    .await;
    let pages = walk(&dataverse(server.url.clone())).await;
    assert_eq!(pages.len(), 2, "the page before it is good, and nothing comes after the error");
    assert_eq!(rows(&pages[..1]), [r#"[{"a":1}]"#]);
    let Err(error @ Error::ForeignLink { origin, call }) = &pages[1] else { panic!("{pages:?}") };
    assert_eq!((origin.as_str(), call.page), (other.url.as_str().trim_end_matches('/'), Some(1)));
    assert!(!error.to_string().contains("secret=1"), "{error}");
    assert!(other.asked().is_empty() && other.signed_in().is_empty());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start(|request| page(&request, "[]", None)).await;
    let target = other.url.to_string();
    let server = Server::start(move |_| Reply::new(302, "").header("Location", target.clone())).await;
    let pages = walk(&dataverse(server.url.clone())).await;
    assert!(matches!(pages.as_slice(), [Err(Error::Refused { status: 302, .. })]), "{pages:?}");
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn links_that_go_in_a_circle_are_an_error() {
    let server = Server::start(|request| {
        let link = if request.number % 2 == 1 { "/odd" } else { "/even" };
        page(&request, "[]", Some(link))
    })
    .await;
    let pages = walk(&dataverse(server.url.clone())).await;
    assert_eq!(pages.len(), 4);
    let Err(Error::BadPage { reason, call }) = &pages[3] else { panic!("{pages:?}") };
    assert_eq!((reason.as_str(), call.page), ("its next link was already followed", Some(3)));
}

#[tokio::test]
async fn a_link_that_is_no_url_is_an_error() {
    let server = Server::start(|_| Reply::ok(r#"{"value":[],"@odata.nextLink":"next"}"#)).await;
    let pages = walk(&dataverse(server.url.clone())).await;
    assert!(matches!(&pages[1], Err(Error::BadPage { reason, .. }) if reason == "its link is not an absolute URL"));
}

#[tokio::test]
async fn the_oldest_row_is_found_behind_empty_pages() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, "[]", Some("/2")),
        2 => page(&request, r#"[{"createdon":null}]"#, Some("/3")),
        _ => page(&request, r#"[{"@odata.etag":"1","createdon":"2025-06-22T10:00:00Z"}]"#, Some("/4")),
    })
    .await;
    let service = dataverse(server.url.clone());
    let oldest = service.oldest(&COPILOT_EVENT, "createdon").await.unwrap();
    assert_eq!(oldest.unwrap().to_string(), "2025-06-22T10:00:00Z");
    assert_eq!(server.asked().len(), 3, "the link after it is not followed");
    let first = &server.asked()[0];
    let filter = "$filter=createdon%20ne%20null";
    let target = format!("/api/data/v9.2/msdyn_copilotevents?$select=createdon&{filter}&$orderby=createdon%20asc");
    assert_eq!(first.target, target);
    assert_eq!(first.header("prefer"), Some("odata.maxpagesize=1"));

    let empty = Server::start(|request| page(&request, "[]", None)).await;
    assert_eq!(dataverse(empty.url.clone()).oldest(&COPILOT_EVENT, "createdon").await.unwrap(), None);
}

#[tokio::test]
async fn where_the_service_takes_no_question_for_nulls_it_is_asked_without_one() {
    let server = Server::start(|request| match request.target.contains("null") {
        true => refusal(400, "0x80060888", "An error has occurred."),
        false if request.target.contains("skip") => page(&request, "[2]", None),
        false => page(&request, "[1]", Some("/api/data/v9.2/x?$skiptoken=skip")),
    })
    .await;
    let service = dataverse(server.url.clone());
    let changed = Slice { time_column: "modifiedon", ..slice() };
    let pages: Vec<_> = service.pages(&changed, &Selection::all(&COPILOT_EVENT)).collect().await;
    assert_eq!(rows(&pages), ["[1]", "[2]"]);
    assert_eq!(server.asked().len(), 3);
    assert!(service.oldest(&COPILOT_EVENT, "createdon").await.is_err(), "rows are no numbers");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn an_empty_400_is_tried_again_before_rows_are_left_out() {
    let server = Server::start(|request| match request.number {
        1 => Reply::new(400, ""),
        _ => page(&request, "[1]", None),
    })
    .await;
    let changed = Slice { time_column: "modifiedon", ..slice() };
    let service = dataverse(server.url.clone());
    let pages: Vec<_> = service.pages(&changed, &Selection::all(&COPILOT_EVENT)).collect().await;
    assert_eq!(rows(&pages), ["[1]"]);
    let targets: Vec<_> = server.asked().into_iter().map(|request| request.target).collect();
    assert!(targets.len() == 2 && targets[0] == targets[1] && targets[0].contains("null"), "{targets:?}");
}

#[tokio::test]
async fn an_empty_next_link_ends_a_walk() {
    for body in [
        r#"{"value":[{"@odata.etag":"1","a":1}],"@odata.nextLink":""}"#,
        r#"{"@odata.nextLink":"","value":[{"@odata.etag":"1","a":1}]}"#,
    ] {
        let server = Server::start(move |_| Reply::ok(body)).await;
        assert_eq!(rows(&walk(&dataverse(server.url.clone())).await), [r#"[{"@odata.etag":"1","a":1}]"#]);
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn the_services_clock_is_its_last_date() {
    let server = Server::start(|_| {
        Reply::ok(format!(
            r#"{{"@odata.context":"c","BusinessUnitId":"b","UserId":"{USER}","OrganizationId":"{ORGANIZATION}"}}"#
        ))
        .header("Date", "Sun, 22 Jun 2025 10:00:00 GMT")
    })
    .await;
    let service = dataverse(server.url.clone());
    let before = std::time::Instant::now();
    let time = service.service_time().await.unwrap();
    let who = service.who_am_i().await.unwrap();
    let passed = before.elapsed().as_micros() as i64;
    assert_eq!((who.organization_id.as_str(), who.user_id.as_str()), (ORGANIZATION, USER));
    let date = copilot_lake_tables::Instant::parse("2025-06-22T10:00:00Z").unwrap();
    assert!(time >= date && time.0 - date.0 <= passed, "{time}");
    service.service_time().await.unwrap();
    assert_eq!(server.asked().len(), 2, "the second time is known without asking");
    assert_eq!(server.asked()[0].target, "/api/data/v9.2/WhoAmI");
}
