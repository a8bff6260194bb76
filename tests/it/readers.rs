//! A lake of many generated rows, read by third-party engines.

use std::path::Path;
use std::process::Command;

use copilot_lake_emulator::Scenario;
use copilot_lake_tables::{dataverse_tables, views as stored_views};

use crate::harness::{World, package, python, text};

/// Filters that are counted in one query.
const TOGETHER: usize = 100;

/// Runs a script of `python/`, which must succeed.
fn script(name: &str, arguments: &[&Path]) {
    let python = python();
    // The DuckDB that has the extension `delta`.
    let delta = python.ancestors().nth(2).unwrap().join("delta");
    let mut command = Command::new(&python);
    if name == "duckdb_views.py" {
        command.env("PYTHONPATH", delta);
    }
    let output = command.arg(package().join("python").join(name)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// Writes what a command prints to a file beside the lake.
fn print(world: &World, arguments: &[&str], name: &str) {
    let output = world.run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    std::fs::write(world.folder.path().join(name), output.stdout).unwrap();
}

#[test]
fn every_filter_finds_its_rows_in_every_reader() {
    let rows = dataverse_tables().map(|table| format!("[[table]]\nname = \"{}\"\nrows = 200\nweeks = 2\n", table.name));
    let scenario = format!("{}[graph]\nusers = 20\ninteractions = 300\n", rows.collect::<String>());
    let mut world = World::parse(&scenario).with_views();
    for (key, value) in [("graph.users", "licensed"), ("graph.since", "1970-01-01")] {
        world.keys.insert(key.to_owned(), value.into());
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.extract(&[], 0);
    let folder = world.folder.path().to_owned();
    let (views, filters) = (folder.join("views.sql"), folder.join("filters.json"));
    let computed = stored_views().map(|view| view.name).collect::<Vec<_>>().join(",");
    for state in ["plain", "checkpoint", "optimize"] {
        print(&world, &["query", "--duckdb-views"], "views.sql");
        script("filters.py", &[&world.lake(), Path::new(state), &views, &filters, Path::new(&computed)]);
        if state == "plain" {
            continue;
        }

        // Files that OPTIMIZE replaced are still in the folder: the views read what the log names.
        print(&world, &["query", "--duckdb-views"], "views.sql");
        print(&world, &["query", "--duckdb-views=delta"], "delta.sql");
        let queries = package().parent().unwrap().join("queries");
        script("duckdb_views.py", &[&views, &folder.join("delta.sql"), &filters, &queries]);

        let asked: Vec<serde_json::Value> = serde_json::from_slice(&std::fs::read(&filters).unwrap()).unwrap();
        assert!(asked.len() > 1_000, "{}", asked.len());
        for together in asked.chunks(TOGETHER) {
            let parts = together.iter().enumerate().map(|(at, each)| {
                let (table, sql) = (each["table"].as_str().unwrap(), each["sql"].as_str().unwrap());
                format!("SELECT {at}, count(*) FROM {table} WHERE {sql}")
            });
            let found = world.sql(&format!("{} ORDER BY 1", parts.collect::<Vec<_>>().join(" UNION ALL ")));
            for (each, row) in together.iter().zip(found) {
                assert_eq!(row[1], each["rows"].to_string(), "{state}: {each}");
            }
        }
    }
}

#[test]
fn duckdb_deltalake_and_pyarrow_agree() {
    let world = World::new(Scenario::rows(20_000, 12)).with_views();
    world.extract(&[], 0);
    let folder = world.folder.path();
    std::fs::write(folder.join("served.json"), serde_json::to_vec(&world.emulator.served()).unwrap()).unwrap();
    print(&world, &["query", "--duckdb-views"], "views.sql");
    for name in ["feedback_rates", "scenario_usage"] {
        print(&world, &["query", name, "--format", "json"], &format!("{name}.answer.json"));
    }
    let output = Command::new(python())
        .arg(package().join("python/readers.py"))
        .args([world.lake(), folder.join("served.json"), folder.join("views.sql")])
        .args([package().parent().unwrap().join("queries"), folder.to_owned()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout).matches(" ok").count(), 4);
}
