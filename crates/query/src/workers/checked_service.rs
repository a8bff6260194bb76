//! The requests that a worker takes: from clients of its version and lake that have the token, as many as it has room for.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Bytes, Service};
use tonic::server::NamedService;

use super::handshake::{Handshake, text};
use super::query_limit::{QueryLimit, QuerySlot};

/// The header that tells clients apart. Requests from worker to worker have none: their query is counted already.
pub(crate) const CLIENT: &str = "copilot-lake-client";

/// A service behind a check of each request's headers.
#[derive(Clone)]
pub(crate) struct CheckedService<S> {
    inner: S,
    handshake: Arc<Handshake>,
    limit: QueryLimit,
}

impl<S> CheckedService<S> {
    pub(crate) fn new(inner: S, handshake: Handshake, limit: QueryLimit) -> Self {
        Self { inner, handshake: Arc::new(handshake), limit }
    }

    fn admit(&self, request: &Request<Body>) -> Result<Option<Arc<QuerySlot>>, Status> {
        self.handshake.verify(request.headers())?;
        let Some(client) = text(request.headers(), CLIENT) else { return Ok(None) };
        let busy = || Status::resource_exhausted("it computes as many queries as it may");
        self.limit.slot(client).map(Some).ok_or_else(busy)
    }
}

impl<S: NamedService> NamedService for CheckedService<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for CheckedService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.admit(&request) {
            Ok(slot) => {
                let response = self.inner.call(request);
                Box::pin(async move { Ok(response.await?.map(|body| Body::new(CountedBody { body, _slot: slot }))) })
            }
            Err(status) => Box::pin(std::future::ready(Ok(status.into_http()))),
        }
    }
}

/// The body of a response: its query is under way until it ends.
struct CountedBody {
    body: Body,
    _slot: Option<Arc<QuerySlot>>,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
