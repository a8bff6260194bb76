//! Streams of pages: fetched on demand, or with the next page prefetched while the consumer works on the current one.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::task::JoinSet;
use tracing::warn;
use url::Url;

use crate::envelope::{self, Envelope};
use crate::error::Error;
use crate::http::client::{Client, ServiceResponse};
use crate::http::request::{IdentityChoice, Request};
use crate::next_link::FollowedLinks;
use crate::page::Page;

/// A page and its links.
pub(crate) struct LinkedPage {
    pub(crate) page: Page,
    /// The link to the next page.
    pub(crate) next: Option<String>,
    /// The delta link after the last page of change tracking.
    pub(crate) delta: Option<String>,
    /// Which identities may follow the links.
    pub(crate) identity: IdentityChoice,
}

/// Fetches one complete page.
pub(crate) async fn fetch_page(client: &Client, request: &Request) -> Result<LinkedPage, Error> {
    let number = request.page.unwrap_or(1);
    let accept = |response: ServiceResponse| {
        let Envelope { rows, next, delta } = envelope::parse(response.body.as_ref())?;
        let page = Page { number, body: response.body.freeze(), rows, requests: 0, throttled: Duration::ZERO };
        Ok(LinkedPage { page, next, delta, identity: request.identity })
    };
    let (mut linked, cost) = match (client.get(request, &accept).await, request.fallback()) {
        (Err(error @ Error::Refused { status: 400 | 501, .. }), Some(plain)) => {
            warn!(%error, "the service rejects the filter for rows without a time: they are left out");
            client.get(&plain, &accept).await?
        }
        (got, _) => got?,
    };
    linked.page.requests = cost.requests;
    linked.page.throttled = cost.throttled;
    if client.dialect.binds_links {
        linked.identity = IdentityChoice::Preferred(cost.identity);
    }
    Ok(linked)
}

/// Walks page by page until `look` returns a value, or no page is left.
pub(crate) async fn find_in_pages<T>(
    client: &Client,
    api: &Url,
    mut request: Request,
    mut look: impl FnMut(&Page) -> Result<Option<T>, &'static str>,
) -> Result<Option<T>, Error> {
    let mut links = FollowedLinks::new(api.clone());
    loop {
        let LinkedPage { page, next, identity, .. } = fetch_page(client, &request).await?;
        let call = request.call_after(page.requests);
        request.identity = identity;
        match (look(&page), next) {
            (Err(reason), _) => return Err(Error::BadPage { reason: reason.to_owned(), call }),
            // Empty pages with a next link are legal.
            (Ok(None), Some(next)) => {
                request.url = links.follow(&next, page.is_empty(), call)?;
                request.fallback_url = None;
                request.page = Some(page.number + 1);
            }
            (Ok(found), _) => return Ok(found),
        }
    }
}

/// The pages of each of these requests in turn, with one page prefetched. The stream ends after an error.
pub(crate) fn prefetched(
    client: Arc<Client>,
    calls: Result<Vec<Request>, Error>,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream_pages(client, calls, StreamOptions { prefetch: true, max_pages: u32::MAX, max_restarts: 0 })
}

/// The pages of one request, with one page prefetched. When a next link has expired, they begin again, up to
/// `max_restarts` times.
pub(crate) fn restarting(
    client: Arc<Client>,
    call: Result<Request, Error>,
    max_restarts: u32,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    let options = StreamOptions { prefetch: true, max_pages: u32::MAX, max_restarts };
    stream_pages(client, call.map(|request| vec![request]), options)
}

/// The pages of one request, each fetched only when polled, and at most `max_pages` of them.
pub(crate) fn on_demand(
    client: Arc<Client>,
    call: Result<Request, Error>,
    max_pages: u32,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream_pages(
        client,
        call.map(|request| vec![request]),
        StreamOptions { prefetch: false, max_pages, max_restarts: 0 },
    )
}

fn stream_pages(
    client: Arc<Client>,
    calls: Result<Vec<Request>, Error>,
    options: StreamOptions,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream::try_unfold(PageStream::Start(client, calls, options), PageStream::next)
}

/// How pages are fetched.
#[derive(Clone, Copy)]
struct StreamOptions {
    /// The next page is fetched while the consumer works on the current one.
    prefetch: bool,
    /// More pages than this mean that the service is at fault.
    max_pages: u32,
    /// How often the first request is made again when a next link has expired.
    max_restarts: u32,
}

/// State of a stream: not started, in progress with at most one page ahead of the consumer, or failed after pages that
/// are still to be delivered.
enum PageStream {
    Start(Arc<Client>, Result<Vec<Request>, Error>, StreamOptions),
    ActiveStream(Box<ActiveStream>),
    Failed(Error),
    Done,
}

struct ActiveStream {
    client: Arc<Client>,
    options: StreamOptions,
    links: FollowedLinks,
    /// The first request, and how often it was made again.
    first: Request,
    restarts: u32,
    /// The current request.
    request: Request,
    /// The requests that follow once the current one has no next link.
    calls: std::vec::IntoIter<Request>,
    /// The one request in flight; aborted when the stream is dropped.
    in_flight: JoinSet<Result<LinkedPage, Error>>,
}

impl PageStream {
    async fn next(self) -> Result<Option<(Page, Self)>, Error> {
        let mut active = match self {
            Self::Start(client, calls, options) => {
                let mut calls = calls?.into_iter();
                let Some(request) = calls.next() else { return Ok(None) };
                let (links, in_flight) = (FollowedLinks::new(request.url.clone()), JoinSet::new());
                let first = request.clone();
                Box::new(ActiveStream { client, options, links, first, restarts: 0, request, calls, in_flight })
            }
            Self::ActiveStream(active) => active,
            Self::Failed(error) => return Err(error),
            Self::Done => return Ok(None),
        };
        let LinkedPage { page, next, identity, .. } = loop {
            match active.next_page().await {
                Err(error @ Error::PageTokenExpired { .. }) if active.restarts < active.options.max_restarts => {
                    warn!(%error, "the list begins again");
                    active.restart();
                }
                result => break result?,
            }
        };
        active.request.identity = identity;
        let rest = match active.advance(next.as_deref(), &page) {
            Ok(true) => Self::ActiveStream(active),
            Ok(false) => Self::Done,
            Err(error) => Self::Failed(error),
        };
        Ok(Some((page, rest)))
    }
}

impl ActiveStream {
    /// Spawns the request, so that it runs and its envelope is parsed whether or not the stream is polled.
    fn spawn_request(&mut self) {
        let (client, request) = (Arc::clone(&self.client), self.request.clone());
        self.in_flight.spawn(async move { fetch_page(&client, &request).await });
    }

    async fn next_page(&mut self) -> Result<LinkedPage, Error> {
        if self.in_flight.is_empty() {
            self.spawn_request();
        }
        match self.in_flight.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(failed)) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime is shutting down.
            Some(Err(_)) | None => {
                let call = self.request.call_after(0);
                Err(Error::Unreachable { cause: "the program is stopping".to_owned(), call })
            }
        }
    }

    /// Begins again with the first request.
    fn restart(&mut self) {
        self.restarts += 1;
        self.links = FollowedLinks::new(self.first.url.clone());
        self.request = self.first.clone();
    }

    /// Moves on to the next link, or to the next request; `false` at the end. Errors here report no attempts: those of
    /// the page are already counted.
    fn advance(&mut self, link: Option<&str>, page: &Page) -> Result<bool, Error> {
        if let Some(link) = link {
            self.request.url = self.links.follow(link, page.is_empty(), self.request.call_after(0))?;
            self.request.fallback_url = None;
        } else if let Some(request) = self.calls.next() {
            self.links = FollowedLinks::new(request.url.clone());
            self.request = request;
        } else {
            return Ok(false);
        }
        if page.number >= self.options.max_pages {
            let reason = format!("there is still a next link after {} pages", page.number);
            return Err(Error::BadPage { reason, call: self.request.call_after(0) });
        }
        self.request.page = Some(page.number + 1);
        if self.options.prefetch {
            self.spawn_request();
        }
        Ok(true)
    }
}
