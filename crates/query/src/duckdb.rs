//! The lake for DuckDB: a script that makes its tables and the shipped views.

use std::fmt::Write;

use arrow::datatypes::{DataType, TimeUnit};
use copilot_lake_tables::{TABLES, Table, WEEK_START};
use copilot_lake_writer::Lake;
use url::Url;

use crate::error::{Error, is_of_table};
use crate::functions::MACROS;
use crate::shipped::{QUERIES, VIEWS};

/// The DuckDB variable that holds the location of the lake.
const LOCATION: &str = "copilot_lake";

/// How the views of a DuckDB script find the files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DuckdbViews {
    /// By a list in the script: the files in the log when it was made.
    Files,
    /// By the log itself, with DuckDB's extension `delta`.
    Delta,
}

/// How a script reads a table.
pub(crate) enum TableFiles {
    /// These files, by their paths within the lake.
    Files(Vec<String>),
    /// Its log.
    Log,
    /// The lake does not have it.
    Nowhere,
    /// It cannot be read, for this reason.
    Unreadable(String),
}

/// SQL text for DuckDB that makes a view per table of the lake and then the shipped views.
///
/// Every column that this version knows is there and typed, null where files are older; a table without files is an
/// empty view. A table that cannot be read is a view that says why when it is asked.
pub async fn duckdb_views(lake: &Lake, views: DuckdbViews) -> Result<String, Error> {
    let mut tables = Vec::with_capacity(TABLES.len());
    // Materialized views are computed, by the shipped views below: the script is used while the lake changes, and nothing in it
    // could tell when stored rows are behind those that they were made from.
    for table in TABLES.iter().filter(|table| table.view_of().is_none()) {
        let files_of_table = match lake.files(table).await {
            Ok(files) if views == DuckdbViews::Files => {
                TableFiles::Files(files.into_iter().map(|file| file.path).collect())
            }
            Ok(_) if lake.has(table).await? => TableFiles::Log,
            Ok(_) => TableFiles::Nowhere,
            Err(error) if is_of_table(&error) => TableFiles::Unreadable(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        tables.push((*table, files_of_table));
    }
    Ok(script(&location(lake.url()), views, &tables))
}

/// The script for a lake at that location.
pub(crate) fn script(location: &str, views: DuckdbViews, tables: &[(&'static Table, TableFiles)]) -> String {
    let mut text = String::from(match views {
        DuckdbViews::Files => {
            "-- The lake's tables and the shipped views, for DuckDB: as they were when this was printed. Print and run it\n\
             -- again after each extract (copilot-lake query --duckdb-views): a later run replaces files.\n\
             -- The files are those that the log names; a glob over the folder may find others, which another tool replaced.\n"
        }
        DuckdbViews::Delta => {
            "-- The lake's tables and the shipped views, for DuckDB with its extension delta (INSTALL delta; LOAD delta;):\n\
             -- views over the log, which follow every extract.\n"
        }
    });
    text.push_str(
        "-- The shipped queries are views too: SELECT * FROM feedback_rates;\n\
         -- Their parameters are variables: SET VARIABLE tz = 'Europe/Berlin'; SET VARIABLE \"from\" = '2025-06-01';\n\
         -- This one says where the lake is; after a move, set it again:\n",
    );
    let _ = writeln!(text, "SET VARIABLE {LOCATION} = {};", quoted(location));
    for (table, files_of_table) in tables {
        text.push('\n');
        push_table(&mut text, table, files_of_table);
    }
    text.push('\n');
    for function in MACROS {
        let _ = writeln!(text, "CREATE OR REPLACE MACRO {function};");
    }
    for shipped in VIEWS.iter().chain(QUERIES) {
        let _ = write!(text, "\nCREATE OR REPLACE VIEW {} AS\n{};\n", shipped.name, shipped.sql.trim_end());
    }
    text
}

/// A view of exactly the table's columns, typed, united by name with what is read where there is something.
fn push_table(text: &mut String, table: &'static Table, files_of_table: &TableFiles) {
    let fields =
        table.layout().schema().fields().iter().map(|field| (field.name().as_str(), duckdb_type(field.data_type())));
    let week = table.is_partitioned().then(|| (WEEK_START, "DATE".to_owned()));
    let fields: Vec<_> = fields.chain(week).collect();
    let read = match files_of_table {
        TableFiles::Nowhere | TableFiles::Unreadable(_) => None,
        TableFiles::Log => Some(format!("delta_scan(getvariable('{LOCATION}') || '/{}')", table.name)),
        TableFiles::Files(files) => {
            let _ = write!(text, "SET VARIABLE {}_files = [", table.name);
            for file in files {
                let _ = write!(text, "\n  {},", quoted(file));
            }
            text.push_str(if files.is_empty() { "];\n" } else { "\n];\n" });
            let hive = match table.is_partitioned() {
                true => format!("true, hive_types = {{'{WEEK_START}': DATE}}"),
                false => "false".to_owned(),
            };
            // Paths are patterns to DuckDB: characters that mean something in them are put in brackets.
            let paths = format!(
                "[regexp_replace(getvariable('{LOCATION}') || '/' || file, '([*?\\[])', '[\\1]', 'g') \
                 FOR file IN getvariable('{}_files')]",
                table.name
            );
            let read = format!("read_parquet({paths},\n    union_by_name = true, hive_partitioning = {hive})");
            (!files.is_empty()).then_some(read)
        }
    };
    let typed: Vec<_> = fields.iter().map(|(name, ty)| format!("CAST(NULL AS {ty}) AS \"{name}\"")).collect();
    let typed = format!("SELECT\n    {}\n  WHERE false", typed.join(",\n    "));
    if let TableFiles::Unreadable(reason) = files_of_table {
        let _ = writeln!(text, "CREATE OR REPLACE VIEW \"{}\" AS\n  {typed} OR error({});", table.name, quoted(reason));
        return;
    }
    let Some(read) = read else {
        let _ = writeln!(text, "CREATE OR REPLACE VIEW \"{}\" AS\n  {typed};", table.name);
        return;
    };
    let names: Vec<_> = fields.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let _ = writeln!(
        text,
        "CREATE OR REPLACE VIEW \"{}\" AS\nSELECT\n  {}\nFROM (\n  {typed}\n  UNION ALL BY NAME\n  SELECT * FROM {read}\n);",
        table.name,
        names.join(",\n  ")
    );
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

/// The lake's location as DuckDB writes it: a path if it is local.
pub(crate) fn location(url: &Url) -> String {
    let place = match url.to_file_path() {
        Ok(path) if url.scheme() == "file" => path.to_string_lossy().into_owned(),
        _ => url.as_str().to_owned(),
    };
    place.trim_end_matches('/').to_owned()
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
