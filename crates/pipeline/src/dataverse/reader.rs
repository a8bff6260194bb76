//! Dataverse as a configured service.

use std::time::Duration;

use copilot_lake_extractor::{Dataverse, Environment, Error as ServiceError, IdentityUsage, Meter};
use copilot_lake_tables::{Instant, SYSTEM_USER, Service, Table};
use copilot_lake_writer::Instance;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::context::DataverseContext;
use super::{check, estimate, read_tables};
use crate::error::Error;
use crate::finding::Finding;
use crate::ledger::runs::Restart;
use crate::run::context::RunContext;
use crate::run::plan_context::PlanContext;
use crate::run::service_reader::{ServiceReader, tenant_id};
use crate::service_estimate::ServiceEstimate;
use crate::settings::DataverseJob;

/// Dataverse, and what to read from it.
pub(crate) struct DataverseReader {
    service: Dataverse,
    job: DataverseJob,
    /// What the environment has, once a run has requested it.
    environment: Option<Environment>,
}

impl DataverseReader {
    /// Validates the settings. Sends nothing yet.
    pub(crate) fn new(job: DataverseJob) -> Result<Self, Error> {
        Ok(Self { service: Dataverse::new(job.connection.clone())?, job, environment: None })
    }

    /// The tables that are read, and the people whom their rows name.
    fn tables(&self) -> Vec<&'static Table> {
        self.job.tables.iter().copied().chain([&SYSTEM_USER]).collect()
    }
}

impl ServiceReader for DataverseReader {
    fn service(&self) -> Service {
        Service::Dataverse
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
            instance.tenant = tenant_id(&self.job.connection.auth);
            let who = self.service.sign_in(&self.tables()).await?;
            instance.organization = Some(who.organization_id);
            Ok(who.service_time)
        }
        .boxed_local()
    }

    fn prepare(&mut self) -> LocalBoxFuture<'_, Result<(), Error>> {
        async move {
            self.environment = Some(self.service.environment(&self.tables()).await?);
            Ok(())
        }
        .boxed_local()
    }

    fn read<'a>(&'a self, run: &'a RunContext, restart: &'a Restart) -> LocalBoxFuture<'a, Result<(), Error>> {
        async move {
            let Some(environment) = self.environment.clone() else { return Ok(()) };
            let context = DataverseContext::new(run, self.service.clone(), environment);
            read_tables(&context, &self.job, restart).await
        }
        .boxed_local()
    }

    fn estimate<'a>(&'a self, context: &'a PlanContext<'a>) -> LocalBoxFuture<'a, Result<ServiceEstimate, Error>> {
        async move {
            let estimate = estimate::estimate_dataverse(&self.service, &self.job, context).await?;
            Ok(estimate.describe())
        }
        .boxed_local()
    }

    fn check<'a>(&'a self, found: &'a mut dyn FnMut(Finding)) -> LocalBoxFuture<'a, Result<(), Error>> {
        async move { check::check_dataverse(&self.service, &self.job, &self.tables(), found).await }.boxed_local()
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
