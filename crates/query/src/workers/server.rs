//! A worker: computes its parts of other machines' queries over one lake, which it opens by itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use copilot_lake_writer::Lake;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion_distributed::{DistributedExt, Worker, WorkerQueryContext};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tonic::transport::server::{Router, TcpIncoming};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use url::Url;

use super::channels::{CONNECT, Channels, causes};
use super::checked_service::CheckedService;
use super::client::WorkerAccess;
use super::handshake::Handshake;
use super::query_limit::QueryLimit;
use super::read_only_store::ReadOnlyStore;
use super::worker_set::WorkerSet;
use crate::engine::{self, MEMORY, QueryMemory};
use crate::error::Error;
use crate::fallible::FallibleParts;
use crate::functions::functions;
use crate::lake_table::STORE;

/// The clients that a worker computes for at a time: its memory is shared among their queries.
const CLIENTS: usize = 8;

/// The time after which a silent client is asked for a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// A certificate and its key, PEM.
pub struct WorkerTls {
    /// The certificate, with those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

/// A worker that listens, and computes once it is served.
pub struct WorkerServer {
    router: Router,
    incoming: TcpIncoming,
    url: String,
}

impl WorkerServer {
    /// Listens at an address. To other workers it shows the same token as it wants, and trusts the authorities of
    /// `access`. To be called in a runtime.
    ///
    /// # Errors
    /// [`Error::WorkerSetting`] for an address, a token or certificates that cannot be used.
    pub fn bind(
        listen: SocketAddr,
        lake: &Lake,
        access: &WorkerAccess,
        tls: Option<&WorkerTls>,
    ) -> Result<Self, Error> {
        let handshake = Handshake::new(lake, access.token.clone());
        let headers = handshake.headers().map_err(|_| Error::invalid_token())?;
        // It fetches rows from other workers, and sends plans to none.
        let channels = Channels::new(headers, access.ca.as_deref(), WorkerSet::new(Vec::new()));
        let worker = worker(lake, channels)?;
        let service = CheckedService::new(worker.into_worker_server(), handshake, QueryLimit::new(CLIENTS));
        let mut server = Server::builder().http2_keepalive_interval(Some(KEEP_ALIVE)).http2_adaptive_window(Some(true));
        if let Some(WorkerTls { certificate, key }) = tls {
            // The server takes the process's, and there are two to choose from. One that is set already stays.
            let _ = aws_lc_rs::default_provider().install_default();
            let config = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)).timeout(CONNECT);
            let unusable =
                |error| Error::WorkerSetting(format!("certificate and key of the worker: {}", causes(&error)));
            server = server.tls_config(config).map_err(unusable)?;
        }
        let unusable = |error: std::io::Error| Error::WorkerSetting(format!("cannot listen on {listen}: {error}"));
        let incoming = TcpIncoming::bind(listen).map_err(unusable)?.with_nodelay(Some(true));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", incoming.local_addr().map_err(unusable)?);
        Ok(Self { router: server.add_service(service), incoming, url })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop`; then takes no more queries, and ends with the last of those that it has.
    ///
    /// # Errors
    /// Accepting connections.
    pub async fn serve(self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        let served = self.router.serve_with_incoming_shutdown(self.incoming, stop).await;
        served.map_err(|error| Error::Run(causes(&error)))
    }
}

fn worker(lake: &Lake, channels: Channels) -> Result<Worker, Error> {
    let runtime = runtime(lake).map_err(|error| Error::running(&error, FallibleParts::default))?;
    let session = move |query: WorkerQueryContext| {
        let state = state(query, channels.clone());
        async move { state }
    };
    Ok(Worker::from_session_builder(session).with_runtime_env(runtime).with_version(env!("CARGO_PKG_VERSION")))
}

/// The memory of all queries, and the lake's store alone, read-only: a plan reads no file of the machine, and writes none
/// anywhere.
fn runtime(lake: &Lake) -> EngineResult<Arc<RuntimeEnv>> {
    let url = |text: &str| Url::parse(text).map_err(|error| DataFusionError::External(Box::new(error)));
    let runtime = QueryMemory::shared(MEMORY).runtime()?;
    runtime.deregister_object_store(&url("file://")?)?;
    runtime.register_object_store(&url(STORE)?, Arc::new(ReadOnlyStore(lake.store())));
    Ok(runtime)
}

/// The session in which a part of a query runs: as the client's, but for what planning alone needs.
fn state(mut query: WorkerQueryContext, channels: Channels) -> EngineResult<SessionState> {
    engine::set_options(query.builder.config().get_or_insert_default().options_mut(), MEMORY);
    let mut state = query.builder.with_distributed_channel_resolver(channels).build();
    // Parameters are constants in a plan.
    for function in functions(&BTreeMap::new()) {
        state.register_udf(Arc::new(function))?;
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use copilot_lake_writer::LakeOptions;
    use datafusion::prelude::{SessionConfig, SessionContext};
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_worker_reads_its_lake_and_no_file_of_the_machine() {
        let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
        let runtime = runtime(&lake).unwrap();
        let stores = &runtime.object_store_registry;
        let has = |url: &str| stores.get_store(&Url::parse(url).unwrap()).is_ok();
        assert!(has(STORE) && !has("file:///etc/passwd") && !has("s3://bucket/"));
    }

    #[tokio::test]
    async fn a_plan_that_writes_fails() {
        let lake = Lake::open("memory://", LakeOptions::default()).await.unwrap();
        let files = lake.store().list(None).count().await;
        let context = SessionContext::new_with_config_rt(SessionConfig::new(), runtime(&lake).unwrap());
        let copy = context.sql(&format!("COPY (SELECT 1 AS a) TO '{STORE}x.parquet'")).await.unwrap();
        let error = copy.collect().await.unwrap_err();
        assert!(error.to_string().contains("a worker writes nothing"), "{error}");
        assert_eq!(lake.store().list(None).count().await, files);
    }
}
