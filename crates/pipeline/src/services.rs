//! The services that a run reads from.

use copilot_lake_extractor::{Dataverse, Error as ServiceError, Graph, Meter};
use copilot_lake_tables::Instant;
use copilot_lake_writer::Instance;

use crate::error::Error;
use crate::settings::{DataverseJob, GraphJob};

/// The application permission that reading histories needs.
///
/// <https://learn.microsoft.com/graph/api/aiinteractionhistory-getallenterpriseinteractions>
pub(crate) const HISTORY_ROLE: &str = "AiEnterpriseInteraction.Read.All";
/// The one that reading users needs.
pub(crate) const USERS_ROLE: &str = "User.Read.All";
/// The one that reading members of groups needs.
pub(crate) const GROUPS_ROLE: &str = "GroupMember.Read.All";

/// The services that a run reads from.
pub(crate) struct Services {
    pub(crate) dataverse: Option<Dataverse>,
    pub(crate) graph: Option<Graph>,
}

impl Services {
    /// Prepares those that are configured; nothing is sent yet.
    pub(crate) fn new(dataverse: Option<&DataverseJob>, graph: Option<&GraphJob>) -> Result<Self, Error> {
        Ok(Self {
            dataverse: dataverse.map(|job| Dataverse::new(job.connection.clone())).transpose()?,
            graph: graph.map(|job| Graph::new(job.connection.clone())).transpose()?,
        })
    }

    /// Signs in to all of them: the time by the first one's clock, and which instance they are.
    pub(crate) async fn sign_in(
        &self,
        dataverse: Option<&DataverseJob>,
        graph: Option<&GraphJob>,
    ) -> Result<Option<(Instant, Instance)>, Error> {
        let mut instance = Instance { organization: None, tenant: dataverse.and_then(|job| job.tenant_id.clone()) };
        let mut time = None;
        if let Some(service) = &self.dataverse {
            let who = service.who_am_i().await?;
            (instance.organization, time) = (Some(who.organization_id), Some(who.service_time));
        }
        if let (Some(service), Some(job)) = (&self.graph, graph) {
            let claims = service.token().await?;
            if claims.roles.as_ref().is_some_and(|roles| !roles.iter().any(|role| role == HISTORY_ROLE)) {
                return Err(Error::RoleMissing { role: HISTORY_ROLE });
            }
            instance.tenant = claims.tenant_id.or_else(|| job.tenant_id.clone()).or(instance.tenant);
            if time.is_none() {
                time = Some(service.service_time().await?);
            }
        }
        Ok(time.map(|time| (time, instance)))
    }

    /// The time by the first service's clock.
    pub(crate) async fn service_time(&self) -> Result<Option<Instant>, ServiceError> {
        match (&self.dataverse, &self.graph) {
            (Some(dataverse), _) => dataverse.service_time().await.map(Some),
            (None, Some(graph)) => graph.service_time().await.map(Some),
            (None, None) => Ok(None),
        }
    }

    /// What was used of all of them.
    pub(crate) fn meter(&self) -> Meter {
        let meters = [self.dataverse.as_ref().map(Dataverse::meter), self.graph.as_ref().map(Graph::meter)];
        meters.into_iter().flatten().fold(Meter::default(), |sum, meter| Meter {
            requests: sum.requests + meter.requests,
            throttled_seconds: sum.throttled_seconds + meter.throttled_seconds,
        })
    }
}
