//! Page streams of Graph.

use super::*;
use futures::{FutureExt, TryStreamExt};
use std::sync::Arc;

/// The decoded query parameters of a target.
fn query(target: &str) -> Vec<(String, String)> {
    let (_, query) = target.split_once('?').unwrap();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[tokio::test]
async fn a_history_is_followed_verbatim_through_short_and_empty_pages_to_the_end() {
    const LINK: &str =
        "/v1.0/COPILOT/users('another')/x?$filter=appClass+eq+%27a%27+or+appClass+eq+'b'&$skiptoken=U2tpcA%3d%3d";
    let server = Server::start(|request| match request.number {
        1 => page(&request, "[]", Some(LINK)),
        2 => page(&request, r#"[{"id":"1"}]"#, Some("/third")),
        3 => {
            let link = format!("{}/fourth", request.base());
            Reply::ok(format!(r#"{{"@odata.count":0,"odd":{{"a":[1]}},"@odata.nextLink":"{link}","value":[]}}"#))
        }
        _ => page(&request, r#"[{"id":"2"}]"#, None),
    })
    .await;
    let service = graph(server.url.clone());
    let pages = history(&service).await;
    assert_eq!(rows(&pages), ["[]", r#"[{"id":"1"}]"#, "[]", r#"[{"id":"2"}]"#]);
    let numbers: Vec<_> = pages.iter().map(|page| page.as_ref().unwrap().number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let asked = server.asked();
    let targets: Vec<_> = asked.iter().skip(1).map(|request| request.target.as_str()).collect();
    assert_eq!(targets, [LINK, "/third", "/fourth"]);
    for request in &asked {
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("authorization"), Some("Bearer token-1"));
        for dataverse in ["prefer", "odata-version", "odata-maxversion", "if-none-match"] {
            assert_eq!(request.header(dataverse), None);
        }
    }
    assert_eq!((service.meter().requests, service.meter().throttled_seconds), (4, 0.0));
}

#[tokio::test]
async fn what_is_asked_of_a_history_is_written_word_for_word() {
    let server = Server::start(|request| page(&request, "[]", None)).await;
    let mut settings = graph_settings(server.url.clone());
    (settings.version, settings.model) = ("beta".to_owned(), Some("A".to_owned()));
    settings.url.set_path("/ignored");
    let service = graph_of(settings);
    let classes = ["IPM.SkypeTeams.Message.Copilot.Word", "O'B"].map(str::to_owned).to_vec();
    let request = HistoryQuery { app_classes: classes, ..june() };
    service.history(OTHER, &request).try_collect::<Vec<_>>().await.unwrap();
    let unfiltered = HistoryQuery { window: None, ..request };
    service.history(PERSON, &unfiltered).try_collect::<Vec<_>>().await.unwrap();
    service.first_history_page(PERSON, &unfiltered).await.unwrap();

    let targets: Vec<_> = server.asked().into_iter().map(|request| request.target).collect();
    let path = "/interactionHistory/getAllEnterpriseInteractions?";
    assert!(targets[0].starts_with(&format!("/beta/copilot/users/{OTHER}{path}")));
    let filter = "(appClass eq 'IPM.SkypeTeams.Message.Copilot.Word' or appClass eq 'O''B') and createdDateTime gt \
                  2025-06-21T23:59:59Z and createdDateTime lt 2025-06-29T00:00:00Z";
    let expected = [("$top", "100"), ("$filter", filter), ("model", "A")];
    assert_eq!(query(&targets[0]), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(targets[1], format!("/beta/copilot/users/{PERSON}{path}$top=100&model=A"));
    assert_eq!(targets[2], format!("/beta/copilot/users/{PERSON}{path}$top=1&model=A"));
}

#[tokio::test]
async fn a_history_is_asked_for_as_its_consumer_goes_and_no_further() {
    let server = Server::start(|request| match request.target.as_str() {
        "/page-2" => page(&request, "[]", Some("/page-3")),
        "/page-3" => page(&request, "[]", None),
        target if target.contains("$top=1&") => page(&request, "[]", None),
        _ => page(&request, "[]", Some("/page-2")),
    })
    .await;
    let service = graph(server.url.clone());
    let mut pages = std::pin::pin!(service.history(PERSON, &june()));
    assert!(server.asked().is_empty(), "nothing is sent before the first poll");
    for number in 1..=3 {
        pages.try_next().await.unwrap().unwrap();
        // Other requests come and go, and nobody asks for the next page.
        service.first_history_page(OTHER, &june()).await.unwrap();
        assert_eq!(server.asked().len(), 2 * number);
    }
    assert!(pages.try_next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_page_of_a_history_takes_room_until_its_last_clone_is_dropped() {
    let rows = format!(r#"[{{"id":"{}"}}]"#, "x".repeat(7 << 20));
    let server = Server::start(move |request| page(&request, &rows, None)).await;
    let service = graph(server.url.clone());
    let fits = |bytes: usize| service.client.bodies.budget.reserve(bytes).now_or_never().is_some();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(history(&service).await.remove(0).unwrap());
    }
    let clone = held[0].clone();
    assert!(fits(2 << 20) && !fits(4 << 20), "21 of 24 MiB are taken, and a little");
    held.remove(0);
    assert!(!fits(4 << 20), "the clone has the same bytes");
    drop(clone);
    assert!(fits(9 << 20) && !fits(11 << 20));
    drop(held);
    assert!(fits(crate::graph::service::PAGE_BUDGET));
}

#[tokio::test]
async fn links_must_stay_with_the_service_and_not_come_again() {
    let other = Server::start(|request| page(&request, "[]", None)).await;
    let foreign = other.url.clone();
    let server = Server::start(move |request| match request.target.contains("/users?") {
        true => page(&request, "[]", Some("/again")),
        false if request.target == "/again" => page(&request, "[]", Some("/again")),
        false => Reply::ok(format!(r#"{{"value":[],"@odata.nextLink":"{foreign}v1.0/x?secret=1"}}"#)),
    })
    .await;
    let service = graph(server.url.clone());
    let pages = history(&service).await;
    let [Ok(_), Err(error @ Error::ForeignLink { .. })] = pages.as_slice() else { panic!("{pages:?}") };
    assert!(!error.to_string().contains("secret") && !error.to_string().contains(PERSON), "{error}");
    assert!(other.asked().is_empty() && other.signed_in().is_empty());
    let pages: Vec<_> = service.users().collect().await;
    let Some(Err(Error::BadPage { reason, .. })) = pages.last() else { panic!("{pages:?}") };
    assert_eq!((reason.as_str(), pages.len()), ("its next link was already followed", 3));
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    let server = Server::start(|request| page(&request, "[]", Some(&format!("/{}", request.number)))).await;
    let service = graph(server.url.clone());
    let request = crate::http::request::Request::first_page(
        server.url.join("/v1.0/copilot/users/x/y").unwrap(),
        &copilot_lake_tables::AI_INTERACTION,
        crate::http::request::ResourceKind::History { filtered: true },
    );
    let pages: Vec<_> = crate::page_stream::on_demand(Arc::clone(&service.client), Ok(request), 3).collect().await;
    let [Ok(_), Ok(_), Ok(_), Err(Error::BadPage { reason, call })] = pages.as_slice() else { panic!("{pages:?}") };
    assert_eq!((reason.as_str(), call.page), ("there is still a next link after 3 pages", Some(3)));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn an_empty_next_link_ends_a_walk() {
    for body in [
        r#"{"value":[{"id":"1"}],"@odata.nextLink":""}"#,
        r#"{"@odata.nextLink":"","value":[{"id":"1"}]}"#,
        r#"{"@odata.nextLink":null,"value":[{"id":"1"}]}"#,
    ] {
        let server = Server::start(move |_| Reply::ok(body)).await;
        let service = graph(server.url.clone());
        assert_eq!(rows(&history(&service).await), [r#"[{"id":"1"}]"#]);
        assert_eq!(rows(&service.users().collect::<Vec<_>>().await), [r#"[{"id":"1"}]"#]);
        assert_eq!(server.asked().len(), 2);
    }
}

#[tokio::test]
async fn hundreds_of_empty_pages_in_a_row_are_followed_and_a_thousand_are_an_error() {
    let server = Server::start(|request| {
        let link = format!("/{}", request.number);
        let rows = if request.number == 700 { r#"[{"id":"1"}]"# } else { "[ ]" };
        page(&request, rows, Some(&link).filter(|_| request.number < 1_500).map(String::as_str))
    })
    .await;
    let pages = history(&graph(server.url.clone())).await;
    assert_eq!((pages.len(), pages.iter().filter(|page| page.is_ok()).count()), (1_500, 1_500));

    let server = Server::start(|request| page(&request, "[]", Some(&format!("/{}", request.number)))).await;
    let service = graph(server.url.clone());
    let pages = history(&service).await;
    let Some(Err(Error::BadPage { reason, call })) = pages.last() else { panic!("{pages:?}") };
    assert_eq!(reason, "1,000 pages in a row have no rows, and there is still a next link");
    assert_eq!((pages.len(), call.page, server.asked().len()), (1_001, Some(1_000), 1_000));
}

/// A list of two pages, with a next link that has expired so many times.
async fn expiring(times: usize) -> (Graph, Server) {
    let expired = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if !request.target.starts_with("/second") {
            return page(&request, r#"[{"id":"1"}]"#, Some("/second"));
        }
        match expired.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < times {
            true => refusal(400, "Directory_ExpiredPageToken", "The specified page token value has expired."),
            false => page(&request, r#"[{"id":"2"}]"#, None),
        }
    })
    .await;
    (graph(server.url.clone()), server)
}

#[tokio::test]
async fn a_list_whose_next_link_has_expired_begins_again_up_to_three_times() {
    const ONE: &str = r#"[{"id":"1"}]"#;
    for (times, whole) in [(1, true), (3, true), (4, false)] {
        for list in 0..3 {
            let (service, server) = expiring(times).await;
            let pages: Vec<_> = match list {
                0 => service.users().collect().await,
                1 => service.members(PERSON).collect().await,
                _ => service.deleted_users().collect().await,
            };
            let begun = times.min(3) + 1;
            assert_eq!((rows(&pages[..begun]), server.asked().len()), (vec![ONE; begun], 2 * begun));
            match &pages[begun..] {
                [Ok(last)] if whole => assert_eq!((last.rows(), last.number), (&br#"[{"id":"2"}]"#[..], 2)),
                [Err(Error::PageTokenExpired { call })] if !whole => assert_eq!(call.page, Some(2)),
                other => panic!("{times}: {other:?}"),
            }
        }
    }
    // Of a history it is a refusal like any other.
    let server = Server::start(|request| match request.number {
        1 => page(&request, "[]", Some("/2")),
        _ => refusal(400, "Directory_ExpiredPageToken", ""),
    })
    .await;
    let pages = history(&graph(server.url.clone())).await;
    assert!(matches!(pages.as_slice(), [Ok(_), Err(Error::Refused { status: 400, .. })]), "{pages:?}");
}

#[tokio::test]
async fn people_are_listed_by_directory_by_group_and_by_what_was_deleted() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, r#"[{"id":"1"}]"#, Some("/v1.0/users?$skiptoken=x")),
        _ => page(&request, r#"[{"id":"2"}]"#, None),
    })
    .await;
    let service = graph(server.url.clone());
    let all: Vec<_> = service.users().collect().await;
    assert_eq!(rows(&all), [r#"[{"id":"1"}]"#, r#"[{"id":"2"}]"#]);
    service.members(PERSON).try_collect::<Vec<_>>().await.unwrap();
    service.deleted_users().try_collect::<Vec<_>>().await.unwrap();
    let select = "?$select=id,accountEnabled,userPrincipalName,displayName,department,jobTitle,companyName,\
                  officeLocation,country,employeeType,assignedPlans&$top=999";
    let targets: Vec<_> = server.asked().into_iter().map(|request| request.target).collect();
    let expected = [
        format!("/v1.0/users{select}"),
        "/v1.0/users?$skiptoken=x".to_owned(),
        format!("/v1.0/groups/{PERSON}/transitiveMembers/microsoft.graph.user{select}"),
        format!("/v1.0/directory/deletedItems/microsoft.graph.user{}", select.replace('&', ",deletedDateTime&")),
    ];
    assert_eq!(targets, expected);
    let pages: Vec<_> = service.members("../users").collect().await;
    assert!(matches!(pages.as_slice(), [Err(Error::Usage { .. })]), "{pages:?}");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn one_user_is_a_page_of_one_row_that_can_be_archived() {
    const USER: &str = r#"{"@odata.context":"c","id":"1","assignedPlans":[{"service":"]}"}]}"#;
    let server = Server::start(|request| match request.number {
        1 => Reply::ok(format!("\u{feff}{USER}\r\n")).header("Date", "Sun, 22 Jun 2025 10:00:00 GMT"),
        _ => Reply::ok("[]"),
    })
    .await;
    let service = graph(server.url.clone());
    let found = service.user("ada@example.org").await.unwrap();
    assert_eq!(std::str::from_utf8(found.rows()).unwrap(), format!("[{USER}]"));
    assert_eq!(Page::read(1, found.body.clone()).unwrap().rows(), found.rows());
    assert_eq!((found.number, found.requests), (1, 1));
    assert!(server.asked()[0].target.starts_with("/v1.0/users/ada%40example.org?$select=id,"));
    let error = service.user(PERSON).await.unwrap_err();
    assert!(matches!(&error, Error::BadPage { reason, .. } if reason == "the response is not a user"), "{error}");
    assert!(matches!(service.user("..").await, Err(Error::InvalidUserId { .. })));
    service.service_time().await.unwrap();
    assert!(!server.asked().iter().any(|request| request.target.contains("$top=1&")), "the time is known");
}

#[tokio::test]
async fn the_services_clock_is_asked_for_at_the_least_cost_even_where_that_is_refused() {
    let server = Server::start(|_| {
        refusal(403, "Authorization_RequestDenied", "").header("Date", "Sun, 22 Jun 2025 10:00:00 GMT")
    })
    .await;
    let service = graph(server.url.clone());
    let time = service.service_time().await.unwrap();
    let date = copilot_lake_tables::Instant::parse("2025-06-22T10:00:00Z").unwrap();
    assert!(time >= date && time.0 - date.0 < 60_000_000, "{time}");
    service.service_time().await.unwrap();
    let targets: Vec<_> = server.asked().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/v1.0/users?$top=1&$select=id"]);
    let server = Server::start(|_| refusal(503, "", "")).await;
    let error = graph(server.url.clone()).service_time().await.unwrap_err();
    assert!(matches!(error, Error::RetriesExhausted { status: 503, .. }), "{error}");
}
