//! Every `scenarios/*.toml`, run by the real binary.
//!
//! A file is a scenario of the emulator (see `copilot_lake_emulator::Scenario`) and three tables of its own:
//!
//! ```toml
//! [config]                      # keys of the configuration
//! "dataverse.page_size" = 50
//!
//! [[run]]                       # default: one run of `extract` that ends with 0
//! args = ["--table", "msdyn_copilotevent"]
//! code = 0
//! advance = true                # apply the emulator's next phase first
//! complete = true               # afterwards the lake must have every row of the service (default: when the code is 0)
//!
//! [[expect]]                    # at least one: what the scenario claims of the lake after the last run
//! sql = "SELECT status, count(*) FROM payload GROUP BY 1 ORDER BY 1"
//! rows = [["decoded", "49"], ["failed", "1"]] # every value as text, null as "-"
//! ```
//!
//! The claims are what a scenario is about; its file in `expected/` is everything that the lake has in the end.

use std::fmt::Write as _;

use copilot_lake_emulator::Scenario;
use serde_json::Value;

use crate::harness::{World, expect, package};

fn run(name: &str) {
    let path = package().join("scenarios").join(format!("{name}.toml"));
    let mut file: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    let config = file.remove("config");
    let runs = file.remove("run");
    let claims = file.remove("expect");
    let claims = claims.as_ref().and_then(toml::Value::as_array).filter(|claims| !claims.is_empty());
    let claims = claims.unwrap_or_else(|| panic!("{name}: no [[expect]]"));
    let scenario = Scenario::parse_in(&file.to_string(), &package().join("fixtures")).unwrap();
    let mut world = World::new(scenario);
    for (key, value) in config.iter().flat_map(|config| config.as_table().unwrap()) {
        world.keys.insert(key.clone(), value.clone());
    }
    let one = toml::Value::Array(vec![toml::Table::new().into()]);
    let mut seen = String::new();
    for run in runs.as_ref().unwrap_or(&one).as_array().unwrap() {
        if run.get("advance").is_some_and(|advance| advance.as_bool().unwrap()) {
            world.emulator.advance().unwrap();
        }
        let arguments = run.get("args").and_then(toml::Value::as_array).into_iter().flatten();
        let arguments: Vec<_> = arguments.map(|argument| argument.as_str().unwrap()).collect();
        let code = run.get("code").map_or(0, |code| code.as_integer().unwrap() as i32);
        let summary = world.extract(&arguments, code);
        writeln!(seen, "extract {}-> {code}", arguments.iter().map(|a| format!("{a} ")).collect::<String>()).unwrap();
        for table in summary["tables"].as_array().unwrap() {
            let silent = ["slices_failed", "slices_skipped", "rows_received", "rows_deleted", "payloads"];
            if silent.iter().all(|key| table[key] == 0) {
                continue;
            }
            let count = |key: &str| table[key].as_u64().unwrap_or_else(|| panic!("no {key} in {table}"));
            let counts = [
                "slices_done",
                "slices_failed",
                "slices_skipped",
                "rows_received",
                "rows_written",
                "rows_deleted",
                "rejected",
                "payloads",
            ];
            let counts = counts.iter().filter(|key| count(key) > 0).map(|key| format!("{key} {}", count(key)));
            let counts: Vec<_> = counts.collect();
            writeln!(seen, "  {}: {}", table["table"].as_str().unwrap(), counts.join(", ")).unwrap();
        }
        world.check_lake();
        let complete = run.get("complete").map_or(code == 0, |complete| complete.as_bool().unwrap());
        if complete {
            world.check_complete();
        }
        assert_eq!(summary["outcome"], Value::from(if code == 0 { "complete" } else { "partial" }));
    }
    let served = world.emulator.served();
    assert_eq!(served.retry_after_violations, 0, "a Retry-After was not kept");
    assert_eq!(served.limits_passed, 0, "a limit was passed");
    assert_eq!(served.columns_unlisted, 0, "a column was asked for that its metadata does not list");
    if let Some(graph) = &served.graph {
        assert_eq!(graph.at_once, 0, "two requests for one history at once");
        assert_eq!(graph.links_altered, 0, "a link was not followed as it came");
    }
    for claim in claims {
        check_claim(name, claim, &world);
    }
    seen.push_str(&world.describe());
    expect(&format!("{name}.txt"), &seen);
}

/// Asserts that the lake answers as an `[[expect]]` says.
fn check_claim(name: &str, claim: &toml::Value, world: &World) {
    let text = |value: &toml::Value| value.as_str().unwrap_or_else(|| panic!("{name}: no text: {value}")).to_owned();
    let list = |value: &toml::Value| value.as_array().unwrap_or_else(|| panic!("{name}: no list: {value}")).clone();
    let part = |key: &str| claim.get(key).unwrap_or_else(|| panic!("{name}: an [[expect]] without `{key}`"));
    let sql = text(part("sql"));
    let rows: Vec<Vec<_>> = list(part("rows")).iter().map(|row| list(row).iter().map(text).collect()).collect();
    assert_eq!(world.sql(&sql), rows, "{name}: the lake does not answer as [[expect]] says: {sql}");
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn every_file_is_run() {
            let names: std::collections::BTreeSet<_> = [$(stringify!($name)),*].into_iter().map(str::to_owned).collect();
            let files = std::fs::read_dir(package().join("scenarios")).unwrap();
            let files = files.map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
            assert_eq!(files.collect::<std::collections::BTreeSet<_>>(), names);
        }
    };
}

scenarios! {
    plain
    full_last_page
    short_page
    empty_result
    throttled_with_retry_after
    throttled_without_retry_after
    token_expires
    cut_body
    unknown_choice
    unknown_property
    spoilt_property
    malformed_values
    malformed_payloads
    duplicate_row
    week_boundary
    unchanged_rerun
    changed_rows
    older_version_again
    failing_week
    failing_newest_weeks
    moved_rows
    corrected_rows
    window_again
    wider_overlap
    six_tables
    missing_table_and_column
    absent_table_again
    custom_columns
    deleted_rows_mark
    deleted_rows_remove
    expired_token_of_changes
    transcripts
    failing_payload
    failing_table
    outage
    outage_at_start
    unreadable_row
    unreadable_change
    people_change
    limits_kept
    graph_licensed
    graph_late_rows
    graph_failed_page
    graph_halved_window
    graph_unreadable_interaction
    graph_no_mailbox
    graph_refused_filter
    graph_refused_users
    graph_odd_pages
    graph_deleted_users
    graph_throttled_mailbox
    graph_precondition_failed
    graph_slash_in_id
    graph_expired_list
    graph_empty_refusal
    graph_empty_pages
}
