//! The running emulator: start, inspect, advance, stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use crate::data::generation_plan::usual_end;
use crate::data::table_store::TableStore;
use crate::dataverse::emulated_dataverse::EmulatedDataverse;
use crate::emulated_clock::Clock;
use crate::error::Error;
use crate::graph::emulated_graph::EmulatedGraph;
use crate::graph::tenant_report::{Interaction, interactions};
use crate::http::api_request::SharedState;
use crate::http::faults::Faults;
use crate::http::recorder::Recorder;
use crate::http::token_issuer::TokenService;
use crate::scenario::definition::Scenario;
use crate::served::{RecordedRequest, Served};
use crate::server::respond;
use crate::state::EmulatorState;

/// A running emulator. Dropping it stops it at once.
#[derive(Debug)]
pub struct Emulator {
    state: Arc<EmulatorState>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Emulator {
    /// Generates the rows of a scenario and listens; port 0 picks a free port.
    ///
    /// Memory: about 1.3 KB per row, all rendered in advance; interactions of Graph need next to none. Must be called
    /// inside a tokio runtime, whose workers answer the requests.
    ///
    /// # Errors
    /// [`Error::Scenario`] and [`Error::File`] for rows that cannot be made, [`Error::Listen`] for an address that is taken.
    pub async fn start(listen: SocketAddr, scenario: Scenario) -> Result<Self, Error> {
        let listener = TcpListener::bind(listen).await.map_err(|source| Error::Listen { address: listen, source })?;
        let address = listener.local_addr().map_err(|source| Error::Listen { address: listen, source })?;
        let made = tokio::task::spawn_blocking(move || {
            let clock = Clock::new(scenario.clock.map(|clock| clock.0));
            let stores = TableStore::all(&scenario, &clock)?;
            let graph = scenario.graph.as_ref();
            let graph = graph.map(|spec| EmulatedGraph::new(spec, scenario.seed, usual_end(), &clock)).transpose()?;
            let tokens =
                TokenService::new(scenario.token, scenario.graph.map(|spec| spec.roles), &scenario.application);
            let own_origin = format!("http://{address}");
            Ok::<_, Error>(EmulatorState {
                dataverse: EmulatedDataverse::new(stores, scenario.service.clone(), &scenario.application),
                graph,
                shared: SharedState { tokens, recorder: Recorder::new(), clock, own_origin },
                faults: Faults::new(&scenario.fault),
                settings: scenario.service,
                phases: Mutex::new(scenario.phase.into()),
            })
        });
        let state = made.await.map_err(|error| Error::scenario(error.to_string()))??;
        let state = Arc::new(state);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { state, address, accepting })
    }

    /// The base of both the environment and the sign-in authority: `http://127.0.0.1:<port>/`.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).unwrap_or_else(|_| unreachable!("an address"))
    }

    /// How many requests of each kind were answered so far.
    pub fn request_counts(&self) -> BTreeMap<&'static str, u64> {
        self.state.shared.recorder.counts()
    }

    /// Waits for the next answer to anybody, for `most` at most.
    pub fn wait_for_answer(&self, most: Duration) {
        self.state.shared.recorder.wait(most);
    }

    /// What was requested and sent so far. Takes time in proportion to the rows.
    pub fn served(&self) -> Served {
        self.state.served()
    }

    /// The requests so far in order of their responses; the first 100,000 are kept.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.state.shared.recorder.requests()
    }

    /// Calls `each` for every interaction that can be read now, by user and in the order of pages. Interactions of a
    /// meeting come once for each participant.
    pub fn interactions(&self, each: &mut dyn FnMut(&Interaction<'_>)) {
        let Some(graph) = &self.state.graph else { return };
        let (tenant, visibility) = (graph.tenant(), graph.visibility(self.state.shared.clock.now()));
        for user in 0..tenant.people.len() as u32 {
            interactions(&tenant, user, visibility, each);
        }
    }

    /// Applies the scenario's next phase, if any; returns how many remain.
    ///
    /// # Errors
    /// [`Error::Scenario`] and [`Error::File`] for rows that do not exist or cannot be made.
    pub fn advance(&self) -> Result<usize, Error> {
        self.state.advance()
    }

    /// Closes all connections and waits until the port is free.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // The task was aborted on purpose.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts connections until it is aborted, which ends them all.
async fn accept(listener: TcpListener, state: Arc<EmulatorState>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // An error concerns this connection only, or is transient.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let state = Arc::clone(&state);
                connections.spawn(async move {
                    let service = service_fn(move |request| respond(Arc::clone(&state), request));
                    // Clients may disconnect, and faults do.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
