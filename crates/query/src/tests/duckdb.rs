//! The script for DuckDB. That DuckDB takes it, and answers alike, is seen in the scenario tests.

use copilot_lake_tables::{COPILOT_EVENT, TABLES};
use url::Url;

use crate::VIEWS;
use crate::duckdb::{location, script};

#[test]
fn places_are_paths_or_urls_that_survive_quotes_and_globs() {
    for (url, place) in [
        ("file:///data/lake", "/data/lake"),
        ("file:///data/lake/", "/data/lake"),
        ("file:///data/our%20lake's%20%5Bnew%5D%3F", "/data/our lake''s [[]new][?]"),
        ("s3://company/lake/", "s3://company/lake"),
        (
            "abfss://space@onelake.dfs.fabric.microsoft.com/a.Lakehouse/Tables",
            "abfss://space@onelake.dfs.fabric.microsoft.com/a.Lakehouse/Tables",
        ),
    ] {
        assert_eq!(location(&Url::parse(url).unwrap()), place);
    }
}

#[test]
fn tables_without_files_are_empty_and_typed() {
    let text = script("/lake", |table| table.name == COPILOT_EVENT.name);
    let statements: Vec<_> = text.split_inclusive(";\n\n").collect();
    assert_eq!(statements.len(), TABLES.len() + VIEWS.len() + 1, "the line about variables ends alike");
    for (table, statement) in TABLES.iter().zip(&statements[1..]) {
        assert!(statement.starts_with(&format!("CREATE OR REPLACE VIEW \"{}\" AS", table.name)), "{statement}");
        for field in table.layout().fields() {
            assert!(statement.contains(&format!(" AS \"{}\"", field.name)), "{}.{}", table.name, field.name);
        }
        assert_eq!(statement.contains(" AS \"week_start\""), table.is_partitioned(), "{}", table.name);
        assert_eq!(statement.contains("read_parquet"), table.name == COPILOT_EVENT.name, "{}", table.name);
    }
    let glob = "read_parquet('/lake/msdyn_copilotevent/week_start=*/*.parquet', union_by_name = true, \
                hive_partitioning = true, hive_types = {'week_start': DATE})";
    assert!(statements[1].contains(glob), "{}", statements[1]);
    assert!(statements[1].contains("CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS \"createdon\""));
    assert!(statements[1].contains("CAST(NULL AS INTEGER) AS \"msdyn_scenariotype\""));

    let all = script("/lake", |_| true);
    assert!(
        all.contains("read_parquet('/lake/extraction_run/*.parquet', union_by_name = true, hive_partitioning = false)")
    );
}
