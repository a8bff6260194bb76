//! Requests: calls before they are tried.

use std::ops::Range;

use copilot_lake_tables::Table;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::body::MAX_FILE;
use super::origin::redacted;
use super::retry::Attempts;
use crate::error::Call;

/// What a call wants back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// An object, or a page of rows of Dataverse.
    Json,
    /// A page of change tracking.
    Changes,
    File,
    /// A page of users of the directory.
    Users,
    /// A page of users in a group.
    Members,
    /// One user of the directory.
    User,
    /// A page of one user's history. `filtered`: the walk began with a filter.
    History {
        filtered: bool,
    },
}

impl RequestKind {
    /// Whether its bytes count against the budget, for many of them wait at once.
    pub(crate) fn is_bounded(self) -> bool {
        matches!(self, Self::File | Self::History { .. })
    }

    /// Whether it leaves at the tenant's pace.
    pub(crate) fn is_paced(self) -> bool {
        matches!(self, Self::History { .. })
    }
}

/// How much of a file a call asks for.
#[derive(Debug, Clone)]
pub(crate) enum FilePortion {
    /// All of it, unless it is larger than that.
    Whole { limit: u64 },
    /// These bytes, as far as there are so many.
    Part(Range<u64>),
}

/// A call before it is tried.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) kind: RequestKind,
    /// The table whose rows it is about.
    pub(crate) table: Option<&'static str>,
    /// The one column that it is about.
    pub(crate) column: Option<&'static str>,
    /// The page of a walk, from 1.
    pub(crate) page: Option<u32>,
    /// Of a file.
    pub(crate) portion: FilePortion,
    /// What is asked for where the service refuses this as no valid question.
    pub(crate) fallback_url: Option<Url>,
    /// The `Prefer` header; the same for every page of a walk.
    pub(crate) prefer: String,
}

impl Request {
    /// A call for one JSON object that is no page of rows.
    pub(crate) fn json(url: Url) -> Self {
        let portion = FilePortion::Whole { limit: MAX_FILE };
        let prefer = String::new();
        Self {
            url,
            kind: RequestKind::Json,
            table: None,
            column: None,
            page: None,
            portion,
            fallback_url: None,
            prefer,
        }
    }

    /// The first page of a walk that needs no preference.
    pub(crate) fn first_page(url: Url, table: &Table, kind: RequestKind) -> Self {
        Self { kind, table: Some(table.name), page: Some(1), ..Self::json(url) }
    }

    /// The call without what the service may refuse as no valid question.
    pub(crate) fn fallback(&self) -> Option<Self> {
        let url = self.fallback_url.clone()?;
        Some(Self { url, fallback_url: None, ..self.clone() })
    }

    /// Adds a preference.
    pub(crate) fn prefer(&mut self, preference: &str) {
        if !self.prefer.is_empty() {
            self.prefer.push(',');
        }
        self.prefer.push_str(preference);
    }

    /// How the call went so far.
    pub(crate) fn call(&self, attempts: &Attempts, status: Option<u16>, request_id: Option<String>) -> Box<Call> {
        Box::new(Call {
            method: "GET",
            url: redacted(&self.url),
            page: self.page,
            attempts: attempts.count,
            elapsed: attempts.elapsed(),
            status,
            request_id,
        })
    }

    /// The call, of which only the tries matter.
    pub(crate) fn call_after(&self, attempts: u32) -> Box<Call> {
        let (method, url, page) = ("GET", redacted(&self.url), self.page);
        Box::new(Call { method, url, page, attempts, ..Call::default() })
    }
}

/// Everything but unreserved characters and the comma.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',');

/// Percent-encodes a value of a query or a segment of a path.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
