//! Errors, split by what the caller does next.

use std::fmt;
use std::time::Duration;

use crate::http::proxy::ProxyFailure;

/// Why a call failed. Never holds a secret, a token, a query or a body.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The settings are invalid: correct them and start again.
    #[error("{what}")]
    Usage {
        /// What is wrong with which setting.
        what: String,
    },
    /// `http://` to a host that is not loopback: a token would travel in the clear.
    #[error("`{setting}` is http:// to `{host}`: only https:// is used outside loopback")]
    Insecure {
        /// The setting that holds the URL.
        setting: &'static str,
        /// The host it names.
        host: String,
    },
    /// The identity service rejects the identity, or the service rejects a fresh token.
    #[error("sign-in refused ({code}): {advice}")]
    SignInRefused {
        /// The vendor's code such as `AADSTS7000215`, else the OAuth error or the HTTP status.
        code: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The identity is known, but may not read this.
    #[error("permission missing: {} ({call})", missing(.table, .privilege))]
    PermissionMissing {
        /// The table that was requested, if the call was about one.
        table: Option<&'static str>,
        /// The privilege such as `prvReadmsdyn_copilotevent`, or the application permission of Graph such as
        /// `User.Read.All`; `None`: the environment has no application user for the identity.
        privilege: Option<String>,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// Column security hides a column from the identity; the table's other columns can be read.
    #[error(
        "permission missing: the column `{column}` of `{table}` is secured, and reading it needs the read permission of \
         a column security profile ({call})"
    )]
    ColumnSecured {
        /// The table of the row.
        table: &'static str,
        /// The column, by its name in the lake.
        column: &'static str,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The service rejects the filter of a history, as some tenants do: repeat the request without one and filter
    /// locally.
    #[error("the service refuses the filter ({call})")]
    FilterRefused {
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The service refuses this one user: skip the user and go on, unless it refuses everybody:
    /// [`Self::may_concern_everybody`].
    #[error("the user is refused{}{} ({call})", dashed(.code), dashed(.reason))]
    UserRefused {
        /// 403 or 412, or 404: no such user, or none with a history.
        status: u16,
        /// The service's code such as `ResourceNotFound`; empty if there was none.
        code: String,
        /// What that code and message are known to mean, in our own words; otherwise empty.
        reason: &'static str,
        /// The reason is the user's own: it says nothing of others.
        is_own: bool,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The user cannot be requested: the id is not a GUID, or the name would not stay one segment of a path. Go on with
    /// the others.
    #[error("the id of a user must be a GUID, and a principal name one word without slashes ({call})")]
    InvalidUserId {
        /// The call that was not made.
        call: Box<FailedCall>,
    },
    /// The next link of a list has expired: begin the list again.
    #[error("the next link of the list has expired ({call})")]
    PageTokenExpired {
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The directory has no such group.
    #[error("the directory has no such group ({call})")]
    GroupMissing {
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The environment has no such table.
    #[error("the environment has no table `{}` ({call})", .table.unwrap_or("?"))]
    TableMissing {
        /// The table that was requested.
        table: Option<&'static str>,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The table has no such column: repeat the request without it.
    #[error("`{table}` has no column `{column}` ({call})")]
    ColumnMissing {
        /// The table that was requested.
        table: &'static str,
        /// The wire name of the property.
        column: String,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The delta token of change tracking is too old, or the table was altered since: read without one.
    #[error("the delta token of `{table}` has expired ({call})")]
    DeltaTokenExpired {
        /// The table whose changes were requested.
        table: &'static str,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The row has no such file, or there is no such row.
    #[error("no file: {reason} ({call})")]
    FileMissing {
        /// Which of the two.
        reason: &'static str,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The file is above 32 MiB, the maximum size of a File column.
    #[error("the file is too large: {size} bytes or more ({call})")]
    FileTooLarge {
        /// What the service declared, or the bytes read so far.
        size: u64,
        /// The call that was answered.
        call: Box<FailedCall>,
    },
    /// A link of the service leads to another scheme, host or port; it was not followed.
    #[error("the service's link leads to another origin, {origin}; it was not followed ({call})")]
    ForeignLink {
        /// Scheme, host and port of the link.
        origin: String,
        /// The call whose response held the link.
        call: Box<FailedCall>,
    },
    /// The service refused the request; repeating it will not help.
    #[error("refused{}{} ({call})", dashed(.code), dashed(.message))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's code such as `0x80060888`; empty when it sent none.
        code: String,
        /// The service's message, if it is a documented one; names of columns, never values.
        message: String,
        /// The call that was refused.
        call: Box<FailedCall>,
    },
    /// The service answered every attempt with a transient error until the retry policy gave up: it is throttling, busy,
    /// or failing. The call names attempts, time and the last `Retry-After`.
    #[error("retries exhausted: {cause} ({call})")]
    RetriesExhausted {
        /// The last HTTP status, such as 429 or 503.
        status: u16,
        /// The last failure.
        cause: String,
        /// The call that failed.
        call: Box<FailedCall>,
    },
    /// The service could not be reached, or its responses never came through, until the retry policy gave up.
    #[error("gave up: {cause} ({call})")]
    Unreachable {
        /// The last failure.
        cause: String,
        /// The call that failed.
        call: Box<FailedCall>,
    },
    /// The proxy refuses, or cannot be reached: the service was never asked.
    #[error("the proxy {proxy} {failure} ({call})")]
    Proxy {
        /// Its address without user name and password, and the setting or variable that names it.
        proxy: String,
        /// What is wrong.
        failure: ProxyFailure,
        /// The call that failed.
        call: Box<FailedCall>,
    },
    /// After a 429 the service asked for a pause longer than the retry policy allows; nothing is sent until it is over.
    #[error("the service asks for a longer pause than a run waits for ({call})")]
    Paused {
        /// Remaining length of the pause.
        remaining: Duration,
        /// The call that was not made, or that was throttled.
        call: Box<FailedCall>,
    },
    /// The service keeps answering with something that is not a complete page.
    #[error("not a complete page: {reason} ({call})")]
    BadPage {
        /// What is wrong with it.
        reason: String,
        /// The call that was answered.
        call: Box<FailedCall>,
    },
    /// The client was stopped before the service answered.
    #[error("stopped before the service answered")]
    Stopped,
}

impl Error {
    /// The call that failed; `None` for settings, sign-in and a client that was stopped.
    pub fn call(&self) -> Option<&FailedCall> {
        match self {
            Self::Usage { .. } | Self::Insecure { .. } | Self::SignInRefused { .. } | Self::Stopped => None,
            Self::PermissionMissing { call, .. }
            | Self::ColumnSecured { call, .. }
            | Self::FilterRefused { call }
            | Self::UserRefused { call, .. }
            | Self::InvalidUserId { call }
            | Self::PageTokenExpired { call }
            | Self::GroupMissing { call }
            | Self::TableMissing { call, .. }
            | Self::ColumnMissing { call, .. }
            | Self::DeltaTokenExpired { call, .. }
            | Self::FileMissing { call, .. }
            | Self::FileTooLarge { call, .. }
            | Self::ForeignLink { call, .. }
            | Self::Refused { call, .. }
            | Self::RetriesExhausted { call, .. }
            | Self::Unreachable { call, .. }
            | Self::Proxy { call, .. }
            | Self::Paused { call, .. }
            | Self::BadPage { call, .. } => Some(call),
        }
    }

    /// The service is paused for this long.
    pub(crate) fn paused(remaining: Duration, mut call: Box<FailedCall>) -> Self {
        call.retry_after = Some(Duration::from_secs(remaining.as_secs()));
        Self::Paused { remaining, call }
    }

    /// The error text without attempts, times and request ids: the same failure reads the same each time.
    pub fn without_call(&self) -> String {
        let text = self.to_string();
        let call = self.call().map(|call| format!(" ({call})")).unwrap_or_default();
        text.strip_suffix(&call).unwrap_or(&text).to_owned()
    }

    /// Whether no other call of this identity will succeed, for now or at all.
    pub fn is_service_wide(&self) -> bool {
        matches!(
            self,
            Self::Usage { .. }
                | Self::SignInRefused { .. }
                | Self::Proxy { failure: ProxyFailure::CredentialsMissing, .. }
                | Self::Paused { .. }
                | Self::Stopped
        ) || self.call().is_some_and(|call| call.is_outage)
    }

    /// Whether this is the refusal of one user, without a reason of the user's own: when nobody's history can be read,
    /// the application is refused.
    pub fn may_concern_everybody(&self) -> bool {
        matches!(self, Self::PermissionMissing { .. } | Self::UserRefused { is_own: false, .. })
    }

    /// Whether another identity may be given what this one was refused.
    pub(crate) fn may_concern_identity(&self) -> bool {
        matches!(self, Self::SignInRefused { .. } | Self::ColumnSecured { .. } | Self::Refused { status: 403, .. })
            || self.may_concern_everybody()
    }

    /// Whether the identity lacks a right, whatever it requests, if another is given the same.
    pub(crate) fn is_of_rights(&self) -> bool {
        matches!(self, Self::PermissionMissing { .. } | Self::ColumnSecured { .. })
    }

    /// Whether it is the service's answer to this very request, whatever that was.
    pub(crate) fn is_response(&self) -> bool {
        let is_about_response = !matches!(self, Self::RetriesExhausted { .. } | Self::Unreachable { .. });
        is_about_response && self.call().is_some_and(|call| call.status.is_some())
    }

    /// Whether the service definitely refused this call; other calls may still succeed.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::PermissionMissing { .. }
                | Self::FilterRefused { .. }
                | Self::UserRefused { .. }
                | Self::PageTokenExpired { .. }
                | Self::GroupMissing { .. }
                | Self::TableMissing { .. }
                | Self::BadPage { .. }
        )
    }
}

/// Where an error happened: a call, and how it went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedCall {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The URL without its query.
    pub url: String,
    /// The page of the slice, from 1; `None` outside a page stream.
    pub page: Option<u32>,
    /// Number of attempts; 0 if an earlier failure prevented the first.
    pub attempts: u32,
    /// From the first attempt to the end of the last.
    pub elapsed: Duration,
    /// The last HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The last wait that the service asked for.
    pub retry_after: Option<Duration>,
    /// The service's id of the last request, for the vendor's support.
    pub request_id: Option<String>,
    /// Nothing of the service was answered for as long as an outage is waited out: no other call will succeed either.
    pub is_outage: bool,
}

impl FailedCall {
    /// Whether a page of a history was requested: their rate is a setting.
    pub fn is_of_history(&self) -> bool {
        self.url.contains("/interactionHistory/")
    }
}

impl fmt::Display for FailedCall {
    /// `GET https://host/path page 3: status 503, Retry-After 30 s, request id ..., 10 attempts in 4.2 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)?;
        if let Some(page) = self.page {
            write!(f, " page {page}")?;
        }
        f.write_str(": ")?;
        if let Some(status) = self.status {
            write!(f, "status {status}, ")?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, "Retry-After {} s, ", wait.as_secs_f64())?;
        }
        if let Some(id) = &self.request_id {
            write!(f, "request id {id}, ")?;
        }
        match self.attempts {
            0 => f.write_str("not attempted"),
            1 => write!(f, "1 attempt in {:.1} s", self.elapsed.as_secs_f64()),
            attempts => write!(f, "{attempts} attempts in {:.1} s", self.elapsed.as_secs_f64()),
        }?;
        if self.is_outage { f.write_str(", and no other request was answered") } else { Ok(()) }
    }
}

fn missing(table: &Option<&'static str>, privilege: &Option<String>) -> String {
    match (table, privilege) {
        (Some(table), Some(privilege)) => format!("`{privilege}` on `{table}`"),
        (None, Some(privilege)) => format!("`{privilege}`"),
        (_, None) => "the environment has no application user for this app registration".to_owned(),
    }
}

fn dashed(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
