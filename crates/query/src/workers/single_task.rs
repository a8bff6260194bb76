//! Operators that must have all rows of their stage, and so run in a single task.
//!
//! An operator that needs all rows, or all rows of a group, in one partition needs no exchange below it where its input
//! has only one partition. `datafusion-distributed` gives the files of that partition to several tasks all the same, each
//! of which then has a group, or a row of an aggregate, of its own.

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
    inputs
        .any(|(input, needed)| !matches!(needed, Distribution::UnspecifiedDistribution) && is_unexchanged(input))
        .then(|| Ok(DesiredTaskCountEventResponse::maximum(1)))
}

/// Whether rows come in the one partition that they were read in. Above these operators the planner puts an exchange.
fn is_unexchanged(input: &Arc<dyn ExecutionPlan>) -> bool {
    let is_exchange =
        input.is::<CoalescePartitionsExec>() || input.is::<SortPreservingMergeExec>() || input.is::<RepartitionExec>();
    !is_exchange && input.output_partitioning().partition_count() == 1
}
