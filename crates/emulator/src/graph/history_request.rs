//! Histories: pages across the folders of a mailbox.

use base64_simd::STANDARD;
use url::form_urlencoded;

use crate::graph::graph_request::GraphRequest;
use crate::graph::history_cursor::{HistoryCursor, HistoryEntry, Visibility};
use crate::graph::history_filter::HistoryFilter;
use crate::graph::interaction_json::write_generated;
use crate::graph::tenant::Tenant;
use crate::http::odata::encode_lower;
use crate::http::response::{HttpResponse, ServiceError};
use crate::scenario::fault_spec::FaultKind;
use crate::scenario::graph::FOLDERS;

/// Interactions per page by default, and at most.
const USUAL: usize = 10;
const MOST: usize = 100;

/// A request for a user's history.
pub(crate) struct HistoryRequest<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) user: u32,
    pub(crate) request: &'a GraphRequest<'a>,
    pub(crate) visibility: Visibility,
    pub(crate) whole_seconds: bool,
    pub(crate) refuse_filters: bool,
}

/// The query options of a history.
#[derive(Debug, Default, PartialEq, Eq)]
struct HistoryOptions {
    top: Option<usize>,
    filter: Option<String>,
    model: Option<String>,
    position: Option<HistoryPosition>,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HistoryPosition {
    folder: usize,
    skip: usize,
    /// Empty pages before this one at the same position, so that their links differ.
    empty: usize,
}

impl HistoryRequest<'_> {
    /// Answers with a page; also returns its number of interactions and whether the client altered the link.
    pub(crate) fn answer(&self) -> Result<(HttpResponse, usize, bool), ServiceError> {
        let options = HistoryOptions::parse(self.request.query)?;
        if self.request.faults.has(FaultKind::ExpiredLink) {
            return Err(bad_request("The skip token has expired."));
        }
        let filter = match &options.filter {
            Some(_) if self.refuse_filters => {
                return Err(bad_request("Missing 'createdDateTime' value in the filter of the request."));
            }
            Some(text) => HistoryFilter::parse(text, self.whole_seconds)?,
            None => HistoryFilter::ALL,
        };
        let position = options.position.unwrap_or(HistoryPosition { folder: 0, skip: 0, empty: 0 });
        let altered = options.position.is_some() && options.write(position) != self.request.query;
        if position.folder >= self.tenant.folders {
            return Err(bad_request("The skip token names no folder of the mailbox."));
        }
        let again = position.skip > 0 && self.request.faults.has(FaultKind::DuplicateRow);
        let most = self.request.faults.most(options.top.unwrap_or(USUAL));
        let skip = position.skip - usize::from(again);
        let mut cursor =
            HistoryCursor::new(self.tenant, self.user, position.folder, &filter, self.visibility).skip(skip);
        let mut rows = Vec::with_capacity(most * 1_500);
        let mut count = 0;
        for found in cursor.by_ref().take(most + usize::from(again)) {
            if count > 0 {
                rows.push(b',');
            }
            count += 1;
            match found {
                HistoryEntry::Generated(made) => write_generated(&mut rows, self.tenant, &made),
                HistoryEntry::Explicit(explicit) => rows.extend_from_slice(&explicit.json),
            }
        }
        let next = match cursor.next() {
            Some(_) if skip + count == position.skip => Some(HistoryPosition { empty: position.empty + 1, ..position }),
            Some(_) => Some(HistoryPosition { skip: skip + count, empty: 0, ..position }),
            None if position.folder + 1 < self.tenant.folders => {
                Some(HistoryPosition { folder: position.folder + 1, skip: 0, empty: 0 })
            }
            None => self.request.faults.has(FaultKind::ForeignLink).then_some(position),
        };
        let next = next.map(|position| format!("{}?{}", self.request.url, options.write(position)));
        let head = format!(
            "{{\"@odata.context\":\"{}$metadata#Collection(microsoft.graph.aiInteraction)\",\"@odata.count\":{count},",
            self.request.root
        );
        Ok((self.request.page(head.into_bytes(), next, rows), count, altered))
    }
}

impl HistoryOptions {
    fn parse(query: &str) -> Result<Self, ServiceError> {
        let mut options = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "$top" => {
                    let top = value.parse().ok().filter(|top| (1..=MOST).contains(top));
                    let message = format!("The value '{value}' of $top must be between 1 and {MOST}.");
                    options.top = Some(top.ok_or_else(|| bad_request(&message))?);
                }
                "$filter" => options.filter = Some(value.into_owned()),
                "$skiptoken" => {
                    let position =
                        HistoryPosition::parse(&value).ok_or_else(|| bad_request("The skip token is not valid."))?;
                    options.position = Some(position);
                }
                "model" if matches!(value.as_ref(), "A" | "B") => options.model = Some(value.into_owned()),
                other => return Err(bad_request(&format!("The query option '{other}' is not supported."))),
            }
        }
        Ok(options)
    }

    /// The query string of a link, as the service writes it.
    fn write(&self, position: HistoryPosition) -> String {
        let mut parts = Vec::new();
        parts.extend(self.model.as_ref().map(|model| format!("model={model}")));
        parts.extend(self.top.map(|top| format!("$top={top}")));
        parts.extend(self.filter.as_ref().map(|filter| format!("$filter={}", encode(filter))));
        let HistoryPosition { folder, skip, empty } = position;
        let mut token = format!("SkipValue={skip}#MailboxFolder=MailFolders/{}", FOLDERS[folder]);
        if empty > 0 {
            token.push_str(&format!("#Empty={empty}"));
        }
        parts.push(format!("$skiptoken={}", encode(&STANDARD.encode_to_string(token))));
        parts.join("&")
    }
}

impl HistoryPosition {
    fn parse(token: &str) -> Option<Self> {
        let text = String::from_utf8(STANDARD.decode_to_vec(token).ok()?).ok()?;
        let (skip, folder) = text.strip_prefix("SkipValue=")?.split_once("#MailboxFolder=MailFolders/")?;
        let (folder, empty) = folder.split_once("#Empty=").unwrap_or((folder, "0"));
        let folder = FOLDERS.iter().position(|known| *known == folder)?;
        Some(Self { folder, skip: skip.parse().ok()?, empty: empty.parse().ok()? })
    }
}

/// Encodes as the service does: spaces as `+`.
fn encode(text: &str) -> String {
    encode_lower(text, b"-_.!*() ").replace(' ', "+")
}

fn bad_request(message: &str) -> ServiceError {
    ServiceError::new(400, "BadRequest", message)
}
