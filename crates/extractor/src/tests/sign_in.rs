//! Signing in.

use super::*;

#[tokio::test]
async fn a_token_is_asked_for_as_documented() {
    let server = Server::start(|_| who_am_i()).await;
    dataverse(server.url.clone()).who_am_i().await.unwrap();
    let asked = &server.signed_in()[0];
    assert_eq!(asked.target, "/tenant/oauth2/v2.0/token");
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.header("authorization"), None);
    let scope = format!("{}.default", server.url);
    let expected =
        [("grant_type", "client_credentials"), ("client_id", "client"), ("client_secret", SECRET), ("scope", &scope)];
    assert_eq!(asked.form(), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_token_that_the_service_refuses_is_replaced_once() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer token-2") => who_am_i(),
        _ => Reply::new(401, ""),
    })
    .await;
    let service = dataverse(server.url.clone());
    let (one, two, three) = tokio::join!(service.who_am_i(), service.who_am_i(), service.who_am_i());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(server.signed_in().len(), 2, "all three share the second token");
}

#[tokio::test]
async fn a_fresh_token_that_the_service_refuses_is_a_refused_sign_in() {
    let server = Server::start(|_| Reply::new(401, "")).await;
    let error = dataverse(server.url.clone()).who_am_i().await.unwrap_err();
    assert!(error.to_string().starts_with("sign-in refused (status 401): the service does not accept"), "{error}");
    assert_eq!((server.asked().len(), server.signed_in().len()), (2, 2));
}

#[tokio::test]
async fn a_refused_sign_in_is_not_repeated_and_says_what_to_do() {
    let server = Server::start_with(
        |_| std::future::ready(who_am_i()),
        |_| {
            let text = "AADSTS7000215: Invalid client secret provided. Ensure 'the-client-secret' is the value.";
            Reply::new(401, format!(r#"{{"error":"invalid_client","error_description":"{text}"}}"#))
        },
    )
    .await;
    let service = dataverse(server.url.clone());
    let errors = futures::future::join_all((0..20).map(|_| service.who_am_i())).await;
    for error in errors {
        let error = error.unwrap_err();
        let Error::SignInRefused { code, .. } = &error else { panic!("{error}") };
        assert_eq!(code, "AADSTS7000215");
        assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
    }
    assert_eq!((server.signed_in().len(), server.asked().len()), (1, 0), "20 callers share one answer");
}

#[tokio::test]
async fn a_sign_in_that_fails_in_passing_is_tried_again() {
    let server = Server::start_with(
        |_| std::future::ready(who_am_i()),
        |count| match count {
            1 => Reply::new(503, ""),
            2 => Reply::new(429, "").header("Retry-After", "0.01"),
            3 => Reply::ok(r#"{"access_token":"#),
            _ => Reply::ok(r#"{"access_token":"t","expires_in":"3600"}"#),
        },
    )
    .await;
    dataverse(server.url.clone()).who_am_i().await.unwrap();
    assert_eq!(server.signed_in().len(), 4);
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn http_is_refused_outside_loopback_for_service_and_authority() {
    let insecure = Url::parse("http://contoso.crm.dynamics.com").unwrap();
    let error = Dataverse::new(settings(insecure.clone())).unwrap_err();
    assert!(error.to_string().starts_with("`dataverse.url` is http:// to `contoso.crm.dynamics.com`"), "{error}");
    let mut settings = settings(Url::parse("https://contoso.crm.dynamics.com").unwrap());
    assert!(Dataverse::new(settings.clone()).is_ok());
    settings.auth.authority = insecure;
    let error = Dataverse::new(settings).unwrap_err();
    assert!(matches!(error, Error::Insecure { setting: "auth.authority", .. }), "{error}");
}

#[tokio::test]
async fn nothing_that_is_shown_holds_the_secret_or_the_token() {
    let server = Server::start(|_| who_am_i()).await;
    let service = dataverse(server.url.clone());
    service.who_am_i().await.unwrap();
    let shown = format!("{service:?} {:#?} {:?}", settings(server.url.clone()), service.clone());
    assert!(!shown.contains(SECRET) && !shown.contains("token-1"), "{shown}");
}
