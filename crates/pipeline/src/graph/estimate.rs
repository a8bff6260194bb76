//! What a run would request from Graph.

use copilot_lake_extractor::Graph;
use copilot_lake_tables::AI_INTERACTION;

use super::window::HistoryTask;
use super::work_list::HistoryPlanner;
use crate::error::Error;
use crate::run::plan_context::PlanContext;
use crate::settings::GraphJob;

/// What `extract` would request from Graph.
#[derive(Debug, Clone, Default)]
pub struct GraphEstimate {
    /// Users in scope.
    pub users: u64,
    /// Users whose history is due.
    pub due: u64,
    /// Names in the configuration that the directory does not know.
    pub unknown: u64,
    /// Interactions that the lake has.
    pub rows_in_lake: u64,
    /// Pages of users, for which no rate limit is documented.
    pub user_calls: u64,
    /// Pages of histories, at least: as dense as last time, and one for each user who was not read before.
    pub history_calls: u64,
    /// History requests per second, as configured.
    pub requests_per_second: f64,
}

impl GraphEstimate {
    /// Hours at the configured rate.
    pub fn hours(&self) -> f64 {
        self.history_calls as f64 / self.requests_per_second / 3600.0
    }
}

/// Estimates what a run would request.
pub(super) async fn estimate_graph(
    service: &Graph,
    job: &GraphJob,
    context: &PlanContext<'_>,
) -> Result<GraphEstimate, Error> {
    let PlanContext { lake, restart, full, window, restart_barrier, .. } = *context;
    let planner = HistoryPlanner { service, job, full, window, lost: None, restart, restart_barrier };
    let scope = planner.resolve(lake, None).await?;
    let work = planner.plan(lake, scope).await?;
    Ok(GraphEstimate {
        users: work.users,
        due: work.tasks.len() as u64,
        unknown: work.unknown.len() as u64,
        rows_in_lake: lake.files(&AI_INTERACTION).await?.iter().map(|file| file.rows).sum(),
        user_calls: work.pages,
        history_calls: work.tasks.iter().map(HistoryTask::calls_expected).sum(),
        requests_per_second: job.connection.requests_per_second,
    })
}
