//! Proxies: which requests use one, and which never do.

use super::*;

const PASSWORD: &str = "p@ss word";

/// A proxy that rejects everything, and settings to use it.
async fn proxy() -> (Server, Network) {
    let server = Server::start(|_| Reply::new(407, "hunter2")).await;
    let mut url = server.url.clone();
    url.set_username("mallory").unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    (server, Network { proxy: Some(url), ..Network::default() })
}

/// What the proxy was asked for, and as whom.
fn asked(proxy: &Server) -> Vec<(String, Option<String>)> {
    let requests = proxy.asked().into_iter().chain(proxy.signed_in());
    requests
        .inspect(|request| assert_eq!(request.header("authorization"), None, "the token is not the proxy's"))
        .map(|request| (request.target.clone(), request.header("proxy-authorization").map(str::to_owned)))
        .collect()
}

/// `mallory:p@ss word` in base64.
fn user() -> Option<String> {
    Some("Basic bWFsbG9yeTpwQHNzIHdvcmQ=".to_owned())
}

fn assert_hidden(text: &str) {
    for secret in ["hunter2", "mallory", PASSWORD, "p%40ss", "bWFsbG9yeT"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn a_service_is_reached_through_the_proxy_and_a_loopback_authority_directly() {
    let (proxy, network) = proxy().await;
    let authority = Server::start(|_| Reply::new(404, "")).await;
    let mut settings = settings(Url::parse("https://contoso.crm.dynamics.com").unwrap());
    settings.auth.authority = authority.url.clone();
    settings.network = network;
    let shown = format!("{settings:?}");
    let service = impatient(settings);
    // However long an outage is waited out.
    service.wait_out_outages(Duration::from_secs(600));
    let error = service.who_am_i().await.unwrap_err();
    let Error::Proxy { failure: ProxyFailure::CredentialsMissing, call, .. } = &error else { panic!("{error}") };
    assert_eq!((call.attempts, call.method), (1, "GET"), "a wrong password repeated locks accounts");
    let named = format!("the proxy {} of `network.proxy` wants a user name", proxy.url.origin().ascii_serialization());
    assert!(error.to_string().starts_with(&named) && error.is_service_wide(), "{error}");
    assert_eq!(asked(&proxy), [("contoso.crm.dynamics.com:443".to_owned(), user())]);
    assert_eq!(authority.signed_in().len(), 1);
    assert_hidden(&format!("{shown} {error} {error:?} {service:?}"));
}

#[tokio::test]
async fn an_authority_is_reached_through_the_proxy() {
    let (proxy, network) = proxy().await;
    let server = Server::start(|_| who_am_i()).await;
    let mut settings = settings(server.url.clone());
    settings.auth.authority = Url::parse("https://login.microsoftonline.us").unwrap();
    settings.network = network;
    let service = impatient(settings);
    service.wait_out_outages(Duration::from_secs(600));
    let error = service.who_am_i().await.unwrap_err();
    let Error::Proxy { failure: ProxyFailure::CredentialsMissing, call, .. } = &error else { panic!("{error}") };
    assert_eq!((call.attempts, call.method), (1, "POST"));
    assert_eq!(asked(&proxy), [("login.microsoftonline.us:443".to_owned(), user())]);
    assert_hidden(&format!("{error} {error:?}"));
}

#[tokio::test]
async fn what_is_wrong_with_a_proxy_is_told_apart() {
    let refusing = |status: u16| Server::start(move |_| Reply::new(status, "hunter2"));
    let (forbidden, failing, plain) = (refusing(403).await, refusing(502).await, refusing(407).await);
    let closed = Url::parse("http://127.0.0.1:1").unwrap();
    let unknown = Url::parse("http://mallory:hunter2@proxy.invalid:8080").unwrap();
    for (proxy, words) in [
        (&forbidden.url, "does not connect to this host"),
        (&failing.url, "does not connect to this host"),
        (&closed, "cannot be reached: connection refused"),
        (&unknown, "cannot be reached: "),
    ] {
        let mut settings = settings(Url::parse("https://contoso.crm.dynamics.com").unwrap());
        settings.auth.authority = Url::parse("https://login.microsoftonline.com").unwrap();
        settings.network.proxy = Some(proxy.clone());
        let error = impatient(settings).who_am_i().await.unwrap_err();
        let Error::Proxy { call, .. } = &error else { panic!("{error}") };
        let shown = format!("the proxy {} of `network.proxy` {words}", proxy.origin().ascii_serialization());
        assert!(error.to_string().starts_with(&shown) && call.attempts == 3, "{error}");
        assert_hidden(&format!("{error} {error:?}"));
    }
    // A service without TLS is on this machine; should a proxy answer in its place, the status tells.
    let error = impatient(settings(plain.url.clone())).who_am_i().await.unwrap_err();
    assert!(matches!(&error, Error::Proxy { failure: ProxyFailure::CredentialsMissing, .. }), "{error}");
}

#[tokio::test]
async fn a_plain_request_names_the_whole_url_to_the_proxy() {
    let (proxy, network) = proxy().await;
    let url = Url::parse("http://service.example/path?x=1").unwrap();
    let client = network.client(&url).unwrap();
    assert_eq!(client.get(url.clone()).send().await.unwrap().status(), 407);
    assert_eq!(asked(&proxy), [(url.to_string(), user())]);
}

#[tokio::test]
async fn loopback_and_managed_identities_never_go_through_a_proxy() {
    let (proxy, network) = proxy().await;
    let server = Server::start(|_| who_am_i()).await;
    let mut settings = settings(server.url.clone());
    settings.network = network;
    impatient(settings.clone()).who_am_i().await.unwrap();
    // This machine, and yet no loopback address.
    let mut endpoint = server.url.join("/msi/token").unwrap();
    endpoint.set_host(Some("0.0.0.0")).unwrap();
    for header in [None, Some(Secret::new("hunter2"))] {
        settings.auth.credential = Credential::ManagedIdentity { endpoint: Some(endpoint.clone()), header };
        impatient(settings.clone()).who_am_i().await.unwrap();
    }
    assert_eq!((server.asked().len(), server.signed_in().len()), (3, 3));
    assert_eq!(asked(&proxy), []);
}

#[tokio::test]
async fn https_is_not_left_for_http() {
    let client = Network::default().client(&Url::parse("https://contoso.crm.dynamics.com").unwrap()).unwrap();
    let server = Server::start(|_| who_am_i()).await;
    assert!(client.get(server.url.clone()).send().await.is_err());
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn certificates_are_added_for_service_and_sign_in() {
    let pem = include_str!("keys/other.pem").as_bytes().to_vec();
    let mut settings = settings(Url::parse("https://contoso.crm.dynamics.com").unwrap());
    settings.network.ca = Some(pem);
    assert!(Dataverse::new(settings.clone()).is_ok());
    settings.network.ca = Some(b"nothing".to_vec());
    let error = Dataverse::new(settings).unwrap_err();
    assert!(matches!(&error, Error::Usage { what } if what.contains("`network.ca_file`")), "{error}");
}
