//! The shipped queries, in DuckDB and in DataFusion: the same columns and rows over the same lakes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use copilot_lake_emulator::{CLIENT_ID, CLIENT_SECRET, Scenario, TENANT_ID};
use copilot_lake_query::{DuckdbViews, QUERIES, Session, duckdb_views};
use copilot_lake_tables::{TABLES, Table, views};
use copilot_lake_writer::{Lake, LakeOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{World, is_soak, package, python, text};

async fn open(folder: &Path) -> Lake {
    Lake::open(folder.to_str().unwrap(), LakeOptions::default()).await.unwrap()
}

/// What the scripts need: the views of an empty lake, and every table's key.
pub(crate) async fn prepare(folder: &Path) {
    std::fs::create_dir_all(folder.join("empty")).unwrap();
    let views = duckdb_views(&open(&folder.join("empty")).await, DuckdbViews::Files).await.unwrap();
    std::fs::write(folder.join("views.sql"), views).unwrap();
    // Views are views here.
    let tables = TABLES.iter().filter(|table| table.view_of().is_none());
    let tables: serde_json::Map<_, _> = tables.map(|table| (table.name.to_owned(), json!(table.key))).collect();
    std::fs::write(folder.join("tables.json"), Value::from(tables).to_string()).unwrap();
}

/// Runs a script, which makes lakes and answers of DuckDB's about them; then asks DataFusion the same.
async fn compare(script: &str, arguments: &[&str]) -> usize {
    let folder = TempDir::new().unwrap();
    prepare(folder.path()).await;
    let [views, tables, lakes] = ["views.sql", "tables.json", "lakes"].map(|name| folder.path().join(name));
    run(Command::new(python()).arg(python_script(script)).args([&views, &tables]).args(arguments).arg(&lakes));
    ask_the_same(&lakes, &[]).await
}

fn python_script(name: &str) -> PathBuf {
    package().join("python").join(name)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// The lake and the parameters of a session.
type Asked<'a> = (&'a str, BTreeMap<String, String>);

/// Asks DataFusion what DuckDB was asked, whose answers are in this folder. Returns how many there are.
async fn ask_the_same(folder: &Path, current: &[&'static Table]) -> usize {
    let answers: Vec<Value> = serde_json::from_slice(&std::fs::read(folder.join("answers.json")).unwrap()).unwrap();
    // Planning the views is slow in the dev profile.
    let mut last: Option<(Asked<'_>, Session)> = None;
    for answer in &answers {
        let parameters: BTreeMap<String, String> = serde_json::from_value(answer["parameters"].clone()).unwrap();
        let opened = (answer["lake"].as_str().unwrap(), parameters.clone());
        let session = match last.take() {
            Some((of, session)) if of == opened => session,
            _ => Session::open(&open(Path::new(opened.0)).await, &parameters, current).await.unwrap(),
        };
        let sql = answer["sql"].as_str().unwrap();
        let (schema, batches) = session.sql(sql).await.unwrap_or_else(|error| panic!("{}: {error}", answer["where"]));
        let columns: Vec<_> =
            schema.fields().iter().map(|of| json!([of.name(), duckdb_type(of.data_type())])).collect();
        assert_eq!(Value::from(columns), answer["columns"], "{}", answer["where"]);
        let mut rows: Vec<_> = batches.iter().flat_map(rows).collect();
        let mut expected: Vec<Vec<Value>> = serde_json::from_value(answer["rows"].clone()).unwrap();
        if answer["is_ordered"] == false {
            rows.sort_by_key(|row| sort_key(row));
            expected.sort_by_key(|row| sort_key(row));
        }
        let differs = rows.iter().zip(&expected).position(|(row, expected)| !is_same(row, expected));
        assert!(
            differs.is_none() && rows.len() == expected.len(),
            "{}: {parameters:?}\n{sql}\nDataFusion {} rows, DuckDB {}; {:?}",
            answer["where"],
            rows.len(),
            expected.len(),
            differs.map(|at| (&rows[at], &expected[at])),
        );
        last = Some((opened, session));
    }
    answers.len()
}

fn duckdb_type(ty: &DataType) -> &'static str {
    match ty {
        DataType::Int32 => "INTEGER",
        DataType::Int64 => "BIGINT",
        DataType::Float64 => "DOUBLE",
        DataType::Date32 => "DATE",
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE",
        DataType::Utf8 => "VARCHAR",
        _ => "another type",
    }
}

/// The rows of a batch; every value but a float is the text that DuckDB makes of it.
fn rows(batch: &RecordBatch) -> Vec<Vec<Value>> {
    let texts = |column: &Arc<dyn Array>| match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().map(|value| json!(value)).collect::<Vec<_>>(),
        ty => {
            let is_instant = matches!(ty, DataType::Timestamp(..));
            let texts = cast(column, &DataType::Utf8).unwrap();
            let text =
                |text: Option<&str>| json!(text.map(|text| if is_instant { instant(text) } else { text.to_owned() }));
            texts.as_string::<i32>().iter().map(text).collect()
        }
    };
    let columns: Vec<_> = batch.columns().iter().map(texts).collect();
    (0..batch.num_rows()).map(|row| columns.iter().map(|column| column[row].clone()).collect()).collect()
}

/// `2025-06-22T10:00:00.500Z` as `2025-06-22 10:00:00.5+00`.
fn instant(text: &str) -> String {
    let text = text.trim_end_matches('Z').replace('T', " ");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}+00")
}

fn is_same(row: &[Value], expected: &[Value]) -> bool {
    row.len() == expected.len()
        && row.iter().zip(expected).all(|(value, expected)| match (value.as_f64(), expected.as_f64()) {
            (Some(value), Some(expected)) => (value - expected).abs() <= 1e-9 * expected.abs().max(1.0),
            _ => value == expected,
        })
}

/// Orders rows whose floats differ in the last digits alike.
fn sort_key(row: &[Value]) -> Vec<String> {
    row.iter().map(|value| value.as_f64().map_or_else(|| value.to_string(), |value| format!("{value:.9}"))).collect()
}

#[tokio::test]
async fn every_row_test_holds_in_both_engines() {
    let answers = compare("row_tests.py", &[package().join("queries").to_str().unwrap()]).await;
    assert!(answers > 40, "{answers}");
    let tests = std::fs::read_dir(package().join("queries")).unwrap();
    let tests: String = tests.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    for query in QUERIES {
        assert!(tests.contains(&format!("FROM {}", query.name)), "{} has no row test", query.name);
    }
}

#[tokio::test]
async fn every_query_answers_alike_over_random_lakes() {
    let (count, seed) = if is_soak() { ("50", "2") } else { ("4", "1") };
    let queries = package().parent().unwrap().join("queries");
    let answers = compare("random_lakes.py", &[queries.to_str().unwrap(), count, seed]).await;
    assert_eq!(answers, QUERIES.len() * count.parse::<usize>().unwrap());
}

/// Three months of both services, of which every query has rows.
const THREE_MONTHS: &str = r#"
seed = 29
clock = 2025-11-05T12:00:00Z
[[table]]
name = "msdyn_copilotevent"
rows = 2000
weeks = 13
[[table]]
name = "msdyn_copilotinteraction"
rows = 400
weeks = 13
[[table]]
name = "msdyn_copilotinteractiondata"
rows = 200
weeks = 13
[[table]]
name = "msdyn_copilottranscript"
rows = 150
weeks = 13
[[table]]
name = "msdyn_copilottranscriptdata"
rows = 150
weeks = 13
[[table]]
name = "msdyn_conversationinsight"
rows = 100
weeks = 13
[graph]
users = 40
interactions = 1500
"#;

#[test]
fn every_query_answers_alike_over_the_lake_of_a_run() {
    let mut world = World::parse(THREE_MONTHS).with_views().of_graph("licensed", "2025-07-01");
    world.keys.remove("dataverse.url");
    world.extract(&[], 0);
    let [script, answers] = ["views.sql", "answers"].map(|name| world.folder.path().join(name));
    let (queries, lake) = (package().parent().unwrap().join("queries"), world.lake());
    let count = world.runtime.block_on(async {
        let views_sql = duckdb_views(&open(&lake).await, DuckdbViews::Files).await.unwrap();
        std::fs::write(&script, views_sql).unwrap();
        let arguments = [&script, &queries, &lake, &answers];
        run(Command::new(python()).arg(python_script("every_query.py")).args(arguments));
        // The run has made the views: their stored rows are read.
        ask_the_same(&answers, &views().collect::<Vec<_>>()).await
    });
    assert_eq!(count, 3 * QUERIES.len());
}

#[test]
fn figures_are_those_of_the_services_own_rows() {
    let world = World::new(Scenario::rows(6_000, 8));
    world.extract(&[], 0);
    for name in ["feedback_rates", "scenario_usage", "scenario_funnel"] {
        let output = world.run(&["query", name, "--param", "tz=Europe/Berlin", "--format", "json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::write(world.folder.path().join(format!("{name}.json")), output.stdout).unwrap();
    }
    let output = Command::new(python())
        .arg(package().join("python/oracle.py"))
        .args([world.emulator.url().as_str(), TENANT_ID, CLIENT_ID, CLIENT_SECRET, "Europe/Berlin"])
        .arg(world.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout).matches(" ok").count(), 3);
}

#[test]
fn a_text_may_come_from_standard_input() {
    let world = World::new(Scenario::rows(10, 1));
    world.extract(&[], 0);
    let path = world.folder.path().join("question.sql");
    std::fs::write(&path, "from msdyn_copilotevent select count(*)").unwrap();
    for flag in ["--sql", "--file"] {
        let mut query = world.command(&["query", flag, "-", "--format", "csv"]);
        let output = query.stdin(std::fs::File::open(&path).unwrap()).output().unwrap();
        assert_eq!(text(&output.stdout), "count(*)\n10\n", "{flag}: {}", text(&output.stderr));
    }
}

#[tokio::test]
async fn segments_are_those_of_microsofts_function() {
    let folder = TempDir::new().unwrap();
    prepare(folder.path()).await;
    let packages = python().ancestors().nth(2).unwrap().join("segments");
    let output = Command::new(python())
        .arg(package().join("python/segments.py"))
        .args([folder.path().join("views.sql"), folder.path().join("tables.json"), packages])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}
