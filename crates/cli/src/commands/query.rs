//! `query`: a shipped query or any SQL over the lake.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use copilot_lake_query::{DuckdbViews, QUERIES, Session, Shipped, duckdb_views};
use futures::TryStreamExt;

use crate::args::{DuckdbForm, GlobalArgs, QueryArgs};
use crate::commands::lake;
use crate::config::{Config, secrecy, settings, text_file};
use crate::nearest::{is_near, nearest};
use crate::output::console::Console;
use crate::output::printable::cleaned;
use crate::output::result::{ResultOptions, ResultTarget, ResultWriter};
use crate::output::table::aligned;
use crate::problem::usage;

/// Runs `query`.
pub(crate) async fn run_query(args: QueryArgs, global: GlobalArgs, console: &Console) -> Result<()> {
    if args.list {
        return Ok(std::io::stdout().lock().write_all(list().as_bytes())?);
    }
    // Mistakes that show without a lake are reported before it is opened.
    let question = question(&args)?;
    let params = params(&args, question.shipped)?;
    let config = Config::from_flags(global)?;
    let lake = lake::existing(&config).await?;
    if let Some(form) = args.duckdb_views {
        let views = match form {
            DuckdbForm::Files => DuckdbViews::Files,
            DuckdbForm::Delta => DuckdbViews::Delta,
        };
        let text = duckdb_views(&lake, views).await?;
        return Ok(std::io::stdout().lock().write_all(text.as_bytes())?);
    }
    let session = Session::open(&lake, &params).await?;
    if args.explain {
        let text = session.explain(&question.sql).await?;
        let lines: String = text.trim_end().lines().map(|line| format!("{}\n", cleaned(line))).collect();
        return Ok(std::io::stdout().lock().write_all(lines.as_bytes())?);
    }
    let started = std::time::Instant::now();
    let target = args.output.map_or(ResultTarget::Stdout, ResultTarget::File);
    let rights = settings::file_rights(&config);
    let options = ResultOptions { format: args.format, csv_safe: args.csv_safe, rights };
    let rows = print(&session, &question.sql, target, options).await?;
    console.debug(&format!("{rows} rows in {:.2} s", started.elapsed().as_secs_f64()));
    Ok(())
}

/// Writes a query's result as it is computed. Returns the number of rows written.
pub(crate) async fn print(session: &Session, sql: &str, target: ResultTarget, options: ResultOptions) -> Result<usize> {
    let mut rows = session.rows(sql).await?;
    let unwritten = target.unwritten();
    let mut output = ResultWriter::begin(target, options, &rows.schema)?;
    let mut count = 0;
    while let Some(batch) = rows.batches.try_next().await? {
        count += batch.num_rows();
        if !output.push(&batch).with_context(|| unwritten.clone())? {
            break;
        }
    }
    output.finish().context(unwritten)?;
    Ok(count)
}

/// The query to run.
struct Question {
    sql: String,
    shipped: Option<&'static Shipped>,
}

fn question(args: &QueryArgs) -> Result<Question> {
    let text = match (&args.name, &args.sql, &args.file) {
        (Some(name), ..) => {
            let Some(shipped) = copilot_lake_query::query(name) else {
                let near = nearest(name, QUERIES.iter().map(|query| query.name)).filter(|near| is_near(name, near));
                let hint = match near {
                    _ if name.contains(' ') => "SQL goes behind `--sql`".to_owned(),
                    Some(near) => format!("the nearest is `{near}`; `copilot-lake query --list` lists them all"),
                    None => "`copilot-lake query --list` lists them all".to_owned(),
                };
                return Err(usage(format!("no shipped query{}", secrecy::quoted(name))).hint(hint).into());
            };
            return Ok(Question { sql: shipped.sql.to_owned(), shipped: Some(shipped) });
        }
        (_, Some(sql), _) => sql.clone(),
        (_, _, Some(file)) => {
            text_file::read(file, &format!("`{}`", file.display()), "", "check the path after `--file`")?
        }
        _ => String::new(),
    };
    Ok(Question { sql: text, shipped: None })
}

/// `--param name=value`; a shipped query takes only the parameters that its header names.
fn params(args: &QueryArgs, shipped: Option<&'static Shipped>) -> Result<BTreeMap<String, String>> {
    let known = shipped.map(Shipped::parameters);
    let mut params = BTreeMap::new();
    for param in &args.param {
        let Some((name, value)) = param.split_once('=') else {
            return Err(usage(format!("`--param` takes name=value{}", secrecy::but_is(param)))
                .hint("as in `--param tz=UTC`")
                .into());
        };
        if let Some(known) = &known
            && !known.iter().any(|parameter| parameter.name == name)
        {
            let names: Vec<_> = known.iter().map(|parameter| format!("`{}`", parameter.name)).collect();
            let hint = match names.as_slice() {
                [] => "it takes none".to_owned(),
                names => format!("it takes {}", names.join(", ")),
            };
            return Err(usage(format!("the query takes no parameter{}", secrecy::quoted(name))).hint(hint).into());
        }
        params.insert(name.to_owned(), value.to_owned());
    }
    Ok(params)
}

fn list() -> String {
    let lines = QUERIES.iter().flat_map(|query| {
        let parameters = query.parameters();
        let parameters = parameters.iter().map(|of| [String::new(), format!("--param {}: {}", of.name, of.doc)]);
        std::iter::once([query.name.to_owned(), query.title().to_owned()]).chain(parameters).collect::<Vec<_>>()
    });
    aligned(lines, &[])
}
