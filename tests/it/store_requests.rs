//! What a store bills for a run: few requests, and no more of them after many runs.

#![expect(clippy::print_stdout, reason = "the figures are worth a look")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use copilot_lake_tables::{Instant, TABLES};

use crate::harness::{World, is_soak, text};
use crate::store_servers::{Kind, world};

/// The first day.
const FIRST: &str = "2025-11-05T06:00:00Z";

/// A service to which each day brings a row, and changes one of an earlier week.
fn daily(days: i64) -> String {
    const TABLE: &str = "msdyn_copilotevent";
    let mut toml = format!("seed = 1\nclock = {FIRST}\n[[table]]\nname = \"{TABLE}\"\nrows = 60\nweeks = 3\n");
    for day in 1..=days {
        let clock = Instant::parse(FIRST).unwrap().plus_seconds(day * Instant::DAY_SECONDS);
        let (position, values) = (day * 7 % 60, format!("values = {{ importsequencenumber = {day} }}"));
        writeln!(toml, "[[phase]]\nclock = {clock}\nrow = [{{ table = \"{TABLE}\", {values} }}]").unwrap();
        writeln!(toml, "change = [{{ table = \"{TABLE}\", position = {position}, {values} }}]").unwrap();
    }
    toml
}

/// The requests to the store that a run makes, by kind, as it says itself.
fn requests_of_run(world: &World) -> BTreeMap<String, u64> {
    let output = world.run(&["extract", "-v"]);
    let log = text(&output.stderr);
    assert!(output.status.success(), "{log}");
    let (_, counts) = log.split_once("requests to the store ").expect(&log);
    let counts = counts.lines().next().unwrap().split_whitespace().filter_map(|count| count.split_once('='));
    counts.map(|(kind, count)| (kind.to_owned(), count.parse().unwrap())).collect()
}

/// Asserts upper bounds of reads, lists and writes.
fn assert_few(what: &str, requests: &BTreeMap<String, u64>, [reads, lists, writes]: [u64; 3]) {
    println!("{what}: {requests:?}");
    for (kind, most) in [("reads", reads), ("lists", lists), ("writes", writes)] {
        assert!(requests[kind] <= most, "{what}: {} {kind}, at most {most} expected: {requests:?}", requests[kind]);
    }
}

#[test]
fn a_run_makes_few_requests_however_many_there_were_before() {
    let days = if is_soak() { 60 } else { 8 };
    let server = Kind::S3.serve();
    let mut world = world(Kind::S3, &server.url, &daily(days + 2));
    // As most lakes are: replaced files are kept for a week.
    world.keys.remove("lake.removed_files");
    world.keys.retain(|key, _| !key.starts_with("graph."));
    world.extract(&[], 0);
    let tables = TABLES.len() as u64;
    let measure = |when: &str| {
        // One listing and one read for each log, each of the commits since its last checkpoint, and the ledger.
        assert_few(&format!("{when}, nothing new"), &requests_of_run(&world), [tables + 175, tables + 8, 16]);
        world.emulator.advance().unwrap();
        assert_few(&format!("{when}, few changes"), &requests_of_run(&world), [tables + 215, tables + 14, 30]);
    };
    measure("after one run");
    for _ in 0..days {
        world.emulator.advance().unwrap();
        let output = world.run(&["extract", "-q"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    measure("after many runs");
    world.check_complete();
}
