//! Signing in to Graph, and the claims of its tokens.

use super::*;
use crate::TokenClaims;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// A server that issues tokens with these claims.
async fn start(claims: &'static str, response: impl Fn(Request) -> Reply + Send + Sync + 'static) -> Server {
    let token = format!("e30.{}.c2lnbmF0dXJl", BASE64_URL_SAFE_NO_PAD.encode(claims));
    let token = move |_| Reply::ok(format!(r#"{{"access_token":"{token}","expires_in":3600}}"#));
    Server::start_with(move |request| std::future::ready(response(request)), token).await
}

#[tokio::test]
async fn what_a_token_permits_is_told_without_a_request_to_the_service() {
    let claims = r#"{"tid":"72f988bf-86f1-41af-91ab-2d7cd011db47","roles":["User.Read.All"],"aud":"https://graph.microsoft.com"}"#;
    let server = start(claims, |request| page(&request, "[]", None)).await;
    let service = graph(server.url.clone());
    let token = service.token(&[]).await.unwrap();
    let roles = Some(vec!["User.Read.All".to_owned()]);
    assert_eq!(token, TokenClaims { roles, tenant_id: Some("72f988bf-86f1-41af-91ab-2d7cd011db47".to_owned()) });
    assert!(token.lacks("AiEnterpriseInteraction.Read.All") && !token.lacks("User.Read.All"));
    service.users().collect::<Vec<_>>().await;
    assert_eq!((server.asked().len(), server.signed_in().len()), (1, 1), "the same token");
    let scope = format!("{}.default", server.url);
    assert!(server.signed_in()[0].form().contains(&("scope".to_owned(), scope)));

    let opaque = Server::start(|request| page(&request, "[]", None)).await;
    assert_eq!(graph(opaque.url.clone()).token(&[]).await.unwrap(), TokenClaims::default());
}

#[tokio::test]
async fn a_refusal_with_a_token_that_lacks_the_role_is_a_missing_permission() {
    let refused = |_| refusal(403, "Forbidden", "");
    let server = start(r#"{"roles":["User.Read.All"]}"#, refused).await;
    let service = graph(server.url.clone());
    let error = history(&service).await.pop().unwrap().unwrap_err();
    let Error::PermissionMissing { privilege, .. } = &error else { panic!("{error}") };
    assert_eq!(privilege.as_deref(), Some("AiEnterpriseInteraction.Read.All"));
    let error = service.user(PERSON).await.unwrap_err();
    assert!(matches!(error, Error::UserRefused { status: 403, .. }), "{error}");

    let server = start(r#"{"roles":["AiEnterpriseInteraction.Read.All"]}"#, refused).await;
    let error = history(&graph(server.url.clone())).await.pop().unwrap().unwrap_err();
    assert!(matches!(error, Error::UserRefused { status: 403, .. }), "{error}");
}

#[tokio::test]
async fn a_persons_token_is_not_enough_and_an_applications_is() {
    const DELEGATED: &str = "Requested API is not supported in delegated context";
    let (person, application) = (r#"{"scp":"User.Read"}"#, r#"{"roles":["AiEnterpriseInteraction.Read.All"]}"#);
    for (claims, status, message, everybody) in [
        (person, 412, "", true),
        (person, 412, DELEGATED, true),
        (person, 403, DELEGATED, true),
        (application, 412, "", false),
        (application, 412, DELEGATED, false),
        (application, 403, DELEGATED, false),
    ] {
        let server = start(claims, move |_| refusal(status, "PreconditionFailed", message)).await;
        let error = history(&graph(server.url.clone())).await.pop().unwrap().unwrap_err();
        assert_eq!(error.is_service_wide(), everybody, "{claims} {status} {message}: {error}");
        if everybody {
            let expected = format!("sign-in refused (status {status}): an application token is needed");
            assert!(error.to_string().starts_with(&expected), "{error}");
        } else {
            assert!(error.may_concern_everybody(), "{error}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Bearer token-2") => page(&request, "[]", None),
        _ => Reply::new(401, ""),
    })
    .await;
    assert_eq!(rows(&history(&graph(server.url.clone())).await), ["[]"]);
    assert_eq!(server.signed_in().len(), 2);

    let server = Server::start(|_| Reply::new(401, "")).await;
    let error = history(&graph(server.url.clone())).await.pop().unwrap().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("sign-in refused (status 401): ") && text.contains("`graph.url`"), "{text}");
    assert!(!text.contains("dataverse"), "{text}");
    assert_eq!((server.asked().len(), server.signed_in().len()), (2, 2));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let settings = |url: &str| graph_settings(Url::parse(url).unwrap());
    let error = Graph::new(settings("http://graph.microsoft.com")).unwrap_err();
    assert!(matches!(error, Error::Insecure { setting: "graph.url", .. }), "{error}");
    let good = settings("https://graph.microsoft.com");
    assert!(Graph::new(good.clone()).is_ok());
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e-9] {
        let error = Graph::new(GraphSettings { requests_per_second: rate, ..good.clone() }).unwrap_err();
        assert!(matches!(&error, Error::Usage { what } if what.contains("requests_per_second")), "{rate}: {error}");
    }
    for version in ["", "v1.0/../beta", "v2.0"] {
        let error = Graph::new(GraphSettings { version: version.to_owned(), ..good.clone() }).unwrap_err();
        assert!(matches!(&error, Error::Usage { what } if what.contains("`graph.version`")), "{version}: {error}");
    }
}

#[tokio::test]
async fn nothing_that_is_shown_holds_secret_token_or_person() {
    let server = Server::start(|request| page(&request, r#"[{"id":"hunter2"}]"#, None)).await;
    let service = graph(server.url.clone());
    let pages = history(&service).await;
    let shown = format!("{service:?} {:#?} {pages:?}", graph_settings(server.url.clone()));
    for secret in [SECRET, "token-1", PERSON, "hunter2"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
