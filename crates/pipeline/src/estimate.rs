//! `plan`: what `extract` would request. Changes nothing.

use copilot_lake_writer::Lake;

use crate::error::Error;
use crate::ledger::Ledger;
use crate::reread::reread;
use crate::run::plan_context::PlanContext;
use crate::run::services::{Services, SignedIn};
use crate::service_estimate::ServiceEstimate;
use crate::settings::Settings;

/// Estimates what `extract` would request from each service.
///
/// # Errors
/// Those of the sign-in, of the metadata and of reading the lake.
pub async fn estimate(settings: Settings) -> Result<Vec<ServiceEstimate>, Error> {
    let Settings { lake, lake_options, jobs, options, .. } = settings;
    let lake = Lake::open(&lake, lake_options).await?;
    let mut services = Services::new(jobs)?;
    let Some(SignedIn { started_at, .. }) = services.sign_in().await? else { return Ok(vec![]) };
    services.require_all()?;
    let ledger = reread(|| Ledger::read(&lake)).await?;
    let restart = ledger.runs().restart(&options.command("extract"), started_at);
    let context = PlanContext {
        lake: &lake,
        ledger: &ledger,
        restart: &restart,
        full: options.full,
        window: options.window(restart.now)?,
        restart_barrier: &services.restart_barrier(),
    };
    services.estimate(&context).await
}
