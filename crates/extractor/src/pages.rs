//! The walk over pages: the next one is asked for while the consumer works on the last.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures::{Stream, stream};
use tokio::task::JoinSet;
use url::Url;

use crate::client::{Answer, Client};
use crate::envelope;
use crate::error::{Call, Error};
use crate::origin::is_same;
use crate::page::Page;
use crate::request::{Ask, Kind};

/// Where a walk begins.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) url: Url,
    pub(crate) table: &'static str,
    pub(crate) page_size: u32,
}

/// The pages from `start` on, until an answer has no link. After an error the stream ends.
pub(crate) fn pages(
    client: Arc<Client>,
    start: Result<Start, Error>,
) -> impl Stream<Item = Result<Page, Error>> + Send + use<> {
    stream::try_unfold(Walk::Start(client, start), Walk::next)
}

/// A walk is at its start, under way with at most one page ahead of the consumer, or at an error that comes after the
/// pages before it.
enum Walk {
    Start(Arc<Client>, Result<Start, Error>),
    UnderWay(UnderWay),
    Stopped(Error),
    Done,
}

struct UnderWay {
    client: Arc<Client>,
    service: Url,
    ask: Ask,
    number: u32,
    /// The links that were followed, as hashes: a link that comes again would make the walk endless.
    followed: HashSet<u64>,
    /// The one request that is under way; dropped with the walk.
    request: JoinSet<Result<(Page, Option<String>), Error>>,
}

impl Walk {
    async fn next(self) -> Result<Option<(Page, Self)>, Error> {
        let mut walk = match self {
            Self::Start(client, start) => {
                let Start { url, table, page_size } = start?;
                let ask = Ask {
                    url: url.clone(),
                    kind: Kind::Json,
                    table: Some(table),
                    page: Some(1),
                    page_size: Some(page_size),
                };
                let mut walk = UnderWay {
                    client,
                    service: url,
                    ask,
                    number: 1,
                    followed: HashSet::new(),
                    request: JoinSet::new(),
                };
                walk.begin();
                walk
            }
            Self::UnderWay(walk) => walk,
            Self::Stopped(error) => return Err(error),
            Self::Done => return Ok(None),
        };
        let (page, link) = walk.joined().await?;
        let rest = match link.map(|link| walk.follow(&link)) {
            None => Self::Done,
            Some(Ok(())) => Self::UnderWay(walk),
            Some(Err(error)) => Self::Stopped(error),
        };
        Ok(Some((page, rest)))
    }
}

impl UnderWay {
    /// Sends the request for `self.ask` on its way: it runs, and its envelope is parsed, whether or not anyone polls.
    fn begin(&mut self) {
        let (client, ask, number) = (Arc::clone(&self.client), self.ask.clone(), self.number);
        self.request.spawn(async move {
            let accept = |answer: Answer| {
                let envelope = envelope::parse(&answer.body)?;
                let page = Page {
                    number,
                    body: answer.body,
                    rows: envelope.rows,
                    requests: 0,
                    throttled: std::time::Duration::ZERO,
                };
                Ok((page, envelope.next))
            };
            let ((page, link), cost) = client.get(&ask, accept).await?;
            Ok((Page { requests: cost.requests, throttled: cost.throttled, ..page }, link))
        });
    }

    async fn joined(&mut self) -> Result<(Page, Option<String>), Error> {
        match self.request.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(failed)) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime is shutting down.
            Some(Err(_)) | None => {
                Err(Error::Unreachable { cause: "the program is stopping".to_owned(), call: self.call() })
            }
        }
    }

    /// Asks for the page behind a link, which is used as it came, if it leads to where we are.
    fn follow(&mut self, link: &str) -> Result<(), Error> {
        let call = self.call();
        let bad = |reason: &str, call| Error::BadPage { reason: reason.to_owned(), call };
        let Ok(url) = Url::parse(link) else {
            return Err(bad("its link is not an absolute URL", call));
        };
        if !is_same(&self.service, &url) {
            return Err(Error::ForeignLink { origin: url.origin().ascii_serialization(), call });
        }
        let mut hasher = DefaultHasher::new();
        link.hash(&mut hasher);
        if !self.followed.insert(hasher.finish()) {
            return Err(bad("its link was followed before", call));
        }
        self.number += 1;
        self.ask.page = Some(self.number);
        self.ask.url = url;
        self.begin();
        Ok(())
    }

    /// The page whose answer is being looked at.
    fn call(&self) -> Box<Call> {
        self.ask.call(&crate::retry::Tries::new(), None, None)
    }
}
