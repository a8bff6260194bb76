//! The data dictionary of `tables --markdown`: what the definitions say, as one page.

use std::collections::BTreeMap;

#[cfg(feature = "query")]
use copilot_lake_query::Shipped;
use copilot_lake_tables::{ChoiceSet, TABLES, Table, joins, table};

#[cfg(feature = "query")]
use super::definition::codes_by_name;
use super::definition::{code_sets, columns, weeks};

const HEAD: &str = "# Data dictionary

Printed by `copilot-lake tables --markdown`; `copilot-lake tables TABLE` prints one table with its joins.

Times are UTC, in microseconds. Ids are lower-case text. A code column `x` has its English label in `x_label`; codes that the service added
later are data too, without a label until the service's own metadata gives one. Tables with weeks have their files in folders `week_start=...`.
";

/// The page, but for the views.
pub(super) fn dictionary() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## How tables join\n\n");
    page.push_str("A line leads from the columns that name a row to the table that has it.\n");
    page.push_str("The conditions are below, with each table.\n\n");
    page.push_str(&diagram());
    for table in TABLES {
        describe(&mut page, table);
    }
    page
}

/// An entity relationship diagram, as Mermaid: one line per pair of tables, with all columns that join them.
fn diagram() -> String {
    let place = |name| TABLES.iter().position(|table| table.name == name);
    let mut pairs: BTreeMap<_, (&str, Vec<String>)> = BTreeMap::new();
    for join in joins() {
        let one = table(join.other).is_some_and(|other| other.key == join.other_columns);
        let pair = pairs.entry((place(join.table), place(join.other)));
        let (_, labels) = pair.or_insert_with(|| (if one { "|" } else { "{" }, Vec::new()));
        labels.push(join.columns.join(" and "));
    }
    let mut text = "```mermaid\nerDiagram\n".to_owned();
    for ((of, other), (ending, labels)) in pairs {
        let name = |at: Option<usize>| at.map_or("", |at| TABLES[at].name);
        text.push_str(&format!("    {} }}o--o{ending} {} : \"{}\"\n", name(of), name(other), labels.join(", ")));
    }
    text + "```\n"
}

fn describe(page: &mut String, table: &'static Table) {
    let key: Vec<_> = table.key.iter().map(|name| format!("`{name}`")).collect();
    page.push_str(&format!(
        "\n## {}\n\n{} Key: {}. Weeks: {}.\n\n",
        table.name,
        table.doc,
        key.join(", "),
        weeks(table)
    ));
    page.push_str("| column | type | meaning |\n|---|---|---|\n");
    for [name, kind, doc] in columns(table) {
        page.push_str(&format!("| `{name}` | {kind} | {} |\n", cell(doc)));
    }
    for (columns, set) in code_sets(table) {
        describe_codes(page, &columns, set);
    }
    describe_joins(page, joins().filter(|join| join.table == table.name).map(|join| join.condition()));
}

fn describe_codes(page: &mut String, columns: &[&str], set: &ChoiceSet) {
    let codes = set.options.iter().map(|(code, label)| format!("{code} {label}"));
    let codes = cell(&codes.collect::<Vec<_>>().join("; "));
    page.push_str(&format!("\nCodes of `{}`: {codes}.\n", columns.join("`, `")));
}

fn describe_joins(page: &mut String, conditions: impl Iterator<Item = String>) {
    let conditions: String = conditions.map(|condition| format!("{condition}\n")).collect();
    if !conditions.is_empty() {
        page.push_str(&format!("\nJoins:\n\n```sql\n{conditions}```\n"));
    }
}

/// The part of the page about views that are no tables, each with its columns.
#[cfg(feature = "query")]
pub(super) fn describe_views(views: &[(&Shipped, Vec<[String; 3]>)]) -> String {
    let mut page = "\n# Views\n\nThe shipped queries are asked of these; in DuckDB `copilot-lake query --duckdb-views` makes them.\n"
        .to_owned();
    for (view, columns) in views {
        page.push_str(&format!("\n## {}\n\n{}. {}\n\n", view.name, view.title(), view.question()));
        page.push_str("| column | type | meaning |\n|---|---|---|\n");
        for [name, kind, doc] in columns {
            page.push_str(&format!("| `{name}` | {kind} | {} |\n", cell(doc)));
        }
        for [name, ..] in columns {
            if let Some(set) = codes_by_name(name) {
                describe_codes(&mut page, &[name.as_str()], set);
            }
        }
        describe_joins(&mut page, view.joins().into_iter().map(|(_, condition)| condition));
    }
    page
}

/// A text inside a table of Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_column_and_join_is_there() {
        let page = dictionary();
        for table in TABLES {
            let (_, rest) = page.split_once(&format!("\n## {}\n", table.name)).unwrap();
            let own = rest.split("\n## ").next().unwrap();
            for field in table.layout().fields() {
                assert!(own.contains(&format!("\n| `{}` | ", field.name)), "{}.{}", table.name, field.name);
            }
        }
        for join in joins() {
            assert!(page.contains(&format!("\n{}\n", join.condition())), "{}", join.condition());
            let ending = if table(join.other).unwrap().key == join.other_columns { "|" } else { "{" };
            let line = format!("    {} }}o--o{ending} {} : ", join.table, join.other);
            assert_eq!(page.matches(&line).count(), 1, "{line}");
        }
    }
}
