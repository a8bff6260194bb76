//! Requests: one HTTP call as it is to be made, before the first attempt.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;

use bytes::Bytes;
use copilot_lake_tables::{MAX_FILE_BYTES, Table};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::origin::redacted;
use super::retry::Attempts;
use crate::error::FailedCall;

/// The kind of resource requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResourceKind {
    /// A JSON object, or a page of Dataverse rows.
    Json,
    /// A page of change tracking.
    Changes,
    File,
    /// Several files in one response, which is likely to have so many bytes; 0: unknown.
    Batch {
        expected: usize,
    },
    /// A page of directory users.
    Users,
    /// A page of group members.
    Members,
    /// One directory user.
    User,
    /// A page of one user's history. `filtered`: the first page was requested with a filter.
    History {
        filtered: bool,
    },
}

impl ResourceKind {
    /// Whether its body counts against the budget: many of these are in memory at once.
    pub(crate) fn is_bounded(self) -> bool {
        matches!(self, Self::File | Self::Batch { .. } | Self::History { .. })
    }

    /// Whether it is of files: while it is retried it takes up a slot that others need.
    pub(crate) fn is_of_files(self) -> bool {
        matches!(self, Self::File | Self::Batch { .. })
    }

    /// Whether it is a page of a history.
    pub(crate) fn is_history(self) -> bool {
        matches!(self, Self::History { .. })
    }

    /// Whether it is subject to the rate limit.
    pub(crate) fn is_rate_limited(self) -> bool {
        self.is_history()
    }
}

/// How much of a file is requested.
#[derive(Debug, Clone)]
pub(crate) enum FilePortion {
    /// All of it, up to a limit in bytes.
    Whole { limit: u64 },
    /// This byte range, or as much of it as there is. The caller has reserved the memory.
    Range(Range<u64>),
    /// Nothing: only whether there is one.
    HeadersOnly,
}

/// Which identities may send a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum IdentityChoice {
    /// Whichever may send it soonest.
    #[default]
    Any,
    /// This one as long as it is used, by its index.
    Preferred(usize),
    /// This one, whether or not it is used.
    Only(usize),
}

/// A request, before its first attempt.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) kind: ResourceKind,
    /// The table whose rows are requested.
    pub(crate) table: Option<&'static str>,
    /// The one column that the request is about.
    pub(crate) column: Option<&'static str>,
    /// The page of a stream, from 1.
    pub(crate) page: Option<u32>,
    /// Stands for what the service may throttle or lack by itself, such as a table or the mailbox of a history; 0 if there
    /// is nothing.
    pub(crate) resource: u64,
    /// For files only.
    pub(crate) portion: FilePortion,
    /// What is sent; `None` for a request that only reads a URL.
    pub(crate) body: Option<Bytes>,
    /// The URL to use if the service rejects the first one as an invalid query.
    pub(crate) fallback_url: Option<Url>,
    /// The `Prefer` header; the same for every page of a stream.
    pub(crate) prefer: String,
    /// Whether its window has failed before, so that fewer attempts are enough.
    pub(crate) has_failed_before: bool,
    pub(crate) identity: IdentityChoice,
}

impl Request {
    /// A request for one JSON object that is not a page.
    pub(crate) fn json(url: Url) -> Self {
        let portion = FilePortion::Whole { limit: MAX_FILE_BYTES };
        let prefer = String::new();
        Self {
            url,
            kind: ResourceKind::Json,
            table: None,
            column: None,
            page: None,
            resource: 0,
            portion,
            body: None,
            fallback_url: None,
            prefer,
            has_failed_before: false,
            identity: IdentityChoice::Any,
        }
    }

    /// A request for rows or files of a table.
    pub(crate) fn of_table(url: Url, table: &Table, kind: ResourceKind) -> Self {
        Self { kind, table: Some(table.name), resource: resource(table.name), ..Self::json(url) }
    }

    /// The first page of a stream, without preferences.
    pub(crate) fn first_page(url: Url, table: &Table, kind: ResourceKind) -> Self {
        Self { page: Some(1), ..Self::of_table(url, table, kind) }
    }

    /// The request with its fallback URL, if it has one.
    pub(crate) fn fallback(&self) -> Option<Self> {
        let url = self.fallback_url.clone()?;
        Some(Self { url, fallback_url: None, ..self.clone() })
    }

    /// Adds a preference to the `Prefer` header.
    pub(crate) fn prefer(&mut self, preference: &str) {
        if !self.prefer.is_empty() {
            self.prefer.push(',');
        }
        self.prefer.push_str(preference);
    }

    fn method(&self) -> &'static str {
        if self.body.is_some() { "POST" } else { "GET" }
    }

    /// Describes the call, as far as it went.
    pub(crate) fn call(&self, attempts: &Attempts, status: Option<u16>, request_id: Option<String>) -> Box<FailedCall> {
        Box::new(FailedCall {
            method: self.method(),
            url: redacted(&self.url),
            page: self.page,
            attempts: attempts.count,
            elapsed: attempts.elapsed(),
            status,
            retry_after: None,
            request_id,
            is_outage: false,
        })
    }

    /// Describes the call, with the number of attempts only.
    pub(crate) fn call_after(&self, attempts: u32) -> Box<FailedCall> {
        let (method, url, page) = (self.method(), redacted(&self.url), self.page);
        Box::new(FailedCall { method, url, page, attempts, ..FailedCall::default() })
    }
}

/// Stands for a resource with this name or id.
pub(crate) fn resource(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// Everything but unreserved characters and the comma.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',');

/// Percent-encodes a value of a query or a segment of a path.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
