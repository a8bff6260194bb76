//! What was requested and what was sent: counters for tests to compare with.

use std::collections::BTreeMap;

use serde::Serialize;

/// What was requested and sent so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Served {
    /// Requests by kind: `token`, `whoami`, `metadata`, `privileges`, `count`, `page`, `tracking`, `file`, `batch`,
    /// `history`, `users`, `user`, `members`, `deleted`, `other`.
    pub requests: BTreeMap<&'static str, u64>,
    /// Responses by status; 0 for a connection that was reset before a response.
    pub statuses: BTreeMap<u16, u64>,
    /// Rows in pages of tables, repeated ones counted each time.
    pub rows: u64,
    /// Requests in batches; they count nowhere else.
    pub batch_parts: u64,
    /// Files that were sent.
    pub payloads: u64,
    /// Faults that happened.
    pub faults: u64,
    /// Requests that came before an earlier `Retry-After` was over.
    pub retry_after_violations: u64,
    /// Requests that named a column that the metadata does not list.
    pub columns_unlisted: u64,
    /// Requests that were refused because too many were in flight.
    pub limits_passed: u64,
    /// Rows that phases deleted.
    pub deleted: u64,
    /// The most requests in flight at once.
    pub concurrency_max: u64,
    /// By table name.
    pub tables: BTreeMap<&'static str, TableServed>,
    /// Counters of Microsoft Graph, where the scenario has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphServed>,
}

/// The rows of a table; rows with the same key count once, in the week of the newest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TableServed {
    /// Rows that exist now.
    pub rows: u64,
    /// Files that they name.
    pub files: u64,
    /// Rows that exist now, by the first day of their week (`2025-06-22`), by the definition of the week.
    pub weeks: BTreeMap<String, u64>,
    /// Rows that exist now and were sent in a page at least once.
    pub rows_served: u64,
    /// The same by week.
    pub weeks_served: BTreeMap<String, u64>,
    /// Rows that phases deleted.
    pub deleted: u64,
}

/// What exists in Microsoft Graph, and what was sent so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GraphServed {
    /// Users who exist now.
    pub users: u64,
    /// Those of them who have the licence that histories require.
    pub licensed: u64,
    /// Interactions that can be read now, those of meetings once per participant.
    pub interactions: u64,
    /// Rows in responses by kind of request, repeated ones counted each time.
    pub rows: BTreeMap<&'static str, u64>,
    /// Users of whose history at least one page was sent.
    pub histories: u64,
    /// Requests for histories that were refused because there were too many.
    pub throttled: u64,
    /// Requests for a user's history while another one for it was in flight. Clients keep this at 0.
    pub at_once: u64,
    /// Links of histories that did not come back as they were sent.
    pub links_altered: u64,
}

/// A request as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedRequest {
    /// Milliseconds since the emulator started.
    pub at_ms: u64,
    /// `GET`, `POST`.
    pub method: String,
    /// The kind, as in [`Served::requests`].
    pub kind: &'static str,
    /// Path and query as they were sent.
    pub url: String,
    /// The response's status; 0 when the connection was reset before a response.
    pub status: u16,
    /// Rows in the page.
    pub rows: usize,
    /// The client id of the application that the token was issued to, or that requests one; `None` when it is unknown.
    pub application: Option<&'static str>,
    /// Of Microsoft Graph: the object id of the user, or what the address names instead of one that exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}
