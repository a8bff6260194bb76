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
}

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
    /// It does so because too many requests are in flight, or they take too much of its time.
    pub(crate) too_many_in_flight: bool,
    /// The failure may concern this request alone, so fewer attempts are made.
    pub(crate) request_specific: bool,
    /// If the service was never reached, the address is probably wrong.
    pub(crate) maybe_wrong_address: bool,
    /// The proxy is to blame.
    pub(crate) proxy: Option<ProxyFailure>,
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
}

impl Transient {
    /// The attempts that are worth making. `is_file`: a File was requested.
    pub(crate) fn max_attempts(&self, retry_policy: &RetryPolicy, is_file: bool, never_reached: bool) -> u32 {
        match () {
            // Repeated, a wrong password locks accounts.
            () if never_reached && self.proxy == Some(ProxyFailure::CredentialsMissing) => 1,
            () if never_reached => retry_policy.max_attempts_unreached,
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
        let proxy = ProxyFailure::of(error, &cause);
        Self { cause, maybe_wrong_address: error.is_connect(), proxy, ..Self::default() }
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
