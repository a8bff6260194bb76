//! `extract`: what is missing since the last run.

use std::sync::Arc;

use anyhow::Result;
use copilot_lake_pipeline::{Report, Request, Settings};

use crate::args::{Extract, Global, SourceName};
use crate::config::{Config, moment, settings};
use crate::console::Console;
use crate::exit::{self, Code, Problem, usage};
use crate::progress::Progress;
use crate::signals;
use crate::summary::Summary;

/// Runs `extract`; tells itself how it ended, because the summary does.
pub(crate) async fn run(args: Extract, global: Global, console: &Console) -> Code {
    let mut summary = Summary::new("extract", args.summary.clone());
    let result = match summary.check().and_then(|()| settings(&args, global, console)) {
        Ok(settings) => walk(settings, console).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(report) => summary.tell(console, Some(&report), exit::of_report(&report).as_ref()),
        Err(error) => summary.tell(console, None, Some(&exit::problem(&error))),
    }
}

/// Runs the pipeline with progress, until it ends or a signal stops it.
pub(crate) async fn walk(settings: Settings, console: &Console) -> Result<Report> {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let progress = Arc::new(Progress::new(console.clone()));
    let observer = Arc::clone(&progress);
    let run = copilot_lake_pipeline::run(settings, Arc::new(move |event| observer.observe(event)), stopped);
    let signal = async {
        signals::stop().await;
        if !progress.has_started() {
            return Problem::new(Code::Partial, "stopped by a signal before anything was read");
        }
        console.warning("stopping: what is complete is committed, within 20 s; Ctrl-C again stops at once");
        signals::exit_at_the_next(console);
        // The receiver is gone only when the run is over.
        let _ = stop.send(true);
        tokio::time::sleep(signals::GRACE).await;
        Problem::new(Code::Partial, "stopped by a signal; what was not complete by then is not in the lake")
    };
    let result = tokio::select! {
        report = run => report.map_err(anyhow::Error::from),
        problem = signal => Err(problem.hint("run the same command again: it takes up the rest").into()),
        () = progress.log() => unreachable!("it ends with the run"),
    };
    progress.finish();
    result
}

fn settings(args: &Extract, global: Global, console: &Console) -> Result<Settings> {
    let request = request(args)?;
    if args.source.contains(&SourceName::Graph) {
        return Err(usage("`--source graph` is not supported yet").hint("use `--source dataverse`").into());
    }
    let graph = args.source.is_empty();
    configured_for("extract", &args.table, request, global, console, graph)
}

/// What the configuration says that a command is to do.
pub(crate) fn configured(
    command: &'static str,
    tables: &[String],
    request: Request,
    global: Global,
    console: &Console,
) -> Result<Settings> {
    configured_for(command, tables, request, global, console, true)
}

/// The same; `graph`: whether Graph is asked for where it is configured.
fn configured_for(
    command: &'static str,
    tables: &[String],
    request: Request,
    global: Global,
    console: &Console,
    graph: bool,
) -> Result<Settings> {
    let config = Config::of_flags(global)?;
    for line in config.effective() {
        console.debug(&line);
    }
    if graph {
        config.refuse_unsupported(&["graph"]).map_err(|problem| match problem.hint {
            Some(hint) if command == "extract" => {
                usage(problem.message).hint(format!("{hint}, or pass `--source dataverse`"))
            }
            Some(hint) => usage(problem.message).hint(hint),
            None => problem,
        })?;
    }
    let (lake, lake_options) = settings::lake(&config)?;
    let Some(dataverse) = settings::dataverse(&config, tables)? else {
        return Err(usage("no service is configured")
            .hint(
                "name the environment in `dataverse.url`, in ./copilot-lake.toml or as COPILOT_LAKE_DATAVERSE__URL; \
                 `copilot-lake demo` needs none",
            )
            .into());
    };
    let archive_raw = settings::archive_raw(&config);
    Ok(Settings { lake, lake_options, archive_raw, command, dataverse: Some(dataverse), request })
}

fn request(args: &Extract) -> Result<Request, Problem> {
    let now = moment::now();
    let time = |flag: &str, text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => match moment::parse(text, now) {
            Some(time) => Ok(Some(time)),
            None => Err(usage(format!("`{flag}` must be {}, but is `{text}`", moment::FORM))
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
                usage(format!("`--deadline` must be {}, but is `{text}`", moment::DEADLINE_FORM))
                    .hint("as in `--deadline 2h` or `--deadline 06:00`; clock times are UTC")
            };
            let at = moment::deadline(text, now).ok_or_else(wrong)?;
            let left = u64::try_from(at.0 - now.0).map_err(|_| usage(format!("the deadline {at} is over")))?;
            std::time::Instant::now().checked_add(std::time::Duration::from_micros(left))
        }
    };
    Ok(Request { since, until, full: args.full, deadline })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(set: impl FnOnce(&mut Extract)) -> Extract {
        let mut args = Extract {
            source: Vec::new(),
            table: Vec::new(),
            since: None,
            until: None,
            full: false,
            deadline: None,
            summary: None,
        };
        set(&mut args);
        args
    }

    #[test]
    fn windows_and_deadlines() {
        let at = |text: &str| copilot_lake_tables::Instant::parse(text);
        let found = request(&args(|args| {
            args.since = Some("2025-06-22".to_owned());
            args.until = Some("2025-06-29T12:00:00Z".to_owned());
            args.deadline = Some("2h".to_owned());
        }))
        .unwrap();
        assert_eq!((found.since, found.until), (at("2025-06-22"), at("2025-06-29T12:00:00Z")));
        let left = found.deadline.unwrap().duration_since(std::time::Instant::now()).as_secs();
        assert!((7190..=7200).contains(&left), "{left}");

        let empty = request(&args(|args| {
            args.since = Some("2025-06-22".to_owned());
            args.until = args.since.clone();
        }));
        assert!(empty.unwrap_err().message.ends_with("is empty"));
        for text in ["yesterday", "7"] {
            assert_eq!(request(&args(|args| args.since = Some(text.to_owned()))).unwrap_err().code, Code::Usage);
        }
        let over = request(&args(|args| args.deadline = Some("2025-01-01T00:00:00Z".to_owned())));
        assert!(over.unwrap_err().message.ends_with("is over"));
    }
}
