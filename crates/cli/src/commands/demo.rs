//! `demo`: everything at once against the emulator, without an account or a network.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use copilot_lake_pipeline::{RunOptions, RunOutcome, Settings};
use copilot_lake_tables::{EXTRACTION_RUN, Service, TABLES};
use copilot_lake_writer::{Lake, LakeOptions};

use crate::args::{DemoArgs, GlobalArgs};
use crate::commands::extract;
use crate::config::{Config, Sources, settings};
use crate::exit;
use crate::output::console::Console;
use crate::output::summary::Summary;
use crate::output::table::aligned;
use crate::output::wording::{bytes, counted, quoted, seconds};
use crate::problem::{ExitCode, usage};

/// Runs `demo` and prints its summary.
pub(crate) async fn run_demo(args: DemoArgs, global: &GlobalArgs, console: &Console) -> Result<ExitCode> {
    let dir = args.dir.to_string_lossy().into_owned();
    check_directory(&args.dir, global)?;
    let begun = std::time::Instant::now();
    let summary = Summary::new("demo", None);
    let emulator = Emulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Scenario::demo()).await?;
    let url = emulator.url();
    console.info(&format!("extracting from the emulator at {} into {dir}", url.as_str().trim_end_matches('/')));
    let report = match extract::run_until_stopped(settings(&dir, &emulator)?, console).await {
        Ok(report) => report,
        Err(error) => return Ok(summary.report(console, None, Some(&exit::problem(&error)))),
    };
    emulator.stop().await;
    let problem = exit::run_problem(&report);
    let code = summary.report(console, Some(&report), problem.as_ref());
    if report.outcome == RunOutcome::Failed {
        return Ok(code);
    }
    let lake = Lake::open(&dir, LakeOptions::default()).await?;
    console.info("");
    for line in table_sizes(&lake).await?.lines() {
        console.info(line);
    }
    console.info(&format!("finished in {}", seconds(begun.elapsed().as_secs_f64())));
    console.info("");
    #[cfg(feature = "query")]
    print_rates(&lake, &dir, console).await?;
    for line in next_steps(&dir) {
        console.info(&line);
    }
    Ok(code)
}

/// Refuses flags that have no meaning here, and a directory that holds something other than a lake.
fn check_directory(dir: &Path, global: &GlobalArgs) -> Result<()> {
    let flag = if global.lake.is_some() {
        "--lake"
    } else if global.config.is_some() {
        "--config"
    } else if !global.set.is_empty() {
        "--set"
    } else {
        ""
    };
    if !flag.is_empty() {
        return Err(usage(format!("`demo` reads no configuration: `{flag}` does not apply"))
            .hint("`--dir` says where it writes; `extract` reads the configuration")
            .into());
    }
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut inside) => inside.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => {
            return Err(usage(format!("cannot use `{}`: {}", dir.display(), crate::config::text_file::reason(&error)))
                .hint("name a directory with `--dir`")
                .into());
        }
    };
    if !is_empty && !dir.join(EXTRACTION_RUN.name).is_dir() {
        return Err(usage(format!("`{}` is not empty and holds no lake", dir.display()))
            .hint("name another directory with `--dir`")
            .into());
    }
    Ok(())
}

fn settings(dir: &str, emulator: &Emulator) -> Result<Settings> {
    let url = emulator.url();
    let set = [
        ("auth.authority", url.as_str()),
        ("auth.tenant_id", TENANT_ID),
        ("auth.client_id", CLIENT_ID),
        ("auth.client_secret", CLIENT_SECRET),
        ("dataverse.url", url.as_str()),
        ("graph.url", url.as_str()),
        ("graph.users", "licensed"),
        ("graph.since", "1970-01-01"),
        // The emulator has no limit of its own here.
        ("graph.requests_per_second", "1000"),
    ];
    let set = set.map(|(key, value)| format!("{key}={value}")).into();
    let config = Config::load(Sources { set, ..Sources::default() })?;
    let jobs = Service::ALL.into_iter().map(|service| settings::job(service, &config, &[]));
    Ok(Settings {
        lake: dir.to_owned(),
        lake_options: LakeOptions::default(),
        archive_raw: false,
        command: "demo",
        jobs: jobs.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect(),
        options: RunOptions::default(),
    })
}

/// What the lake holds, a line per table.
async fn table_sizes(lake: &Lake) -> Result<String> {
    let mut lines = Vec::new();
    for table in TABLES {
        let files = lake.files(table).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        let size = files.iter().map(|file| file.size).sum();
        let mut weeks: Vec<_> = files.iter().filter_map(|file| file.week).collect();
        weeks.sort_unstable();
        weeks.dedup();
        let weeks = if weeks.is_empty() { String::new() } else { counted(weeks.len() as u64, "week") };
        let files = counted(files.len() as u64, "file");
        lines.push([table.name.to_owned(), counted(rows, "row"), weeks, files, bytes(size)]);
    }
    Ok(aligned(lines, &[1, 2, 3, 4]))
}

#[cfg(feature = "query")]
async fn print_rates(lake: &Lake, dir: &str, console: &Console) -> Result<()> {
    use copilot_lake_query::{Session, query};

    use crate::args::Format;
    use crate::output::result::{ResultOptions, ResultTarget};

    let Some(rates) = query("feedback_rates") else { return Ok(()) };
    let session = Session::open(lake, &std::collections::BTreeMap::new()).await?;
    let mut sql = rates.sql.to_owned();
    if crate::environment::stdout_is_terminal() {
        // All weeks would scroll the list of tables off the screen.
        let all = sql.trim_end().trim_end_matches(';');
        sql = format!(
            "WITH rates AS (\n{all}\n) SELECT * FROM rates WHERE week_start = (SELECT max(week_start) FROM rates) ORDER BY scenario"
        );
        console.info(&format!(
            "feedback rates of the newest week; all: copilot-lake query feedback_rates --lake {}",
            quoted(dir)
        ));
    }
    let options = ResultOptions { format: Some(Format::Table), ..ResultOptions::default() };
    crate::commands::query::print(&session, &sql, ResultTarget::Stdout, options).await?;
    Ok(())
}

/// What to try next.
fn next_steps(dir: &str) -> Vec<String> {
    let mut lines = vec![String::new(), "next:".to_owned()];
    if cfg!(feature = "query") {
        let dir = quoted(dir);
        lines.push(format!("  copilot-lake query scenario_usage --lake {dir}"));
        lines.push(format!("  copilot-lake query --lake {dir} --duckdb-views > views.sql && duckdb -init views.sql"));
    }
    lines.push("  copilot-lake tables msdyn_copilotevent".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_only_where_nothing_or_a_lake_is() {
        let global = || GlobalArgs {
            config: None,
            lake: None,
            set: Vec::new(),
            log: crate::args::LogFormat::Text,
            quiet: false,
            verbose: 0,
            no_progress: false,
        };
        let dir = tempfile::tempdir().unwrap();
        assert!(check_directory(&dir.path().join("absent"), &global()).is_ok());
        assert!(check_directory(dir.path(), &global()).is_ok());
        let file = dir.path().join("thesis.txt");
        std::fs::write(&file, "").unwrap();
        assert!(check_directory(dir.path(), &global()).unwrap_err().to_string().contains("holds no lake"));
        assert!(check_directory(&file, &global()).is_err());
        std::fs::create_dir(dir.path().join("extraction_run")).unwrap();
        assert!(check_directory(dir.path(), &global()).is_ok());
        let global = GlobalArgs { lake: Some("x".to_owned()), ..global() };
        assert!(check_directory(dir.path(), &global).unwrap_err().to_string().contains("`--lake`"));
    }
}
