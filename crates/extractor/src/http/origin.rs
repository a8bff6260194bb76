//! Origins: where a token may be sent.

use copilot_lake_tables::is_guid;
use url::{Host, Url};

use crate::error::Error;

/// Whether a URL stays on this machine: 127.0.0.0/8, ::1 or `localhost`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

/// Rejects a URL to which no token and no secret may be sent.
pub(crate) fn require_secure(setting: &'static str, url: &Url) -> Result<(), Error> {
    let host = require_host(setting, url)?;
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => Err(Error::Insecure { setting, host: host.to_owned() }),
        _ => Err(Error::Usage { what: format!("`{setting}` must begin with https://") }),
    }
}

/// Rejects a URL that is not HTTP(S); for endpoints of the platform, which may be `http://` anywhere.
pub(crate) fn require_http(setting: &'static str, url: &Url) -> Result<(), Error> {
    require_host(setting, url)?;
    match url.scheme() {
        "http" | "https" => Ok(()),
        _ => Err(Error::Usage { what: format!("`{setting}` must begin with http:// or https://") }),
    }
}

/// The host of a URL without user name and password.
fn require_host<'a>(setting: &'static str, url: &'a Url) -> Result<&'a str, Error> {
    let usage = |what: &str| Error::Usage { what: format!("`{setting}` {what}") };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(usage("must not hold a user name or a password"));
    }
    url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| usage("has no host"))
}

/// Whether a link has the scheme, host and port of the service.
pub(crate) fn is_same_origin(service: &Url, link: &Url) -> bool {
    service.origin().is_tuple()
        && service.origin() == link.origin()
        && link.username().is_empty()
        && link.password().is_none()
}

/// What logs and errors may show of a URL: no query, fragment or user name, and no id of a user or group.
pub(crate) fn redacted(url: &Url) -> String {
    let mut shown = url.origin().ascii_serialization();
    let mut before = "";
    for (at, segment) in url.path().split('/').enumerate() {
        if at > 0 {
            shown.push('/');
        }
        // The first GUID in a sign-in URL is the tenant's.
        let id = segment.contains('@') || segment.contains("%40") || (at > 1 && is_guid(segment));
        let named = PERSONAL_SETS.iter().any(|name| before.eq_ignore_ascii_case(name)) && !segment.is_empty();
        let keyed =
            segment.split_once('(').filter(|(set, _)| PERSONAL_SETS.iter().any(|name| set.eq_ignore_ascii_case(name)));
        match keyed {
            Some((set, _)) => shown.extend([set, "(***)"]),
            None if id || named => shown.push_str("***"),
            None => shown.push_str(segment),
        }
        before = segment;
    }
    shown
}

/// Entity sets whose keys identify users or groups.
const PERSONAL_SETS: [&str; 2] = ["users", "groups"];

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn loopback_is_an_address_or_localhost() {
        for text in ["http://127.0.0.1:1/", "http://127.8.9.1/", "http://[::1]:80/", "http://LOCALHOST/"] {
            assert!(require_secure("dataverse.url", &url(text)).is_ok(), "{text}");
        }
        for text in ["http://localhost.example.com/", "http://10.0.0.1/", "http://128.0.0.1/", "http://0.0.0.0/"] {
            assert!(matches!(require_secure("dataverse.url", &url(text)), Err(Error::Insecure { .. })), "{text}");
        }
        assert!(matches!(require_secure("dataverse.url", &url("ftp://localhost/")), Err(Error::Usage { .. })));
        assert!(matches!(require_secure("dataverse.url", &url("https://a:b@example.com/")), Err(Error::Usage { .. })));
    }

    #[test]
    fn a_link_must_have_the_same_scheme_host_and_port() {
        let service = url("https://contoso.crm.dynamics.com/");
        for text in ["https://contoso.crm.dynamics.com/api?x=1", "https://CONTOSO.crm.dynamics.com:443/"] {
            assert!(is_same_origin(&service, &url(text)), "{text}");
        }
        for text in [
            "http://contoso.crm.dynamics.com/",
            "https://contoso.crm.dynamics.com:444/",
            "https://contoso.crm.dynamics.com.evil.example/",
            "https://contoso.crm.dynamics.com@evil.example/",
            "https://user@contoso.crm.dynamics.com/",
            "data:text/plain,x",
        ] {
            assert!(!is_same_origin(&service, &url(text)), "{text}");
        }
    }

    #[test]
    fn what_is_shown_has_no_query_and_no_user() {
        assert_eq!(redacted(&url("https://u:p@h.example/a/b?token=1#f")), "https://h.example/a/b");
        assert_eq!(redacted(&url("https://h.example")), "https://h.example/");
    }

    #[test]
    fn what_is_shown_names_nobody() {
        const ID: &str = "f9d841e5-0000-4000-8000-000000000001";
        let path =
            |path: &str| redacted(&url(&format!("https://h.example{path}"))).split_off("https://h.example".len());
        assert_eq!(path(&format!("/v1.0/copilot/USERS/{ID}/x?$top=1")), "/v1.0/copilot/USERS/***/x");
        assert_eq!(path("/v1.0/users/ada%40example.org"), "/v1.0/users/***");
        assert_eq!(path("/v1.0/users('ada@example.org')/x"), "/v1.0/users(***)/x");
        assert_eq!(path(&format!("/v1.0/groups/{ID}/transitiveMembers")), "/v1.0/groups/***/transitiveMembers");
        assert_eq!(path(&format!("/v1.0/directoryObjects/{ID}")), "/v1.0/directoryObjects/***");
        assert_eq!(path("/v1.0/x/ada@example.org"), "/v1.0/x/***");
        for plain in
            ["/v1.0/users", "/v1.0/users/", &format!("/{ID}/oauth2/v2.0/token"), &format!("/api/systemusers({ID})")]
        {
            assert_eq!(path(plain), plain);
        }
    }
}
