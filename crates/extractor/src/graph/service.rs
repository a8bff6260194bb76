//! Graph: the service, as the pipeline sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use copilot_lake_tables::Instant;
use futures::Stream;
use serde::de::IgnoredAny;
use url::Url;

use super::dialect::GRAPH;
use super::history_query::HistoryQuery;
use super::request;
use crate::auth::claims::TokenClaims;
use crate::auth::sign_in::Auth;
use crate::error::Error;
use crate::http::client::{Client, ClientLimits, ServiceResponse};
use crate::http::concurrency_limit::ConcurrencyLimit;
use crate::http::meter::Meter;
use crate::http::network::Network;
use crate::http::origin::require_secure;
use crate::http::rate_limiter::RateLimiter;
use crate::http::request::Request;
use crate::http::retry::RetryPolicy;
use crate::http::service_clock::local_time;
use crate::json::without_mark;
use crate::page::Page;
use crate::page_stream;

/// More pages of one user are a mistake of the service: ten million interactions.
const MAX_PAGES_PER_USER: u32 = 100_000;

/// Bytes of pages of histories in memory: under way, or not yet dropped by who asked for them.
pub(crate) const PAGE_BUDGET: usize = 24 << 20;

/// So long may answers take without loss of pace: as many requests as that many seconds allow are under way at once.
const SECONDS_IN_FLIGHT: f64 = 3.0;
/// As few and as many requests as that, whatever the pace: each may hold a page.
const IN_FLIGHT_RANGE: (f64, f64) = (16.0, 96.0);

/// Which tenant, as whom, and how fast.
#[derive(Debug, Clone)]
pub struct GraphSettings {
    /// `https://graph.microsoft.com`, or the root of another cloud; `http://` only to loopback. Its path is not used.
    pub url: Url,
    /// `v1.0` or `beta`.
    pub version: String,
    /// The identity; for histories an application's.
    pub auth: Auth,
    /// How it is reached.
    pub network: Network,
    /// Requests for histories, every try counted. 30 are documented per tenant, of which 83 % can be sustained.
    pub requests_per_second: f64,
    /// The payment model that is passed through, `A` or `B`; none is not sent.
    pub model: Option<String>,
}

/// A tenant of Microsoft Graph and one identity in it. Clones share connections, token, pace and limits.
#[derive(Clone, Debug)]
pub struct Graph {
    pub(crate) client: Arc<Client>,
    /// `<url>/<version>/`.
    api: Url,
    model: Option<String>,
    at_once: usize,
}

impl Graph {
    /// Prepares everything; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Insecure`] and [`Error::Usage`].
    pub fn new(settings: GraphSettings) -> Result<Self, Error> {
        Self::with_retry_policy(settings, RetryPolicy::documented())
    }

    pub(crate) fn with_retry_policy(settings: GraphSettings, retry_policy: RetryPolicy) -> Result<Self, Error> {
        let GraphSettings { url: mut api, version, auth, network, requests_per_second: rate, model } = settings;
        require_secure("graph.url", &api)?;
        if !matches!(version.as_str(), "v1.0" | "beta") {
            return Err(Error::Usage { what: "`graph.version` must be `v1.0` or `beta`".to_owned() });
        }
        let rate_limiter = RateLimiter::new(rate).ok_or_else(|| Error::Usage {
            what: "`graph.requests_per_second` must be a number above 0, and at least one request in an hour"
                .to_owned(),
        })?;
        api.set_query(None);
        api.set_fragment(None);
        api.set_path(&format!("/{version}/"));
        let at_once = (rate * SECONDS_IN_FLIGHT).ceil().clamp(IN_FLIGHT_RANGE.0, IN_FLIGHT_RANGE.1) as usize;
        let limits = ClientLimits {
            retry_policy,
            concurrency: ConcurrencyLimit::new(at_once),
            rate_limiter: Some(rate_limiter),
            budget: PAGE_BUDGET,
        };
        let client = Arc::new(Client::new(&GRAPH, &api, auth, &network, limits)?);
        Ok(Self { client, api, model, at_once })
    }

    /// Signs in, and says what the token permits.
    ///
    /// # Errors
    /// Those of sign-in.
    pub async fn token(&self) -> Result<TokenClaims, Error> {
        Ok(self.client.tokens.get().await?.claims())
    }

    /// The service's clock: the `Date` of its last answer, advanced by what passed since, never ahead of it. Asks for
    /// one user's id when there was no answer yet; that this is refused does not matter.
    ///
    /// # Errors
    /// Those of sign-in, and [`Error::Unreachable`].
    pub async fn service_time(&self) -> Result<Instant, Error> {
        if let Some(now) = self.client.clock.now() {
            return Ok(now);
        }
        match page_stream::fetch_page(&self.client, &request::anyone(&self.api)?).await {
            Err(error) if !error.is_refusal() => Err(error),
            _ => Ok(self.client.clock.now().unwrap_or_else(local_time)),
        }
    }

    /// All users of the directory: what `graph_user` knows of them, and `assignedPlans`. The next page is on its way
    /// while the last one is handed out. Not held to the pace of histories.
    ///
    /// # Errors
    /// Every page can be one; after it the stream ends. [`Error::PermissionMissing`] names `User.Read.All`.
    pub fn users(&self) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.list(request::users(&self.api))
    }

    /// The users in a group and in the groups inside it, as [`Self::users`] gives them.
    ///
    /// # Errors
    /// Those of [`Self::users`], but [`Error::PermissionMissing`] names `GroupMember.Read.All`; [`Error::Usage`] when
    /// the id is no GUID; [`Error::GroupMissing`].
    pub fn members(&self, group_id: &str) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.list(request::members(&self.api, group_id))
    }

    /// The first page of what [`Self::users`] gives, or [`Self::members`] of that group: to see whether they may be read.
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

    /// The users that were deleted and can still be restored, as [`Self::users`] gives them.
    ///
    /// # Errors
    /// Those of [`Self::users`].
    pub fn deleted_users(&self) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        self.list(request::deleted_users(&self.api))
    }

    /// One user, as [`Self::users`] gives them: a page with one row, `{"value":[...]}` put around what the service
    /// sent.
    ///
    /// # Errors
    /// [`Error::UserRefused`], with status 404 when there is no such user; [`Error::Usage`] when the text can be
    /// neither id nor principal name; and those of [`Self::users`].
    pub async fn user(&self, id_or_name: &str) -> Result<Page, Error> {
        let request = request::user(&self.api, id_or_name)?;
        let (mut page, cost) = self.client.get(&request, |response| page_of_one(&response)).await?;
        (page.requests, page.throttled) = (cost.requests, cost.throttled);
        Ok(page)
    }

    /// The pages of one user's history. Each is asked for when the stream is polled for it and not before, so that one
    /// request of a user is under way at a time; short and empty pages happen, and no order is promised. A page counts
    /// against the 24 MiB that pages may take in memory together until it is dropped: do not keep pages while waiting
    /// for others, or each of those comes 10 s late.
    ///
    /// # Errors
    /// Every page can be one; after it the stream ends, and what came before it is no complete window.
    /// [`Error::FilterRefused`]: ask again without a window. [`Error::UserRefused`]: skip the user.
    /// [`Error::PermissionMissing`], and what [`Error::is_service_wide`] says, hold for every user. [`Error::BadPage`]
    /// after 100,000 pages.
    pub fn history(
        &self,
        user_id: &str,
        query: &HistoryQuery,
    ) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        let first = request::history(&self.api, user_id, query, self.model.as_deref());
        page_stream::on_demand(Arc::clone(&self.client), first, MAX_PAGES_PER_USER)
    }

    /// How many histories are best read at the same time: more only wait for each other.
    pub fn at_once(&self) -> usize {
        self.at_once
    }

    /// A page with one interaction of a user, or none, to see whether histories may be read and filters are taken.
    ///
    /// # Errors
    /// Those of [`Self::history`].
    pub async fn first_history_page(&self, user_id: &str, query: &HistoryQuery) -> Result<Page, Error> {
        let request = request::first_interaction(&self.api, user_id, query, self.model.as_deref())?;
        Ok(page_stream::fetch_page(&self.client, &request).await?.page)
    }

    /// What was used so far.
    pub fn meter(&self) -> Meter {
        self.client.counters.snapshot()
    }

    fn list(&self, first: Result<Request, Error>) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
        page_stream::prefetched(Arc::clone(&self.client), first.map(|request| vec![request]))
    }
}

/// The page whose only row is the object of this answer.
fn page_of_one(response: &ServiceResponse) -> Result<Page, &'static str> {
    const BEFORE: &[u8] = b"{\"value\":[";
    let object = without_mark(&response.body).trim_ascii();
    if !object.starts_with(b"{") || serde_json::from_slice::<IgnoredAny>(object).is_err() {
        return Err("the answer is not a user");
    }
    let body = Bytes::from([BEFORE, object, b"]}"].concat());
    let rows = BEFORE.len() - 1..body.len() - 1;
    Ok(Page { number: 1, body, rows, requests: 0, throttled: Duration::ZERO, _reservation: None })
}
