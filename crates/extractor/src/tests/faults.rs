//! Transient faults.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ROWS: &str = r#"[{"@odata.etag":"1","a":"x]}"},{"@odata.etag":"2","a":"y"}]"#;

/// Reads two pages, the second of which fails once in this way; returns the second page.
async fn after(fault: impl Fn() -> Reply + Send + Sync + 'static) -> (Page, Dataverse, Server) {
    let server = Server::start(move |request| match request.number {
        1 => page(&request, "[]", Some("/second")),
        2 => fault(),
        _ => page(&request, ROWS, None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let mut pages = walk(&service).await;
    assert_eq!(rows(&pages), ["[]", ROWS]);
    let targets: Vec<_> = server.asked().into_iter().map(|request| request.target).skip(1).collect();
    assert_eq!(targets, ["/second", "/second"], "the same link again");
    (pages.pop().unwrap().unwrap(), service, server)
}

#[tokio::test]
async fn a_throttled_request_waits_as_long_as_the_service_says() {
    let fault = || refusal(429, "0x80072322", "Number of requests exceeded").header("Retry-After", "0.08");
    let (page, service, _server) = after(fault).await;
    assert!(page.throttled >= Duration::from_millis(70), "{:?}", page.throttled);
    assert_eq!(page.requests, 2);
    assert!((0.07..5.0).contains(&service.meter().throttled_seconds), "{:?}", service.meter());
    assert_eq!(service.meter().requests, 3);
}

#[tokio::test]
async fn a_throttled_request_without_a_header_backs_off() {
    let (page, service, _server) = after(|| refusal(429, "0x80072326", "too many at once")).await;
    assert!(page.throttled > Duration::ZERO && service.meter().throttled_seconds > 0.0);
}

#[tokio::test]
async fn what_passes_is_asked_again_and_is_not_throttling() {
    let faults: [fn() -> Reply; 6] = [
        || Reply::new(503, "<html>"),
        || Reply::new(408, ""),
        || Reply::new(500, ""),
        || Reply::new(502, "").header("Retry-After", "0"),
        || refusal(400, "0x80044151", "SQL timeout"),
        || refusal(400, "-2147204783", "the same code as a signed decimal"),
    ];
    for fault in faults {
        let (page, service, _server) = after(fault).await;
        assert_eq!((page.requests, page.throttled), (2, Duration::ZERO));
        assert_eq!(service.meter().throttled_seconds, 0.0);
    }
}

#[tokio::test]
async fn a_page_that_was_cut_is_asked_again_and_never_handed_out() {
    let whole = format!(r#"{{"@odata.context":"c","value":{ROWS}}}"#);
    for cut in [0, 1, whole.find("x]").unwrap() + 3, whole.len() - 1] {
        for kind in 0..3 {
            let body = whole.clone().into_bytes();
            let (page, ..) = after(move || match kind {
                // The connection ends early; or the end of the body is all there is to tell; or the service itself cut it.
                0 => Reply::ok(body.clone()).cut(cut),
                1 => Reply::ok(body[..cut].to_vec()).unframed(),
                _ => Reply::ok(body[..cut].to_vec()),
            })
            .await;
            assert_eq!(page.requests, 2, "cut after {cut}");
        }
    }
}

#[tokio::test]
async fn a_pause_holds_every_request_of_the_identity() {
    let server = Server::start(|request| match request.number {
        1 => refusal(429, "0x80072321", "execution time").header("Retry-After", "0.2"),
        _ => page(&request, "[]", None),
    })
    .await;
    let service = dataverse(server.url.clone());
    let first = tokio::spawn({
        let service = service.clone();
        async move { walk(&service).await }
    });
    server.until_asked(1).await;
    // The pause begins when the response has been read: until then others may still be sent.
    while service.meter().throttled_seconds == 0.0 {
        tokio::task::yield_now().await;
    }
    let second = walk(&service).await;
    let throttled = second[0].as_ref().unwrap().throttled;
    assert!(throttled > Duration::ZERO, "the second walk was not the one that was refused");
    first.await.unwrap().pop().unwrap().unwrap();
    let total = service.meter().throttled_seconds;
    assert!((0.19..0.25).contains(&total), "a shared pause counts once: {total}");
}

#[tokio::test]
async fn retries_end_after_ten_attempts() {
    let server = Server::start(|_| refusal(503, "0x8004dead", "dear customer")).await;
    let service = dataverse(server.url.clone());
    let pages = walk(&service).await;
    let [Err(error @ Error::RetriesExhausted { status: 503, cause, call })] = pages.as_slice() else {
        panic!("{pages:?}")
    };
    assert_eq!((cause.as_str(), call.attempts, call.status, call.page), ("0x8004dead", 10, Some(503), Some(1)));
    assert_eq!(call.url, format!("{}api/data/v9.2/msdyn_copilotevents", server.url));
    let text = error.to_string();
    assert!(text.contains("status 503, request id 11111111-aaaa, 10 attempts in "), "{text}");
    assert!(!text.contains('$') && !text.contains("dear"), "{text}");
    assert_eq!(server.asked().len(), 10);
}

#[tokio::test]
async fn a_wait_beyond_the_limit_is_not_waited_for() {
    let server = Server::start(|_| refusal(503, "", "").header("Retry-After", "86400")).await;
    let error = walk(&dataverse(server.url.clone())).await.pop().unwrap().unwrap_err();
    assert!(matches!(&error, Error::RetriesExhausted { status: 503, call, .. } if call.attempts == 1), "{error}");
    assert!(
        error.to_string().contains(": status 503, Retry-After 86400 s, request id 11111111-aaaa, 1 attempt in "),
        "{error}"
    );
}

#[tokio::test]
async fn a_service_that_stays_busy_is_told_from_one_that_is_not_there() {
    for (status, text) in [(429, "throttled 0x80072322"), (503, "0x80072322")] {
        let server = Server::start(move |request| {
            let wait = if request.number < 10 { "0.001" } else { "0.002" };
            refusal(status, "0x80072322", "").header("Retry-After", wait)
        })
        .await;
        let error = walk(&dataverse(server.url.clone())).await.pop().unwrap().unwrap_err();
        let Error::RetriesExhausted { status: last, cause, call } = &error else { panic!("{error}") };
        assert_eq!((*last, cause.as_str(), call.attempts), (status, text, 10));
        assert_eq!((call.status, call.retry_after), (Some(status), Some(Duration::from_millis(2))));
        assert!(call.elapsed >= Duration::from_millis(9), "{:?}", call.elapsed);
        let shown = error.to_string();
        let expected = format!(": status {status}, Retry-After 0.002 s, request id 11111111-aaaa, 10 attempts in ");
        assert!(shown.starts_with(&format!("retries exhausted: {text} (GET ")) && shown.contains(&expected), "{shown}");
        assert_eq!(error.without_call(), format!("retries exhausted: {text}"));
        assert!(!error.is_service_wide());
    }
}

#[tokio::test]
async fn a_wrong_address_is_given_up_after_three_tries() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = dataverse(url.clone()).who_am_i().await.unwrap_err();
    let Error::Unreachable { cause, call } = &error else { panic!("{error}") };
    assert_eq!((cause.as_str(), call.attempts, call.method), ("connection refused", 3, "POST"));

    // The same when only the service, not the authority, is wrong.
    let server = Server::start(|_| Reply::new(500, "")).await;
    let mut settings = settings(url);
    settings.auth.authority = server.url.clone();
    let backoff = Backoff { initial: Duration::from_millis(1), ..Backoff::documented() };
    let service = Dataverse::with_retry_policy(settings, RetryPolicy { backoff, ..RetryPolicy::documented() }).unwrap();
    let error = service.who_am_i().await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { call, .. } if call.attempts == 3 && call.method == "GET"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_dataverse_is_given_up_early() {
    let server = Server::start(|_| Reply::ok("<html>please log in</html>")).await;
    let error = dataverse(server.url.clone()).who_am_i().await.unwrap_err();
    let Error::BadPage { reason, call } = &error else { panic!("{error}") };
    assert_eq!((reason.as_str(), call.attempts), ("the response to WhoAmI is not that of Dataverse", 3));
}

#[tokio::test]
async fn ids_are_ids() {
    for id in ["a\nerror: forged", "a\u{1b}[31m", "a/b", "o", "", &"a".repeat(36)] {
        let body = serde_json::json!({"UserId": USER, "OrganizationId": id}).to_string();
        let server = Server::start(move |_| Reply::ok(body.as_str())).await;
        let error = dataverse(server.url.clone()).who_am_i().await.unwrap_err();
        let Error::BadPage { reason, .. } = &error else { panic!("{error}") };
        assert_eq!(reason, "the response to WhoAmI is not that of Dataverse");
    }
}

/// The first request is refused with this code, then 80 streams start at once. Returns the maximum number of requests
/// in flight, with the service waiting for that many.
async fn most_under_way_after(code: &'static str, expected: usize) -> usize {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let full = Arc::new(tokio::sync::Barrier::new(expected));
    let seen = Arc::clone(&most);
    let server = Server::start_async(move |request| {
        let (under_way, most, full) = (Arc::clone(&under_way), Arc::clone(&most), Arc::clone(&full));
        async move {
            if request.number == 1 {
                return refusal(429, code, "").header("Retry-After", "0.01");
            }
            most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if (3..3 + expected).contains(&request.number) {
                full.wait().await;
            }
            under_way.fetch_sub(1, Ordering::SeqCst);
            page(&request, "[]", None)
        }
    })
    .await;
    let service = dataverse(server.url.clone());
    walk(&service).await;
    futures::future::join_all((0..80).map(|_| walk(&service))).await;
    seen.load(Ordering::SeqCst)
}

#[tokio::test]
async fn too_much_time_at_once_halves_the_requests_under_way_and_too_many_requests_do_not() {
    // Every round of successes earns one more.
    assert!((26..=29).contains(&most_under_way_after("0x80072321", 26).await));
    assert!((26..=29).contains(&most_under_way_after("0x80072326", 26).await));
    assert_eq!(most_under_way_after("0x80072322", 52).await, 52);
}

#[tokio::test]
async fn at_most_52_requests_are_under_way() {
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let full = Arc::new(tokio::sync::Barrier::new(52));
    let seen = Arc::clone(&most);
    let server = Server::start_async(move |request| {
        let (under_way, most, full) = (Arc::clone(&under_way), Arc::clone(&most), Arc::clone(&full));
        async move {
            most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            if request.number <= 52 {
                full.wait().await;
            }
            under_way.fetch_sub(1, Ordering::SeqCst);
            page(&request, "[]", None)
        }
    })
    .await;
    let service = dataverse(server.url.clone());
    let walks = (0..80).map(|_| walk(&service));
    assert_eq!(futures::future::join_all(walks).await.len(), 80);
    assert_eq!(seen.load(Ordering::SeqCst), 52);
    assert_eq!(server.signed_in().len(), 1, "80 requests share one sign-in");
}

#[tokio::test]
async fn a_request_that_others_outpace_is_not_given_up() {
    // Each time that this table is throttled, another one has taken what was permitted.
    let server = Server::start(|request| match request.target.contains("msdyn_copilotevents") {
        true if request.number < 60 => {
            refusal(429, "0x80072322", "Number of requests exceeded the limit.").header("Retry-After", "0.02")
        }
        true => page(&request, "[]", None),
        false => who_am_i(),
    })
    .await;
    let service = dataverse(server.url.clone());
    let slow = tokio::spawn({
        let service = service.clone();
        async move { walk(&service).await }
    });
    while !slow.is_finished() {
        service.who_am_i().await.unwrap();
    }
    assert_eq!(rows(&slow.await.unwrap()), ["[]"]);
    let attempts = server.asked().iter().filter(|request| request.target.contains("msdyn_copilotevents")).count();
    assert!(attempts > 10, "{attempts} attempts");
}

#[tokio::test]
async fn a_table_that_alone_stays_throttled_is_given_up() {
    let server = Server::start(|request| match request.target.contains("msdyn_copilotevents") {
        true => refusal(429, "0x80072322", "Number of requests exceeded the limit.").header("Retry-After", "0.005"),
        false => who_am_i(),
    })
    .await;
    let service = dataverse(server.url.clone());
    let slow = tokio::spawn({
        let service = service.clone();
        async move { walk(&service).await }
    });
    while !slow.is_finished() {
        service.who_am_i().await.unwrap();
    }
    let error = slow.await.unwrap().pop().unwrap().unwrap_err();
    assert!(matches!(error, Error::RetriesExhausted { status: 429, .. }), "{error}");
    let attempts = server.asked().iter().filter(|request| request.target.contains("msdyn_copilotevents")).count();
    assert!((10..=40).contains(&attempts), "{attempts} attempts");
}
