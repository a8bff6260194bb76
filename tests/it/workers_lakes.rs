//! The shipped queries on two workers, over random lakes and lakes in stores: the rows that one process gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use copilot_lake_emulator::Scenario;
use copilot_lake_query::QUERIES;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{World, binary, copy_folder, is_soak, package, python, text};
use crate::queries::prepare;
use crate::store_servers::{BOTH, Kind, world};
use crate::workers::{COMPUTED_HERE, Worker, has_workers, lines};

/// Why the client computes a query itself, where a parameter fixes a column: the fault that the workers' page names.
const FIXED_COLUMN: &str = "debug: Expects PARTITION BY expression to be ordered";

/// Asks a query here and on workers; both must answer alike, and the workers must not have handed it back. Returns whether
/// there are rows.
fn is_answered_alike(
    command: impl Fn() -> Command,
    urls: &str,
    query: &str,
    parameters: &BTreeMap<String, String>,
) -> bool {
    let ask = |more: &[&str]| {
        let mut command = command();
        command.args(["query", query, "--format", "csv"]).args(more);
        command.args(parameters.iter().flat_map(|(name, value)| ["--param".to_owned(), format!("{name}={value}")]));
        command.output().unwrap()
    };
    let (here, there) = (ask(&[]), ask(&["--workers", urls, "-v"]));
    assert!(there.status.success() && here.status.success(), "{query}: {}", text(&there.stderr));
    assert_eq!(lines(&there), lines(&here), "{query} with {parameters:?}");
    let told = text(&there.stderr);
    let is_expected = !parameters.is_empty() && told.contains(FIXED_COLUMN);
    assert!(!told.contains(COMPUTED_HERE) || is_expected, "{query}: {told}");
    lines(&here).len() > 1
}

#[test]
fn workers_answer_alike_over_random_lakes() {
    if !has_workers() {
        return;
    }
    let folder = TempDir::new().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(prepare(folder.path()));
    let [views, tables, lakes] = ["views.sql", "tables.json", "lakes"].map(|name| folder.path().join(name));
    let (count, seed) = if is_soak() { ("50", "3") } else { ("3", "3") };
    let queries = package().parent().unwrap().join("queries");
    let mut script = Command::new(python());
    script.arg(package().join("python/random_lakes.py")).args([&views, &tables, &queries]).args([count, seed]);
    let made = script.arg(&lakes).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let asked: Vec<Value> = serde_json::from_slice(&std::fs::read(lakes.join("answers.json")).unwrap()).unwrap();

    // What makes a folder of tables a lake for the program: an entry of a run.
    let world = World::new(Scenario::rows(1, 1));
    world.extract(&[], 0);
    let (mut with_rows, mut running) = (0, None);
    for question in &asked {
        let lake = question["lake"].as_str().unwrap();
        let runs = Path::new(lake).join("extraction_run");
        if !runs.exists() {
            copy_folder(&world.lake().join("extraction_run"), &runs);
        }
        let over = || {
            let mut command = Command::new(binary());
            command.env_clear().current_dir(folder.path()).env("COPILOT_LAKE_LAKE__URL", lake);
            command
        };
        if running.as_ref().is_none_or(|(of, _)| *of != lake) {
            running = Some((lake, [Worker::start(over(), &[]), Worker::start(over(), &[])]));
        }
        let Some((_, workers)) = &running else { unreachable!() };
        let urls = workers.each_ref().map(|worker| worker.url.as_str()).join(",");
        let (query, _) = question["where"].as_str().unwrap().split_once(',').unwrap();
        let parameters = serde_json::from_value(question["parameters"].clone()).unwrap();
        with_rows += usize::from(is_answered_alike(over, &urls, query, &parameters));
    }
    assert!(with_rows * 3 > asked.len(), "{with_rows} answers of {} have rows", asked.len());
}

#[test]
fn workers_answer_alike_over_lakes_in_stores() {
    if !has_workers() {
        return;
    }
    for kind in [Kind::S3, Kind::Azure] {
        let server = kind.serve();
        let world = world(kind, &server.url, BOTH);
        world.extract(&[], 0);
        let workers = [(); 2].map(|()| Worker::start(world.command(&[]), &[]));
        let urls = workers.each_ref().map(|worker| worker.url.as_str()).join(",");
        let alike = QUERIES
            .iter()
            .filter(|query| is_answered_alike(|| world.command(&[]), &urls, query.name, &BTreeMap::new()));
        let with_rows = alike.count();
        assert!(with_rows > 10, "{kind:?}: only {with_rows} queries have rows");
    }
}
