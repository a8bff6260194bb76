//! The network: proxy and trusted certificates, the same for every client of the crate.

use std::fmt;
use std::time::Duration;

use memchr::memmem;
use reqwest::{Certificate, Client, ClientBuilder, Proxy};
use url::Url;

use super::origin::is_loopback;
use super::proxy::{NamedProxy, ProxyVariable};
use crate::error::Error;
use crate::json::BYTE_ORDER_MARK;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Local endpoints answer at once or do not exist.
const LOCAL_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Idle time after which a request is retried; the vendor's samples wait as long.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// How services are reached. Defaults to the system's settings: `HTTPS_PROXY`, `NO_PROXY` and its trust store.
#[derive(Clone, Default)]
pub struct Network {
    /// Replaces the system's proxy for everything but loopback and managed identities: `http://` or `https://`, with
    /// user name and password if needed.
    pub proxy: Option<Url>,
    /// Certificates (PEM) trusted in addition to the system's.
    pub ca: Option<Vec<u8>>,
    /// The variable that names the system's proxy, for messages.
    pub variable: Option<ProxyVariable>,
}

impl fmt::Debug for Network {
    /// Omits the user name and password of the proxy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxy", &self.proxy.as_ref().map(|proxy| proxy.origin().ascii_serialization()))
            .field("ca", &self.ca.as_ref().map(Vec::len))
            .finish()
    }
}

impl Network {
    /// A client for the service at this URL, which has passed the check for secure origins.
    pub(crate) fn client(&self, service: &Url) -> Result<Client, Error> {
        let builder = self.builder()?.https_only(service.scheme() == "https");
        self.build(match &self.proxy {
            _ if is_loopback(service) => builder.no_proxy(),
            Some(proxy) => builder.proxy(proxy_for(proxy)?),
            None => builder,
        })
    }

    /// The proxy of such a client; hosts in `NO_PROXY` are reached without it.
    pub(crate) fn named_proxy(&self) -> NamedProxy {
        match &self.proxy {
            Some(proxy) => NamedProxy::of_setting(proxy),
            None => NamedProxy::of_environment(self.variable.as_ref()),
        }
    }

    /// A client for an endpoint of the machine itself: never through a proxy.
    pub(crate) fn local_client(&self) -> Result<Client, Error> {
        self.build(self.builder()?.no_proxy().connect_timeout(LOCAL_CONNECT_TIMEOUT))
    }

    /// The settings that all clients share.
    fn builder(&self) -> Result<ClientBuilder, Error> {
        let builder = Client::builder()
            .user_agent(concat!("copilot-lake/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .gzip(true);
        let Some(pem) = &self.ca else { return Ok(builder) };
        // Windows editors put byte-order marks in front, and concatenated files have several.
        match Certificate::from_pem_bundle(&without_boms(pem)) {
            Ok(certificates) if !certificates.is_empty() => Ok(builder.tls_certs_merge(certificates)),
            _ => Err(usage("`network.ca_file` holds no certificate in PEM, or a truncated one")),
        }
    }

    fn build(&self, builder: ClientBuilder) -> Result<Client, Error> {
        builder.build().map_err(|_| {
            usage(match self.ca {
                Some(_) => "the HTTP client cannot be created: a certificate of `network.ca_file` cannot be used",
                None => "the HTTP client cannot be created: no usable certificates, or a bad proxy setting",
            })
        })
    }
}

/// Removes all byte-order marks.
fn without_boms(pem: &[u8]) -> Vec<u8> {
    let (mut clean, mut from) = (Vec::with_capacity(pem.len()), 0);
    for mark in memmem::find_iter(pem, BYTE_ORDER_MARK) {
        clean.extend_from_slice(&pem[from..mark]);
        from = mark + BYTE_ORDER_MARK.len();
    }
    clean.extend_from_slice(&pem[from..]);
    clean
}

fn proxy_for(proxy: &Url) -> Result<Proxy, Error> {
    if !matches!(proxy.scheme(), "http" | "https") || proxy.host_str().is_none_or(str::is_empty) {
        return Err(usage("`network.proxy` must be the http:// or https:// address of a proxy"));
    }
    Proxy::all(proxy.clone()).map_err(|_| usage("`network.proxy` cannot be used"))
}

fn usage(what: &str) -> Error {
    Error::Usage { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_proxy_is_an_http_address_and_never_shown_with_its_password() {
        let network = |proxy: &str| Network { proxy: Some(url(proxy)), ..Network::default() };
        let service = url("https://contoso.crm.dynamics.com");
        for proxy in ["socks5://proxy:1080", "file:///proxy", "proxy:8080"] {
            let error = network(proxy).client(&service).unwrap_err();
            assert!(error.to_string().starts_with("`network.proxy` must be"), "{proxy}: {error}");
        }
        let network = network("http://mallory:hunter2@proxy:8080/x");
        let client = network.client(&service).unwrap();
        let shown = format!("{network:?} {network:#?} {client:?}");
        assert!(shown.contains("http://proxy:8080"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("mallory") && !shown.contains("bWFsbG9ye"), "{shown}");
    }

    #[test]
    fn a_ca_file_without_a_usable_certificate_is_named() {
        let service = url("https://contoso.crm.dynamics.com");
        let client = |pem: &[u8]| Network { ca: Some(pem.to_vec()), ..Network::default() }.client(&service);
        let cut = "-----BEGIN CERTIFICATE-----\nMIIB";
        let foreign = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "nothing", cut, foreign, include_str!("../tests/keys/pkcs8.pem")] {
            let error = client(pem.as_bytes()).unwrap_err();
            let Error::Usage { what } = &error else { panic!("{error}") };
            assert!(what.contains("`network.ca_file`"), "{pem}: {what}");
        }
        let two = concat!(include_str!("../tests/keys/certificate.pem"), include_str!("../tests/keys/other.pem"));
        client(two.as_bytes()).unwrap();
    }

    #[test]
    fn certificates_behind_byte_order_marks_are_not_left_out() {
        let (one, two) = (include_str!("../tests/keys/certificate.pem"), include_str!("../tests/keys/other.pem"));
        let marked = without_boms(format!("\u{feff}{one}\u{feff}{two}").as_bytes());
        assert_eq!(marked, format!("{one}{two}").into_bytes());
        let service = url("https://contoso.crm.dynamics.com");
        let ca = Some(format!("\u{feff}{one}").into_bytes());
        Network { ca, ..Network::default() }.client(&service).unwrap();
    }
}
