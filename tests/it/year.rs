//! A lake after daily runs, as many as a year has: few files, and logs that open at once.

#![expect(clippy::print_stdout, reason = "the figures are worth a look")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant as MachineInstant};

use copilot_lake_tables::{Instant, REJECTED_RECORD, TABLES, Week, dataverse_tables};
use copilot_lake_writer::{Lake, LakeOptions};

use crate::harness::{Numbers, World, is_soak, text};
use crate::ledger::{batch, commit, same, texts, times};

/// The first day, a Wednesday.
const FIRST: &str = "2025-11-05T06:00:00Z";

/// A service to which each day brings rows, changes rows of earlier weeks, and people's interactions.
fn daily(days: i64) -> String {
    let mut text = format!("seed = 1\nclock = {FIRST}\n[graph]\nusers = 10\ninteractions = 100\ndays = 20\n");
    for table in dataverse_tables() {
        writeln!(text, "[[table]]\nname = \"{}\"\nrows = 60\nweeks = 3", table.name).unwrap();
    }
    let mut numbers = Numbers(1);
    for day in 1..=days {
        let clock = Instant::parse(FIRST).unwrap().plus_seconds(day * Instant::DAY_SECONDS);
        let (mut made, mut changed) = (vec![], vec![]);
        for table in dataverse_tables().map(|table| table.name) {
            made.push(format!("{{ table = \"{table}\", values = {{ importsequencenumber = {day} }} }}"));
            let position = numbers.next(60);
            changed.push(format!(
                "{{ table = \"{table}\", position = {position}, values = {{ importsequencenumber = {day} }} }}"
            ));
        }
        let (made, changed) = (made.join(", "), changed.join(", "));
        writeln!(text, "[[phase]]\nclock = {clock}\nrow = [{made}]\nchange = [{changed}]").unwrap();
        text.push_str("[phase.graph]\ninteractions = 5\n");
    }
    text
}

#[test]
fn daily_runs_leave_few_files_and_logs_that_open_at_once() {
    let days = if is_soak() { 365 } else { 21 };
    let mut world = World::parse(&daily(days));
    for (key, value) in [("graph.users", "licensed"), ("graph.since", "2025-10-01")] {
        world.keys.insert(key.to_owned(), value.into());
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.extract(&[], 0);
    for _ in 0..days {
        world.emulator.advance().unwrap();
        let output = world.run(&["extract", "-q"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    world.check_lake();
    world.check_complete();

    let now = Instant::parse(FIRST).unwrap().plus_seconds(days * Instant::DAY_SECONDS);
    let (mut most_of_week, mut most_of_table, mut slowest) = (0, 0, Duration::ZERO);
    for table in TABLES {
        let begun = MachineInstant::now();
        let files = world.runtime.block_on(async {
            let lake = Lake::open(world.lake().to_str().unwrap(), LakeOptions::default()).await.unwrap();
            lake.files(table).await.unwrap()
        });
        slowest = slowest.max(begun.elapsed());
        let mut of_week: BTreeMap<Option<Week>, usize> = BTreeMap::new();
        for file in files {
            *of_week.entry(file.week).or_default() += 1;
        }
        for (week, files) in of_week {
            match week {
                Some(week) if week.end() <= now => {
                    assert!(files <= 2, "{}: {files} files of the week of {week}", table.name);
                    most_of_week = most_of_week.max(files);
                }
                _ => {
                    assert!(files <= 20, "{}: {files} files", table.name);
                    most_of_table = most_of_table.max(files);
                }
            }
        }
    }
    let entries = |table: &str| std::fs::read_dir(world.lake().join(table).join("_delta_log")).unwrap().count();
    let longest = TABLES.iter().map(|table| entries(table.name)).max().unwrap();
    println!(
        "after {days} days: at most {most_of_week} files of a week that is over, {most_of_table} of another or of a table; \
         {longest} entries in the longest log, the slowest opens in {slowest:?}"
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn a_table_of_many_commits_opens_in_seconds() {
    let commits = if is_soak() { 10_000 } else { 250 };
    let world =
        World::parse(&format!("clock = {FIRST}\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 60\nweeks = 3\n"));
    world.extract(&[], 0);
    let folder = world.lake();
    let open = || Lake::open(folder.to_str().unwrap(), LakeOptions::default());
    world.runtime.block_on(async {
        let lake = open().await.unwrap();
        for number in 0..commits {
            let columns = [
                ("source", same("dataverse", 1)),
                ("table_name", same("msdyn_copilotevent", 1)),
                ("record_key", texts(std::iter::once(format!("{number:05}")))),
                ("column_name", same("msdyn_interactioncontext", 1)),
                ("extracted_at", times(Instant::parse(FIRST).unwrap().plus_seconds(number), 1)),
            ];
            commit(&lake, batch(&REJECTED_RECORD, &columns), &REJECTED_RECORD).await;
            if number % 20 == 19 {
                // As a run does at its end.
                let limits = copilot_lake_writer::SmallFileLimits::TOLERATED;
                let now = Instant::parse(FIRST).unwrap();
                lake.merge_small_files(&REJECTED_RECORD, limits, now, "run", &|| false).await.unwrap();
            }
        }
        let begun = MachineInstant::now();
        let files = open().await.unwrap().files(&REJECTED_RECORD).await.unwrap();
        let opened = begun.elapsed();
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), commits as u64);
        assert!(files.len() <= 41, "{} files", files.len());
        println!("{commits} commits and more: the table opens in {opened:?}");
        assert!(opened < Duration::from_secs(1), "{opened:?}");
    });
    let count = ["query", "--sql", "SELECT count(*) FROM rejected_record"];
    for arguments in [&["status"][..], &count, &["check"], &["extract", "-q"], &["maintain"]] {
        let begun = MachineInstant::now();
        let output = world.run(arguments);
        let took = begun.elapsed();
        println!("{}: {took:?}", arguments[0]);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        assert!(took < Duration::from_secs(20), "{arguments:?}: {took:?}");
    }
    world.check_lake();
}
