//! Operators that must have all rows of their stage, and so run in a single task.
//!
//! An operator that needs all rows, or all rows of a group, in one partition needs no exchange below it where its input
//! has only one partition. `datafusion-distributed` gives the files of that partition to several tasks all the same, each
//! of which then has a group, or a row of an aggregate, of its own; and each takes as many rows as a limit allows.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_expr::Distribution;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_distributed::{DesiredTaskCountEvent, DesiredTaskCountEventResponse};

/// Limits the stage of such an operator to one task.
pub(crate) fn single_task(event: DesiredTaskCountEvent<'_>) -> Option<Result<DesiredTaskCountEventResponse>> {
    let needs = event.plan.input_distribution_requirements().into_per_child();
    let mut inputs = event.plan.children().into_iter().zip(needs);
    let needs_all_rows =
        inputs.any(|(input, needed)| !matches!(needed, Distribution::UnspecifiedDistribution) && is_unexchanged(input));
    // A limit over one partition has no operator of its own.
    let has_limit = event.plan.fetch().is_some() && partitions(event.plan) == 1;
    (needs_all_rows || has_limit).then(|| Ok(DesiredTaskCountEventResponse::maximum(1)))
}

/// Whether rows come in the one partition that they were read in. Above these operators the planner puts an exchange.
fn is_unexchanged(input: &Arc<dyn ExecutionPlan>) -> bool {
    let is_exchange =
        input.is::<CoalescePartitionsExec>() || input.is::<SortPreservingMergeExec>() || input.is::<RepartitionExec>();
    !is_exchange && partitions(input) == 1
}

fn partitions(plan: &Arc<dyn ExecutionPlan>) -> usize {
    plan.output_partitioning().partition_count()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{CsvReadOptions, SessionConfig, SessionContext};

    use super::*;

    /// Whether an operator of a query's plan is limited to one task, over a table of one file and so many partitions.
    async fn is_limited(sql: &str, partitions: usize) -> bool {
        let folder = tempfile::tempdir().unwrap();
        for part in 0..partitions {
            std::fs::write(folder.path().join(format!("{part}.csv")), "a,b\n1,2\n2,3\n3,4\n").unwrap();
        }
        let config = SessionConfig::new().with_target_partitions(partitions);
        let context = SessionContext::new_with_config(config.clone());
        context.register_csv("t", folder.path().to_str().unwrap(), CsvReadOptions::new()).await.unwrap();
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let mut rest = vec![plan];
        while let Some(plan) = rest.pop() {
            if single_task(DesiredTaskCountEvent { plan: &plan, session_config: &config }).is_some() {
                return true;
            }
            rest.extend(plan.children().into_iter().cloned());
        }
        false
    }

    #[tokio::test]
    async fn an_operator_over_one_partition_that_needs_all_rows_is_limited() {
        for sql in [
            "SELECT max(a) FROM t",
            "SELECT a, count(*) FROM t GROUP BY a",
            "SELECT DISTINCT a FROM t",
            "SELECT row_number() OVER (ORDER BY b) FROM t",
            "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
            "SELECT a FROM t ORDER BY b",
            "SELECT a FROM t ORDER BY b LIMIT 2",
            "SELECT a FROM t LIMIT 2",
            "SELECT a FROM t WHERE b > 2 LIMIT 2",
        ] {
            assert!(is_limited(sql, 1).await, "{sql}");
        }
        assert!(!is_limited("SELECT a + b FROM t WHERE a > 1", 1).await);
        for sql in ["SELECT max(a) FROM t", "SELECT a, count(*) FROM t GROUP BY a", "SELECT a FROM t ORDER BY b"] {
            assert!(!is_limited(sql, 3).await, "with an exchange: {sql}");
        }
    }
}
