//! `tables`: what the lake holds, from the definitions; needs no lake.

use std::io::Write;

use anyhow::Result;
use copilot_lake_tables::{TABLES, Table, TimeOf, Type, WEEK_START, table};

use crate::args::TablesArgs;
use crate::config::secrecy;
use crate::nearest::nearest;
use crate::output::table::aligned;
use crate::problem::usage;

/// Runs `tables`.
pub(crate) fn run_tables(args: &TablesArgs) -> Result<()> {
    let text = match &args.table {
        None => list(),
        Some(name) => match table(name) {
            Some(table) => describe(table),
            None => {
                let near = nearest(name, TABLES.iter().map(|table| table.name)).unwrap_or_default();
                return Err(usage(format!("no table{}", secrecy::quoted(name)))
                    .hint(format!("the nearest is `{near}`; `copilot-lake tables` lists them all"))
                    .into());
            }
        },
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn list() -> String {
    let lines = |table: &&Table| {
        [[table.name.to_owned(), table.doc.to_owned()], [String::new(), format!("key: {}", table.key.join(", "))]]
    };
    aligned(TABLES.iter().flat_map(lines), &[])
}

fn describe(table: &'static Table) -> String {
    let layout = table.layout();
    let week = "The week's first day, a Sunday: the folder of the file.";
    let weeks = table.is_partitioned().then_some((WEEK_START, "date", week));
    let fields = layout.fields().iter().map(|field| (field.name.as_str(), type_name(field.ty), field.doc.as_str()));
    let rows = std::iter::once(("COLUMN", "TYPE", "WHAT")).chain(weeks).chain(fields);
    let time = match table.time {
        TimeOf::Column(column) => format!("by {column}"),
        TimeOf::PartitionIdOr(column) => format!("by the first date of partitionid, else {column}"),
        TimeOf::Parent => "by the row that it was derived from".to_owned(),
        TimeOf::Unpartitioned(column) => format!("none; sorted by {column}"),
    };
    let newest = match table.version {
        [] => "the one written last".to_owned(),
        columns => format!("by {}", columns.join(", then ")),
    };
    let mut text = format!("{}: {}\n", table.name, table.doc);
    text.push_str(&format!("key:    {}\nweeks:  {time}\nnewest: {newest}\n\n", table.key.join(", ")));
    text.push_str(&aligned(rows.map(|(column, kind, doc)| [column, kind, doc]), &[]));
    text
}

/// The type as SQL names it.
fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Guid | Type::Text | Type::Lookup(_) | Type::File => "string",
        Type::Instant => "timestamp",
        Type::Choice(_) | Type::Int32 => "int",
        Type::Int64 => "bigint",
        Type::Decimal => "decimal(38, 12)",
        Type::Boolean => "boolean",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_table_and_column() {
        let all = list();
        for table in TABLES {
            assert!(all.contains(table.name) && all.contains(table.doc), "{}", table.name);
            let one = describe(table);
            for field in table.layout().fields() {
                assert!(one.contains(&format!("\n{} ", field.name)) && one.contains(&field.doc), "{}", field.name);
            }
            assert_eq!(one.contains("\nweek_start "), table.is_partitioned());
        }
    }

    #[test]
    fn an_unknown_table_names_the_nearest() {
        let error = run_tables(&TablesArgs { table: Some("payloads".to_owned()) }).unwrap_err();
        assert!(crate::exit::problem(&error).hint.unwrap().contains("`payload`"));
    }
}
