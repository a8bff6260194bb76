//! `query`: a shipped query or any SQL over the lake.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use copilot_lake_query::{
    DuckdbViews, QUERIES, ResultRows, Session, Shipped, VIEWS, duckdb_views, materialized_views_in,
};
use copilot_lake_writer::{Lake, READ_ATTEMPTS};
use futures::TryStreamExt;

use crate::args::{GlobalArgs, QueryArgs};
use crate::commands::engine::Engine;
use crate::commands::lake;
use crate::commands::outdated::expect_outdated;
use crate::commands::output_flag::output_target;
use crate::commands::parameters::Taken;
use crate::commands::tables::names;
use crate::config::{Config, secrecy, settings, text_file};
use crate::duckdb_form::DuckdbForm;
use crate::environment;
use crate::nearest::hint;
use crate::output::console::Console;
use crate::output::output_target::OutputTarget;
use crate::output::printable::cleaned;
use crate::output::result::{ResultOptions, ResultWriter};
use crate::output::table::aligned_within;
use crate::problem::{ExitCode, Problem, usage};

/// Runs `query`.
pub(crate) async fn run_query(args: QueryArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    if args.list {
        return Ok(std::io::stdout().lock().write_all(list(environment::terminal_columns()).as_bytes())?);
    }
    if let Some(name) = &args.show {
        let shipped = VIEWS.iter().find(|view| view.name == name);
        let text = shipped.map_or_else(|| named(name), Ok)?.sql;
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    }
    // Mistakes that show without a lake are reported before it is opened.
    let question = question(&args)?;
    let taken = question.shipped.map_or_else(|| Taken::by_text(&question.sql), Taken::by_query);
    let params = taken.read(&args.param)?;
    let config = Config::from_flags(global)?;
    let target = args.output.map_or(Ok(OutputTarget::Stdout), |output| output_target(output, &config))?;
    let lake = lake::existing(&config).await?;
    if let Some(form) = args.duckdb_views {
        let views = match form {
            DuckdbForm::Files => DuckdbViews::Files,
            DuckdbForm::Delta => DuckdbViews::Delta,
        };
        let text = duckdb_views(&lake, views).await?;
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    }
    let engine = Engine::connect(&args.workers, &config, &lake).await?;
    if args.explain {
        let session = session_of((&engine, &lake, &params), &question.sql).await?;
        let text = session.explain(&question.sql).await?;
        engine.warn_of_failures(console);
        let lines: String = text.trim_end().lines().map(|line| format!("{}\n", cleaned(line))).collect();
        return Ok(std::io::stdout().lock().write_all(lines.as_bytes())?);
    }
    let started = std::time::Instant::now();
    let is_seen = matches!(target, OutputTarget::Stdout) && environment::stdout_is_terminal();
    let rights = settings::file_rights(&config);
    let newest_first = question.shipped.is_some();
    let options = ResultOptions { format: args.format, csv_safe: args.csv_safe, rights, newest_first };
    let rows = print((&engine, &lake, &params), &question.sql, target, options).await?;
    engine.warn_of_failures(console);
    if rows == 0 && is_seen {
        console.info("no rows");
    }
    console.debug(&format!("{rows} rows in {:.2} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Writes a query's result as it is computed. Returns the number of rows written.
pub(crate) async fn print(
    (engine, lake, params): (&Engine, &Lake, &BTreeMap<String, String>),
    sql: &str,
    target: OutputTarget,
    options: ResultOptions,
) -> Result<usize> {
    let mut rows = result_of((engine, lake, params), sql).await?;
    let unwritten = target.unwritten();
    let mut output = ResultWriter::begin(target, options, &rows.schema)?;
    let (mut count, mut attempts) = (0, 1);
    let written = loop {
        let Err(error) = write(&mut rows, &mut output, (&mut count, &unwritten)).await else { break Ok(()) };
        if let Err(error) = expect_outdated(lake, error).await {
            break Err(error);
        }
        if count > 0 || attempts == READ_ATTEMPTS {
            let what = "the query failed: another tool, or a run, removed a file of the lake while it ran";
            break Err(Problem::new(ExitCode::Failed, what).hint("run the same command again").into());
        }
        // Nothing of the result is written: it begins again with the newest version.
        attempts += 1;
        match result_of((engine, lake, params), sql).await {
            Ok(newest) => rows = newest,
            Err(error) => break Err(error),
        }
    };
    match written {
        Ok(()) => {
            output.finish().await.context(unwritten)?;
            Ok(count)
        }
        Err(error) => {
            output.discard().await;
            Err(error)
        }
    }
}

/// A session for a text.
async fn session_of((engine, lake, params): (&Engine, &Lake, &BTreeMap<String, String>), sql: &str) -> Result<Session> {
    Ok(engine.open(lake, params, &materialized_views_in(sql)).await?)
}

async fn result_of(of: (&Engine, &Lake, &BTreeMap<String, String>), sql: &str) -> Result<ResultRows> {
    Ok(session_of(of, sql).await?.rows(sql).await?)
}

async fn write(rows: &mut ResultRows, output: &mut ResultWriter, (count, unwritten): (&mut usize, &str)) -> Result<()> {
    while let Some(batch) = rows.batches.try_next().await? {
        *count += batch.num_rows();
        if !output.push(&batch).await.with_context(|| unwritten.to_owned())? {
            break;
        }
    }
    Ok(())
}

/// The query to run.
struct Question {
    sql: String,
    shipped: Option<&'static Shipped>,
}

fn question(args: &QueryArgs) -> Result<Question> {
    let text = match (&args.name, &args.sql, &args.file) {
        (Some(name), ..) => {
            let shipped = named(name)?;
            return Ok(Question { sql: shipped.sql.to_owned(), shipped: Some(shipped) });
        }
        (_, Some(sql), _) if sql.trim() == "-" => standard_input()?,
        (_, Some(sql), _) => sql.clone(),
        (_, _, Some(file)) if file.as_os_str() == "-" => standard_input()?,
        (_, _, Some(file)) => {
            text_file::read(file, &format!("`{}`", file.display()), "", "check the path after `--file`")?
        }
        _ => String::new(),
    };
    Ok(Question { sql: text, shipped: None })
}

fn standard_input() -> Result<String> {
    std::io::read_to_string(std::io::stdin()).context("standard input cannot be read as text")
}

/// The shipped query of that name.
fn named(name: &str) -> Result<&'static Shipped> {
    if let Some(shipped) = copilot_lake_query::query(name) {
        return Ok(shipped);
    }
    if names().any(|other| other == name) {
        let kind = if VIEWS.iter().any(|view| view.name == name) { "view" } else { "table" };
        let hint = format!("as in `copilot-lake query --sql \"from {name} limit 10\"`");
        return Err(usage(format!("`{name}` is a {kind}, not a query: select from it")).hint(hint).into());
    }
    let hint = match name {
        "-" => "SQL from standard input is read by `--sql -`".to_owned(),
        _ if name.contains(' ') => "SQL goes behind `--sql`".to_owned(),
        _ => hint("query", name, QUERIES.iter().map(|query| query.name), || {
            "`copilot-lake query --list` lists them all".to_owned()
        }),
    };
    Err(usage(format!("no shipped query{}", secrecy::quoted(name))).hint(hint).into())
}

fn list(terminal: Option<usize>) -> String {
    let lines = QUERIES.iter().map(|query| {
        let parameters = query.parameters();
        let names: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
        [query.name.to_owned(), query.title().to_owned(), names.join(" ")]
    });
    let heading = ["QUERY", "WHAT", "PARAMETERS"].map(str::to_owned);
    format!(
        "{}\n`copilot-lake query --show QUERY` explains columns and parameters; each is a table too, as in --sql 'SELECT * FROM feedback_rates'\n",
        aligned_within(std::iter::once(heading).chain(lines), terminal)
    )
}
