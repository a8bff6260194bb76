//! `extract`: what is missing since the last run.

use std::sync::Arc;

use anyhow::Result;
use copilot_lake_pipeline::{Report, RunOptions, Settings};
use copilot_lake_tables::Service;

use crate::args::{ExtractArgs, GlobalArgs};
use crate::commands::views::view_maker;
use crate::config::{Config, moment, secrecy, settings};
use crate::exit;
use crate::output::console::Console;
use crate::output::progress::Progress;
use crate::output::summary::Summary;
use crate::problem::{ExitCode, Problem, usage};
use crate::signals;

/// Runs `extract` and prints its summary, whether it succeeds or fails.
pub(crate) async fn run_extract(args: ExtractArgs, global: GlobalArgs, console: &Console) -> ExitCode {
    let mut summary = Summary::new("extract", args.summary.clone());
    let result = match summary.check().and_then(|()| settings(&args, global, console)) {
        Ok(settings) => {
            summary.rights = settings.lake_options.rights;
            run_until_stopped(settings, console).await
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(report) => summary.report(console, Some(&report), exit::run_problem(&report).as_ref()),
        Err(error) => summary.report(console, None, Some(&exit::problem(&error))),
    }
}

/// Runs the pipeline with progress, until it ends or a signal stops it.
pub(crate) async fn run_until_stopped(settings: Settings, console: &Console) -> Result<Report> {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let progress = Arc::new(Progress::new(console.clone()));
    let observer = Arc::clone(&progress);
    let run = copilot_lake_pipeline::run(settings, Arc::new(move |event| observer.observe(event)), stopped);
    let signal = async {
        signals::stop_requested().await;
        if !progress.has_started() {
            return Problem::new(ExitCode::Partial, "stopped by a signal before anything was read");
        }
        console.warning("stopping: finished work is committed within 20 s; press Ctrl-C again to stop at once");
        signals::exit_at_the_next(console);
        // Sending fails only if the run has already ended.
        let _ = stop.send(true);
        tokio::time::sleep(signals::GRACE).await;
        Problem::new(ExitCode::Partial, "stopped by a signal; what was not complete by then is not in the lake")
    };
    let result = tokio::select! {
        report = run => report.map_err(anyhow::Error::from),
        problem = signal => Err(problem.hint("run the same command again: it does the rest").into()),
        () = progress.log() => unreachable!("it ends with the run"),
    };
    progress.finish();
    result
}

fn settings(args: &ExtractArgs, global: GlobalArgs, console: &Console) -> Result<Settings> {
    let options = options(args)?;
    run_settings("extract", (&args.source, &args.table), options, &Config::from_flags(global)?, console)
}

/// The settings of a run, limited to these services and tables where any are named.
pub(crate) fn run_settings(
    command: &'static str,
    (sources, tables): (&[Service], &[String]),
    options: RunOptions,
    config: &Config,
    console: &Console,
) -> Result<Settings> {
    for line in config.effective() {
        console.debug(&line);
    }
    let (lake, lake_options) = settings::lake(config)?;
    let is_selected = |service: &Service| {
        let names_it = |name: &String| settings::service_of(name) == *service;
        (sources.is_empty() || sources.contains(service)) && (tables.is_empty() || tables.iter().any(names_it))
    };
    let mut jobs = Vec::new();
    for service in Service::ALL.into_iter().filter(is_selected) {
        jobs.extend(settings::job(service, config, tables)?);
    }
    for service in Service::ALL.into_iter().filter(|service| sources.contains(service)) {
        let section = service.name();
        if !config.mentions(section) {
            return Err(usage(format!("`--source {section}` needs a section [{section}] in the configuration"))
                .hint("`copilot-lake --help` lists the keys")
                .into());
        }
    }
    if jobs.is_empty() {
        let problem = if Service::ALL.iter().any(|service| config.mentions(service.name())) {
            usage("`--source` and `--table` exclude everything that is configured").hint("leave one of them out")
        } else {
            let demo = if cfg!(feature = "demo") { "; `copilot-lake demo` needs none" } else { "" };
            usage("no service is configured").hint(format!(
                "name the environment in `dataverse.url`, or whose history to read in `graph.users`, in \
                 ./copilot-lake.toml or as COPILOT_LAKE_DATAVERSE__URL{demo}"
            ))
        };
        return Err(problem.into());
    }
    let archive_raw = settings::archive_raw(config);
    Ok(Settings { lake, lake_options, archive_raw, command, jobs, options, view_maker: view_maker(config) })
}

fn options(args: &ExtractArgs) -> Result<RunOptions, Problem> {
    let now = moment::now();
    let time = |flag: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match moment::parse(text, now) {
            Some(time) => Ok(Some(time)),
            None => Err(usage(format!("`{flag}` must be {}{}", moment::FORM, secrecy::but_is(text)))
                .hint(format!("as in `{flag} 2025-06-22`; times are UTC"))),
        },
    };
    let (since, until) = (time("--since", &args.since)?, time("--until", &args.until)?);
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        return Err(usage(format!("the window from {since} to {until} is empty"))
            .hint("`--since` is included, `--until` is not: it must be later"));
    }
    let deadline = match &args.deadline {
        None => None,
        Some(text) => {
            let wrong = || {
                usage(format!("`--deadline` must be {}{}", moment::DEADLINE_FORM, secrecy::but_is(text)))
                    .hint("as in `--deadline 2h` or `--deadline 06:00`; clock times are UTC")
            };
            let at = moment::deadline(text, now).ok_or_else(wrong)?;
            let remaining = u64::try_from(at.0 - now.0).map_err(|_| {
                usage(format!("the deadline {at} is over"))
                    .hint("as in `--deadline 2h` or `--deadline 06:00`; clock times are UTC")
            })?;
            std::time::Instant::now().checked_add(std::time::Duration::from_micros(remaining))
        }
    };
    Ok(RunOptions { since, until, full: args.full, repair: args.repair, deadline })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(set: impl FnOnce(&mut ExtractArgs)) -> ExtractArgs {
        let mut args = ExtractArgs {
            source: Vec::new(),
            table: Vec::new(),
            since: None,
            until: None,
            full: false,
            repair: false,
            deadline: None,
            summary: None,
        };
        set(&mut args);
        args
    }

    #[test]
    fn windows_and_deadlines() {
        let at = |text: &str| copilot_lake_tables::Instant::parse(text);
        let found = options(&args(|args| {
            args.since = Some("2025-06-22".to_owned());
            args.until = Some("2025-06-29T12:00:00Z".to_owned());
            args.deadline = Some("2h".to_owned());
        }))
        .unwrap();
        assert_eq!((found.since, found.until), (at("2025-06-22"), at("2025-06-29T12:00:00Z")));
        let left = found.deadline.unwrap().duration_since(std::time::Instant::now()).as_secs();
        assert!((7190..=7200).contains(&left), "{left}");

        let empty = options(&args(|args| {
            args.since = Some("2025-06-22".to_owned());
            args.until = args.since.clone();
        }));
        assert!(empty.unwrap_err().message.ends_with("is empty"));
        for text in ["yesterday", "7"] {
            assert_eq!(options(&args(|args| args.since = Some(text.to_owned()))).unwrap_err().code, ExitCode::Usage);
        }
        let over = options(&args(|args| args.deadline = Some("2025-01-01T00:00:00Z".to_owned())));
        assert!(over.unwrap_err().message.ends_with("is over"));
    }
}
