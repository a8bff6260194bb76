//! Stopping: waits end at once, and requests in flight after a grace period.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::Instant;

use crate::http::cancellation::GRACE_PERIOD;

/// The error of a history that is stopped once the service was asked so many times, and how long that took.
async fn stopped(server: &Server, service: &Graph, asked: usize) -> (Vec<Result<Page, Error>>, Duration) {
    let reading = tokio::spawn({
        let service = service.clone();
        async move { history(&service).await }
    });
    server.until_asked(asked).await;
    service.stop();
    let begun = Instant::now();
    // What is not over by itself has nothing but timers to wait for.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let pages = reading.await.unwrap();
    let elapsed = begun.elapsed();
    tokio::time::resume();
    (pages, elapsed)
}

fn patient(url: Url) -> Graph {
    Graph::new(graph_settings(url)).unwrap()
}

#[tokio::test]
async fn back_off_and_pauses_end_at_once() {
    for reply in [
        || Reply::new(503, "").header("Retry-After", "300"),
        || refusal(429, "TooManyRequests", "").header("Retry-After", "300"),
        || refusal(429, "MailboxConcurrency", "").header("Retry-After", "300"),
        || Reply::new(500, ""),
        || Reply::ok("no page"),
    ] {
        let server = Server::start(move |_| reply()).await;
        let (pages, elapsed) = stopped(&server, &patient(server.url.clone()), 1).await;
        assert!(matches!(pages.as_slice(), [Err(Error::Stopped)]), "{pages:?}");
        assert!(elapsed < GRACE_PERIOD && server.asked().len() == 1, "{elapsed:?}");
    }
}

#[tokio::test]
async fn stalled_and_dripping_responses_end_after_the_grace_period() {
    for reply in [|| Reply::ok("{").stall(1), || Reply::ok("{".repeat(1_000)).drip(Duration::from_secs(1))] {
        let server = Server::start(move |_| reply()).await;
        let (pages, elapsed) = stopped(&server, &patient(server.url.clone()), 1).await;
        assert!(matches!(pages.as_slice(), [Err(Error::Stopped)]), "{pages:?}");
        assert!(elapsed < GRACE_PERIOD + Duration::from_secs(2), "{elapsed:?}");
    }
    // The head alone can stall too.
    let server = Server::start_async(|_| std::future::pending()).await;
    let (pages, elapsed) = stopped(&server, &patient(server.url.clone()), 1).await;
    assert!(matches!(pages.as_slice(), [Err(Error::Stopped)]), "{pages:?}");
    assert!(elapsed < GRACE_PERIOD + Duration::from_secs(2), "{elapsed:?}");
}

#[tokio::test]
async fn an_outage_is_no_longer_waited_out() {
    // While it waits for as long as the service asks for, and while the service does not answer the probe.
    for is_probed in [false, true] {
        let histories = Arc::new(AtomicUsize::new(0));
        let server = Server::start_async(move |request| {
            let is_history = request.target.contains("getAllEnterpriseInteractions");
            let attempt = histories.fetch_add(usize::from(is_history), Ordering::SeqCst) + 1;
            async move {
                let failure = refusal(500, "InternalServerError", "");
                match () {
                    () if !is_history => std::future::pending().await,
                    () if attempt == 5 && !is_probed => failure.header("Retry-After", "300"),
                    () => failure,
                }
            }
        })
        .await;
        let service = graph(server.url.clone());
        service.wait_out_outages(Duration::from_secs(600));
        let reading = tokio::spawn({
            let service = service.clone();
            async move { history(&service).await }
        });
        let asked = if is_probed { 6 } else { 5 };
        server.until_asked(asked).await;
        tokio::time::pause();
        // The last response is on its way.
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!reading.is_finished(), "it is waited out");
        let begun = Instant::now();
        service.stop();
        let pages = reading.await.unwrap();
        assert!(matches!(pages.as_slice(), [Err(Error::Stopped)]), "{pages:?}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(server.asked().len(), asked);
        tokio::time::resume();
    }
}

#[tokio::test]
async fn what_is_answered_in_time_is_not_lost() {
    let (release, released) = tokio::sync::watch::channel(false);
    let server = Server::start_async(move |request| {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            page(&request, r#"[{"id":"1"}]"#, None)
        }
    })
    .await;
    let service = patient(server.url.clone());
    let reading = tokio::spawn({
        let service = service.clone();
        async move { history(&service).await }
    });
    server.until_asked(1).await;
    service.stop();
    release.send_replace(true);
    assert_eq!(rows(&reading.await.unwrap()), [r#"[{"id":"1"}]"#]);
}

#[tokio::test]
async fn nothing_is_sent_once_it_is_over() {
    let server = Server::start(|request| page(&request, "[]", None)).await;
    let (service, dataverse) = (patient(server.url.clone()), dataverse(server.url.clone()));
    service.token(&[]).await.unwrap();
    service.stop();
    dataverse.stop();
    tokio::time::pause();
    tokio::time::advance(GRACE_PERIOD).await;
    assert!(matches!(history(&service).await.as_slice(), [Err(Error::Stopped)]));
    assert!(matches!(service.token(&[]).await, Err(Error::Stopped)));
    assert!(matches!(walk(&dataverse).await.as_slice(), [Err(error)] if error.is_service_wide()));
    assert!(matches!(dataverse.who_am_i().await, Err(Error::Stopped)));
    assert_eq!((server.asked().len(), server.signed_in().len()), (0, 1));
}

#[tokio::test]
async fn a_sign_in_ends_with_the_stop() {
    for waits_out_outages in [false, true] {
        let tokens = |_| Reply::new(503, "").header("Retry-After", "300");
        let server = Server::start_with(|request| std::future::ready(page(&request, "[]", None)), tokens).await;
        let service = patient(server.url.clone());
        if waits_out_outages {
            service.wait_out_outages(Duration::from_secs(600));
        }
        let reading = tokio::spawn({
            let service = service.clone();
            async move { service.token(&[]).await }
        });
        while server.signed_in().is_empty() {
            tokio::task::yield_now().await;
        }
        service.stop();
        tokio::time::pause();
        let begun = Instant::now();
        assert!(matches!(reading.await.unwrap(), Err(Error::Stopped)));
        assert!(begun.elapsed() < GRACE_PERIOD + Duration::from_secs(2), "{:?}", begun.elapsed());
        tokio::time::resume();
    }
}
