//! What workers are shown and trusted by.

use anyhow::Result;
use copilot_lake_query::{WorkerAccess, WorkerToken};

use super::effective::Config;
use super::key::{WORKERS_TOKEN, WORKERS_TOKEN_FILE, variable_name};
use super::network::network;
use super::secret;
use crate::environment;
use crate::problem::usage;

/// The token that clients and workers share, and authorities of workers' certificates.
pub(crate) fn access(config: &Config) -> Result<WorkerAccess> {
    let section = WORKERS_TOKEN.sections[0];
    let token = secret::text(config, section, &WORKERS_TOKEN, &WORKERS_TOKEN_FILE)?;
    let variable = variable_name(&format!("{section}.{}", WORKERS_TOKEN.name));
    // An empty one is a mistake: a worker without a token lets everybody in.
    if token.is_none() && environment::is_empty(&variable) {
        return Err(usage(format!("`{variable}` is empty")).hint("set it to the token, or unset it").into());
    }
    Ok(WorkerAccess { token: token.map(WorkerToken::new), ca: network(config)?.ca })
}
