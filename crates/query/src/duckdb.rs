//! The lake for DuckDB: a script that makes its tables and the shipped views.

use std::fmt::Write;

use arrow::datatypes::{DataType, TimeUnit};
use copilot_lake_tables::{TABLES, Table, WEEK_START};
use copilot_lake_writer::Lake;
use url::Url;

use crate::error::Error;
use crate::shipped::VIEWS;

/// SQL text for DuckDB that makes a view per table of the lake and then the shipped views.
///
/// Tables are read by a plain glob, so the views follow the lake; a table without files is an empty, typed view until the
/// script is made again. Every column that this version knows is there, null where files are older.
pub async fn duckdb_views(lake: &Lake) -> Result<String, Error> {
    let mut filled = Vec::new();
    for table in TABLES {
        if !lake.files(table).await?.is_empty() {
            filled.push(table.name);
        }
    }
    Ok(script(&location(lake.url()), |table| filled.contains(&table.name)))
}

/// The script for a lake at that place, given which tables have files.
pub(crate) fn script(location: &str, has_files: impl Fn(&Table) -> bool) -> String {
    let mut text = String::from(
        "-- The lake's tables and the shipped views, for DuckDB. Parameters of the shipped queries are variables:\n\
         -- SET VARIABLE tz = 'Europe/Berlin';\n",
    );
    for table in TABLES {
        text.push('\n');
        push_table(&mut text, table, has_files(table).then_some(location));
    }
    for view in VIEWS {
        let _ = write!(text, "\nCREATE OR REPLACE VIEW {} AS\n{};\n", view.name, view.sql.trim_end());
    }
    text
}

/// A view of the typed columns, united by name with the files where there are any.
fn push_table(text: &mut String, table: &'static Table, location: Option<&str>) {
    let fields =
        table.layout().schema().fields().iter().map(|field| (field.name().as_str(), duckdb_type(field.data_type())));
    let week = table.is_partitioned().then(|| (WEEK_START, "DATE".to_owned()));
    let columns: Vec<_> = fields.chain(week).map(|(name, ty)| format!("CAST(NULL AS {ty}) AS \"{name}\"")).collect();
    let _ =
        write!(text, "CREATE OR REPLACE VIEW \"{}\" AS\nSELECT\n  {}\nWHERE false", table.name, columns.join(",\n  "));
    if let Some(location) = location {
        let (glob, hive) = match table.is_partitioned() {
            true => (format!("/{WEEK_START}=*"), format!("true, hive_types = {{'{WEEK_START}': DATE}}")),
            false => (String::new(), "false".to_owned()),
        };
        let _ = write!(
            text,
            "\nUNION ALL BY NAME\nSELECT * FROM read_parquet('{location}/{}{glob}/*.parquet', union_by_name = true, \
             hive_partitioning = {hive})",
            table.name
        );
    }
    text.push_str(";\n");
}

fn duckdb_type(ty: &DataType) -> String {
    match ty {
        DataType::Int32 => "INTEGER".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        _ => "VARCHAR".to_owned(),
    }
}

/// The lake's place as DuckDB writes it, ready to stand in quotes and in a glob: a path for a local one.
pub(crate) fn location(url: &Url) -> String {
    let place = match url.to_file_path() {
        Ok(path) if url.scheme() == "file" => path.to_string_lossy().into_owned(),
        _ => url.as_str().to_owned(),
    };
    let mut text = String::with_capacity(place.len());
    for c in place.trim_end_matches('/').chars() {
        match c {
            '\'' => text.push_str("''"),
            '*' | '?' | '[' => {
                text.push('[');
                text.push(c);
                text.push(']');
            }
            c => text.push(c),
        }
    }
    text
}
