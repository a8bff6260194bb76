//! What becomes of a query that workers do not compute, as long as nobody has seen a row of it: it is planned again for the
//! others, once, if one of them failed, and for this process if it is the plan that workers cannot be given.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, execute_stream};
use datafusion_distributed::{DistributedExec, NetworkBoundaryExt};
use futures::channel::oneshot;
use futures::future::{Either, select};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use super::failure::{FailureKind, PlanFailure};
use super::worker_set::WorkerSet;

/// The planner of a session with workers.
#[derive(Debug)]
pub(crate) struct RerunPlanner {
    pub(crate) planner: Arc<dyn QueryPlanner + Send + Sync>,
    /// The planner that the session had before, whose plans run in this process.
    pub(crate) local: Arc<dyn QueryPlanner + Send + Sync>,
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
                    local: Arc::clone(&self.local),
                    workers: self.workers.clone(),
                }),
            })),
            _ => Ok(plan),
        }
    }
}

/// Why an attempt ended before its first row.
enum AttemptFailure {
    /// Workers did not compute the plan.
    Plan(PlanFailure),
    /// The query fails, wherever it runs.
    Query(DataFusionError),
}

/// The rows of an attempt from its first batch on. `unsent` tells why a worker was not given its part of the plan: others
/// that take rows from it wait for 10 s, and then fail without its name.
async fn begin(
    mut batches: SendableRecordBatchStream,
    mut unsent: oneshot::Receiver<PlanFailure>,
) -> Result<BoxStream<'static, Result<RecordBatch>>, AttemptFailure> {
    let first = match select(batches.next(), &mut unsent).await {
        Either::Left((first, _)) => first,
        Either::Right((Ok(failure), _)) => return Err(AttemptFailure::Plan(failure)),
        Either::Right((Err(oneshot::Canceled), next)) => next.await,
    };
    match first {
        Some(Err(error)) => Err(match (PlanFailure::in_error(&error), unsent.try_recv()) {
            // The error names the worker, or what is known of sending does.
            (Some(failure @ PlanFailure::Worker(_)), _) | (_, Ok(Some(failure))) | (Some(failure), _) => {
                AttemptFailure::Plan(failure)
            }
            (None, _) => AttemptFailure::Query(error),
        }),
        first => Ok(futures::stream::iter(first).chain(batches).boxed()),
    }
}

/// What workers know a plan by.
fn identifier(plan: &Arc<dyn ExecutionPlan>) -> Option<u128> {
    let mut identifier = None;
    let visited = plan.apply(|node| match node.as_network_boundary() {
        Some(boundary) => {
            identifier = Some(boundary.input_stage().query_id().as_u128());
            Ok(TreeNodeRecursion::Stop)
        }
        None => Ok(TreeNodeRecursion::Continue),
    });
    visited.ok().and(identifier)
}

/// What another plan is made from: identifiers of the first one are known to the workers, so it cannot be sent twice.
#[derive(Debug)]
struct Replan {
    query: LogicalPlan,
    state: SessionState,
    planner: Arc<dyn QueryPlanner + Send + Sync>,
    local: Arc<dyn QueryPlanner + Send + Sync>,
    workers: WorkerSet,
}

impl Replan {
    /// The rows of the query, whose first plan gives these batches unless workers fail.
    async fn rows(
        self: Arc<Self>,
        batches: SendableRecordBatchStream,
        unsent: oneshot::Receiver<PlanFailure>,
        context: Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let mut attempt = begin(batches, unsent).await;
        let has_others = match &attempt {
            Err(AttemptFailure::Plan(PlanFailure::Worker(failure))) if failure.kind == FailureKind::Failed => {
                self.workers.exclude(failure.clone())
            }
            _ => false,
        };
        if has_others {
            let plan = self.planner.create_physical_plan(&self.query, &self.state).await?;
            let unsent = self.workers.plan_failure(identifier(&plan));
            attempt = begin(execute_stream(plan, Arc::clone(&context))?, unsent).await;
        }
        match attempt {
            Ok(rows) => Ok(rows),
            Err(AttemptFailure::Plan(PlanFailure::Worker(failure))) => Err(failure.into()),
            Err(AttemptFailure::Plan(PlanFailure::Unsupported(reason))) => {
                self.workers.note_unsupported(reason);
                let plan = self.local.create_physical_plan(&self.query, &self.state).await?;
                Ok(execute_stream(plan, context)?.boxed())
            }
            Err(AttemptFailure::Query(error)) => Err(error),
        }
    }
}

/// A plan for workers, and how others are made in its place.
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
        // Parts of the plan are sent from now on.
        let unsent = self.replan.workers.plan_failure(identifier(&self.plan));
        let batches = self.plan.execute(partition, Arc::clone(&context))?;
        let rows = futures::stream::once(Arc::clone(&self.replan).rows(batches, unsent, context)).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Int64Type, Schema};
    use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
    use datafusion::physical_plan::common::collect;
    use datafusion::prelude::SessionContext;

    use super::super::failure::WorkerFailure;
    use super::*;

    /// A session whose function `fails` gives an error of this text.
    fn session(text: &str) -> SessionContext {
        let context = SessionContext::new();
        let text = text.to_owned();
        let fails =
            move |_: &[ColumnarValue]| -> Result<ColumnarValue> { Err(DataFusionError::Execution(text.clone())) };
        let (numbers, number) = (vec![DataType::Int64], DataType::Int64);
        context.register_udf(create_udf("fails", numbers, number, Volatility::Volatile, Arc::new(fails)));
        context
    }

    /// The numbers of a query whose plan fails with this text, and which is 7 in this process.
    async fn numbers(text: &str, workers: &WorkerSet) -> Result<Vec<i64>> {
        let context = session(text);
        let plan = context.sql("SELECT fails(1) AS n").await?.create_physical_plan().await?;
        let planner = Arc::clone(context.state().query_planner());
        let replan = Replan {
            query: context.sql("SELECT 7 AS n").await?.into_optimized_plan()?,
            state: context.state(),
            planner: Arc::clone(&planner),
            local: planner,
            workers: workers.clone(),
        };
        let plan = RerunExec { plan, replan: Arc::new(replan) };
        let batches = collect(plan.execute(0, context.task_ctx())?).await?;
        Ok(batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect())
    }

    #[tokio::test]
    async fn a_plan_that_workers_cannot_be_given_is_computed_here() {
        let workers = WorkerSet::new(vec!["http://a/".parse().unwrap()]);
        let timed_out = "Worker::execute_task timed-out while waiting for the plan to be set by the coordinator. (why)";
        assert_eq!(numbers(timed_out, &workers).await.unwrap(), [7]);
        let reasons = workers.unsupported();
        assert!(reasons.len() == 1 && reasons.iter().all(|reason| timed_out.starts_with(reason)), "{reasons:?}");
        let of_query = numbers("no number", &workers).await.unwrap_err();
        assert!(of_query.to_string().contains("no number"), "{of_query}");
        assert!(workers.unsupported().len() == 1 && workers.failed().is_empty());
    }

    #[tokio::test]
    async fn who_waits_for_rows_is_told_at_once_that_they_do_not_come() {
        let silent = || {
            let batches = RecordBatchStreamAdapter::new(
                Arc::new(Schema::empty()),
                futures::stream::pending::<Result<RecordBatch>>(),
            );
            Box::pin(batches) as SendableRecordBatchStream
        };
        let worker =
            WorkerFailure { kind: FailureKind::Failed, url: "http://a/".to_owned(), reason: "it is silent".to_owned() };
        for failure in [PlanFailure::Worker(worker), PlanFailure::Unsupported("why".to_owned())] {
            let (sender, unsent) = oneshot::channel();
            sender.send(failure.clone()).unwrap();
            let told = begin(silent(), unsent).await.err().unwrap();
            assert!(matches!(told, AttemptFailure::Plan(told) if told == failure));
        }
    }
}
