//! Connections to workers, of clients and of other workers: one for each, kept open, with the headers of the handshake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion_distributed::grpc::{BoxCloneSyncChannel, create_worker_client};
use datafusion_distributed::{
    ChannelResolver, CoordinatorToWorkerMsg, ExecuteTaskRequest, GetWorkerInfoRequest, GetWorkerInfoResponse,
    SetPlanRequest, WorkerChannel, WorkerToCoordinatorMsg,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use url::{Host, Url};

use super::failure::{PlanFailure, of_worker};
use super::worker_set::WorkerSet;

/// The time in which a connection is made, and once more the time in which both sides agree on TLS.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);

/// The time after which a silent worker is asked for a sign of life, and in which it gives one.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The address of a worker: `https://host:port`, on this machine also `http://`.
///
/// # Errors
/// What is wrong with the text.
pub fn worker_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|_| "it is no URL, as https://10.0.0.7:8410 is".to_owned())?;
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err("it names no host".to_owned()),
    };
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    match url.scheme() {
        _ if !is_bare || !url.username().is_empty() || url.password().is_some() => {
            Err("it has more than a host and a port".to_owned())
        }
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        "http" => Err("a worker on another machine is reached by https://".to_owned()),
        _ => Err("it begins with neither https:// nor http://".to_owned()),
    }
}

/// The connections that one side has. Clones share them.
#[derive(Clone)]
pub(crate) struct Channels {
    headers: HeaderMap,
    ca: Option<Certificate>,
    workers: WorkerSet,
    connect: Duration,
    open: Arc<Mutex<HashMap<Url, Channel>>>,
}

impl Channels {
    /// Connections with these headers; workers' certificates are of these authorities (PEM) or of the system's. `workers`
    /// are those that plans are sent to.
    pub(crate) fn new(headers: HeaderMap, ca: Option<&[u8]>, workers: WorkerSet) -> Self {
        Self { headers, ca: ca.map(Certificate::from_pem), workers, connect: CONNECT, open: Arc::default() }
    }

    /// A client over the connection to a worker, which is made with the first request, and again after it broke.
    ///
    /// # Errors
    /// [`DataFusionError::Configuration`] for an address or certificates that cannot be used.
    pub(crate) fn worker(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        let channel = HeadedChannel { channel: self.channel(url)?, headers: self.headers.clone() };
        let client = create_worker_client(BoxCloneSyncChannel::new(channel));
        Ok(Box::new(AddressedWorker { url: url.clone(), workers: self.workers.clone(), client }))
    }

    fn channel(&self, url: &Url) -> Result<Channel> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(url) {
            return Ok(channel.clone());
        }
        // A plan names the workers that its parts come from: the token goes nowhere else in the clear.
        worker_url(url.as_str()).map_err(|reason| DataFusionError::Configuration(format!("worker {url}: {reason}")))?;
        let unusable = |error| DataFusionError::Configuration(format!("worker {url}: {}", causes(&error)));
        let mut endpoint = Endpoint::from_shared(url.to_string())
            .map_err(unusable)?
            .connect_timeout(self.connect)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .http2_adaptive_window(true);
        if url.scheme() == "https" {
            endpoint = self.with_tls(endpoint).map_err(unusable)?;
        }
        let channel = endpoint.connect_lazy();
        open.insert(url.clone(), channel.clone());
        Ok(channel)
    }

    fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, tonic::transport::Error> {
        let tls = ClientTlsConfig::new().timeout(self.connect);
        let Some(ca) = &self.ca else { return endpoint.tls_config(tls.with_native_roots()) };
        let tls = tls.ca_certificate(ca.clone());
        // A system without authorities, as a small container is, needs no others than these.
        endpoint.clone().tls_config(tls.clone().with_native_roots()).or_else(|_| endpoint.tls_config(tls))
    }
}

/// An error of the transport with its causes.
pub(crate) fn causes(error: &tonic::transport::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(&self, url: &Url) -> Result<Box<dyn WorkerChannel>> {
        self.worker(url)
    }
}

/// A connection that adds headers to each request.
#[derive(Clone)]
struct HeadedChannel {
    channel: Channel,
    headers: HeaderMap,
}

impl Service<Request<Body>> for HeadedChannel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        Service::call(&mut self.channel, request)
    }
}

/// A worker whose address is in the errors of its connection.
struct AddressedWorker {
    url: Url,
    workers: WorkerSet,
    client: Box<dyn WorkerChannel>,
}

impl AddressedWorker {
    fn addressed<T: 'static>(&self, stream: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let url = self.url.clone();
        stream.map_err(move |error| of_worker(&url, error)).boxed()
    }
}

#[async_trait]
impl WorkerChannel for AddressedWorker {
    async fn coordinator_channel(
        &mut self,
        headers: HeaderMap,
        request: SetPlanRequest,
        messages: BoxStream<'static, CoordinatorToWorkerMsg>,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<WorkerToCoordinatorMsg>>> {
        let plan = request.task_key.query_id.as_u128();
        let answers = self.client.coordinator_channel(headers, request, messages, metrics, context).await;
        // The coordinator looks at this error once it has all rows, which do not come.
        let answers = answers.map_err(|error| {
            let error = of_worker(&self.url, error);
            self.workers.note_plan_failure(plan, PlanFailure::of_sending(&error));
            error
        })?;
        Ok(self.addressed(answers))
    }

    async fn execute_task(
        &mut self,
        headers: HeaderMap,
        request: ExecuteTaskRequest,
        metrics: ExecutionPlanMetricsSet,
        context: &Arc<TaskContext>,
    ) -> Result<Vec<BoxStream<'static, Result<RecordBatch>>>> {
        let partitions = self.client.execute_task(headers, request, metrics, context).await;
        let partitions = partitions.map_err(|error| of_worker(&self.url, error))?;
        Ok(partitions.into_iter().map(|batches| self.addressed(batches)).collect())
    }

    async fn get_worker_info(&mut self, request: GetWorkerInfoRequest) -> Result<GetWorkerInfoResponse> {
        self.client.get_worker_info(request).await.map_err(|error| of_worker(&self.url, error))
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure::{FailureKind, WorkerFailure};
    use super::*;

    #[test]
    fn tokens_leave_the_machine_under_tls_only() {
        for good in ["http://127.0.0.1:8410", "http://[::1]:8410/", "http://localhost:1", "https://worker.example:8410"]
        {
            assert!(worker_url(good).is_ok(), "{good}");
        }
        for bad in [
            "worker:8410",
            "10.0.0.7:8410",
            "http://10.0.0.7:8410",
            "http://localhost.example:1",
            "https://user:pass@worker.example",
            "https://worker.example/path",
            "grpc://127.0.0.1:1",
        ] {
            assert!(worker_url(bad).is_err(), "{bad}");
        }
        let channels = Channels::new(HeaderMap::new(), None, WorkerSet::new(Vec::new()));
        let refused = channels.worker(&"http://10.0.0.7:8410".parse().unwrap()).err().unwrap();
        assert!(refused.to_string().contains("reached by https://"), "{refused}");
    }

    #[tokio::test]
    async fn a_worker_that_never_answers_is_given_up() {
        // The system takes connections to it, and nobody reads what they send.
        let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url: Url = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
        // No authority but the system's, which may have none.
        let channels = Channels::new(HeaderMap::new(), Some(&[]), WorkerSet::new(Vec::new()));
        let channels = Channels { connect: Duration::from_millis(100), ..channels };
        let error = channels.worker(&url).unwrap().get_worker_info(GetWorkerInfoRequest {}).await.err().unwrap();
        let failure = WorkerFailure::in_error(&error).unwrap();
        assert_eq!((failure.kind, failure.url), (FailureKind::Failed, url.to_string()));
        assert!(failure.reason.contains("TLS handshake timeout"), "{}", failure.reason);
    }
}
