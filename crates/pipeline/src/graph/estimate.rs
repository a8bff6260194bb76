//! What a run would request from Graph.

use copilot_lake_extractor::Graph;
use copilot_lake_tables::AI_INTERACTION;

use super::window::HistoryTask;
use super::work_list::HistoryPlanner;
use crate::error::Error;
use crate::run::plan_context::PlanContext;
use crate::service_estimate::{EstimatePart, ServiceEstimate, SharedCalls};
use crate::settings::GraphJob;

/// What `extract` would request from Graph.
#[derive(Debug, Clone, Default)]
pub(super) struct GraphEstimate {
    /// Users in scope.
    users: u64,
    /// Users whose history is due.
    due: u64,
    /// Names in the configuration that the directory does not know.
    unknown: u64,
    /// Interactions that the lake has.
    rows_in_lake: u64,
    /// Pages of users, for which no rate limit is documented.
    user_calls: u64,
    /// Pages of histories, at least: as dense as last time, and one for each user who was not read before.
    history_calls: u64,
    /// History requests per second, as configured.
    requests_per_second: f64,
    /// The identities that make the calls.
    shared: SharedCalls,
}

impl GraphEstimate {
    pub(super) fn describe(&self) -> ServiceEstimate {
        use EstimatePart::{Counted, Number, Seconds, Text};
        let rate = self.requests_per_second * self.shared.count();
        let mut text = vec![
            EstimatePart::text("ai_interaction: "),
            Counted(self.users, "user"),
            EstimatePart::text(" in scope, "),
            Number(self.due),
            EstimatePart::text(" due"),
        ];
        if self.unknown > 0 {
            text.extend([
                EstimatePart::text(", "),
                Number(self.unknown),
                EstimatePart::text(" of the names that are listed unknown"),
            ]);
        }
        text.extend([
            EstimatePart::text("; "),
            Counted(self.rows_in_lake, "row"),
            EstimatePart::text(" in the lake\n"),
            Counted(self.user_calls, "call"),
            EstimatePart::text(" for users, and "),
            Counted(self.history_calls, "call"),
            EstimatePart::text(" for histories at least: "),
            Seconds(self.history_calls as f64 / rate),
            Text(format!(" at {rate} a second. Histories that were not read before may\n").into()),
            EstimatePart::text("have more pages than one.\n"),
        ]);
        text.extend(self.shared.describe(self.user_calls + self.history_calls));
        ServiceEstimate { table: Vec::new(), text }
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
        shared: SharedCalls::new(service.identities()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_users_requests_and_hours() {
        let graph = GraphEstimate {
            users: 200_000,
            due: 199_000,
            history_calls: 398_400,
            requests_per_second: 24.0,
            ..GraphEstimate::default()
        };
        let ServiceEstimate { table, text } = graph.describe();
        assert!(table.is_empty() && text.starts_with(&[EstimatePart::text("ai_interaction: ")]));
        for part in [
            EstimatePart::Counted(200_000, "user"),
            EstimatePart::Number(199_000),
            EstimatePart::Counted(398_400, "call"),
            EstimatePart::Seconds(16_600.0),
        ] {
            assert!(text.contains(&part), "{part:?} is not in {text:?}");
        }
        let unknown = EstimatePart::text(" of the names that are listed unknown");
        assert!(!text.contains(&unknown));
        assert!(GraphEstimate { unknown: 1, ..graph }.describe().text.contains(&unknown));
    }
}
