//! Faults as a scenario describes them.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer};

use crate::error::Error;
use crate::http::request_kind::RequestKind;

/// A fault as written in a scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSpec {
    /// The requests that it waits for; `None`: all of them.
    #[serde(deserialize_with = "kind_or_any")]
    pub(crate) at: Option<RequestKind>,
    pub(crate) kind: FaultKind,
    pub(crate) number: Option<u64>,
    pub(crate) every: Option<u64>,
    pub(crate) times: Option<u64>,
    pub(crate) table: Option<String>,
    pub(crate) matching: Option<String>,
    /// A text of the response: only responses that hold it are replaced.
    pub(crate) holding: Option<String>,
    pub(crate) retry_after: Option<u64>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) ms: u64,
    pub(crate) rows: Option<usize>,
    pub(crate) origin: Option<String>,
}

fn kind_or_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RequestKind>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "any" => Ok(None),
        name => RequestKind::deserialize(name.into_deserializer()).map(Some),
    }
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// Without a word, unless `code` or `message` says something.
    #[serde(rename = "400")]
    BadRequest,
    #[serde(rename = "401")]
    Unauthorized,
    #[serde(rename = "403_privilege")]
    NoPrivilege,
    #[serde(rename = "403_member")]
    NoMember,
    #[serde(rename = "408")]
    Timeout,
    #[serde(rename = "429")]
    TooManyRequests,
    #[serde(rename = "500")]
    Internal,
    #[serde(rename = "503")]
    Unavailable,
    ExpiredToken,
    CutBody,
    CutChunked,
    Reset,
    NotJson,
    Slow,
    ShortPage,
    EmptyPage,
    DuplicateRow,
    ForeignLink,
    ExpiredLink,
    ExpiredDelta,
}

impl FaultSpec {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match (self.number, self.every) {
            (Some(0), _) | (_, Some(0)) => Err(Error::scenario("faults count requests from 1")),
            (Some(_), Some(_)) | (None, None) => Err(Error::scenario("a fault needs either `number` or `every`")),
            _ if self.kind == FaultKind::ExpiredDelta && self.at != Some(RequestKind::Tracking) => {
                Err(Error::scenario("expired_delta happens at = \"tracking\" only"))
            }
            _ if self.holding.is_some() && !self.is_error() => {
                Err(Error::scenario(format!("{:?} does not replace a response: `holding` needs an error", self.kind)))
            }
            _ if self.is_of_pages() && !self.at.is_some_and(RequestKind::is_of_pages) => {
                let at = "\"page\", \"tracking\", \"history\", \"users\", \"members\" or \"deleted\"";
                Err(Error::scenario(format!("{:?} happens at = {at} only", self.kind)))
            }
            _ => Ok(()),
        }
    }

    const fn is_error(&self) -> bool {
        use FaultKind::{Internal, NoMember, NoPrivilege, Timeout, TooManyRequests, Unauthorized, Unavailable};
        matches!(self.kind, Internal | NoMember | NoPrivilege | Timeout | TooManyRequests | Unauthorized | Unavailable)
    }

    const fn is_of_pages(&self) -> bool {
        use FaultKind::{DuplicateRow, EmptyPage, ExpiredLink, ForeignLink, ShortPage};
        matches!(self.kind, ShortPage | EmptyPage | DuplicateRow | ForeignLink | ExpiredLink)
    }

    /// Whether it can only happen to a page behind a link.
    pub(crate) const fn needs_link(&self) -> bool {
        matches!(self.kind, FaultKind::DuplicateRow | FaultKind::ExpiredLink)
    }
}
