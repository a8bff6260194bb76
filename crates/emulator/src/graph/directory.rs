//! Users: single ones, and lists page by page.

use base64_simd::URL_SAFE_NO_PAD;
use copilot_lake_tables::Instant;
use url::form_urlencoded;

use crate::data::random::{hash, mix};
use crate::graph::graph_request::GraphRequest;
use crate::graph::graph_route::GraphResource;
use crate::graph::tenant::Tenant;
use crate::graph::user_json::{select, write};
use crate::http::odata::SKIP_TOKEN;
use crate::http::response::{HttpResponse, ServiceError};
use crate::scenario::fault_spec::FaultKind;

/// Users per page by default, and at most.
const USUAL: usize = 100;
const MOST: usize = 999;

/// How long deleted users are listed.
const KEPT_SECONDS: i64 = 30 * 86_400;

/// A request for users.
pub(crate) struct DirectoryRequest<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) request: &'a GraphRequest<'a>,
    pub(crate) now: Instant,
}

impl DirectoryRequest<'_> {
    /// Answers with one user.
    pub(crate) fn one(&self, name: &str) -> Result<HttpResponse, ServiceError> {
        let (select, _) = options(self.request.query)?;
        let found = self.tenant.find(name).map(|at| (at, &self.tenant.people[at as usize]));
        let (at, person) = found.filter(|(_, person)| person.deleted.is_none()).ok_or_else(|| not_found(name))?;
        let mut body = format!("{{\"@odata.context\":\"{}$metadata#users/$entity\",", self.request.root).into_bytes();
        let mut rest = Vec::new();
        write(&mut rest, person, at, &select);
        body.extend_from_slice(&rest[1..]);
        Ok(HttpResponse::json(200, body))
    }

    /// Answers with a page; also returns its number of users.
    pub(crate) fn page(&self, resource: &GraphResource) -> Result<(HttpResponse, usize), ServiceError> {
        let (base, from) = self.followed()?;
        if self.request.faults.has(FaultKind::ExpiredLink) {
            let message = "The specified page token value has expired and can no longer be included in your request.";
            return Err(ServiceError::new(400, "Directory_ExpiredPageToken", message));
        }
        let (select, top) = options(base)?;
        let members = match resource {
            GraphResource::Members(group) => Some(self.tenant.members(group).ok_or_else(|| not_found(group))?),
            _ => None,
        };
        let since = self.now.plus_seconds(-KEPT_SECONDS);
        let listed = |at: u32| match (resource, &members, self.tenant.people[at as usize].deleted) {
            (GraphResource::Deleted, _, deleted) => deleted.is_some_and(|at| since < at && at <= self.now),
            (_, Some(members), deleted) => deleted.is_none() && members.contains(&at),
            (_, None, deleted) => deleted.is_none(),
        };
        let most = self.request.faults.most(top);
        let count = self.tenant.people.len() as u32;
        let before = (0..from).rev().find(|at| listed(*at));
        let again = before.filter(|_| self.request.faults.has(FaultKind::DuplicateRow));
        let mut rest = (from..count).filter(|at| listed(*at)).peekable();
        let mut body = Vec::new();
        let mut rows = 0;
        for at in again.into_iter().chain(rest.by_ref().take(most)) {
            if rows > 0 {
                body.push(b',');
            }
            rows += 1;
            write(&mut body, &self.tenant.people[at as usize], at, &select);
        }
        let next = rest.next().map(|at| self.link(base, at));
        let next = next.or_else(|| self.request.faults.has(FaultKind::ForeignLink).then(|| self.link(base, count)));
        let head = format!("{{\"@odata.context\":\"{}$metadata#users({})\",", self.request.root, select.join(","))
            .into_bytes();
        Ok((self.request.page(head, next, body), rows))
    }

    fn link(&self, base: &str, at: u32) -> String {
        let separator = if base.is_empty() { "" } else { "&" };
        format!("{}?{base}{separator}{SKIP_TOKEN}={}", self.request.url, token(base, at))
    }

    /// The query that the client wrote, and the index of the user at which a followed link begins.
    fn followed(&self) -> Result<(&str, u32), ServiceError> {
        let query = self.request.query;
        let Some((base, skip_token)) = query.split_once(&format!("{SKIP_TOKEN}=")) else { return Ok((query, 0)) };
        let base = base.strip_suffix('&').unwrap_or(base);
        let from = URL_SAFE_NO_PAD.decode_to_vec(skip_token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let from = from.and_then(|text| text.split_once(':')?.0.parse().ok());
        // Only the token that would be sent again is accepted.
        let from = from.filter(|from| token(base, *from) == skip_token);
        from.map(|from| (base, from)).ok_or_else(|| ServiceError::new(400, "Request_BadRequest", "Invalid page token."))
    }
}

fn token(base: &str, at: u32) -> String {
    let check = mix(hash(base.as_bytes()), u64::from(at));
    URL_SAFE_NO_PAD.encode_to_string(format!("{at}:{check:016x}"))
}

/// The selected properties and the page size.
fn options(query: &str) -> Result<(Vec<&'static str>, usize), ServiceError> {
    let (mut names, mut top) = (None, USUAL);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "$select" => names = Some(value.into_owned()),
            "$top" => {
                let number = value.parse().ok().filter(|top| (1..=MOST).contains(top));
                let message =
                    format!("Invalid page size specified: '{value}'. Must be between 1 and {MOST} inclusive.");
                top = number.ok_or_else(|| ServiceError::new(400, "Request_BadRequest", &message))?;
            }
            other => {
                let message = format!("The query parameter '{other}' is not supported.");
                return Err(ServiceError::new(400, "Request_UnsupportedQuery", &message));
            }
        }
    }
    Ok((select(names.as_deref())?, top))
}

/// The error for a user or a group that does not exist.
pub(crate) fn not_found(name: &str) -> ServiceError {
    let message =
        format!("Resource '{name}' does not exist or one of its queried reference-property objects are not present.");
    ServiceError::new(404, "Request_ResourceNotFound", &message)
}
