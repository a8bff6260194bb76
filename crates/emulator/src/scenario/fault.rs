//! Faults: how often they fire, and which request is due.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Deserialize;

use crate::Error;
use crate::dataverse::change_tracking::DELTA;
use crate::http::due_faults::Due;
use crate::route::Kind;

/// A fault as a scenario writes it.
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
    Row,
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

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
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

/// A fault and how often its request was seen.
#[derive(Debug)]
struct Armed {
    spec: FaultSpec,
    seen: AtomicU64,
    fired: AtomicU64,
}

/// All faults of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Armed>);

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

    /// Whether it can only happen to a page that a link led to.
    const fn needs_link(&self) -> bool {
        matches!(self.kind, FaultKind::DuplicateRow | FaultKind::ExpiredLink)
    }
}

impl Faults {
    pub(crate) fn new(specs: &[FaultSpec]) -> Self {
        let armed = |spec: &FaultSpec| Armed { spec: spec.clone(), seen: AtomicU64::new(0), fired: AtomicU64::new(0) };
        Self(specs.iter().map(armed).collect())
    }

    /// Counts a request and says what goes wrong with it. `url` is decoded.
    pub(crate) fn due(&self, kind: Kind, table: Option<&str>, url: &str) -> Due<'_> {
        let concerns = |spec: &FaultSpec| {
            let at = match spec.at {
                At::Token => kind == Kind::Token,
                At::Whoami => kind == Kind::WhoAmI,
                At::Page => kind == Kind::Page,
                At::Row => kind == Kind::Row,
                At::File => kind == Kind::File,
                At::Metadata => kind == Kind::Metadata,
                At::Tracking => kind == Kind::Tracking,
                At::Count => kind == Kind::Count,
                At::History => kind == Kind::History,
                At::Users => kind == Kind::Users,
                At::User => kind == Kind::User,
                At::Members => kind == Kind::Members,
                At::Deleted => kind == Kind::Deleted,
                At::Any => true,
            };
            at && (spec.table.is_none() || spec.table.as_deref() == table)
                && spec.matching.as_ref().is_none_or(|part| url.contains(part))
                && (url.contains("$skiptoken=") || !spec.needs_link())
                && (url.contains(DELTA) || spec.kind != FaultKind::ExpiredDelta)
        };
        let mut due = Vec::new();
        for armed in self.0.iter().filter(|armed| concerns(&armed.spec)) {
            let seen = armed.seen.fetch_add(1, Ordering::Relaxed) + 1;
            let (hit, times) = match (armed.spec.number, armed.spec.every) {
                (_, Some(every)) => (seen.is_multiple_of(every), armed.spec.times.unwrap_or(u64::MAX)),
                (number, None) => (seen >= number.unwrap_or(1), armed.spec.times.unwrap_or(1)),
            };
            let free = |fired| (fired < times).then_some(fired + 1);
            if hit && armed.fired.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok() {
                due.push(&armed.spec);
            }
        }
        Due::new(due)
    }

    /// How many faults happened.
    pub(crate) fn fired(&self) -> u64 {
        self.0.iter().map(|armed| armed.fired.load(Ordering::Relaxed)).sum()
    }
}
