//! How one attempt can fail, by what the next attempt needs.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use super::proxy::{NamedProxy, ProxyFailure};
use super::retry::RetryPolicy;
use super::throttle_scope::ThrottleScope;
use crate::auth::token::AccessToken;
use crate::error::{Error, FailedCall};

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// Worth another attempt.
    Transient(Transient),
    /// The service no longer accepts this access token.
    AccessTokenRejected(Arc<AccessToken>),
    /// The body outgrew its memory reservation while memory was short: the next attempt reserves the most it can need.
    OutOfMemory {
        /// The bytes that it had or would have had.
        length: usize,
    },
    /// Another attempt would not help.
    Permanent(Error),
    /// No identity may send the request.
    Unsent(Error),
}

/// A failure before there is a connection that time alone seldom mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastingFailure {
    /// The certificate is not valid for this client, this name or this time.
    Certificate,
    /// No server of names knows the name.
    UnknownName,
}

/// How long an unknown name is waited for: until the machine's own network is up.
const UNKNOWN_NAME: Duration = Duration::from_secs(60);

/// A failure that may be over by the next attempt.
#[derive(Debug, Default)]
pub(crate) struct Transient {
    /// What happened, for people; never text of a body.
    pub(crate) cause: String,
    /// The HTTP status, if there was a response.
    pub(crate) status: Option<u16>,
    /// The service's id of the request.
    pub(crate) request_id: Option<String>,
    /// The wait that the service asked for.
    pub(crate) retry_after: Option<Duration>,
    /// The service throttles (429), and whom.
    pub(crate) throttled: Option<ThrottleScope>,
    /// The service says for how long it cannot answer (a server error with `Retry-After`), and whom it means.
    pub(crate) unavailable: Option<ThrottleScope>,
    /// It does so because too many requests are in flight, or they take too much of its time.
    pub(crate) too_many_in_flight: bool,
    /// The failure may concern this request alone, so fewer attempts are made.
    pub(crate) request_specific: bool,
    /// If the service was never reached, the address is probably wrong.
    pub(crate) maybe_wrong_address: bool,
    /// The proxy is to blame.
    pub(crate) proxy: Option<ProxyFailure>,
    /// Why time alone is not likely to mend it.
    pub(crate) lasting: Option<LastingFailure>,
    /// A response came, but not a complete page.
    pub(crate) incomplete_page: bool,
    /// A refusal without a reason, which may be a mistake of the service: what it means if it stays.
    pub(crate) refusal: Option<Box<Error>>,
}

impl Transient {
    /// A response that is not what was requested.
    pub(crate) fn bad_page(reason: impl Into<String>, status: u16, request_id: Option<String>) -> Self {
        let (cause, status) = (reason.into(), Some(status));
        Self { cause, status, request_id, maybe_wrong_address: true, incomplete_page: true, ..Self::default() }
    }

    /// Whether another attempt does harm: repeated, a wrong password locks accounts.
    pub(crate) fn forbids_attempts(&self) -> bool {
        self.proxy == Some(ProxyFailure::CredentialsMissing)
    }

    /// Whether waiting is not likely to help. `reached`: there was a response before.
    pub(crate) fn is_lasting(&self, reached: bool) -> bool {
        match self.lasting {
            Some(LastingFailure::Certificate) => true,
            Some(LastingFailure::UnknownName) => !reached,
            None => self.forbids_attempts(),
        }
    }

    /// How long the failure is waited out, where an outage is for `max_outage`.
    pub(crate) fn max_outage(&self, max_outage: Duration, reached: bool) -> Duration {
        match self.lasting {
            _ if !self.is_lasting(reached) => max_outage,
            Some(LastingFailure::UnknownName) if !self.forbids_attempts() => max_outage.min(UNKNOWN_NAME),
            _ => Duration::ZERO,
        }
    }

    /// The attempts that are worth making. `is_file`: a File was requested.
    pub(crate) fn max_attempts(&self, retry_policy: &RetryPolicy, is_file: bool, gives_up_early: bool) -> u32 {
        match () {
            () if self.forbids_attempts() => 1,
            () if gives_up_early => retry_policy.max_attempts_unreached,
            () if is_file => retry_policy.max_attempts_request_specific,
            () if self.refusal.is_some() => retry_policy.max_attempts_unexplained,
            () if self.request_specific => retry_policy.max_attempts_request_specific,
            () => retry_policy.max_attempts,
        }
    }

    /// Fails if the status is one that only a proxy sends.
    pub(crate) fn refused_by_proxy(status: StatusCode) -> Result<(), Self> {
        if status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Ok(());
        }
        let proxy = Some(ProxyFailure::CredentialsMissing);
        Err(Self { proxy, maybe_wrong_address: true, ..Self::default() })
    }

    /// The error once no further attempt is made.
    pub(crate) fn into_error(self, proxy: &NamedProxy, mut call: Box<FailedCall>) -> Error {
        call.retry_after = self.retry_after;
        let cause = self.cause;
        if let Some(failure) = self.proxy {
            return Error::Proxy { proxy: proxy.to_string(), failure, call };
        }
        match (self.refusal, self.status) {
            (Some(refusal), _) => *refusal,
            (None, _) if self.incomplete_page => Error::BadPage { reason: cause, call },
            (None, Some(status)) => Error::RetriesExhausted { status, cause, call },
            (None, None) => Error::Unreachable { cause, call },
        }
    }
}

impl From<Transient> for AttemptError {
    fn from(transient: Transient) -> Self {
        Self::Transient(transient)
    }
}

/// A connection that failed, broke off, or was too slow.
impl From<&reqwest::Error> for Transient {
    fn from(error: &reqwest::Error) -> Self {
        let cause = match (error.is_timeout(), error.is_connect()) {
            (true, true) => "connecting timed out".to_owned(),
            (true, false) => "waiting for data timed out".to_owned(),
            (false, _) => innermost(error),
        };
        let causes: Vec<_> =
            std::iter::successors(error.source(), |cause| (*cause).source()).map(|cause| cause.to_string()).collect();
        let lasting = LastingFailure::from_causes(causes.iter().map(String::as_str));
        let proxy = ProxyFailure::of(error, &cause);
        Self { cause, maybe_wrong_address: error.is_connect(), proxy, lasting, ..Self::default() }
    }
}

impl LastingFailure {
    /// What lasts of a connection's failure, by the texts of its causes: their types are not public.
    fn from_causes<'a>(causes: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let (mut is_name, mut innermost) = (false, "");
        for cause in causes {
            is_name |= cause == "dns error";
            innermost = cause;
        }
        // That no server of names could be asked may pass.
        match () {
            () if innermost.starts_with("invalid peer certificate") => Some(Self::Certificate),
            () if is_name && !innermost.contains("emporary failure") => Some(Self::UnknownName),
            () => None,
        }
    }
}

/// The innermost cause of the chain: the outer ones repeat the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut text = "the request failed".to_owned();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = match inner.downcast_ref::<io::Error>() {
            Some(error) if error.raw_os_error().is_some() => of_system(error),
            _ => inner.to_string(),
        };
        cause = inner.source();
    }
    text
}

/// The kind of a failure of the system, or its own text where that is of no kind.
fn of_system(error: &io::Error) -> String {
    let (kind, text) = (error.kind().to_string(), error.to_string());
    if kind == "uncategorized error" {
        text.split(" (os error").next().unwrap_or_default().to_lowercase()
    } else {
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lasts_is_told_by_the_causes_of_a_connections_failure() {
        use LastingFailure::{Certificate, UnknownName};
        let unknown = "failed to lookup address information: Name or service not known";
        let nobody_to_ask = "failed to lookup address information: Temporary failure in name resolution";
        for (causes, expected) in [
            (&["client error (Connect)", "invalid peer certificate: UnknownIssuer"][..], Some(Certificate)),
            (&["client error (Connect)", "invalid peer certificate: Expired"], Some(Certificate)),
            (&["client error (Connect)", "dns error", unknown], Some(UnknownName)),
            (&["client error (Connect)", "tunnel error: failed", "dns error", unknown], Some(UnknownName)),
            (&["client error (Connect)", "dns error", nobody_to_ask], None),
            (&["client error (Connect)", "tcp connect error", "Connection refused"], None),
            (&["error reading a body from connection", "unexpected end of file"], None),
            (&[], None),
        ] {
            assert_eq!(LastingFailure::from_causes(causes.iter().copied()), expected, "{causes:?}");
        }
    }

    #[test]
    fn what_lasts_is_not_waited_out_like_an_outage() {
        let outage = Duration::from_secs(600);
        let lasting = |lasting| Transient { lasting: Some(lasting), ..Transient::default() };
        let proxy = |failure| Transient { proxy: Some(failure), ..Transient::default() };
        // Before there was any response, and after.
        for (what, transient, expected) in [
            ("anything else", Transient::default(), [600, 600]),
            ("a certificate", lasting(LastingFailure::Certificate), [0, 0]),
            ("an unknown name", lasting(LastingFailure::UnknownName), [60, 600]),
            ("a password of the proxy", proxy(ProxyFailure::CredentialsMissing), [0, 0]),
            ("a proxy that does not run", proxy(ProxyFailure::Unreachable(String::new())), [600, 600]),
        ] {
            let waits = [false, true].map(|reached| transient.max_outage(outage, reached).as_secs());
            assert_eq!(waits, expected, "{what}");
        }
    }
}
