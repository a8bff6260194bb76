//! The client's side: which workers a session has, and the planner that gives them work.

use std::sync::Arc;

use copilot_lake_writer::Lake;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion_distributed::{DistributedExt, GetWorkerInfoRequest, SessionStateBuilderExt};
use futures::future::join_all;
use tonic::codegen::http::HeaderValue;
use url::Url;

use super::channels::Channels;
use super::checked_service::CLIENT;
use super::failure::{FailureKind, WorkerFailure};
use super::handshake::Handshake;
use super::rerun::RerunPlanner;
use super::single_task::single_task;
use super::token::WorkerToken;
use super::worker_set::WorkerSet;
use crate::error::Error;
use crate::fallible::FallibleParts;

/// What workers are shown and trusted by.
#[derive(Default, Clone)]
pub struct WorkerAccess {
    /// The token that clients and workers share.
    pub token: Option<WorkerToken>,
    /// Authorities of workers' certificates (PEM), in addition to the system's.
    pub ca: Option<Vec<u8>>,
}

/// Workers that compute the queries of sessions over one lake.
pub struct Workers {
    channels: Channels,
    set: WorkerSet,
}

impl Workers {
    /// Greets each worker. One that cannot be reached is left out if there are others; [`Workers::failures`] has it.
    ///
    /// # Errors
    /// [`Error::WorkerSetting`] for certificates or a token that cannot be used; [`Error::WorkerRefused`] for a wrong
    /// token; [`Error::WorkerUnfit`] for a worker of another version or lake; [`Error::WorkerFailed`] if none is reached.
    pub async fn connect(urls: Vec<Url>, lake: &Lake, access: &WorkerAccess) -> Result<Self, Error> {
        Self::greet(urls, &Handshake::new(lake, access.token.clone()), access.ca.as_deref()).await
    }

    pub(crate) async fn greet(urls: Vec<Url>, handshake: &Handshake, ca: Option<&[u8]>) -> Result<Self, Error> {
        let mut headers = handshake.headers().map_err(|_| Error::invalid_token())?;
        headers.insert(CLIENT, client_id()?);
        let set = WorkerSet::new(urls);
        let workers = Self { channels: Channels::new(headers, ca, set.clone()), set };
        let greetings = workers.set.all().iter().map(|url| greeting(&workers.channels, url));
        for error in join_all(greetings).await.into_iter().filter_map(Result::err) {
            match (WorkerFailure::in_error(&error), error) {
                (Some(failure), _) if failure.kind == FailureKind::Failed && workers.set.exclude(failure.clone()) => {}
                (Some(failure), _) => return Err(failure.into()),
                (None, DataFusionError::Configuration(reason)) => return Err(Error::WorkerSetting(reason)),
                (None, error) => return Err(Error::running(&error, FallibleParts::default)),
            }
        }
        Ok(workers)
    }

    /// The workers that failed so far, as errors.
    pub fn failures(&self) -> Vec<Error> {
        self.set.failed().into_iter().map(Error::from).collect()
    }

    /// Why this process computed queries that workers could not be given, one reason each, by its kind.
    pub fn unsupported(&self) -> Vec<String> {
        self.set.unsupported()
    }

    /// A session's state with the planner that gives the workers their parts of each query.
    pub(crate) fn distribute(&self, state: SessionState) -> EngineResult<SessionState> {
        let local = Arc::clone(state.query_planner());
        let mut builder = SessionStateBuilder::new_from_existing(state);
        if let Some(config) = builder.config() {
            // A plan of one partition would run here, since one task would have to compute all of it.
            let partitions = &mut config.options_mut().execution.target_partitions;
            *partitions = (*partitions).max(2);
        }
        let mut builder = builder
            .with_distributed_planner()
            .with_distributed_worker_resolver(self.set.clone())
            .with_distributed_channel_resolver(self.channels.clone())
            // Who names workers wants them to work, whatever the size of the lake.
            .with_distributed_file_scan_config_bytes_per_partition(1)?
            .with_distributed_desired_task_count_handler(single_task)
            // A stage of one task would run here.
            .with_distributed_max_tasks_per_stage(self.set.all().len().max(2))?;
        if let Some(planner) = builder.query_planner().take() {
            let planner = RerunPlanner { planner, local, workers: self.set.clone() };
            builder = builder.with_query_planner(Arc::new(planner));
        }
        Ok(builder.build())
    }
}

async fn greeting(channels: &Channels, url: &Url) -> EngineResult<()> {
    channels.worker(url)?.get_worker_info(GetWorkerInfoRequest {}).await.map(drop)
}

/// What tells this client from others.
fn client_id() -> Result<HeaderValue, Error> {
    let mut bytes = [0; 8];
    let failed = |_| Error::Run("the system has no random numbers".to_owned());
    aws_lc_rs::rand::fill(&mut bytes).map_err(failed)?;
    Ok(HeaderValue::from(u64::from_le_bytes(bytes)))
}
