//! Classification of Graph's error responses.

use super::*;
use futures::TryStreamExt;

const TEXT: &str = "What Ada Lovelace wrote to ada@example.org.";

/// An error response as Graph sends it.
fn refused(status: u16, code: &str, message: &str) -> Reply {
    let inner = r#"{"date":"2026-01-01T00:00:00","request-id":"inner-id"}"#;
    let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}","innerError":{inner}}}}}"#);
    Reply::new(status, body).header("request-id", "22222222-bbbb")
}

/// The error of a filtered history whose first page gets this response, by a single request.
async fn error(status: u16, code: &'static str, message: &'static str) -> Error {
    let server = Server::start(move |_| refused(status, code, message)).await;
    let mut pages = history(&graph(server.url.clone())).await;
    assert_eq!((pages.len(), server.asked().len()), (1, 1), "no second try");
    let error = pages.pop().unwrap().unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(PERSON) && !shown.contains("Ada") && !shown.contains("example.org"), "{shown}");
    error
}

#[tokio::test]
async fn a_filter_that_is_refused_can_be_left_out() {
    for message in [TEXT, "The entity property 'sessionId' and operationKind 'Equal' is not allowed in $filter query."]
    {
        let error = error(400, "BadRequest", message).await;
        let Error::FilterRefused { call } = &error else { panic!("{error}") };
        assert_eq!((call.page, call.status, call.request_id.as_deref()), (Some(1), Some(400), Some("22222222-bbbb")));
        assert!(call.url.ends_with("/v1.0/copilot/users/***/interactionHistory/getAllEnterpriseInteractions"));
        let text = error.to_string();
        assert!(text.starts_with("the service refuses the filter (GET http://127.0.0.1:"), "{text}");
    }
    // Without a filter, or behind a link, it is something else.
    let server = Server::start(|request| match request.number {
        1 => page(&request, "[]", Some("/2")),
        _ => refused(400, "BadRequest", TEXT),
    })
    .await;
    let service = graph(server.url.clone());
    let pages = history(&service).await;
    assert!(matches!(&pages[1], Err(Error::Refused { status: 400, .. })), "{pages:?}");
    let unfiltered = HistoryQuery { window: None, ..june() };
    let pages: Vec<_> = service.history(PERSON, &unfiltered).collect().await;
    let [Err(error @ Error::Refused { status: 400, code, message, .. })] = pages.as_slice() else {
        panic!("{pages:?}")
    };
    assert_eq!((code.as_str(), message.as_str()), ("BadRequest", ""));
    assert!(!error.to_string().contains("Ada"));
}

#[tokio::test]
async fn a_user_who_is_refused_is_told_from_everyone() {
    for (status, code, message, words) in [
        (403, "Forbidden", "User Ada has no valid Copilot license.", "no Copilot licence"),
        (403, "", "", ""),
        (403, "UnknownError", TEXT, ""),
        (404, "ResourceNotFound", "Ada does not have a mailbox.", "no mailbox"),
        (404, "Request_ResourceNotFound", "Resource 'ada@example.org' does not exist.", "no such user"),
        (404, "itemNotFound", TEXT, ""),
    ] {
        let error = error(status, code, message).await;
        let Error::UserRefused { status: found, code: said, reason, .. } = &error else { panic!("{error}") };
        assert_eq!((*found, said.as_str()), (status, code));
        assert!(reason.contains(words) && reason.is_empty() == words.is_empty(), "{reason}");
        assert!(error.to_string().starts_with("the user is refused"), "{error}");
    }
    let server = Server::start(|_| refused(404, "Request_ResourceNotFound", TEXT)).await;
    let error = graph(server.url.clone()).user("ada@example.org").await.unwrap_err();
    assert!(matches!(&error, Error::UserRefused { status: 404, .. }), "{error}");
    assert!(
        error.to_string().contains("/v1.0/users/***: status 404") && !format!("{error:?}").contains("ada"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let denied = error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.").await;
    let text = denied.to_string();
    let expected = "permission missing: `AiEnterpriseInteraction.Read.All` on `ai_interaction` (GET ";
    assert!(text.starts_with(expected), "{text}");
    let Error::PermissionMissing { table: Some("ai_interaction"), privilege: Some(_), .. } = denied else {
        panic!("{denied}")
    };

    let server = Server::start(|_| refused(403, "Authorization_RequestDenied", "")).await;
    let service = graph(server.url.clone());
    for (error, role) in [
        (service.users().try_collect::<Vec<_>>().await.unwrap_err(), "User.Read.All"),
        (service.deleted_users().try_collect::<Vec<_>>().await.unwrap_err(), "User.Read.All"),
        (service.user(PERSON).await.unwrap_err(), "User.Read.All"),
        (service.members(PERSON).try_collect::<Vec<_>>().await.unwrap_err(), "GroupMember.Read.All"),
    ] {
        let Error::PermissionMissing { table: Some("graph_user"), privilege, .. } = &error else { panic!("{error}") };
        assert_eq!(privilege.as_deref(), Some(role));
        assert!(!error.to_string().contains(PERSON), "{error}");
    }
    let server = Server::start(|_| refused(404, "Request_ResourceNotFound", TEXT)).await;
    let error = graph(server.url.clone()).members(PERSON).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(matches!(&error, Error::GroupMissing { .. }), "{error}");
    assert!(error.to_string().contains("/v1.0/groups/***/transitiveMembers/"), "{error}");
}

#[tokio::test]
async fn a_412_of_one_user_is_that_users_refusal_and_may_be_everybodys() {
    const DELEGATED: &str = "Requested API is not supported in delegated context";
    for (status, message, words, own) in [
        (412, "", "", false),
        (412, TEXT, "", false),
        (412, DELEGATED, "an application's is needed", false),
        (403, DELEGATED, "an application's is needed", false),
        (412, "Ada does not have a mailbox.", "no mailbox", true),
        (403, TEXT, "", false),
        (404, TEXT, "", true),
    ] {
        let error = error(status, "PreconditionFailed", message).await;
        let Error::UserRefused { status: found, reason, is_own, .. } = &error else { panic!("{error}") };
        assert_eq!((*found, *is_own, error.may_concern_everybody()), (status, own, !own), "{status} {message}");
        assert!(reason.contains(words) && reason.is_empty() == words.is_empty(), "{reason}");
        assert!(!error.is_service_wide(), "{error}");
    }
    // A list has no user whom it could be about.
    let server = Server::start(|_| refused(412, "PreconditionFailed", "")).await;
    let service = graph(server.url.clone());
    for error in [
        service.users().try_collect::<Vec<_>>().await.unwrap_err(),
        service.members(PERSON).try_collect::<Vec<_>>().await.unwrap_err(),
    ] {
        let expected = "sign-in refused (status 412): an application token is needed";
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn a_user_who_cannot_be_requested_is_that_users_failure() {
    let server = Server::start(|request| page(&request, "[]", None)).await;
    let service = graph(server.url.clone());
    let pages: Vec<_> = service.history("beef/../ada", &june()).collect().await;
    let [Err(error @ Error::InvalidUserId { call })] = pages.as_slice() else { panic!("{pages:?}") };
    assert!(!error.is_service_wide() && !error.may_concern_everybody() && call.attempts == 0, "{error}");
    assert!(!format!("{error} {error:?}").contains("beef"), "{error:?}");
    assert_eq!(rows(&history(&service).await), ["[]"], "the others are read");
    assert_eq!(server.asked().len(), 1);
}

/// An answer without a word, in several spellings.
fn silent(number: usize) -> Reply {
    match number % 4 {
        0 => Reply::new(400, ""),
        1 => Reply::new(400, "<html>"),
        2 => refused(400, "UnknownError", ""),
        _ => refused(400, "", " "),
    }
}

#[tokio::test]
async fn an_empty_400_is_tried_again_before_it_is_a_refusal_on_any_page() {
    for number in 0..4 {
        // It passes.
        let server = Server::start(move |request| match request.number {
            1 | 2 | 4 | 5 => silent(number),
            3 => page(&request, "[]", Some("/2")),
            _ => page(&request, r#"[{"id":"1"}]"#, None),
        })
        .await;
        let pages = history(&graph(server.url.clone())).await;
        assert_eq!(rows(&pages), ["[]", r#"[{"id":"1"}]"#]);
        assert!(pages.iter().all(|page| page.as_ref().unwrap().requests == 3), "{pages:?}");
        // It stays.
        let server = Server::start(move |_| silent(number)).await;
        let pages = history(&graph(server.url.clone())).await;
        let [Err(Error::FilterRefused { call })] = pages.as_slice() else { panic!("{pages:?}") };
        assert_eq!((call.attempts, call.status, server.asked().len()), (3, Some(400), 3));
        let server = Server::start(move |request| match request.number {
            1 => page(&request, "[]", Some("/2")),
            _ => silent(number),
        })
        .await;
        let pages = history(&graph(server.url.clone())).await;
        let [Ok(_), Err(Error::Refused { status: 400, call, .. })] = pages.as_slice() else { panic!("{pages:?}") };
        assert_eq!((call.attempts, call.page), (3, Some(2)));
    }
}

#[tokio::test]
async fn a_server_error_of_one_user_is_retried_less() {
    let server = Server::start(|_| refused(500, "InternalServerError", "Failed to execute request.")).await;
    let pages = history(&graph(server.url.clone())).await;
    let [Err(error @ Error::RetriesExhausted { status: 500, cause, call })] = pages.as_slice() else {
        panic!("{pages:?}")
    };
    assert_eq!((cause.as_str(), call.attempts, call.status), ("InternalServerError", 5, Some(500)));
    assert!(!error.to_string().contains(PERSON));
    assert_eq!(server.asked().len(), 5);

    for status in [502, 503, 504] {
        let server = Server::start(move |request| match request.number {
            1..=6 => Reply::new(status, "<html>"),
            _ => page(&request, "[]", None),
        })
        .await;
        let service = graph(server.url.clone());
        let pages = history(&service).await;
        assert_eq!(pages[0].as_ref().unwrap().requests, 7);
        assert_eq!(service.meter().throttled_seconds, 0.0);
    }
}

#[tokio::test]
async fn a_failed_page_is_never_the_end() {
    let server = Server::start(|request| match request.number {
        1 => page(&request, r#"[{"id":"1"}]"#, Some("/second")),
        _ => Reply::ok(r#"{"value":[{"id":"2","mentions":[{"id":"3"}]}"#),
    })
    .await;
    let pages = history(&graph(server.url.clone())).await;
    let [Ok(_), Err(Error::BadPage { reason, call })] = pages.as_slice() else { panic!("{pages:?}") };
    assert_eq!((reason.as_str(), call.page), ("the response ends before its JSON does", Some(2)));
}
