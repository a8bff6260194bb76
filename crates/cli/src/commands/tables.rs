//! `tables`: what the lake holds, from the definitions; needs no lake.

use std::io::Write;

use anyhow::Result;
#[cfg(feature = "query")]
use copilot_lake_query::{Parameter, QUERIES, Session, Shipped, VIEWS};
use copilot_lake_tables::{ChoiceSet, TABLES, Table, joins, table};

use super::definition::{code_sets, columns, weeks};
#[cfg(feature = "query")]
use super::definition::{codes_by_name, other_views, shipped_columns};
#[cfg(feature = "query")]
use super::dictionary::describe_views;
use super::dictionary::dictionary;
use crate::args::TablesArgs;
use crate::config::secrecy;
use crate::environment;
use crate::nearest::hint;
use crate::output::table::aligned_within;
use crate::problem::usage;

/// Runs `tables`.
pub(crate) async fn run_tables(args: &TablesArgs) -> Result<()> {
    let terminal = environment::terminal_columns();
    let text = match &args.table {
        None if args.markdown => page().await?,
        None => list(terminal),
        Some(name) => match table(name) {
            Some(table) => describe(table, terminal),
            None => match view_or_query(name, terminal).await? {
                Some(text) => text,
                None => {
                    let hint = hint("table", name, names(), || "`copilot-lake tables` lists them all".to_owned());
                    return Err(usage(format!("no table{}", secrecy::quoted(name))).hint(hint).into());
                }
            },
        },
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// The data dictionary.
async fn page() -> Result<String> {
    let page = dictionary();
    #[cfg(feature = "query")]
    let page = {
        let session = Session::of_definitions().await?;
        let mut views = Vec::new();
        for view in other_views() {
            views.push((view, shipped_columns(&session, view).await?));
        }
        page + &describe_views(&views)
    };
    Ok(page)
}

fn list(terminal: Option<usize>) -> String {
    let lines = |table: &&Table| {
        [[table.name.to_owned(), table.doc.to_owned()], [String::new(), format!("key: {}", table.key.join(", "))]]
    };
    let text = aligned_within(TABLES.iter().flat_map(lines), terminal);
    #[cfg(feature = "query")]
    let text = {
        let views = aligned_within(other_views().map(|view| [view.name, view.title()]), terminal);
        format!("{text}\n{views}\nthe shipped queries are tables too: `copilot-lake query --list`\n")
    };
    text
}

/// What can be selected from: tables, views and shipped queries.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let tables = TABLES.iter().map(|table| table.name);
    #[cfg(feature = "query")]
    let tables = tables.chain(other_views().chain(QUERIES).map(|shipped| shipped.name));
    tables
}

#[cfg(feature = "query")]
fn shipped(name: &str) -> Option<&'static Shipped> {
    VIEWS.iter().chain(QUERIES).find(|shipped| shipped.name == name)
}

/// The view or shipped query of that name, described.
#[cfg(feature = "query")]
async fn view_or_query(name: &str, terminal: Option<usize>) -> Result<Option<String>> {
    let Some(shipped) = shipped(name) else { return Ok(None) };
    let columns = shipped_columns(&Session::of_definitions().await?, shipped).await?;
    Ok(Some(describe_shipped(shipped, &columns, terminal)))
}

#[cfg(not(feature = "query"))]
async fn view_or_query(_: &str, _: Option<usize>) -> Result<Option<String>> {
    Ok(None)
}

/// A view or a shipped query: what it answers, its parameters, columns, codes and joins.
#[cfg(feature = "query")]
fn describe_shipped(shipped: &Shipped, columns: &[[String; 3]], terminal: Option<usize>) -> String {
    let mut text = format!("{}: {}\n", shipped.name, shipped.title());
    let head = [
        ["question:".to_owned(), shipped.question()],
        ["reads:".to_owned(), shipped.tables().join(", ")],
        ["definition:".to_owned(), shipped.definition()],
    ];
    text.push_str(&format!("{}\n", aligned_within(head, terminal)));
    let parameters = shipped.parameters();
    if !parameters.is_empty() {
        let heading = ["PARAMETER", "TYPE", "DEFAULT", "WHAT"].map(str::to_owned);
        let line = |of: Parameter| [of.name, of.ty.name(), of.default.unwrap_or_default(), &of.doc].map(str::to_owned);
        let lines = parameters.into_iter().map(line);
        text.push_str(&format!("{}\n", aligned_within(std::iter::once(heading).chain(lines), terminal)));
    }
    let rows = std::iter::once(COLUMNS.map(str::to_owned)).chain(columns.iter().cloned());
    text.push_str(&aligned_within(rows, terminal));
    let codes = columns.iter().filter_map(|[name, ..]| Some((vec![name.as_str()], codes_by_name(name)?)));
    text.push_str(&describe_codes(codes, terminal));
    let joins = shipped.joins().into_iter().map(|(other, condition)| [other.to_owned(), condition]);
    text.push_str(&section(JOINS, joins, terminal));
    text
}

/// Headings of columns, codes and joins.
const COLUMNS: [&str; 3] = ["COLUMN", "TYPE", "WHAT"];
const CODES: [&str; 3] = ["CODES OF", "CODE", "LABEL"];
const JOINS: [&str; 2] = ["JOINS", "ON"];

fn describe(table: &'static Table, terminal: Option<usize>) -> String {
    let rows = std::iter::once(COLUMNS).chain(columns(table));
    let mut text = format!("{}: {}\n", table.name, table.doc);
    let head = [("key:", table.key.join(", ")), ("weeks:", weeks(table)), ("newest:", newest(table))];
    let head = head.into_iter().chain(question(table).map(|question| ("question:", question)));
    let head = head.map(|(name, what)| [name.to_owned(), what]);
    text.push_str(&format!("{}\n", aligned_within(head, terminal)));
    text.push_str(&aligned_within(rows, terminal));
    text.push_str(&describe_codes(code_sets(table).into_iter(), terminal));
    let joins = joins().filter(|join| join.table == table.name || join.other == table.name);
    let joins = joins.map(|join| {
        let other = if join.table == table.name { join.other } else { join.table };
        [other.to_owned(), join.condition()]
    });
    text.push_str(&section(JOINS, joins, terminal));
    text
}

fn describe_codes<'a>(
    sets: impl Iterator<Item = (Vec<&'a str>, &'static ChoiceSet)>,
    terminal: Option<usize>,
) -> String {
    let codes = sets.flat_map(|(columns, set)| {
        let options = set.options.iter();
        options.map(move |(code, label)| [columns.join(", "), code.to_string(), (*label).to_owned()])
    });
    section(CODES, codes, terminal)
}

/// A table below the columns, unless it has no rows.
fn section<const N: usize>(
    heading: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
    terminal: Option<usize>,
) -> String {
    let rows: Vec<_> = std::iter::once(heading.map(str::to_owned)).chain(rows).collect();
    if rows.len() == 1 { String::new() } else { format!("\n{}", aligned_within(rows, terminal)) }
}

/// What a materialized view answers.
#[cfg(feature = "query")]
fn question(table: &Table) -> Option<String> {
    shipped(table.name).map(Shipped::question)
}

#[cfg(not(feature = "query"))]
fn question(_: &Table) -> Option<String> {
    None
}

fn newest(table: &Table) -> String {
    match table.version {
        [] => "the one written last".to_owned(),
        columns => format!("by {}", columns.join(", then ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[cfg(feature = "query")]
    async fn describes_views_and_shipped_queries() {
        let session = Session::of_definitions().await.unwrap();
        let types = ["string", "int", "bigint", "double", "boolean", "date", "timestamp"];
        for shipped in VIEWS.iter().chain(QUERIES) {
            let columns = shipped_columns(&session, shipped).await.unwrap();
            let text = describe_shipped(shipped, &columns, None);
            assert!(text.contains(&shipped.question()), "{text}");
            for [name, kind, doc] in &columns {
                assert!(types.contains(&kind.as_str()) && doc.len() > 2, "{}: {name} {kind} {doc}", shipped.name);
                assert!(text.lines().any(|line| line.starts_with(&format!("{name}  "))), "{name}: {text}");
            }
        }
        let text = view_or_query("copilot_activity", None).await.unwrap().unwrap();
        for line in ["kind 100230302 ThumbsDown", "systemuser systemuser.systemuserid = copilot_activity.user_id"] {
            assert!(text.lines().any(|other| other.split_whitespace().eq(line.split(' '))), "{line}: {text}");
        }
        assert!(view_or_query("nothing", None).await.unwrap().is_none());
        let request = table("copilot_request").unwrap();
        let text = describe(request, None);
        assert!(text.contains(&question(request).unwrap()) && text.contains("Ask a question"), "{text}");
        assert!(list(None).contains("copilot_request"));
    }

    #[test]
    fn lists_every_table_and_column() {
        let all = list(None);
        for table in TABLES {
            assert!(all.contains(table.name) && all.contains(table.doc), "{}", table.name);
            let one = describe(table, None);
            for field in table.layout().fields() {
                assert!(one.contains(&format!("\n{} ", field.name)) && one.contains(&field.doc), "{}", field.name);
            }
            assert_eq!(one.contains("\nweek_start "), table.is_partitioned());
            for (columns, set) in code_sets(table) {
                let [(code, label), ..] = set.options else { panic!("{} has no codes", set.name) };
                let words = [columns.join(", "), code.to_string(), (*label).to_owned()].join(" ");
                let found = one.lines().any(|line| line.split_whitespace().eq(words.split(' ')));
                assert!(found, "{words} is not in {one}");
            }
            let joined = joins().filter(|join| [join.table, join.other].contains(&table.name));
            assert!(joined.map(|join| join.condition()).all(|condition| one.contains(&condition)), "{one}");
        }
    }

    #[tokio::test]
    async fn an_unknown_table_names_the_nearest() {
        for (name, hint) in
            [("payloads", "the nearest table is `payload`"), ("nothing", "`copilot-lake tables` lists them all")]
        {
            let args = TablesArgs { table: Some(name.to_owned()), markdown: false };
            let error = run_tables(&args).await.unwrap_err();
            assert_eq!(crate::exit::problem(&error).hint.as_deref(), Some(hint));
        }
    }
}
