//! The running emulator: start, look, advance, stop.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use crate::Error;
use crate::clock::Clock;
use crate::data::table_store::Store;
use crate::dataverse::limits::Limiter;
use crate::graph::report::{Interaction, interactions};
use crate::graph::service::Graph;
use crate::http::token_issuer::Tokens;
use crate::scenario::definition::Scenario;
use crate::scenario::fault::Faults;
use crate::served::{Recorder, Request, Served};
use crate::server::Server;

/// A running emulator. Dropping it ends it at once.
#[derive(Debug)]
pub struct Emulator {
    server: Arc<Server>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Emulator {
    /// Makes the rows of a scenario and listens; port 0 takes a free one.
    ///
    /// Memory: about 1.3 KB per row, all of them are rendered ahead; interactions of Graph need next to none. Must be called inside a tokio runtime, on whose workers
    /// requests are answered.
    ///
    /// # Errors
    /// [`Error::Scenario`] and [`Error::File`] for rows that cannot be made, [`Error::Listen`] for an address that is taken.
    pub async fn start(listen: SocketAddr, scenario: Scenario) -> Result<Self, Error> {
        let listener = TcpListener::bind(listen).await.map_err(|source| Error::Listen { address: listen, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address: listen, source })?;
        let made = tokio::task::spawn_blocking(move || {
            let clock = Clock::new(scenario.clock.map(|clock| clock.0));
            let stores = Store::all(&scenario, &clock)?;
            let graph = scenario.graph.as_ref();
            let graph = graph.map(|spec| Graph::new(spec, scenario.seed, Scenario::usual_end(), &clock)).transpose()?;
            Ok::<_, Error>(Server {
                stores,
                tokens: Tokens::new(scenario.token, scenario.graph.map(|spec| spec.roles)),
                graph,
                faults: Faults::new(&scenario.fault),
                limiter: Limiter::new(scenario.service.limits.clone()),
                recorder: Recorder::new(),
                clock,
                settings: scenario.service,
                phases: Mutex::new(scenario.phase.into()),
                own_origin: format!("http://{address}"),
            })
        });
        let server = made.await.map_err(|error| Error::scenario(error.to_string()))??;
        let server = Arc::new(server);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&server)));
        Ok(Self { server, address, accepting })
    }

    /// The base of both the environment and the sign-in authority: `http://127.0.0.1:<port>/`.
    pub fn url(&self) -> Url {
        let mut url = Url::parse("http://127.0.0.1/").unwrap_or_else(|_| unreachable!("a constant"));
        // Neither can fail: the URL has a host.
        let _ = url.set_ip_host(self.address.ip());
        let _ = url.set_port(Some(self.address.port()));
        url
    }

    /// What was asked and sent until now. Takes time in proportion to the rows.
    pub fn served(&self) -> Served {
        self.server.served()
    }

    /// The requests until now in order of their answers; the first 100,000 are kept.
    pub fn requests(&self) -> Vec<Request> {
        self.server.recorder.requests()
    }

    /// Calls for every interaction of every user that can be read now, those of meetings once for each who was there. By user,
    /// and of a user in the order in which pages have them.
    pub fn interactions(&self, each: &mut dyn FnMut(&Interaction<'_>)) {
        let Some(graph) = &self.server.graph else { return };
        let (tenant, present) = (graph.tenant(), graph.present(self.server.clock.now()));
        for user in 0..tenant.people.len() as u32 {
            interactions(&tenant, user, present, each);
        }
    }

    /// Applies the scenario's next phase; says how many are left. Without one nothing happens.
    ///
    /// # Errors
    /// [`Error::Scenario`] and [`Error::File`] for rows that do not exist or cannot be made.
    pub fn advance(&self) -> Result<usize, Error> {
        self.server.advance()
    }

    /// Ends all connections and waits until nothing listens any more.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // Aborted is what it shall be.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until it is aborted, which ends them all.
async fn accept(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error is about that one connection, or passes.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let server = Arc::clone(&server);
                connections.spawn(async move {
                    let service = service_fn(move |request| Arc::clone(&server).answer(request));
                    // Clients break off, and so do faults.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
