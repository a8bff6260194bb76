//! Proxies: how messages name one, and what can be wrong with it.

use std::error::Error;
use std::fmt;

use url::Url;

/// The variable of the environment that names a proxy, and its value.
#[derive(Clone)]
pub struct ProxyVariable {
    /// Its name, such as `HTTPS_PROXY`.
    pub name: String,
    /// The address, possibly with user name and password.
    pub value: String,
}

/// What is wrong with a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyFailure {
    /// It wants a user name and a password, or others (407).
    CredentialsMissing,
    /// It does not connect to the host: it answers with neither 200 nor 407.
    Refused,
    /// It cannot be reached, or broke off.
    Unreachable(String),
}

/// The proxy of a client, as messages name it: without user name and password, with the setting that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NamedProxy(String);

impl NamedProxy {
    /// The proxy of `network.proxy`.
    pub(crate) fn of_setting(address: &Url) -> Self {
        Self(format!("{} of `network.proxy`", address.origin().ascii_serialization()))
    }

    /// The proxy of the environment, or of the system's settings.
    pub(crate) fn of_environment(variable: Option<&ProxyVariable>) -> Self {
        let Some(ProxyVariable { name, value }) = variable else { return Self("of the system's settings".to_owned()) };
        let address = if value.contains("://") { value.clone() } else { format!("http://{value}") };
        match Url::parse(&address).map(|url| url.origin()) {
            Ok(origin) if origin.is_tuple() => Self(format!("{} of `{name}`", origin.ascii_serialization())),
            _ => Self(format!("of `{name}`")),
        }
    }
}

impl fmt::Display for NamedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ProxyFailure {
    /// What the proxy does; follows its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CredentialsMissing => f.write_str("wants a user name and a password, or others than it was given"),
            Self::Refused => f.write_str("does not connect to this host"),
            Self::Unreachable(cause) => write!(f, "cannot be reached: {cause}"),
        }
    }
}

impl ProxyFailure {
    /// What went wrong before the proxy had connected to the service; `None` if no proxy is to blame. `innermost`: the
    /// innermost cause.
    pub(crate) fn of(error: &reqwest::Error, innermost: &str) -> Option<Self> {
        let mut next = error.source();
        while let Some(cause) = next {
            // The type is not public; a test holds its text.
            if let Some(stage) = cause.to_string().strip_prefix("tunnel error: ") {
                return Some(match stage {
                    "proxy authorization required" => Self::CredentialsMissing,
                    "failed to create underlying connection" => Self::Unreachable(innermost.to_owned()),
                    "unexpected end of file" | "io error establishing tunnel" => {
                        Self::Unreachable("it closed the connection".to_owned())
                    }
                    _ => Self::Refused,
                });
            }
            next = cause.source();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_with_its_setting_and_without_its_password() {
        let setting = NamedProxy::of_setting(&Url::parse("http://mallory:hunter2@proxy:8080/x").unwrap());
        assert_eq!(setting.to_string(), "http://proxy:8080 of `network.proxy`");
        for (value, named) in [
            ("http://mallory:hunter2@proxy:8080/", "http://proxy:8080 of `HTTPS_PROXY`"),
            ("mallory:hunter2@proxy:8080", "http://proxy:8080 of `HTTPS_PROXY`"),
            ("proxy:8080", "http://proxy:8080 of `HTTPS_PROXY`"),
            ("http://hunter2 :x@@", "of `HTTPS_PROXY`"),
        ] {
            let variable = ProxyVariable { name: "HTTPS_PROXY".to_owned(), value: value.to_owned() };
            assert_eq!(NamedProxy::of_environment(Some(&variable)).to_string(), named, "{value}");
        }
        assert_eq!(NamedProxy::of_environment(None).to_string(), "of the system's settings");
    }
}
