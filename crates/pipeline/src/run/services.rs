//! The services that a run reads from.

use std::sync::Arc;

use copilot_lake_extractor::{Auth, Dataverse, Error as ServiceError, Graph, Meter, TokenClaims, role};
use copilot_lake_tables::{Instant, is_guid};
use copilot_lake_writer::Instance;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::run::shutdown::Shutdown;
use crate::settings::{DataverseJob, GraphJob};

/// The services that a run reads from.
pub(crate) struct Services {
    pub(crate) dataverse: Option<Dataverse>,
    pub(crate) graph: Option<Graph>,
}

impl Services {
    /// Prepares the configured services. Sends nothing yet.
    pub(crate) fn new(dataverse: Option<&DataverseJob>, graph: Option<&GraphJob>) -> Result<Self, Error> {
        Ok(Self {
            dataverse: dataverse.map(|job| Dataverse::new(job.connection.clone())).transpose()?,
            graph: graph.map(|job| Graph::new(job.connection.clone())).transpose()?,
        })
    }

    /// Stops every service once the run is to stop, so that nothing is attempted again and no read drags on. Ends when
    /// the result is dropped.
    pub(crate) fn stop_on(&self, shutdown: Arc<Shutdown>) -> JoinSet<()> {
        let (dataverse, graph) = (self.dataverse.clone(), self.graph.clone());
        let mut stopping = JoinSet::new();
        stopping.spawn(async move {
            shutdown.requested().await;
            dataverse.iter().for_each(Dataverse::stop);
            graph.iter().for_each(Graph::stop);
        });
        stopping
    }

    /// Signs in to every service. A refusal of one does not keep the other from being read.
    ///
    /// # Errors
    /// The first service's, when no service accepts the sign-in.
    pub(crate) async fn sign_in(
        &self,
        dataverse: Option<&DataverseJob>,
        graph: Option<&GraphJob>,
    ) -> Result<Option<SignedIn>, Error> {
        // A tenant may be configured by one of its domains, but the lake knows it by its id.
        let tenant = |auth: &Auth| Some(auth.tenant_id.clone()).filter(|id| is_guid(id));
        let of_dataverse = dataverse.and_then(|job| tenant(&job.connection.auth));
        let mut instance = Instance { organization: None, tenant: of_dataverse };
        let (mut times, mut dataverse_refused, mut graph_refused) = (Vec::new(), None, None);
        if let Some(service) = &self.dataverse {
            match service.who_am_i().await {
                Ok(who) => {
                    instance.organization = Some(who.organization_id);
                    times.push(who.service_time);
                }
                Err(error) => dataverse_refused = Some(error.into()),
            }
        }
        if let (Some(service), Some(job)) = (&self.graph, graph) {
            match sign_in_to_graph(service).await {
                Ok((claims, time)) => {
                    instance.tenant = claims.tenant_id.or_else(|| tenant(&job.connection.auth)).or(instance.tenant);
                    times.push(time);
                }
                Err(error) => graph_refused = Some(error),
            }
        }
        let Some(started_at) = times.first().copied() else {
            return dataverse_refused.or(graph_refused).map_or(Ok(None), Err);
        };
        Ok(Some(SignedIn { started_at, instance, dataverse_refused, graph_refused }))
    }

    /// The time by the first service's clock.
    pub(crate) async fn service_time(&self) -> Result<Option<Instant>, ServiceError> {
        let Some(dataverse) = &self.dataverse else {
            return match &self.graph {
                Some(graph) => graph.service_time().await.map(Some),
                None => Ok(None),
            };
        };
        match (dataverse.service_time().await, &self.graph) {
            (Err(_), Some(graph)) => graph.service_time().await.map(Some),
            (time, _) => time.map(Some),
        }
    }

    /// What was used of the services together.
    pub(crate) fn meter(&self) -> Meter {
        let meters = [self.dataverse.as_ref().map(Dataverse::meter), self.graph.as_ref().map(Graph::meter)];
        meters.into_iter().flatten().fold(Meter::default(), |sum, meter| Meter {
            requests: sum.requests + meter.requests,
            throttled_seconds: sum.throttled_seconds + meter.throttled_seconds,
        })
    }
}

/// What signing in showed.
pub(crate) struct SignedIn {
    /// The time by the first service's clock.
    pub(crate) started_at: Instant,
    pub(crate) instance: Instance,
    /// Why Dataverse cannot be read.
    pub(crate) dataverse_refused: Option<Error>,
    /// Why Graph cannot be read.
    pub(crate) graph_refused: Option<Error>,
}

async fn sign_in_to_graph(service: &Graph) -> Result<(TokenClaims, Instant), Error> {
    let claims = service.token().await?;
    if claims.lacks(role::HISTORIES) {
        return Err(Error::RoleMissing { role: role::HISTORIES });
    }
    let time = service.service_time().await?;
    Ok((claims, time))
}
