//! Several identities that share the requests to one service.

use std::time::{Duration, Instant};

use super::*;
use crate::auth::sign_in::NamedAuth;
use crate::http::client::Client;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

fn named(url: &Url) -> NamedAuth {
    let mut auth = settings(url.clone()).auth;
    auth.client_id = "other-client".to_owned();
    NamedAuth { name: "dataverse.identity.1".to_owned(), auth }
}

/// Signs in as both, so that the first has `token-1` and the second `token-2`.
async fn sign_in(client: &Client) {
    for index in 0..2 {
        client.token_of(index).await.unwrap();
    }
}

async fn two(server: &Server) -> Dataverse {
    let more_identities = vec![named(&server.url)];
    let service = impatient(DataverseSettings { more_identities, ..settings(server.url.clone()) });
    sign_in(&service.client).await;
    service
}

async fn two_of_graph(server: &Server) -> Graph {
    let more_identities = vec![named(&server.url)];
    let service = graph_of(GraphSettings { more_identities, ..graph_settings(server.url.clone()) });
    sign_in(&service.client).await;
    service
}

/// Which identity sent a request.
fn sender(request: &Request) -> usize {
    request.header("authorization").unwrap().strip_prefix("Bearer token-").unwrap().parse().unwrap()
}

fn senders(server: &Server) -> Vec<usize> {
    server.asked().iter().map(sender).collect()
}

/// How far the caller may read events.
fn privileges(depth: &str) -> Reply {
    let name = COPILOT_EVENT.read_privilege();
    Reply::ok(format!(r#"{{"RolePrivileges":[{{"PrivilegeName":"{name}","Depth":"{depth}"}}]}}"#))
}

fn is_of_privileges(request: &Request) -> bool {
    request.target.contains("RetrieveUserPrivileges")
}

fn denied() -> Reply {
    refusal(403, "0x80040220", "Principal user is missing prvReadmsdyn_copilotevent privilege.")
}

fn throttled(seconds: &'static str) -> Reply {
    refusal(429, "0x80072322", "Number of requests exceeded the limit.").header("Retry-After", seconds)
}

#[tokio::test]
async fn requests_are_shared_and_each_is_counted_for_its_identity() {
    let server = Server::start(|_| who_am_i()).await;
    let service = two(&server).await;
    for _ in 0..6 {
        service.who_am_i().await.unwrap();
    }
    assert_eq!(senders(&server), [1, 2, 1, 2, 1, 2]);
    let usage = service.identities();
    assert_eq!(usage.iter().map(|usage| usage.meter.requests).collect::<Vec<_>>(), [3, 3]);
    assert_eq!(usage.iter().map(|usage| usage.name.as_str()).collect::<Vec<_>>(), ["auth", "dataverse.identity.1"]);
    assert_eq!(service.meter().requests, 6);
}

#[tokio::test]
async fn a_wait_is_that_of_the_identity_it_is_asked_of() {
    for wait in ["60", "7200"] {
        let server = Server::start(move |request| match sender(&request) {
            1 => throttled(wait),
            _ => who_am_i(),
        })
        .await;
        let (service, begun) = (two(&server).await, Instant::now());
        for _ in 0..5 {
            service.who_am_i().await.unwrap();
        }
        assert_eq!(senders(&server), [1, 2, 2, 2, 2, 2], "{wait}");
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody waited");
        assert_eq!(service.identities()[0].ended, None, "it is slowed down, not ended");
    }
}

#[tokio::test]
async fn a_pause_of_all_of_them_is_that_of_the_service() {
    let server = Server::start(|_| throttled("7200")).await;
    let service = two(&server).await;
    let error = service.who_am_i().await.unwrap_err();
    assert!(matches!(error, Error::Paused { .. }) && error.is_service_wide(), "{error}");
    assert_eq!(senders(&server), [1, 2]);
    assert!(matches!(service.who_am_i().await.unwrap_err(), Error::Paused { .. }));
    assert_eq!(server.asked().len(), 2, "nothing is sent until it is over");
}

#[tokio::test]
async fn the_identity_that_may_send_sooner_sends() {
    let server = Server::start(move |request| match (sender(&request), request.number) {
        (1, 1) => throttled("30"),
        (2, 2) => throttled("0.05"),
        _ => who_am_i(),
    })
    .await;
    let (service, begun) = (two(&server).await, Instant::now());
    service.who_am_i().await.unwrap();
    assert_eq!(senders(&server), [1, 2, 2]);
    assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_mailbox_that_throttles_one_is_read_by_the_other() {
    let server = Server::start(move |request| match (sender(&request), request.target.contains(PERSON)) {
        (1, true) => refusal(429, "MailboxConcurrency", "").header("Retry-After", "60"),
        _ => page(&request, "[]", None),
    })
    .await;
    let (service, begun) = (two_of_graph(&server).await, Instant::now());
    for _ in 0..2 {
        history(&service).await.pop().unwrap().unwrap();
    }
    assert_eq!(senders(&server), [1, 2, 2]);
    let others: Vec<_> = service.history(OTHER, &june()).collect().await;
    assert!(others.iter().all(Result::is_ok));
    assert_eq!(senders(&server)[3], 1, "another mailbox does not throttle it");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn links_of_graph_are_followed_by_whom_they_were_given_to() {
    let next = |request: &Request| match request.target.split_once("skip=") {
        None => Some("/next?skip=1"),
        Some((_, "1")) => Some("/next?skip=2"),
        Some(_) => None,
    };
    let server = Server::start(move |request| page(&request, "[]", next(&request))).await;
    let service = two_of_graph(&server).await;
    for _ in 0..2 {
        assert_eq!(history(&service).await.len(), 3);
    }
    let senders = senders(&server);
    assert!(senders[..3] == [1; 3] && senders[3..] == [2; 3], "{senders:?}");

    // Those of Dataverse by anybody.
    let server = Server::start(move |request| page(&request, "[]", next(&request))).await;
    let service = two(&server).await;
    assert_eq!(walk(&service).await.len(), 3);
    assert_eq!(server.asked().iter().map(sender).collect::<Vec<_>>(), [1, 2, 1]);
}

#[tokio::test]
async fn whoever_cannot_sign_in_is_named_and_the_other_goes_on() {
    let token = |number| match number {
        1 => Reply::ok(r#"{"access_token":"token-1","expires_in":3600,"token_type":"Bearer"}"#),
        _ => Reply::new(
            401,
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret 'hunter2'."}"#,
        ),
    };
    let answer = |request: Request| match is_of_privileges(&request) {
        true => privileges("Global"),
        false => who_am_i(),
    };
    let server = Server::start_with(move |request| std::future::ready(answer(request)), token).await;
    let more_identities = vec![named(&server.url)];
    let service = impatient(DataverseSettings { more_identities, ..settings(server.url.clone()) });
    service.client.token_of(0).await.unwrap();
    let tables = [&COPILOT_EVENT];
    assert_eq!(service.sign_in(&tables).await.unwrap().user_id, USER);
    let ended = service.identities()[1].ended.clone().unwrap();
    assert!(ended.starts_with("sign-in refused (AADSTS7000215)") && !ended.contains("hunter2"), "{ended}");
    for _ in 0..3 {
        service.who_am_i().await.unwrap();
    }
    assert!(senders(&server).iter().all(|sender| *sender == 1));
    assert_eq!(server.signed_in().len(), 2, "it is not attempted again");
}

#[tokio::test]
async fn whose_tokens_are_rejected_again_and_again_is_used_no_more_unless_it_is_the_last() {
    let server = Server::start(|request| match request.header("authorization").unwrap() {
        "Bearer token-2" => who_am_i(),
        _ => Reply::new(401, ""),
    })
    .await;
    let service = two(&server).await;
    for _ in 0..4 {
        service.who_am_i().await.unwrap();
    }
    // New tokens of the first are rejected too.
    assert_eq!(senders(&server), [1, 3, 2, 2, 3, 4, 2, 2]);
    assert_eq!(service.identities()[0].ended, None);
    for _ in 0..2 {
        service.who_am_i().await.unwrap();
    }
    assert_eq!(senders(&server)[8..], [4, 5, 2, 2]);
    assert!(service.identities()[0].ended.as_ref().unwrap().contains("status 401"));

    let server = Server::start(|_| Reply::new(401, "")).await;
    let service = two(&server).await;
    assert!(matches!(service.who_am_i().await.unwrap_err(), Error::SignInRefused { .. }));
    assert!(service.identities().iter().all(|usage| usage.ended.is_none()), "it is nobody's own");
}

#[tokio::test]
async fn who_may_not_read_what_another_may_is_used_no_more() {
    let server = Server::start(move |request| match sender(&request) {
        1 => denied(),
        _ => page(&request, "[]", None),
    })
    .await;
    let service = two(&server).await;
    for _ in 0..2 {
        assert_eq!(rows(&walk(&service).await), ["[]"]);
    }
    assert_eq!(senders(&server), [1, 2, 2]);
    let ended = service.identities()[0].ended.clone().unwrap();
    assert!(ended.starts_with("permission missing: `prvReadmsdyn_copilotevent`"), "{ended}");

    // What nobody may read says nothing of an identity.
    let server = Server::start(move |_| denied()).await;
    let service = two(&server).await;
    let error = walk(&service).await.pop().unwrap().unwrap_err();
    assert!(matches!(error, Error::PermissionMissing { .. }), "{error}");
    assert_eq!(senders(&server), [1, 2]);
    assert!(service.identities().iter().all(|usage| usage.ended.is_none()));
}

#[tokio::test]
async fn a_refusal_is_the_answer_while_nobody_else_can_be_asked() {
    for wait in ["300", "7200"] {
        let server = Server::start(move |request| match sender(&request) {
            1 => denied(),
            _ => throttled(wait),
        })
        .await;
        let (service, begun) = (two(&server).await, Instant::now());
        for _ in 0..2 {
            let error = walk(&service).await.pop().unwrap().unwrap_err();
            assert!(matches!(error, Error::PermissionMissing { .. }) && !error.is_service_wide(), "{wait}: {error}");
        }
        assert_eq!(senders(&server), [1, 2, 1], "{wait}");
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody waited");
        assert!(service.identities().iter().all(|usage| usage.ended.is_none()));
    }
}

#[tokio::test]
async fn who_is_refused_one_user_is_used_for_others() {
    let start = || {
        Server::start(|request| match (sender(&request), request.target.contains(PERSON)) {
            (1, true) => refusal(403, "Forbidden", ""),
            _ => page(&request, "[]", None),
        })
    };
    let server = start().await;
    let service = two_of_graph(&server).await;
    for _ in 0..5 {
        assert_eq!(rows(&history(&service).await), ["[]"]);
        for _ in 0..2 {
            let others: Vec<_> = service.history(OTHER, &june()).collect().await;
            assert_eq!(rows(&others), ["[]"]);
        }
    }
    assert_eq!(senders(&server), [1, 2].repeat(10));
    assert_eq!(service.identities()[0].ended, None, "it has answers of its own");

    let server = start().await;
    let service = two_of_graph(&server).await;
    for round in 1..=4 {
        assert_eq!(rows(&history(&service).await), ["[]"]);
        assert_eq!(service.identities()[0].ended.is_some(), round > 2, "{round}");
    }
    assert_eq!(senders(&server), [1, 2, 1, 2, 1, 2, 2]);
}

#[tokio::test]
async fn whoever_does_not_tell_what_it_reads_is_not_used_beside_another() {
    type Case = (&'static str, fn() -> Reply, Option<&'static str>);
    let cases: [Case; 5] = [
        ("everything", || privileges("Global"), None),
        ("less", || privileges("Local"), Some("it may not see every row of msdyn_copilotevent")),
        ("not told", denied, Some("it may not read its own privileges")),
        ("nothing", || Reply::ok(r#"{"RolePrivileges":[]}"#), Some("it may not read its own privileges")),
        ("an error", || refusal(400, "0x80040203", ""), Some("it may not read its own privileges")),
    ];
    for (what, second, expected) in cases {
        let server = Server::start(move |request| match (sender(&request), is_of_privileges(&request)) {
            (1, true) => privileges("Global"),
            (_, true) => second(),
            (number, false) => {
                let user = format!("{}{number}", &USER[..35]);
                Reply::ok(format!(r#"{{"UserId":"{user}","OrganizationId":"{ORGANIZATION}"}}"#))
            }
        })
        .await;
        let service = two(&server).await;
        assert!(service.sign_in(&[&COPILOT_EVENT]).await.unwrap().user_id.ends_with('1'), "{what}");
        let ended: Vec<_> = service.identities().into_iter().map(|usage| usage.ended).collect();
        assert_eq!(ended[0], None, "{what}");
        match (&ended[1], expected) {
            (Some(reason), Some(expected)) => assert!(reason.contains(expected), "{what}: {reason}"),
            (ended, expected) => assert_eq!(ended.as_deref(), expected, "{what}"),
        }
    }
}

#[tokio::test]
async fn whoever_is_of_another_tenant_is_not_used() {
    // The ids stand for tenants here.
    for (tenants, expected) in
        [([USER, USER], [false, false]), ([USER, OTHER], [false, true]), ([OTHER, USER], [true, false])]
    {
        let token = move |number: usize| {
            let claims = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"tid":"{}"}}"#, tenants[number - 1]));
            Reply::ok(format!(r#"{{"access_token":"e30.{claims}.c2ln","expires_in":3600}}"#))
        };
        let server = Server::start_with(|request| std::future::ready(page(&request, "[]", None)), token).await;
        let mut settings =
            GraphSettings { more_identities: vec![named(&server.url)], ..graph_settings(server.url.clone()) };
        settings.auth.tenant_id = USER.to_uppercase();
        let service = graph_of(settings);
        sign_in(&service.client).await;
        assert_eq!(service.token(&[]).await.unwrap().tenant_id.as_deref(), Some(USER));
        let usages = service.identities();
        assert_eq!([0, 1].map(|index| usages[index].ended.is_some()), expected, "{tenants:?}");
        let mut reasons = usages.iter().filter_map(|usage| usage.ended.as_ref());
        assert!(reasons.all(|reason| reason.contains("another tenant")));
    }
}
