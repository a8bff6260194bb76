//! Outages: the service, or its sign-in, answers nothing for a while.

use super::*;
use crate::http::request::resource;
use copilot_lake_tables::COPILOT_INTERACTION;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A service whose outages are waited out for this long.
fn waiting(url: Url, longest: Duration) -> Dataverse {
    let service = dataverse(url);
    service.wait_out_outages(longest);
    service
}

#[tokio::test]
async fn an_outage_is_waited_out_however_many_attempts_that_takes() {
    // Also before anything was answered: a run at night begins with it.
    for reached in [false, true] {
        let failing = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&failing);
        let server = Server::start(move |request| match request.target.contains("WhoAmI") {
            true if reached && count.load(Ordering::SeqCst) == 0 => who_am_i(),
            _ if count.fetch_add(1, Ordering::SeqCst) < 60 => refusal(503, "", ""),
            true => who_am_i(),
            false => page(&request, "[]", None),
        })
        .await;
        let service = waiting(server.url.clone(), Duration::from_secs(60));
        if reached {
            service.who_am_i().await.unwrap();
        }
        assert_eq!(rows(&walk(&service).await), ["[]"]);
        assert!(failing.load(Ordering::SeqCst) > 60);
    }
}

#[tokio::test]
async fn a_service_that_answers_nothing_is_given_up_as_a_whole() {
    let server = Server::start(|_| refusal(503, "", "")).await;
    let service = waiting(server.url.clone(), Duration::from_millis(1_500));
    let error = walk(&service).await.pop().unwrap().unwrap_err();
    assert!(error.is_service_wide(), "{error}");
    let call = error.call().unwrap();
    assert!(call.attempts > 10 && call.elapsed >= Duration::from_millis(1_000), "{error}");
    assert!(error.to_string().contains(" s, and no other request was answered)"), "{error}");
    assert_eq!(error.without_call(), "retries exhausted: the service is not available");
}

#[tokio::test]
async fn a_request_that_fails_alone_is_given_up_alone() {
    // Whether others are under way, or the service has to be asked.
    let server = Server::start(|request| match request.target.contains("WhoAmI") {
        true => who_am_i(),
        false => refusal(500, "0x80040216", "An unexpected error occurred."),
    })
    .await;
    let service = waiting(server.url.clone(), Duration::from_secs(600));
    let error = walk(&service).await.pop().unwrap().unwrap_err();
    assert!(matches!(&error, Error::RetriesExhausted { status: 500, call, .. } if call.attempts == 6), "{error}");
    assert!(!error.is_service_wide());
    let probes = |server: &Server| server.asked().iter().filter(|request| request.target.contains("WhoAmI")).count();
    assert_eq!(probes(&server), 1);

    let done = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn({
        let (service, done) = (service.clone(), Arc::clone(&done));
        async move {
            while !done.load(Ordering::SeqCst) {
                service.who_am_i().await.unwrap();
            }
        }
    });
    let error = walk(&service).await.pop().unwrap().unwrap_err();
    assert!(error.call().unwrap().attempts == 5 && !error.is_service_wide(), "{error}");
    done.store(true, Ordering::SeqCst);
    others.await.unwrap();
}

#[tokio::test]
async fn a_long_wait_that_one_request_is_asked_for_is_not_an_outage() {
    let server = Server::start(|request| match request.target.contains("WhoAmI") {
        true => who_am_i(),
        false => refusal(503, "", "").header("Retry-After", "1000"),
    })
    .await;
    let service = waiting(server.url.clone(), Duration::from_secs(600));
    let error = walk(&service).await.pop().unwrap().unwrap_err();
    assert!(matches!(&error, Error::RetriesExhausted { status: 503, call, .. } if call.attempts == 1), "{error}");
    assert!(!error.is_service_wide(), "{error}");
    assert_eq!(server.asked().len(), 2, "the page, and whether the service answers anything");

    let server = Server::start(|_| refusal(503, "", "").header("Retry-After", "1000")).await;
    let error = walk(&waiting(server.url.clone(), Duration::from_secs(600))).await.pop().unwrap().unwrap_err();
    assert!(error.is_service_wide(), "{error}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_window_that_has_failed_before_is_attempted_twice() {
    let server = Server::start(|_| refusal(500, "", "")).await;
    let service = dataverse(server.url.clone());
    let pages = service.pages_again(&slice(), &Selection::all(&COPILOT_EVENT));
    let error = pages.collect::<Vec<_>>().await.pop().unwrap().unwrap_err();
    assert_eq!(error.call().unwrap().attempts, 2, "{error}");
    let pages = graph(server.url.clone()).history_again(PERSON, &june());
    let error = pages.collect::<Vec<_>>().await.pop().unwrap().unwrap_err();
    assert_eq!(error.call().unwrap().attempts, 2, "{error}");
}

#[tokio::test]
async fn a_sign_in_that_is_not_answered_is_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let authority = Url::parse(&format!("http://{address}")).unwrap();
    drop(listener);
    let server = Server::start(|_| who_am_i()).await;
    let mut settings = settings(server.url.clone());
    settings.auth.authority = authority;
    let service = impatient(settings);
    service.wait_out_outages(Duration::from_millis(150));
    let error = service.who_am_i().await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { call, .. } if call.attempts > 3), "{error}");
    assert!(error.is_service_wide(), "{error}");
}

#[tokio::test]
async fn histories_that_are_out_are_waited_for_although_the_directory_answers() {
    // The number of history requests that fail, after one that is answered.
    for (failing, is_over) in [(40, true), (u32::MAX, false)] {
        let count = AtomicU32::new(0);
        let server = Server::start(move |request| {
            let is_history = request.target.contains("getAllEnterpriseInteractions");
            let number = if is_history { count.fetch_add(1, Ordering::SeqCst) } else { 0 };
            match is_history && number > 0 && number <= failing {
                true => refusal(500, "", ""),
                false => page(&request, "[]", None),
            }
        })
        .await;
        let service = graph(server.url.clone());
        service.wait_out_outages(if is_over { Duration::from_secs(60) } else { Duration::from_millis(500) });
        assert_eq!(rows(&history(&service).await), ["[]"]);
        let pages = service.history(OTHER, &june()).collect::<Vec<_>>().await;
        match is_over {
            true => assert_eq!(rows(&pages), ["[]"]),
            false => {
                let error = pages.into_iter().next_back().unwrap().unwrap_err();
                assert!(error.is_service_wide() && error.call().unwrap().attempts > 10, "{error}");
                assert!(!error.to_string().contains(PERSON), "{error}");
            }
        }
        // Nobody else had to answer.
        assert!(server.asked().iter().all(|request| !request.target.contains("users?")));
    }
    // One that fails alone fails alone.
    let server = Server::start(|request| match request.target.contains(OTHER) {
        true => refusal(500, "", ""),
        false => page(&request, "[]", None),
    })
    .await;
    let service = graph(server.url.clone());
    service.wait_out_outages(Duration::from_secs(600));
    assert_eq!(rows(&history(&service).await), ["[]"]);
    let error = service.history(OTHER, &june()).collect::<Vec<_>>().await.pop().unwrap().unwrap_err();
    assert!(!error.is_service_wide(), "{error}");
}

#[tokio::test]
async fn a_table_that_asks_for_a_wait_gets_it_from_all_its_requests_and_from_no_other_table() {
    let refused = AtomicBool::new(false);
    let server = Server::start(move |request| {
        match request.target.contains("msdyn_copilotevents") && !refused.swap(true, Ordering::SeqCst) {
            true => refusal(503, "", "").header("Retry-After", "2"),
            false => page(&request, "[]", None),
        }
    })
    .await;
    let service = dataverse(server.url.clone());
    let begun = tokio::time::Instant::now();
    let first = tokio::spawn({
        let service = service.clone();
        async move { walk(&service).await }
    });
    // The wait begins when the response has been read: until then others may still be sent.
    while service.client.resource_gates.is_open(resource(COPILOT_EVENT.name)) {
        tokio::task::yield_now().await;
    }
    let other = Slice { table: &COPILOT_INTERACTION, ..slice() };
    let others: Vec<_> = service.pages(&other, &Selection::all(&COPILOT_INTERACTION)).collect().await;
    assert_eq!(rows(&others), ["[]"]);
    assert_eq!((server.asked().len(), service.meter().throttled_seconds), (2, 0.0), "nobody else waits");
    assert_eq!(rows(&walk(&service).await), ["[]"]);
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(rows(&first.await.unwrap()), ["[]"]);
}

#[tokio::test]
async fn a_service_that_asks_for_a_wait_gets_it_from_every_request() {
    // By an answer that is about no table, and by a probe that is refused like the request it is for.
    let server = Server::start(|request| match request.number {
        1 => refusal(503, "", "").header("Retry-After", "0.5"),
        _ => who_am_i(),
    })
    .await;
    let service = dataverse(server.url.clone());
    service.who_am_i().await.unwrap();
    assert_eq!(service.meter().throttled_seconds, 0.5);

    let server = Server::start(|request| match request.number {
        1..=10 => refusal(503, "", ""),
        11 => refusal(503, "", "").header("Retry-After", "0.5"),
        _ => page(&request, "[]", None),
    })
    .await;
    let service = waiting(server.url.clone(), Duration::from_secs(60));
    assert_eq!(rows(&walk(&service).await), ["[]"]);
    assert!(server.asked()[10].target.contains("WhoAmI"));
    assert_eq!(service.meter().throttled_seconds, 0.5);
}
