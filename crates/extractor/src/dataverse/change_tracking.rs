//! Change tracking: which rows were deleted since the last read.
//!
//! <https://learn.microsoft.com/power-apps/developer/data-platform/use-change-tracking-synchronize-data-external-systems>

use copilot_lake_tables::Table;
use serde::Deserialize;
use url::Url;

use super::request;
use super::selection::Selection;
use crate::error::Error;
use crate::http::client::Client;
use crate::http::request::{IdentityChoice, ResourceKind};
use crate::next_link::FollowedLinks;
use crate::page_stream::{self, LinkedPage};

/// The identity that reads changes, by its index: a delta token holds what one user has seen, so that those of all runs are
/// of the same one.
pub(crate) const IDENTITY: usize = 0;

/// The result of reading a table's changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrackedChanges {
    /// The first key column of deleted rows, in lower case. For elastic tables the service gives no more.
    pub deleted: Vec<String>,
    /// Where to continue next time: an opaque link.
    pub token: String,
    /// Pages read.
    pub pages: u64,
    /// Rows received that are not deletions.
    pub rows: u64,
    /// Requests sent, every attempt counted.
    pub requests: u64,
}

/// An element of a page: a row, or `{"@odata.context":"...#<set>/$deletedEntity","id":"...","reason":"deleted"}`.
#[derive(Deserialize)]
struct ChangedRow {
    id: Option<String>,
    reason: Option<String>,
}

/// Reads the changes since a token was issued; without one, the whole table, of which only the new token is kept.
pub(crate) async fn fetch(
    client: &Client,
    api: &Url,
    page_size: u32,
    table: &'static Table,
    token: Option<&str>,
) -> Result<TrackedChanges, Error> {
    let key = Selection::key_columns(table);
    let mut request = request::first_page(request::rows_url(api, table, &key, None)?, table, page_size, &key);
    request.kind = ResourceKind::Changes;
    request.identity = IdentityChoice::Only(IDENTITY);
    let mut links = FollowedLinks::new(api.clone());
    match token {
        Some(token) => request.url = links.follow(token, false, request.call_after(0))?,
        None => request.prefer("odata.track-changes"),
    }
    let mut changes = TrackedChanges::default();
    loop {
        let LinkedPage { page, next, delta, .. } = page_stream::fetch_page(client, &request).await?;
        let call = request.call_after(page.requests);
        let bad = |reason: &str| Error::BadPage { reason: reason.to_owned(), call: call.clone() };
        for change in page.parsed::<ChangedRow>().map_err(bad)? {
            if change.reason.as_deref() == Some("deleted") {
                let id = change.id.ok_or_else(|| bad("a deleted row has no id"))?;
                changes.deleted.push(id.to_ascii_lowercase());
            } else {
                changes.rows += 1;
            }
        }
        changes.pages += 1;
        changes.requests += u64::from(page.requests);
        match (next, delta) {
            (Some(next), _) => {
                request.url = links.follow(&next, page.is_empty(), call)?;
                request.page = Some(page.number + 1);
            }
            (None, Some(delta)) => {
                links.check(&delta, call)?;
                changes.token = delta;
                return Ok(changes);
            }
            (None, None) => return Err(bad("it has neither a next link nor a delta link")),
        }
    }
}
