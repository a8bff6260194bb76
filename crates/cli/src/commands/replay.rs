//! `replay`: archived pages and payloads into a lake, without a service.

use std::sync::Arc;

use anyhow::Result;
use copilot_lake_pipeline::{Observer, ReplaySettings, Report};

use crate::args::{GlobalArgs, ReplayArgs};
use crate::commands::views::view_maker;
use crate::config::{Config, settings};
use crate::exit;
use crate::output::console::Console;
use crate::output::progress::Progress;
use crate::output::summary::Summary;
use crate::problem::ExitCode;
use crate::signals;

/// Runs `replay` and prints its summary.
pub(crate) async fn run_replay(args: ReplayArgs, global: GlobalArgs, console: &Console) -> ExitCode {
    let summary = Summary::new("replay", None);
    match replay(args, global, console).await {
        Ok(report) => summary.report(console, Some(&report), exit::run_problem(&report).as_ref()),
        Err(error) => summary.report(console, None, Some(&exit::problem(&error))),
    }
}

async fn replay(args: ReplayArgs, global: GlobalArgs, console: &Console) -> Result<Report> {
    let config = Config::from_flags(global)?;
    let (lake, lake_options) = settings::lake(&config)?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let progress = Arc::new(Progress::new(console.clone()));
    let observer = Arc::clone(&progress);
    let observe: Observer = Arc::new(move |event| observer.observe(event));
    let archive_store = settings::stores(&config, args.path.iter().map(String::as_str))?;
    let (paths, view_maker) = (args.path, view_maker(&config));
    let replay = ReplaySettings { lake, lake_options, archive_store, paths, view_maker, shard: args.shard };
    let run = async {
        match args.finish {
            true => copilot_lake_pipeline::finish_shards(replay, observe, stopped).await,
            false => copilot_lake_pipeline::replay(replay, observe, stopped).await,
        }
    };
    let signal = async {
        signals::stop_requested().await;
        console.warning("stopping after the current slice; press Ctrl-C again to stop at once");
        signals::exit_at_the_next(console);
        // Sending fails only if the replay has already ended.
        let _ = stop.send(true);
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        report = run => report.map_err(anyhow::Error::from),
        () = signal => unreachable!("it waits for the replay"),
        () = progress.log() => unreachable!("it ends with the replay"),
    };
    progress.finish();
    result
}
