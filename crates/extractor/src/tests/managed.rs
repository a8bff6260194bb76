//! Signing in as the machine.

use super::*;

fn imds(server: &Server) -> DataverseSettings {
    let endpoint = Some(server.url.join("/metadata/identity/oauth2/token").unwrap());
    let mut settings = with_credential(server.url.clone(), Credential::ManagedIdentity { endpoint, header: None });
    // Neither is of any use to it.
    settings.auth.authority = Url::parse("http://nowhere.example").unwrap();
    settings.auth.tenant_id.clear();
    settings
}

fn app_service(server: &Server) -> DataverseSettings {
    let endpoint = Some(server.url.join("/msi/token").unwrap());
    let header = Some(Secret::new("hunter2"));
    with_credential(server.url.clone(), Credential::ManagedIdentity { endpoint, header })
}

/// The path and the query of a request.
fn parts(request: &Request) -> (String, Vec<(String, String)>) {
    let url = Url::parse(&format!("{}{}", request.base(), request.target)).unwrap();
    (url.path().to_owned(), url.query_pairs().into_owned().collect())
}

#[tokio::test]
async fn imds_is_asked_as_documented_for_either_kind_of_identity() {
    let server = Server::start(|_| who_am_i()).await;
    let mut settings = imds(&server);
    impatient(settings.clone()).who_am_i().await.unwrap();
    settings.auth.client_id.clear();
    impatient(settings).who_am_i().await.unwrap();
    let resource = server.url.as_str().trim_end_matches('/');
    let mut expected = vec![("api-version", "2018-02-01"), ("resource", resource), ("client_id", "client")];
    for asked in server.signed_in() {
        let (path, query) = parts(&asked);
        assert_eq!(path, "/metadata/identity/oauth2/token");
        let query: Vec<_> = query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(query, expected);
        assert_eq!((asked.header("metadata"), asked.header("x-identity-header")), (Some("true"), None));
        expected.pop();
    }
    assert_eq!(expected.len(), 1, "two sign-ins");
}

#[tokio::test]
async fn app_service_is_asked_as_documented_and_again_for_a_new_token() {
    let until = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 86_400;
    let server = Server::start_with(
        |request: Request| {
            let taken = request.header("authorization") == Some("Bearer token-2");
            std::future::ready(if taken { who_am_i() } else { Reply::new(401, "") })
        },
        move |n| Reply::ok(format!(r#"{{"access_token":"token-{n}","expires_on":"{until}","resource":"r"}}"#)),
    )
    .await;
    let service = impatient(app_service(&server));
    service.who_am_i().await.unwrap();
    service.who_am_i().await.unwrap();
    assert_eq!(server.signed_in().len(), 2, "the second token is good for a day");
    for asked in server.signed_in() {
        let (path, query) = parts(&asked);
        assert_eq!((path.as_str(), query[0].1.as_str(), query[2].1.as_str()), ("/msi/token", "2019-08-01", "client"));
        assert_eq!((asked.header("x-identity-header"), asked.header("metadata")), (Some("hunter2"), None));
    }
    let shown = format!("{service:?} {:?}", app_service(&server));
    assert!(!shown.contains("hunter2") && !shown.contains("token-2"), "{shown}");
}

#[tokio::test]
async fn imds_is_asked_again_while_it_is_updated_busy_or_broken() {
    let server = Server::start_with(
        |_| std::future::ready(who_am_i()),
        |count| match count {
            1 => Reply::new(404, ""),
            2 => Reply::new(410, ""),
            3 => Reply::new(429, "").header("Retry-After", "0.01"),
            4 => Reply::new(500, r#"{"error":"unknown"}"#),
            _ => Reply::ok(r#"{"access_token":"t","expires_in":"86399","expires_on":"1","refresh_in":"43200"}"#),
        },
    )
    .await;
    impatient(imds(&server)).who_am_i().await.unwrap();
    assert_eq!(server.signed_in().len(), 5);
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer t"));
}

#[tokio::test]
async fn an_answer_of_older_platforms_is_used() {
    for end in [r#","expires_on":"9/14/2035 5:00:00 PM +00:00""#, r#","expires_on":"2035-09-14T17:00:00Z""#, ""] {
        let server = Server::start_with(
            |_| std::future::ready(who_am_i()),
            move |_| Reply::ok(format!("\u{feff}{{\"access_token\":\"t\"{end}}}")),
        )
        .await;
        let service = impatient(app_service(&server));
        service.who_am_i().await.unwrap();
        service.who_am_i().await.unwrap();
        assert_eq!(server.signed_in().len(), 1, "{end}");
    }
}

#[tokio::test]
async fn an_identity_that_the_machine_does_not_have_is_refused_at_once() {
    let refuse = |_| Reply::new(400, r#"{"error":"invalid_request","error_description":"Identity not found hunter2"}"#);
    let server = Server::start_with(|_| std::future::ready(who_am_i()), refuse).await;
    for settings in [imds(&server), app_service(&server)] {
        let error = impatient(settings).who_am_i().await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.starts_with("sign-in refused (invalid_request): the machine has no such identity"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert_eq!(server.signed_in().len(), 2);
}

#[tokio::test]
async fn app_service_has_no_update_to_wait_for() {
    let server = Server::start_with(|_| std::future::ready(who_am_i()), |_| Reply::new(404, "")).await;
    let error = impatient(app_service(&server)).who_am_i().await.unwrap_err();
    assert!(error.to_string().starts_with("sign-in refused (status 404): "), "{error}");
    assert_eq!(server.signed_in().len(), 1);
}

#[tokio::test]
async fn a_machine_without_an_identity_endpoint_is_given_up_early() {
    let server = Server::start(|_| who_am_i()).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Url::parse(&format!("http://{}/msi/token?x=hunter2", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let credential = Credential::ManagedIdentity { endpoint: Some(endpoint.clone()), header: None };
    let error = impatient(with_credential(server.url.clone(), credential)).who_am_i().await.unwrap_err();
    let Error::Unreachable { cause, call } = &error else { panic!("{error}") };
    assert_eq!(cause, "no managed identity answers on this machine: connection refused");
    let url = endpoint.as_str().split('?').next().unwrap();
    assert_eq!((call.attempts, call.method, call.url.as_str()), (3, "GET", url));
}
