//! What the program does with a service, whichever it is. Each service implements it in its own folder.

use std::time::Duration;

use copilot_lake_extractor::{Auth, Error as ServiceError, IdentityUsage, Meter};
use copilot_lake_tables::{Instant, Service, is_guid};
use copilot_lake_writer::{Instance, LakeOptions};
use futures::future::LocalBoxFuture;

use crate::error::Error;
use crate::finding::Finding;
use crate::ledger::runs::Restart;
use crate::run::context::RunContext;
use crate::run::plan_context::PlanContext;
use crate::service_estimate::ServiceEstimate;

/// A configured service.
pub(crate) trait ServiceReader {
    /// Which service it is.
    fn service(&self) -> Service;

    /// Adapts how the lake is opened for a run that reads the service.
    fn adapt_lake(&self, _options: &mut LakeOptions) {}

    /// What stops the service's requests.
    fn stop(&self) -> Box<dyn FnOnce() + Send>;

    /// Makes every call wait this long for a service that answers nothing.
    fn wait_out_outages(&self, longest: Duration);

    /// Signs in, and completes `instance`: whose data the lake holds. Returns the service's time.
    fn sign_in<'a>(&'a self, instance: &'a mut Instance) -> LocalBoxFuture<'a, Result<Instant, Error>>;

    /// Requests what a run has to know before it is recorded.
    fn prepare(&mut self) -> LocalBoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    /// Reads what is due. Slices and payloads that fail are in the ledger and the report.
    fn read<'a>(&'a self, run: &'a RunContext, restart: &'a Restart) -> LocalBoxFuture<'a, Result<(), Error>>;

    /// Estimates what a run would request.
    fn estimate<'a>(&'a self, context: &'a PlanContext<'a>) -> LocalBoxFuture<'a, Result<ServiceEstimate, Error>>;

    /// Tries what a run needs. Fails only when nothing else can be tried.
    fn check<'a>(&'a self, found: &'a mut dyn FnMut(Finding)) -> LocalBoxFuture<'a, Result<(), Error>>;

    /// The service's time.
    fn service_time(&self) -> LocalBoxFuture<'_, Result<Instant, ServiceError>>;

    /// What was used of the service so far.
    fn meter(&self) -> Meter;

    /// What each of several identities that read the service did so far; nothing where there is only one.
    fn identities(&self) -> Vec<IdentityUsage>;
}

/// The id of the configured tenant; `None` when it is configured by one of its domains.
pub(crate) fn tenant_id(auth: &Auth) -> Option<String> {
    Some(auth.tenant_id.clone()).filter(|id| is_guid(id))
}
