//! What workers are shown and trusted by.

use anyhow::Result;
use copilot_lake_query::WorkerAccess;

use super::effective::Config;
use super::key::{WORKERS_TOKEN, WORKERS_TOKEN_FILE};
use super::network::network;
use super::secret;

/// The token that clients and workers share, and the authorities of workers' certificates.
pub(crate) fn access(config: &Config) -> Result<WorkerAccess> {
    let token = secret::text(config, WORKERS_TOKEN.sections[0], &WORKERS_TOKEN, &WORKERS_TOKEN_FILE)?;
    Ok(WorkerAccess { token: token.filter(|token| !token.is_empty()), ca: network(config)?.ca })
}
