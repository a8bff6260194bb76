//! Faults as a scenario describes them.

use serde::Deserialize;

use crate::error::Error;

/// A fault as written in a scenario.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultSpec {
    pub(crate) at: At,
    pub(crate) kind: FaultKind,
    #[serde(default)]
    pub(crate) number: Option<u64>,
    #[serde(default)]
    pub(crate) every: Option<u64>,
    #[serde(default)]
    pub(crate) times: Option<u64>,
    #[serde(default)]
    pub(crate) table: Option<String>,
    #[serde(default)]
    pub(crate) matching: Option<String>,
    #[serde(default)]
    pub(crate) retry_after: Option<u64>,
    #[serde(default)]
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) ms: u64,
    #[serde(default)]
    pub(crate) rows: Option<usize>,
    #[serde(default)]
    pub(crate) origin: Option<String>,
}

/// The kind of request that a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum At {
    Token,
    Whoami,
    Page,
    File,
    Metadata,
    Tracking,
    Count,
    History,
    Users,
    User,
    Members,
    Deleted,
    Any,
}

impl At {
    const fn is_of_pages(self) -> bool {
        matches!(self, Self::Page | Self::Tracking | Self::History | Self::Users | Self::Members | Self::Deleted)
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
            _ if self.kind == FaultKind::ExpiredDelta && self.at != At::Tracking => {
                Err(Error::scenario("expired_delta happens at = \"tracking\" only"))
            }
            _ if self.is_of_pages() && !self.at.is_of_pages() => {
                let at = "\"page\", \"tracking\", \"history\", \"users\", \"members\" or \"deleted\"";
                Err(Error::scenario(format!("{:?} happens at = {at} only", self.kind)))
            }
            _ => Ok(()),
        }
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
