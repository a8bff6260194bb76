//! `tables`: what the lake holds, from the definitions; needs no lake.

use std::io::Write;

use anyhow::Result;
#[cfg(feature = "query")]
use copilot_lake_query::{Parameter, QUERIES, Shipped, VIEWS};
use copilot_lake_tables::{TABLES, Table, joins, table};

#[cfg(feature = "query")]
use super::definition::other_views;
use super::definition::{code_sets, columns, weeks};
use super::dictionary::dictionary;
use crate::args::TablesArgs;
use crate::config::secrecy;
use crate::environment;
use crate::nearest::hint;
use crate::output::table::aligned_within;
use crate::problem::usage;

/// Runs `tables`.
pub(crate) fn run_tables(args: &TablesArgs) -> Result<()> {
    let terminal = environment::terminal_columns();
    let text = match &args.table {
        None if args.markdown => dictionary(),
        None => list(terminal),
        Some(name) => match table(name) {
            Some(table) => describe(table, terminal),
            #[cfg(feature = "query")]
            None if shipped(name).is_some() => {
                shipped(name).map(|shipped| describe_shipped(shipped, terminal)).unwrap_or_default()
            }
            None => {
                let hint = hint("table", name, names(), || "`copilot-lake tables` lists them all".to_owned());
                return Err(usage(format!("no table{}", secrecy::quoted(name))).hint(hint).into());
            }
        },
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
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

/// A view or a shipped query: what it answers, its parameters and columns.
#[cfg(feature = "query")]
fn describe_shipped(shipped: &'static Shipped, terminal: Option<usize>) -> String {
    let mut text = format!("{}: {}\n", shipped.name, shipped.title());
    text.push_str(&format!("reads:      {}\ndefinition: {}\n\n", shipped.tables().join(", "), shipped.definition()));
    let parameters = shipped.parameters();
    if !parameters.is_empty() {
        let heading = ["PARAMETER", "TYPE", "DEFAULT", "WHAT"].map(str::to_owned);
        let line = |of: Parameter| [of.name, of.ty.name(), of.default.unwrap_or_default(), &of.doc].map(str::to_owned);
        let lines = parameters.into_iter().map(line);
        text.push_str(&format!("{}\n", aligned_within(std::iter::once(heading).chain(lines), terminal)));
    }
    let heading = ["COLUMN".to_owned(), "WHAT".to_owned()];
    let lines = shipped.columns().into_iter().flat_map(|(names, doc)| {
        let names: Vec<_> = names.split(", ").map(str::to_owned).collect();
        names.into_iter().map(move |name| [name, doc.clone()])
    });
    text.push_str(&aligned_within(std::iter::once(heading).chain(lines), terminal));
    text
}

fn describe(table: &'static Table, terminal: Option<usize>) -> String {
    let rows = std::iter::once(["COLUMN", "TYPE", "WHAT"]).chain(columns(table));
    let mut text = format!("{}: {}\n", table.name, table.doc);
    text.push_str(&format!(
        "key:    {}\nweeks:  {}\nnewest: {}\n\n",
        table.key.join(", "),
        weeks(table),
        newest(table)
    ));
    text.push_str(&aligned_within(rows, terminal));
    let codes = code_sets(table).into_iter().flat_map(|(columns, set)| {
        let options = set.options.iter();
        options.map(move |(code, label)| [columns.join(", "), code.to_string(), (*label).to_owned()])
    });
    text.push_str(&section(["CODES OF", "CODE", "LABEL"].map(str::to_owned), codes, terminal));
    let joins = joins().filter(|join| join.table == table.name || join.other == table.name);
    let joins = joins.map(|join| {
        let other = if join.table == table.name { join.other } else { join.table };
        [other.to_owned(), join.condition()]
    });
    text.push_str(&section(["JOINS", "ON"].map(str::to_owned), joins, terminal));
    text
}

/// A table below the columns, unless it has no rows.
fn section<const N: usize>(
    heading: [String; N],
    rows: impl Iterator<Item = [String; N]>,
    terminal: Option<usize>,
) -> String {
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    if rows.len() == 1 { String::new() } else { format!("\n{}", aligned_within(rows, terminal)) }
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

    #[test]
    #[cfg(feature = "query")]
    fn describes_views_and_shipped_queries() {
        for shipped in VIEWS.iter().chain(QUERIES) {
            let text = describe_shipped(shipped, None);
            for name in shipped.columns().iter().flat_map(|(names, _)| names.split(", ")) {
                assert!(text.lines().any(|line| line.starts_with(&format!("{name}  "))), "{name}: {text}");
            }
        }
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

    #[test]
    fn an_unknown_table_names_the_nearest() {
        let hint = |name: &str| {
            let error = run_tables(&TablesArgs { table: Some(name.to_owned()), markdown: false }).unwrap_err();
            crate::exit::problem(&error).hint.unwrap()
        };
        assert_eq!(hint("payloads"), "the nearest table is `payload`");
        assert_eq!(hint("nothing"), "`copilot-lake tables` lists them all");
    }
}
