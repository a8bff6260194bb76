//! The walk over pages: the next one is asked for while the consumer works on the last.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use tokio::task::JoinSet;

use crate::client::{Answer, Client};
use crate::envelope;
use crate::error::Error;
use crate::link::Links;
use crate::page::Page;
use crate::request::Ask;

/// A page and the link to the next one.
type Linked = (Page, Option<String>);

/// One page, asked for until it is complete.
pub(crate) async fn page(client: &Client, ask: &Ask) -> Result<Linked, Error> {
    let number = ask.page.unwrap_or(1);
    let accept = |answer: Answer| {
        let envelope = envelope::parse(&answer.body)?;
        let (requests, throttled) = (0, Duration::ZERO);
        Ok((Page { number, body: answer.body, rows: envelope.rows, requests, throttled }, envelope.next))
    };
    let ((page, link), cost) = client.get(ask, accept).await?;
    Ok((Page { requests: cost.requests, throttled: cost.throttled, ..page }, link))
}

/// The pages from `first` on, until an answer has no link. After an error the stream ends.
pub(crate) fn pages(
    client: Arc<Client>,
    first: Result<Ask, Error>,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream::try_unfold(Walk::Start(client, first), Walk::next)
}

/// A walk is at its start, under way with at most one page ahead of the consumer, or at an error that comes after the
/// pages before it.
enum Walk {
    Start(Arc<Client>, Result<Ask, Error>),
    UnderWay(UnderWay),
    Stopped(Error),
    Done,
}

struct UnderWay {
    client: Arc<Client>,
    links: Links,
    /// What is asked for now.
    ask: Ask,
    /// The one request that is under way; dropped with the walk.
    request: JoinSet<Result<Linked, Error>>,
}

impl Walk {
    async fn next(self) -> Result<Option<(Page, Self)>, Error> {
        let mut walk = match self {
            Self::Start(client, first) => {
                let ask = first?;
                let mut walk = UnderWay { client, links: Links::new(ask.url.clone()), ask, request: JoinSet::new() };
                walk.begin();
                walk
            }
            Self::UnderWay(walk) => walk,
            Self::Stopped(error) => return Err(error),
            Self::Done => return Ok(None),
        };
        let (page, link) = walk.joined().await?;
        let rest = match link.map(|link| walk.follow(&link, &page)) {
            None => Self::Done,
            Some(Ok(())) => Self::UnderWay(walk),
            Some(Err(error)) => Self::Stopped(error),
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

    /// Begins the page behind the link of this one.
    fn follow(&mut self, link: &str, page: &Page) -> Result<(), Error> {
        self.ask.url = self.links.follow(link, self.ask.call_after(page.requests))?;
        self.ask.page = Some(page.number + 1);
        self.begin();
        Ok(())
    }
}
