//! A query whose worker fails is planned again for the others, once, as long as nobody has seen a row of it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execute_stream};
use datafusion_distributed::DistributedExec;
use futures::{StreamExt, TryStreamExt};

use super::failure::{FailureKind, WorkerFailure};
use super::worker_set::WorkerSet;

/// The planner of a session with workers.
#[derive(Debug)]
pub(crate) struct RerunPlanner {
    pub(crate) planner: Arc<dyn QueryPlanner + Send + Sync>,
    pub(crate) workers: WorkerSet,
}

#[async_trait]
impl QueryPlanner for RerunPlanner {
    async fn create_physical_plan(&self, query: &LogicalPlan, session: &dyn Session) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.planner.create_physical_plan(query, session).await?;
        match session.as_any().downcast_ref::<SessionState>() {
            // Others read no file, and run here.
            Some(state) if plan.is::<DistributedExec>() => Ok(Arc::new(RerunExec {
                plan,
                replan: Arc::new(Replan {
                    query: query.clone(),
                    state: state.clone(),
                    planner: Arc::clone(&self.planner),
                    workers: self.workers.clone(),
                }),
            })),
            _ => Ok(plan),
        }
    }
}

/// What a second plan is made from: identifiers of the first one are known to the workers, so it cannot be sent twice.
#[derive(Debug)]
struct Replan {
    query: LogicalPlan,
    state: SessionState,
    planner: Arc<dyn QueryPlanner + Send + Sync>,
    workers: WorkerSet,
}

impl Replan {
    /// The plan without the worker whose failure an error is; the error itself if it is something else, or no worker is
    /// left. One that got no plan fails the query where others wait for its rows, by an error that does not name it.
    async fn without_failed(&self, error: DataFusionError) -> Result<Arc<dyn ExecutionPlan>> {
        let error = match (WorkerFailure::in_error(&error), self.workers.take_plan_failure()) {
            (None, Some(failure)) => DataFusionError::from(failure),
            _ => error,
        };
        match WorkerFailure::in_error(&error) {
            Some(failure) if failure.kind == FailureKind::Failed && self.workers.exclude(failure.clone()) => {
                self.planner.create_physical_plan(&self.query, &self.state).await
            }
            _ => Err(error),
        }
    }
}

/// A plan for workers, and how it is made without one of them.
#[derive(Debug)]
struct RerunExec {
    plan: Arc<dyn ExecutionPlan>,
    replan: Arc<Replan>,
}

impl DisplayAs for RerunExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RerunExec: workers={}", self.replan.workers.all().len())
    }
}

impl ExecutionPlan for RerunExec {
    fn name(&self) -> &'static str {
        "RerunExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.plan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.plan]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let mut children = children.into_iter();
        match (children.next(), children.next()) {
            (Some(plan), None) => Ok(Arc::new(Self { plan, replan: Arc::clone(&self.replan) })),
            _ => Err(DataFusionError::Internal("RerunExec has one child".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let mut batches = self.plan.execute(partition, Arc::clone(&context))?;
        let replan = Arc::clone(&self.replan);
        let attempts = async move {
            match batches.next().await {
                Some(Err(error)) => {
                    // What is under way elsewhere is of no use any more.
                    drop(batches);
                    Ok::<_, DataFusionError>(execute_stream(replan.without_failed(error).await?, context)?.boxed())
                }
                first => Ok(futures::stream::iter(first).chain(batches).boxed()),
            }
        };
        let batches = futures::stream::once(attempts).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
