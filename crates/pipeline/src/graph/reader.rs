//! Microsoft Graph as a configured service.

use std::time::Duration;

use copilot_lake_extractor::{Error as ServiceError, Graph, IdentityUsage, Meter, role};
use copilot_lake_tables::{AI_INTERACTION, Instant, Service, written_with};
use copilot_lake_writer::{Instance, LakeOptions};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::window::LostHistories;
use super::work_list::HistoryPlanner;
use super::{check, estimate, read_histories};
use crate::error::Error;
use crate::finding::Finding;
use crate::ledger::runs::Restart;
use crate::run::context::RunContext;
use crate::run::plan_context::PlanContext;
use crate::run::service_reader::{ServiceReader, tenant_id};
use crate::service_estimate::ServiceEstimate;
use crate::settings::GraphJob;

/// Memory for rows of histories: their five tables have open files for many weeks, each with buffers of its own.
const HISTORIES: usize = 48 << 20;

/// Graph, and what to read from it.
pub(crate) struct GraphReader {
    service: Graph,
    job: GraphJob,
}

impl GraphReader {
    /// Validates the settings. Sends nothing yet.
    pub(crate) fn new(job: GraphJob) -> Result<Self, Error> {
        Ok(Self { service: Graph::new(job.connection.clone())?, job })
    }
}

impl ServiceReader for GraphReader {
    fn service(&self) -> Service {
        Service::Graph
    }

    fn adapt_lake(&self, options: &mut LakeOptions) {
        options.memory = options.memory.min(HISTORIES);
    }

    fn stop(&self) -> Box<dyn FnOnce() + Send> {
        let service = self.service.clone();
        Box::new(move || service.stop())
    }

    fn wait_out_outages(&self, longest: Duration) {
        self.service.wait_out_outages(longest);
    }

    fn sign_in<'a>(&'a self, instance: &'a mut Instance) -> LocalBoxFuture<'a, Result<Instant, Error>> {
        async move {
            let needed: Vec<_> = check::needed_roles(&self.job).into_iter().map(|(role, _)| role).collect();
            let claims = self.service.token(&needed).await?;
            if claims.lacks(role::HISTORIES) {
                return Err(Error::RoleMissing { role: role::HISTORIES });
            }
            let time = self.service.service_time().await?;
            let tenant = claims.tenant_id.or_else(|| tenant_id(&self.job.connection.auth));
            instance.tenant = tenant.or_else(|| instance.tenant.take());
            Ok(time)
        }
        .boxed_local()
    }

    fn read<'a>(&'a self, run: &'a RunContext, restart: &'a Restart) -> LocalBoxFuture<'a, Result<(), Error>> {
        async move {
            if run.is_any_table_stopped(written_with(&AI_INTERACTION)).await {
                return Ok(());
            }
            let planner = HistoryPlanner {
                service: &self.service,
                job: &self.job,
                full: run.full,
                window: run.window,
                lost: LostHistories::new(&run.lost, &self.job, run.ledger.runs().started()),
                restart,
                restart_barrier: &run.restart_barrier,
            };
            run.stop_failed_table(read_histories(run, &planner).await).await
        }
        .boxed_local()
    }

    fn estimate<'a>(&'a self, context: &'a PlanContext<'a>) -> LocalBoxFuture<'a, Result<ServiceEstimate, Error>> {
        async move { Ok(estimate::estimate_graph(&self.service, &self.job, context).await?.describe()) }.boxed_local()
    }

    fn check<'a>(&'a self, found: &'a mut dyn FnMut(Finding)) -> LocalBoxFuture<'a, Result<(), Error>> {
        check::check_graph(&self.service, &self.job, found).boxed_local()
    }

    fn service_time(&self) -> LocalBoxFuture<'_, Result<Instant, ServiceError>> {
        self.service.service_time().boxed_local()
    }

    fn meter(&self) -> Meter {
        self.service.meter()
    }

    fn identities(&self) -> Vec<IdentityUsage> {
        self.service.identities()
    }
}
