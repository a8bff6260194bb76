//! A tenant's rate limit, and the pauses that all its requests share.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn throttled_once(retry_after: Option<&'static str>) {
    let server = Server::start(move |request| match (request.number, retry_after) {
        (1, Some(wait)) => refusal(429, "TooManyRequests", "").header("Retry-After", wait),
        (1, None) => refusal(429, "TooManyRequests", ""),
        _ => page(&request, "[]", None),
    })
    .await;
    let mut settings = graph_settings(server.url.clone());
    settings.requests_per_second = 1_000.0;
    let backoff = Backoff { initial: Duration::from_secs(1), jitter: || 0.0, ..Backoff::documented() };
    let service = Graph::with_retry_policy(settings, RetryPolicy { backoff, ..RetryPolicy::documented() }).unwrap();
    let first = tokio::spawn({
        let service = service.clone();
        async move { history(&service).await }
    });
    server.until_asked(1).await;
    // The pause begins when the response has been read: until then others may still be sent.
    while service.meter().throttled_seconds == 0.0 {
        tokio::task::yield_now().await;
    }
    let users = service.users();
    let (second, users) = tokio::join!(history(&service), users.collect::<Vec<_>>());
    for page in [&second[0], &users[0]].map(|page| page.as_ref().unwrap()) {
        assert!(page.throttled > Duration::ZERO && page.requests == 1, "{page:?} was not the one that was refused");
    }
    let first = first.await.unwrap().pop().unwrap().unwrap();
    assert!(first.throttled > Duration::ZERO && first.requests == 2, "{first:?}");
    let total = service.meter().throttled_seconds;
    assert_eq!(total, 0.5, "a shared pause counts once");
}

#[tokio::test]
async fn a_pause_that_the_service_names_holds_everyone_back() {
    throttled_once(Some("0.5")).await;
}

#[tokio::test]
async fn a_pause_that_the_service_does_not_name_holds_everyone_back() {
    throttled_once(None).await;
}

/// A 429 for a mailbox, as Exchange words it.
fn mailbox_throttled() -> Reply {
    refusal(429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.")
        .header("Retry-After", "0.2")
}

/// Reads the histories of so many other users, one after the other; none of them is to wait.
async fn others_do_not_wait(service: &Graph, count: usize) {
    for number in 0..count {
        let pages: Vec<_> = service.history(&format!("f9d841e5-0000-4000-8000-{number:012}"), &june()).collect().await;
        let page = pages[0].as_ref().unwrap();
        assert_eq!((page.throttled, page.requests), (Duration::ZERO, 1), "{number}");
    }
}

/// Reads the history of a person whose first requests are refused, and those of others, who do not wait. Returns the
/// person's page.
async fn one_is_throttled(refusals: usize, refusal: fn() -> Reply, others: usize) -> Page {
    let refused = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        match request.target.contains(PERSON) && refused.fetch_add(1, Ordering::Relaxed) < refusals {
            true => refusal(),
            false => page(&request, "[]", None),
        }
    })
    .await;
    let service = graph(server.url.clone());
    let first = tokio::spawn({
        let service = service.clone();
        async move { history(&service).await }
    });
    server.until_asked(1).await;
    others_do_not_wait(&service, others).await;
    let first = first.await.unwrap().pop().unwrap().unwrap();
    assert_eq!(service.meter().throttled_seconds, 0.0, "the tenant was not held back");
    first
}

#[tokio::test]
async fn a_mailbox_that_is_throttled_slows_its_user_alone() {
    let first = one_is_throttled(3, mailbox_throttled, 50).await;
    assert_eq!((first.requests, first.throttled), (4, Duration::from_millis(600)));
}

#[tokio::test]
async fn a_mailbox_that_stays_throttled_or_asks_for_a_long_pause_fails_alone() {
    for (wait, attempts) in [("0.001", 10), ("1200", 1)] {
        let server = Server::start(move |request| match request.target.contains(PERSON) {
            true => refusal(429, "MailboxConcurrency", "").header("Retry-After", wait),
            false => page(&request, "[]", None),
        })
        .await;
        let service = graph(server.url.clone());
        let error = history(&service).await.pop().unwrap().unwrap_err();
        let Error::RetriesExhausted { status: 429, cause, call } = &error else { panic!("{error}") };
        assert_eq!((cause.as_str(), call.attempts), ("throttled MailboxConcurrency", attempts));
        assert!(!error.is_service_wide(), "{error}");
        others_do_not_wait(&service, 1).await;
    }
}

#[tokio::test]
async fn a_wait_that_does_not_say_whom_it_concerns_narrows_first_and_widens_when_others_are_refused_too() {
    // One user alone.
    let unclear = || refusal(429, "UnknownError", "").header("Retry-After", "0.05");
    assert_eq!(one_is_throttled(2, unclear, 20).await.throttled, Duration::from_millis(100));
    let unavailable = || refusal(503, "MailboxStoreUnavailable", "").header("Retry-After", "0.05");
    assert_eq!(one_is_throttled(2, unavailable, 20).await.requests, 3);

    // Another one, too.
    another_is_refused(|| refusal(429, "UnknownError", "").header("Retry-After", "0.25")).await;
    another_is_refused(|| refusal(503, "", "").header("Retry-After", "0.25")).await;
}

/// Refuses two users once each: that holds everybody back.
async fn another_is_refused(refusal: fn() -> Reply) {
    let seen = std::sync::Mutex::new(std::collections::HashSet::new());
    let server = Server::start(move |request| match seen.lock().unwrap().insert(request.target.clone()) {
        true => refusal(),
        false => page(&request, "[]", None),
    })
    .await;
    let service = graph(server.url.clone());
    let first = tokio::spawn({
        let service = service.clone();
        async move { history(&service).await }
    });
    server.until_asked(1).await;
    let second: Vec<_> = service.history(OTHER, &june()).collect().await;
    assert_eq!(service.meter().throttled_seconds, 0.25, "the second refusal holds everybody back");
    let first = first.await.unwrap();
    let pages = [&second[0], &first[0]].map(|page| page.as_ref().unwrap());
    assert!(pages.iter().all(|page| page.requests == 2), "{pages:?}");
    // Whose refusal came later waits with everybody; the other's own wait may end in the same millisecond.
    assert!(pages.iter().any(|page| page.throttled > Duration::ZERO), "{pages:?}");
}

#[tokio::test]
async fn the_tenants_rate_follows_answers_about_the_tenant() {
    // Two refusals, one after the other: they reduce the rate if they are about the tenant.
    for (reply, slower) in [
        (mailbox_throttled as fn() -> Reply, false),
        (|| refusal(429, "TooManyRequests", "Please retry again later.").header("Retry-After", "0.01"), true),
    ] {
        let server = Server::start(move |request| match request.number {
            1 | 2 => reply(),
            _ => page(&request, "[]", None),
        })
        .await;
        let service = graph(server.url.clone());
        history(&service).await.pop().unwrap().unwrap();
        let rate_limiter = service.client.identities.get(0).rate_limiter.as_ref().unwrap();
        assert_eq!(rate_limiter.fraction(tokio::time::Instant::now()) < 1.0, slower);
    }
}

#[tokio::test]
async fn a_tenant_that_stays_throttled_fails_the_walk_and_is_never_empty() {
    let server = Server::start(|_| refusal(429, "TooManyRequests", "").header("Retry-After", "0.001")).await;
    let pages = history(&graph(server.url.clone())).await;
    let [Err(Error::RetriesExhausted { status: 429, cause, call })] = pages.as_slice() else { panic!("{pages:?}") };
    assert_eq!((cause.as_str(), call.attempts, call.status), ("throttled TooManyRequests", 10, Some(429)));
}

#[tokio::test]
async fn a_pause_beyond_the_limit_is_kept_and_not_waited_for() {
    let server = Server::start(|_| refusal(429, "TooManyRequests", "").header("Retry-After", "1200")).await;
    let service = graph(server.url.clone());
    let first = history(&service).await.pop().unwrap().unwrap_err();
    assert!(matches!(&first, Error::Paused { call, .. } if call.attempts == 1), "{first}");
    for _ in 0..2 {
        let error = history(&service).await.pop().unwrap().unwrap_err();
        let Error::Paused { remaining: left, call } = &error else { panic!("{error}") };
        assert!(left.as_secs().abs_diff(1190) <= 10 && call.attempts == 0, "{left:?}, {call}");
        assert_eq!(error.without_call(), first.without_call());
    }
    assert_eq!(server.asked().len(), 1, "nobody asks before the pause is over");
    assert_eq!(service.meter().throttled_seconds, 0.0, "nobody waited");
}

#[tokio::test]
async fn histories_are_paced_with_their_retries() {
    let server = Server::start(|request| match request.number {
        3 => refusal(503, "", ""),
        _ => page(&request, "[]", None),
    })
    .await;
    let mut settings = graph_settings(server.url.clone());
    settings.requests_per_second = 50.0;
    let service = graph_of(settings);
    let begun = tokio::time::Instant::now();
    futures::future::join_all((0..10).map(|_| history(&service))).await;
    assert_eq!(server.asked().len(), 11);
    // Eleven requests are ten intervals; what a late one makes up for is a few of them.
    assert!(begun.elapsed() >= Duration::from_millis(135), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn after_a_pause_requests_leave_at_the_pace_again_and_not_at_once() {
    let server = Server::start(|request| match request.number {
        1 => refusal(429, "TooManyRequests", "").header("Retry-After", "0.3"),
        _ => page(&request, "[]", None),
    })
    .await;
    let mut settings = graph_settings(server.url.clone());
    settings.requests_per_second = 100.0;
    let service = graph_of(settings);
    let begun = tokio::time::Instant::now();
    futures::future::join_all((0..30).map(|_| history(&service))).await;
    assert_eq!(server.asked().len(), 31);
    // The pause, and thirty intervals before and after it of which a few may be made up for.
    assert!(begun.elapsed() >= Duration::from_millis(300 + 300 - 130), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn people_are_not_paced() {
    let server = Server::start(|request| page(&request, "[]", None)).await;
    let mut settings = graph_settings(server.url.clone());
    settings.requests_per_second = 0.001;
    let service = graph_of(settings);
    history(&service).await;
    // The next history would come in a quarter of an hour.
    futures::future::join_all((0..30).map(|_| service.users().collect::<Vec<_>>())).await;
    service.user(PERSON).await.unwrap();
    assert_eq!(server.asked().len(), 32);
}
