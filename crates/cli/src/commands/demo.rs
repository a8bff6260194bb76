//! `demo`: everything at once against the emulator, without an account or a network.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Result;
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Scenario, TENANT_ID};
use copilot_lake_pipeline::{RunOptions, RunOutcome, Settings};
use copilot_lake_tables::{EXTRACTION_RUN, Instant, Service, TABLES};
use copilot_lake_writer::{Lake, LakeOptions};

use crate::args::{DemoArgs, GlobalArgs};
use crate::commands::extract;
use crate::commands::views::view_maker;
use crate::config::{Config, Sources, moment, settings};
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
    let scenario = Scenario::demo_until(last_day(&dir).await);
    let emulator = Emulator::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), scenario).await?;
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
    show(&lake, &dir, console).await?;
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
    if dir.to_string_lossy().contains("://") {
        return Err(usage("`demo` writes to a directory, not to a store".to_owned())
            .hint("name a directory with `--dir`; `extract` writes to stores")
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
        view_maker: view_maker(&config),
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

/// The last day of the demo's rows: yesterday, seen from the lake's first run. A later demo finds the rows as they were.
async fn last_day(dir: &str) -> Instant {
    let begun = if Path::new(dir).join(EXTRACTION_RUN.name).is_dir() { first_run(dir).await } else { None };
    Instant::from_days(begun.unwrap_or_else(moment::now).days() - 1)
}

#[cfg(feature = "query")]
async fn first_run(dir: &str) -> Option<Instant> {
    use arrow::array::AsArray;
    use arrow::datatypes::TimestampMicrosecondType;

    // A lake that cannot be read is repaired by the run, which says what it does.
    let lake = Lake::open(dir, LakeOptions::default()).await.ok()?;
    let session = copilot_lake_query::Session::open(&lake, &std::collections::BTreeMap::new(), &[]).await.ok()?;
    let (_, batches) = session.sql("SELECT min(started_at) FROM extraction_run").await.ok()?;
    let times = batches.first()?.column(0).as_primitive_opt::<TimestampMicrosecondType>()?;
    times.iter().next().flatten().map(Instant)
}

#[cfg(not(feature = "query"))]
async fn first_run(_: &str) -> Option<Instant> {
    None
}

/// The busiest scenarios of the last weeks that are over.
#[cfg(feature = "query")]
const RATES: &str = "
WITH week AS (
  SELECT week_start
  FROM week_over_week
  WHERE measure = 'responses' AND is_over = 1
  ORDER BY week_start DESC
  LIMIT 4
),
recent AS (SELECT feedback_rates.* FROM feedback_rates JOIN week ON week.week_start = feedback_rates.week_start),
busiest AS (
  SELECT scenario
  FROM recent
  GROUP BY scenario
  ORDER BY sum(responses) DESC, scenario
  LIMIT 5
)
SELECT week_start, scenario_label, responses, rated_responses, up, down, net_positive_rate, feedback_rate
FROM recent
JOIN busiest ON busiest.scenario = recent.scenario
ORDER BY week_start DESC, responses DESC, scenario_label";

/// Prints a few rates and writes the page.
#[cfg(feature = "query")]
async fn show(lake: &Lake, dir: &str, console: &Console) -> Result<()> {
    use crate::args::Format;
    use crate::commands::engine::Engine;
    use crate::output::output_target::OutputTarget;
    use crate::output::result::ResultOptions;

    console.info("feedback rates of the five busiest scenarios, last four whole weeks");
    let options = ResultOptions { format: Some(Format::Table), ..ResultOptions::default() };
    let (engine, params) = (Engine::default(), std::collections::BTreeMap::new());
    crate::commands::query::print((&engine, lake, &params), RATES, OutputTarget::Stdout, options).await?;
    let page = Path::new(dir).join("report.html");
    let target = OutputTarget::File(page.clone());
    crate::commands::report::write((&engine, lake), target, &params, true, options.rights, moment::now()).await?;
    console.info("");
    console.info(&format!("a page to look at: {}", page.display()));
    Ok(())
}

/// What to try next.
fn next_steps(dir: &str) -> Vec<String> {
    let mut lines = vec![String::new(), "next:".to_owned()];
    if cfg!(feature = "query") {
        let dir = quoted(dir);
        lines.push(format!("  copilot-lake query feedback_rates --lake {dir}    every week and scenario"));
        lines.push("  copilot-lake query --list    what else can be answered".to_owned());
        lines.push(format!("  copilot-lake report --lake {dir} --output report.html"));
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
