//! The walk over pages: one by one, or the next one asked for while the consumer works on the last.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::task::JoinSet;
use tracing::warn;
use url::Url;

use crate::envelope::{self, Envelope};
use crate::error::Error;
use crate::http::client::{Client, ServiceResponse};
use crate::http::request::Request;
use crate::next_link::FollowedLinks;
use crate::page::Page;

/// A page and where it leads.
pub(crate) struct LinkedPage {
    pub(crate) page: Page,
    /// The next page.
    pub(crate) next: Option<String>,
    /// After the last page of change tracking: what changes from now on.
    pub(crate) delta: Option<String>,
}

/// One page, asked for until it is complete.
pub(crate) async fn fetch_page(client: &Client, request: &Request) -> Result<LinkedPage, Error> {
    let number = request.page.unwrap_or(1);
    let accept = |response: ServiceResponse| {
        let Envelope { rows, next, delta } = envelope::parse(&response.body)?;
        let (requests, throttled) = (0, Duration::ZERO);
        Ok(LinkedPage {
            page: Page {
                number,
                body: response.body,
                rows,
                requests,
                throttled,
                _reservation: response.reservation.map(Arc::new),
            },
            next,
            delta,
        })
    };
    let (mut linked, cost) = match (client.get(request, &accept).await, request.fallback()) {
        (Err(error @ Error::Refused { status: 400 | 501, .. }), Some(plain)) => {
            warn!(%error, "the service does not take the question for rows without a time: it is asked without them");
            client.get(&plain, &accept).await?
        }
        (got, _) => got?,
    };
    linked.page.requests = cost.requests;
    linked.page.throttled = cost.throttled;
    Ok(linked)
}

/// Walks page by page until `look` finds what it looks for, or there is no page left.
pub(crate) async fn find_in_pages<T>(
    client: &Client,
    api: &Url,
    mut request: Request,
    mut look: impl FnMut(&Page) -> Result<Option<T>, &'static str>,
) -> Result<Option<T>, Error> {
    let mut links = FollowedLinks::new(api.clone());
    loop {
        let LinkedPage { page, next, .. } = fetch_page(client, &request).await?;
        let call = request.call_after(page.requests);
        match (look(&page), next) {
            (Err(reason), _) => return Err(Error::BadPage { reason: reason.to_owned(), call }),
            // Empty pages with a link happen.
            (Ok(None), Some(next)) => {
                request.url = links.follow(&next, call)?;
                request.fallback_url = None;
                request.page = Some(page.number + 1);
            }
            (Ok(found), _) => return Ok(found),
        }
    }
}

/// The pages from the first of these calls on, until an answer has no link, then those of the next call, and so on.
/// After an error the stream ends.
pub(crate) fn prefetched(
    client: Arc<Client>,
    calls: Result<Vec<Request>, Error>,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream_pages(client, calls, StreamOptions { prefetch: true, max_pages: u32::MAX })
}

/// The same from one call on, each page asked for only when the consumer wants it, and not more than `max_pages` of them.
pub(crate) fn on_demand(
    client: Arc<Client>,
    call: Result<Request, Error>,
    max_pages: u32,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream_pages(client, call.map(|request| vec![request]), StreamOptions { prefetch: false, max_pages })
}

fn stream_pages(
    client: Arc<Client>,
    calls: Result<Vec<Request>, Error>,
    options: StreamOptions,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream::try_unfold(PageStream::Start(client, calls, options), PageStream::next)
}

/// How a walk goes.
#[derive(Clone, Copy)]
struct StreamOptions {
    /// The next page is on its way while the consumer works on the last.
    prefetch: bool,
    /// More pages than that are a mistake of the service.
    max_pages: u32,
}

/// A walk is at its start, under way with at most one page ahead of the consumer, or at an error that comes after the
/// pages before it.
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
    /// What is asked for now.
    request: Request,
    /// What is asked for when that has no link any more.
    calls: std::vec::IntoIter<Request>,
    /// The one request that is under way; dropped with the walk.
    in_flight: JoinSet<Result<LinkedPage, Error>>,
}

impl PageStream {
    async fn next(self) -> Result<Option<(Page, Self)>, Error> {
        let mut active = match self {
            Self::Start(client, calls, options) => {
                let mut calls = calls?.into_iter();
                let Some(request) = calls.next() else { return Ok(None) };
                let (links, in_flight) = (FollowedLinks::new(request.url.clone()), JoinSet::new());
                Box::new(ActiveStream { client, options, links, request, calls, in_flight })
            }
            Self::ActiveStream(active) => active,
            Self::Failed(error) => return Err(error),
            Self::Done => return Ok(None),
        };
        let LinkedPage { page, next, .. } = active.next_page().await?;
        let rest = match active.advance(next.as_deref(), &page) {
            Ok(true) => Self::ActiveStream(active),
            Ok(false) => Self::Done,
            Err(error) => Self::Failed(error),
        };
        Ok(Some((page, rest)))
    }
}

impl ActiveStream {
    /// Sends the request on its way: it runs, and its envelope is parsed, whether or not anyone polls.
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

    /// Begins the page behind the link of this one, or the first one of the next call; false: there is none. Its errors
    /// count no tries: the page has told its own.
    fn advance(&mut self, link: Option<&str>, page: &Page) -> Result<bool, Error> {
        if let Some(link) = link {
            self.request.url = self.links.follow(link, self.request.call_after(0))?;
            self.request.fallback_url = None;
        } else if let Some(request) = self.calls.next() {
            self.links = FollowedLinks::new(request.url.clone());
            self.request = request;
        } else {
            return Ok(false);
        }
        if page.number >= self.options.max_pages {
            let reason = format!("its link leads on after {} pages", page.number);
            return Err(Error::BadPage { reason, call: self.request.call_after(0) });
        }
        self.request.page = Some(page.number + 1);
        if self.options.prefetch {
            self.spawn_request();
        }
        Ok(true)
    }
}
