//! The Microsoft Graph service, as seen by the pipeline.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use copilot_lake_tables::Instant;
use futures::Stream;
use serde::de::IgnoredAny;
use tokio::sync::watch;
use url::Url;

use super::graph_dialect::GRAPH;
use super::history_query::HistoryQuery;
use super::request;
use super::sign_in;
use crate::auth::claims::TokenClaims;
use crate::auth::sign_in::{Auth, NamedAuth};
use crate::error::Error;
use crate::http::client::{Client, ServiceResponse};
use crate::http::client_limits::ClientLimits;
use crate::http::identities::IdentityUsage;
use crate::http::meter::Meter;
use crate::http::network::Network;
use crate::http::origin::require_secure;
use crate::http::rate_limiter::RateLimiter;
use crate::http::request::Request;
use crate::http::retry::RetryPolicy;
use crate::http::service_clock::local_time;
use crate::json::without_mark;
use crate::object_id::object_id;
use crate::page::Page;
use crate::page_stream;

/// More pages of one user mean that the service is at fault: these are ten million interactions.
const MAX_PAGES_PER_USER: u32 = 100_000;

/// How often a list whose next link has expired begins again.
const MAX_LIST_RESTARTS: u32 = 3;

/// Bytes of history pages in memory: being read, or not yet dropped by the caller.
pub(crate) const PAGE_BUDGET: usize = 24 << 20;

/// Latency that does not reduce the rate: the requests of this many seconds may be in flight at once.
const SECONDS_IN_FLIGHT: f64 = 3.0;
/// Bounds of the number of requests in flight, whatever the rate: each may hold a page.
const IN_FLIGHT_RANGE: (f64, f64) = (16.0, 96.0);

/// Which tenant, as whom, and how fast.
#[derive(Debug, Clone)]
pub struct GraphSettings {
    /// `https://graph.microsoft.com`, or the root of another cloud; `http://` only to loopback. Its path is not used.
    pub url: Url,
    /// `v1.0` or `beta`.
    pub version: String,
    /// The identity; histories need an application's.
    pub auth: Auth,
    /// More of them in the same tenant, which share the requests; each has a rate of its own.
    pub more_identities: Vec<NamedAuth>,
    /// How it is reached.
    pub network: Network,
    /// Rate limit of each identity for histories, every attempt counted. The documented limit is 30 per application and
    /// tenant, of which 83 % can be sustained.
    pub requests_per_second: f64,
    /// The payment model to pass through, `A` or `B`; `None` sends none.
    pub model: Option<String>,
}

/// A tenant of Microsoft Graph and the identities that read it. Clones share connections, tokens, rates and limits.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) client: Arc<Client>,
    /// `<url>/<version>/`.
    api: Url,
    model: Option<String>,
    at_once: usize,
    /// The configured tenant, where it is a GUID.
    tenant: Option<String>,
}

impl Graph {
    /// Validates the settings; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Insecure`] and [`Error::Usage`].
    pub fn new(settings: GraphSettings) -> Result<Self, Error> {
        Self::with_retry_policy(settings, RetryPolicy::documented())
    }

    pub(crate) fn with_retry_policy(settings: GraphSettings, retry_policy: RetryPolicy) -> Result<Self, Error> {
        let GraphSettings { url: mut api, version, auth, more_identities, network, requests_per_second: rate, model } =
            settings;
        require_secure("graph.url", &api)?;
        if !matches!(version.as_str(), "v1.0" | "beta") {
            return Err(Error::Usage { what: "`graph.version` must be `v1.0` or `beta`".to_owned() });
        }
        if RateLimiter::new(rate).is_none() {
            return Err(Error::Usage {
                what: "`graph.requests_per_second` must be a number above 0, and at least one request in an hour"
                    .to_owned(),
            });
        }
        api.set_query(None);
        api.set_fragment(None);
        api.set_path(&format!("/{version}/"));
        let in_flight = (rate * SECONDS_IN_FLIGHT).ceil().clamp(IN_FLIGHT_RANGE.0, IN_FLIGHT_RANGE.1) as usize;
        let limits = ClientLimits { retry_policy, in_flight, requests_per_second: Some(rate), budget: PAGE_BUDGET };
        let tenant = object_id(&auth.tenant_id).map(str::to_owned);
        let first = NamedAuth { name: "auth".to_owned(), auth };
        let identities: Vec<_> = std::iter::once(first).chain(more_identities).collect();
        let at_once = in_flight * identities.len();
        let client = Arc::new(Client::new(&GRAPH, &api, identities, &network, limits)?);
        Ok(Self { client, api, model, at_once, tenant })
    }

    /// Signs in as every identity and returns the claims of the first token. One that cannot read what the others read is
    /// no longer used: its sign-in is refused, it belongs to another tenant, or it lacks one of these permissions of
    /// [`role`](crate::role).
    ///
    /// # Errors
    /// Those of sign-in, if no identity is accepted.
    pub async fn token(&self, needed: &[&str]) -> Result<TokenClaims, Error> {
        sign_in::compare(&self.client, self.tenant.as_deref(), needed).await
    }

    /// What each of several identities did so far; nothing where there is only one.
    pub fn identities(&self) -> Vec<IdentityUsage> {
        self.client.identities.usage()
    }

    /// The service's time: the `Date` of its last response plus the time since, never ahead of it. If there was no
    /// response yet, one user's id is requested; a refusal of that does not matter.
    ///
    /// # Errors
    /// Those of sign-in, [`Error::Unreachable`] and [`Error::RetriesExhausted`].
    pub async fn service_time(&self) -> Result<Instant, Error> {
        if let Some(now) = self.client.clock.now() {
            return Ok(now);
        }
        match page_stream::fetch_page(&self.client, &request::anyone(&self.api)?).await {
            Err(error) if !error.is_refusal() => Err(error),
            _ => Ok(self.client.clock.now().unwrap_or_else(local_time)),
        }
    }

    /// All users of the directory, with the columns of `graph_user` and `assignedPlans`. One page is prefetched. Not
    /// rate-limited. When a next link has expired, the list begins again, up to three times: users come twice then.
    ///
    /// # Errors
    /// Any page can be one, and ends the stream. [`Error::PermissionMissing`] names `User.Read.All`.
    pub fn users(&self) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.list(request::users(&self.api))
    }

    /// The members of a group, nested groups included, in the format of [`Self::users`].
    ///
    /// # Errors
    /// Those of [`Self::users`], but [`Error::PermissionMissing`] names `GroupMember.Read.All`; [`Error::Usage`] if the
    /// id is not a GUID; [`Error::GroupMissing`].
    pub fn members(&self, group_id: &str) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.list(request::members(&self.api, group_id))
    }

    /// The first page of [`Self::users`], or of [`Self::members`] of a group, to see whether they can be read.
    ///
    /// # Errors
    /// Those of the two.
    pub async fn first_users_page(&self, group_id: Option<&str>) -> Result<Page, Error> {
        let request = match group_id {
            Some(id) => request::members(&self.api, id)?,
            None => request::users(&self.api)?,
        };
        Ok(page_stream::fetch_page(&self.client, &request).await?.page)
    }

    /// Deleted users that can still be restored, in the format of [`Self::users`].
    ///
    /// # Errors
    /// Those of [`Self::users`].
    pub fn deleted_users(&self) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.list(request::deleted_users(&self.api))
    }

    /// One user, in the format of [`Self::users`]: a page with one row, the response wrapped in `{"value":[...]}`.
    ///
    /// # Errors
    /// [`Error::UserRefused`], with status 404 if there is no such user; [`Error::InvalidUserId`] if the text can be
    /// neither id nor principal name; and those of [`Self::users`].
    pub async fn user(&self, id_or_name: &str) -> Result<Page, Error> {
        let request = request::user(&self.api, id_or_name)?;
        let (mut page, cost) = self.client.get(&request, |response| page_of_one(&response)).await?;
        (page.requests, page.throttled) = (cost.requests, cost.throttled);
        Ok(page)
    }

    /// The pages of one user's history. Each is fetched only when the stream is polled, so one request per user is in
    /// flight at a time; short and empty pages occur, and no order is promised. A page counts against the 24 MiB that
    /// pages may take in memory until it is dropped: a caller who waits for a page must hold no other, because a page
    /// may need all of them.
    ///
    /// # Errors
    /// Any page can be one, and ends the stream; what came before does not cover the window. [`Error::FilterRefused`]:
    /// repeat without a window. [`Error::UserRefused`]: skip the user. [`Error::InvalidUserId`] concerns the user alone.
    /// [`Error::PermissionMissing`] and [`Error::is_service_wide`] errors apply to every user. [`Error::BadPage`] after
    /// 1,000 empty pages in a row, or 100,000 pages.
    pub fn history(
        &self,
        user_id: &str,
        query: &HistoryQuery,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.history_pages(user_id, query, false)
    }

    /// As [`Self::history`], for a window that has failed before: a page is attempted twice.
    pub fn history_again(
        &self,
        user_id: &str,
        query: &HistoryQuery,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.history_pages(user_id, query, true)
    }

    fn history_pages(
        &self,
        user_id: &str,
        query: &HistoryQuery,
        has_failed_before: bool,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        let first = request::history(&self.api, user_id, query, self.model.as_deref());
        let first = first.map(|request| Request { has_failed_before, ..request });
        page_stream::on_demand(Arc::clone(&self.client), first, MAX_PAGES_PER_USER)
    }

    /// How many histories to read concurrently: more would only queue.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// How many requests wait because their own mailbox throttles: as many more histories can be read meanwhile.
    pub fn held_back(&self) -> watch::Receiver<usize> {
        self.client.held_back.subscribe()
    }

    /// A page with at most one interaction of a user, to see whether histories can be read and filtered.
    ///
    /// # Errors
    /// Those of [`Self::history`].
    pub async fn first_history_page(&self, user_id: &str, query: &HistoryQuery) -> Result<Page, Error> {
        let request = request::first_interaction(&self.api, user_id, query, self.model.as_deref())?;
        Ok(page_stream::fetch_page(&self.client, &request).await?.page)
    }

    /// Stops all clones: nothing is attempted again, and 8 s later nothing is in flight or requested any more. Calls
    /// that this ends return [`Error::Stopped`].
    pub fn stop(&self) {
        self.client.cancellation.cancel();
    }

    /// From now on, calls are attempted for this long while the service answers nothing at all. Otherwise a call is
    /// given up after ten attempts, or after three if the service was never reached.
    pub fn wait_out_outages(&self, longest: Duration) {
        self.client.wait_out_outages(longest);
    }

    /// Usage so far.
    pub fn meter(&self) -> Meter {
        self.client.identities.meter()
    }

    fn list(&self, first: Result<Request, Error>) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        page_stream::restarting(Arc::clone(&self.client), first, MAX_LIST_RESTARTS)
    }
}

/// A page whose only row is the object in this response.
fn page_of_one(response: &ServiceResponse) -> Result<Page, &'static str> {
    const BEFORE: &[u8] = b"{\"value\":[";
    let object = without_mark(response.body.as_ref()).trim_ascii();
    if !object.starts_with(b"{") || serde_json::from_slice::<IgnoredAny>(object).is_err() {
        return Err("the response is not a user");
    }
    let body = Bytes::from([BEFORE, object, b"]}"].concat());
    let rows = BEFORE.len() - 1..body.len() - 1;
    Ok(Page { number: 1, body, rows, requests: 0, throttled: Duration::ZERO })
}
