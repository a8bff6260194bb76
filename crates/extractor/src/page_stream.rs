//! The walk over pages: one by one, or the next one asked for while the consumer works on the last.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::task::JoinSet;
use tracing::warn;
use url::Url;

use crate::envelope::{self, Envelope};
use crate::error::Error;
use crate::http::client::{Answer, Client};
use crate::http::request::Ask;
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
pub(crate) async fn page(client: &Client, ask: &Ask) -> Result<Linked, Error> {
    let number = ask.page.unwrap_or(1);
    let accept = |answer: Answer| {
        let Envelope { rows, next, delta } = envelope::parse(&answer.body)?;
        let (requests, throttled) = (0, Duration::ZERO);
        Ok(Linked {
            page: Page { number, body: answer.body, rows, requests, throttled, _room: answer.room.map(Arc::new) },
            next,
            delta,
        })
    };
    let (mut linked, cost) = match (client.get(ask, &accept).await, ask.plain()) {
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
    mut ask: Ask,
    mut look: impl FnMut(&Page) -> Result<Option<T>, &'static str>,
) -> Result<Option<T>, Error> {
    let mut links = Links::new(api.clone());
    loop {
        let Linked { page, next, .. } = self::page(client, &ask).await?;
        let call = ask.call_after(page.requests);
        match (look(&page), next) {
            (Err(reason), _) => return Err(Error::BadPage { reason: reason.to_owned(), call }),
            // Empty pages with a link happen.
            (Ok(None), Some(next)) => {
                ask.url = links.follow(&next, call)?;
                ask.otherwise = None;
                ask.page = Some(page.number + 1);
            }
            (Ok(found), _) => return Ok(found),
        }
    }
}

/// The pages from the first of these calls on, until an answer has no link, then those of the next call, and so on.
/// After an error the stream ends.
pub(crate) fn pages(
    client: Arc<Client>,
    calls: Result<Vec<Ask>, Error>,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    walk(client, calls, Gait { ahead: true, most: u32::MAX })
}

/// The same from one call on, each page asked for only when the consumer wants it, and not more than `most` of them.
pub(crate) fn one_by_one(
    client: Arc<Client>,
    call: Result<Ask, Error>,
    most: u32,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    walk(client, call.map(|ask| vec![ask]), Gait { ahead: false, most })
}

fn walk(
    client: Arc<Client>,
    calls: Result<Vec<Ask>, Error>,
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
    Start(Arc<Client>, Result<Vec<Ask>, Error>, Gait),
    UnderWay(Box<UnderWay>),
    Stopped(Error),
    Done,
}

struct UnderWay {
    client: Arc<Client>,
    gait: Gait,
    links: Links,
    /// What is asked for now.
    ask: Ask,
    /// What is asked for when that has no link any more.
    calls: std::vec::IntoIter<Ask>,
    /// The one request that is under way; dropped with the walk.
    request: JoinSet<Result<Linked, Error>>,
}

impl Walk {
    async fn next(self) -> Result<Option<(Page, Self)>, Error> {
        let mut walk = match self {
            Self::Start(client, calls, gait) => {
                let mut calls = calls?.into_iter();
                let Some(ask) = calls.next() else { return Ok(None) };
                let (links, request) = (Links::new(ask.url.clone()), JoinSet::new());
                Box::new(UnderWay { client, gait, links, ask, calls, request })
            }
            Self::UnderWay(walk) => walk,
            Self::Stopped(error) => return Err(error),
            Self::Done => return Ok(None),
        };
        let Linked { page, next, .. } = walk.joined().await?;
        let rest = match walk.go_on(next.as_deref(), &page) {
            Ok(true) => Self::UnderWay(walk),
            Ok(false) => Self::Done,
            Err(error) => Self::Stopped(error),
        };
        Ok(Some((page, rest)))
    }
}

impl UnderWay {
    /// Sends the request on its way: it runs, and its envelope is parsed, whether or not anyone polls.
    fn begin(&mut self) {
        let (client, ask) = (Arc::clone(&self.client), self.ask.clone());
        self.request.spawn(async move { page(&client, &ask).await });
    }

    async fn joined(&mut self) -> Result<Linked, Error> {
        if self.request.is_empty() {
            self.begin();
        }
        match self.request.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(failed)) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime is shutting down.
            Some(Err(_)) | None => {
                let call = self.ask.call_after(0);
                Err(Error::Unreachable { cause: "the program is stopping".to_owned(), call })
            }
        }
    }

    /// Begins the page behind the link of this one, or the first one of the next call; false: there is none. Its errors
    /// count no tries: the page has told its own.
    fn go_on(&mut self, link: Option<&str>, page: &Page) -> Result<bool, Error> {
        if let Some(link) = link {
            self.ask.url = self.links.follow(link, self.ask.call_after(0))?;
            self.ask.otherwise = None;
        } else if let Some(ask) = self.calls.next() {
            self.links = Links::new(ask.url.clone());
            self.ask = ask;
        } else {
            return Ok(false);
        }
        if page.number >= self.gait.most {
            let reason = format!("its link leads on after {} pages", page.number);
            return Err(Error::BadPage { reason, call: self.ask.call_after(0) });
        }
        self.ask.page = Some(page.number + 1);
        if self.gait.ahead {
            self.begin();
        }
        Ok(true)
    }
}
