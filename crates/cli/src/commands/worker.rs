//! `worker`: computes parts of the queries of other machines.

use std::pin::pin;

use anyhow::Result;
use copilot_lake_query::{WorkerServer, WorkerTls};
use copilot_lake_writer::shown_location;
use serde_json::{Map, json};
use tokio::sync::oneshot;

use crate::args::{GlobalArgs, WorkerArgs};
use crate::commands::lake;
use crate::config::exposed_secrets::{exposed_file, exposed_secrets};
use crate::config::{Config, text_file, workers};
use crate::output::console::{Console, Level};
use crate::problem::{ExitCode, Problem, usage};
use crate::signals;

/// Runs `worker` until a signal ends it. It is complete if every query that was under way then has ended.
pub(crate) async fn run_worker(args: WorkerArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    let config = Config::from_flags(global)?;
    let (access, tls) = (workers::access(&config)?, certificate(&args)?);
    if !args.listen.ip().is_loopback() && (access.token.is_none() || tls.is_none()) {
        let who = format!("a worker that other machines reach, at `{}`, needs a token and TLS", args.listen.ip());
        return Err(usage(who)
            .hint("set COPILOT_LAKE_WORKERS__TOKEN or `workers.token_file`, `--tls-cert` and `--tls-key`")
            .into());
    }
    let lake = lake::existing(&config).await?;
    let server = WorkerServer::bind(args.listen, &lake, &access, tls.as_ref())?;
    let (url, location) = (server.url().to_owned(), shown_location(lake.url().as_str()));
    let text = format!("the worker listens at {url} until Ctrl-C, for queries of {location}");
    let fields = Map::from_iter([("url".to_owned(), json!(url)), ("lake".to_owned(), json!(location))]);
    console.event(Level::Info, "listening", &text, fields);
    let exposed_key = args.tls_key.as_deref().and_then(|key| exposed_file("--tls-key", key));
    for exposed in exposed_secrets(&config).into_iter().chain(exposed_key) {
        console.warning(&exposed);
    }
    if access.token.is_none() {
        console.warning(
            "without a token, every user of this machine can read the lake through the worker; set \
             COPILOT_LAKE_WORKERS__TOKEN or `workers.token_file`, for clients too",
        );
    }
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(server.serve(async {
        // Sent or dropped, it is the signal.
        let _ = stopped.await;
    }));
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = signals::stop_requested() => drop(stop),
    }
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = tokio::time::sleep(signals::GRACE) => {}
        () = signals::next_requested() => {}
    }
    Err(Problem::new(ExitCode::Partial, "stopped by a signal; the queries under way were given up").into())
}

/// The certificate that the flags name.
fn certificate(args: &WorkerArgs) -> Result<Option<WorkerTls>, Problem> {
    let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let read = |path, flag| {
        let hint = "name a PEM file that this user can read";
        text_file::read_pem(path, &format!("the file of `{flag}`"), "", hint)
    };
    Ok(Some(WorkerTls { certificate: read(certificate, "--tls-cert")?, key: read(key, "--tls-key")? }))
}
