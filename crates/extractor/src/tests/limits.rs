//! Limits of a response: its size, and how slowly it may arrive.

use super::*;
use std::io::Write;

#[tokio::test]
async fn a_page_above_64_mib_is_an_error_at_once() {
    const SIZE: usize = (64 << 20) + 1;
    let gzip = {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&vec![b' '; SIZE]).unwrap();
        gzip.finish().unwrap()
    };
    // Declared, compressed to little, and without a declaration.
    let replies: [Box<dyn Fn() -> Reply + Send + Sync>; 3] = [
        Box::new(|| Reply::ok(vec![b' '; SIZE])),
        Box::new(move || Reply::ok(gzip.clone()).header("Content-Encoding", "gzip")),
        Box::new(|| Reply::ok(vec![b' '; SIZE]).unframed()),
    ];
    for reply in replies {
        let server = Server::start(move |_| reply()).await;
        let pages = walk(&dataverse(server.url.clone())).await;
        let [Err(Error::BadPage { reason, call })] = pages.as_slice() else { panic!("{pages:?}") };
        assert_eq!((reason.as_str(), call.attempts, call.status), ("it is larger than 64 MiB", 1, Some(200)));
        assert_eq!(server.asked().len(), 1, "another attempt would not help");
    }
}

#[tokio::test]
async fn a_large_page_below_the_limit_is_a_page() {
    let rows = format!("[\"{}\"]", "x".repeat(63 << 20));
    let body = format!("{{\"value\":{rows}}}");
    let server = Server::start(move |_| Reply::ok(body.clone())).await;
    let pages = walk(&dataverse(server.url.clone())).await;
    assert_eq!(pages[0].as_ref().unwrap().rows().len(), rows.len());
}

/// The production policy with little time for a body.
fn in_a_hurry(url: Url) -> Dataverse {
    let backoff = Backoff { initial: Duration::from_millis(1), max: Duration::from_millis(4), jitter: || 0.0 };
    let transfer_limit = TransferLimit { base: Duration::from_millis(100), ..TransferLimit::usual() };
    let retry_policy = RetryPolicy { backoff, transfer_limit, ..RetryPolicy::documented() };
    Dataverse::with_retry_policy(settings(url), retry_policy).unwrap()
}

const PAGE: &str = r#"{"@odata.context":"c","value":[{"@odata.etag":"1"}]}"#;

#[tokio::test]
async fn a_body_that_stalls_or_drips_is_requested_again() {
    for reply in [|| Reply::ok(PAGE).stall(20), || Reply::ok(PAGE).stall(0), || Reply::ok(PAGE).drip(DRIP)] {
        let server = Server::start(move |request| match request.number {
            1 => reply(),
            _ => Reply::ok(PAGE),
        })
        .await;
        let pages = walk(&in_a_hurry(server.url.clone())).await;
        assert_eq!((pages.len(), pages[0].as_ref().unwrap().requests), (1, 2));
    }
}

/// A body that drips at this rate would take three seconds.
const DRIP: Duration = Duration::from_millis(60);

#[tokio::test]
async fn a_service_that_always_drips_is_given_up() {
    let server = Server::start(|request| match request.number {
        1 => who_am_i(),
        _ => Reply::ok(PAGE).drip(DRIP),
    })
    .await;
    let service = in_a_hurry(server.url.clone());
    service.who_am_i().await.unwrap();
    let pages = walk(&service).await;
    let [Err(Error::Unreachable { cause, call })] = pages.as_slice() else { panic!("{pages:?}") };
    assert_eq!((cause.as_str(), call.attempts), ("the response arrives too slowly", 10));
}

#[tokio::test]
async fn what_an_error_response_or_a_token_response_does_not_say_in_time_is_not_waited_for() {
    let server = Server::start(|request| match request.number {
        1 => refusal(503, "0x8004dead", "").stall(3),
        _ => Reply::ok(PAGE),
    })
    .await;
    let pages = walk(&in_a_hurry(server.url.clone())).await;
    assert_eq!(pages[0].as_ref().unwrap().requests, 2);

    let token = |n| match n {
        1 => Reply::ok(r#"{"access_token":"token-1","expires_in":3600}"#).stall(10),
        n => Reply::ok(format!(r#"{{"access_token":"token-{n}","expires_in":3600}}"#)),
    };
    let server = Server::start_with(|_| std::future::ready(Reply::ok(PAGE)), token).await;
    assert_eq!(walk(&in_a_hurry(server.url.clone())).await.len(), 1);
    assert_eq!(server.signed_in().len(), 2);
}
