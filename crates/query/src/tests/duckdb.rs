//! The script for DuckDB. That DuckDB takes it, and answers alike, is seen in the scenario tests.

use copilot_lake_tables::{COPILOT_EVENT, TABLES};
use url::Url;

use crate::duckdb::{DuckdbViews, TableFiles, location, script};

#[test]
fn places_are_paths_or_urls() {
    for (url, place) in [
        ("file:///data/lake", "/data/lake"),
        ("file:///data/lake/", "/data/lake"),
        ("file:///data/our%20lake's%20%5Bnew%5D%3F", "/data/our lake's [new]?"),
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
fn a_table_has_its_files_or_is_empty_and_typed() {
    let file = "msdyn_copilotevent/week_start=2025-06-22/a'b.parquet";
    let tables = TABLES.iter().map(|table| {
        let files = if table.name == COPILOT_EVENT.name { vec![file.to_owned()] } else { vec![] };
        (*table, TableFiles::Files(files))
    });
    let text = script("/our lake's", DuckdbViews::Files, &tables.collect::<Vec<_>>());
    assert!(
        text.lines().take_while(|line| line.starts_with("--")).any(|line| line.contains("again after each extract"))
    );
    assert!(text.contains("\nSET VARIABLE copilot_lake = '/our lake''s';\n"), "{text}");
    assert!(text.contains(
        "SET VARIABLE msdyn_copilotevent_files = [\n  'msdyn_copilotevent/week_start=2025-06-22/a''b.parquet',\n];\n"
    ));
    for table in TABLES {
        let start = text.find(&format!("CREATE OR REPLACE VIEW \"{}\" AS\n", table.name)).unwrap();
        let statement = text[start..].split(";\n").next().unwrap();
        for field in table.layout().fields() {
            assert!(statement.contains(&format!(" AS \"{}\"", field.name)), "{}.{}", table.name, field.name);
        }
        assert_eq!(statement.contains(" AS \"week_start\""), table.is_partitioned(), "{}", table.name);
        assert_eq!(statement.contains("read_parquet"), table.name == COPILOT_EVENT.name, "{}", table.name);
        assert!(text.contains(&format!("SET VARIABLE {}_files = [", table.name)), "{}", table.name);
    }
    assert!(text.contains("union_by_name = true, hive_partitioning = true, hive_types = {'week_start': DATE})"));
    assert!(text.contains("CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS \"createdon\""));
    assert!(text.contains("CAST(NULL AS INTEGER) AS \"msdyn_scenariotype\""));
}

#[test]
fn the_form_over_the_log_names_no_file() {
    let tables = TABLES
        .iter()
        .map(|table| (*table, if table.name == COPILOT_EVENT.name { TableFiles::Log } else { TableFiles::Nowhere }));
    let text = script("/lake", DuckdbViews::Delta, &tables.collect::<Vec<_>>());
    assert!(text.contains("delta_scan(getvariable('copilot_lake') || '/msdyn_copilotevent')"), "{text}");
    assert_eq!(text.matches("delta_scan(").count(), 1);
    assert!(!text.contains("read_parquet") && !text.contains("_files"));
}

#[test]
fn a_table_that_cannot_be_read_says_why_when_it_is_asked() {
    let text =
        script("/lake", DuckdbViews::Files, &[(&COPILOT_EVENT, TableFiles::Unreadable("it's raised".to_owned()))]);
    assert!(text.contains("\n  WHERE false OR error('it''s raised');\n"), "{text}");
}
