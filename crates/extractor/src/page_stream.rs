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
use crate::next_link::Links;
use crate::page::Page;

/// A page and where it leads.
pub(crate) struct Linked {
    pub(crate) page: Page,
    /// The next page.
    pub(crate) next: Option<String>,
    /// After the last page of change tracking: what changes from now on.
    pub(crate) delta: Option<String>,
}

/// One page, asked for until it is complete.
pub(crate) async fn page(client: &Client, request: &Request) -> Result<Linked, Error> {
    let number = request.page.unwrap_or(1);
    let accept = |response: ServiceResponse| {
        let Envelope { rows, next, delta } = envelope::parse(&response.body)?;
        let (requests, throttled) = (0, Duration::ZERO);
        Ok(Linked {
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
pub(crate) async fn find<T>(
    client: &Client,
    api: &Url,
    mut request: Request,
    mut look: impl FnMut(&Page) -> Result<Option<T>, &'static str>,
) -> Result<Option<T>, Error> {
    let mut links = Links::new(api.clone());
    loop {
        let Linked { page, next, .. } = self::page(client, &request).await?;
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
pub(crate) fn pages(
    client: Arc<Client>,
    calls: Result<Vec<Request>, Error>,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    walk(client, calls, Gait { ahead: true, most: u32::MAX })
}

/// The same from one call on, each page asked for only when the consumer wants it, and not more than `most` of them.
pub(crate) fn one_by_one(
    client: Arc<Client>,
    call: Result<Request, Error>,
    most: u32,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    walk(client, call.map(|request| vec![request]), Gait { ahead: false, most })
}

fn walk(
    client: Arc<Client>,
    calls: Result<Vec<Request>, Error>,
    gait: Gait,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream::try_unfold(Walk::Start(client, calls, gait), Walk::next)
}

/// How a walk goes.
#[derive(Clone, Copy)]
struct Gait {
    /// The next page is on its way while the consumer works on the last.
    ahead: bool,
    /// More pages than that are a mistake of the service.
    most: u32,
}

/// A walk is at its start, under way with at most one page ahead of the consumer, or at an error that comes after the
/// pages before it.
enum Walk {
    Start(Arc<Client>, Result<Vec<Request>, Error>, Gait),
    UnderWay(Box<UnderWay>),
    Failed(Error),
    Done,
}

struct UnderWay {
    client: Arc<Client>,
    gait: Gait,
    links: Links,
    /// What is asked for now.
    request: Request,
    /// What is asked for when that has no link any more.
    calls: std::vec::IntoIter<Request>,
    /// The one request that is under way; dropped with the walk.
    in_flight: JoinSet<Result<Linked, Error>>,
}

impl Walk {
    async fn next(self) -> Result<Option<(Page, Self)>, Error> {
        let mut walk = match self {
            Self::Start(client, calls, gait) => {
                let mut calls = calls?.into_iter();
                let Some(request) = calls.next() else { return Ok(None) };
                let (links, in_flight) = (Links::new(request.url.clone()), JoinSet::new());
                Box::new(UnderWay { client, gait, links, request, calls, in_flight })
            }
            Self::UnderWay(walk) => walk,
            Self::Failed(error) => return Err(error),
            Self::Done => return Ok(None),
        };
        let Linked { page, next, .. } = walk.joined().await?;
        let rest = match walk.go_on(next.as_deref(), &page) {
            Ok(true) => Self::UnderWay(walk),
            Ok(false) => Self::Done,
            Err(error) => Self::Failed(error),
        };
        Ok(Some((page, rest)))
    }
}

impl UnderWay {
    /// Sends the request on its way: it runs, and its envelope is parsed, whether or not anyone polls.
    fn begin(&mut self) {
        let (client, request) = (Arc::clone(&self.client), self.request.clone());
        self.in_flight.spawn(async move { page(&client, &request).await });
    }

    async fn joined(&mut self) -> Result<Linked, Error> {
        if self.in_flight.is_empty() {
            self.begin();
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
    fn go_on(&mut self, link: Option<&str>, page: &Page) -> Result<bool, Error> {
        if let Some(link) = link {
            self.request.url = self.links.follow(link, self.request.call_after(0))?;
            self.request.fallback_url = None;
        } else if let Some(request) = self.calls.next() {
            self.links = Links::new(request.url.clone());
            self.request = request;
        } else {
            return Ok(false);
        }
        if page.number >= self.gait.most {
            let reason = format!("its link leads on after {} pages", page.number);
            return Err(Error::BadPage { reason, call: self.request.call_after(0) });
        }
        self.request.page = Some(page.number + 1);
        if self.gait.ahead {
            self.begin();
        }
        Ok(true)
    }
}
