//! Runs that are killed at any moment and started again: nothing is missing, nothing is duplicated.

use std::process::Stdio;

use copilot_lake_emulator::Scenario;
use copilot_lake_tables::dataverse_tables;

use crate::foreign::{delete_and_read_again, disturb};
use crate::harness::{Numbers, World, is_soak, of_table, text};

fn requests(world: &World) -> u64 {
    world.emulator.request_counts().values().sum()
}

/// Runs a command and kills it at the given moment, which comes before it would exit.
pub(crate) fn kill_when(world: &World, arguments: &[&str], is_time: impl Fn(&World) -> bool) {
    let mut run = world.command(arguments).stderr(Stdio::null()).spawn().unwrap();
    assert!(world.wait_until(&mut run, || is_time(world)), "it ended before it was killed");
    run.kill().unwrap();
    run.wait().unwrap();
}

#[test]
fn a_killed_run_and_its_rerun() {
    let kills = if is_soak() { 50 } else { 8 };
    let mut world = World::new(Scenario::rows(4_000, 6));
    world.keys.insert("dataverse.page_size".to_owned(), 200.into());
    let mut moments = Numbers(42);
    let pages = |world: &World| world.emulator.request_counts().get("page").copied();
    // Runs that were killed, those of them that had asked for a page, and runs that ended before.
    let (mut killed, mut begun, mut completed) = (0, 0, 0);
    let mut seen = Vec::new();
    for kill in 0..kills {
        if kill % 4 == 3 {
            disturb(&world, &mut moments, 2);
        }
        let before = pages(&world);
        let until = requests(&world) + 1 + moments.next(300);
        let mut run = world.command(&["extract", "-q"]).stderr(Stdio::null()).spawn().unwrap();
        let ended = if world.wait_until(&mut run, || requests(&world) >= until) {
            // A little later than a request, or much later: commits lie between requests.
            for _ in 0..moments.next(200_000) {
                std::hint::spin_loop();
            }
            run.kill().unwrap();
            run.wait().unwrap();
            None
        } else {
            run.try_wait().unwrap()
        };
        killed += usize::from(ended.is_none());
        begun += usize::from(ended.is_none() && pages(&world) > before);
        completed += usize::from(ended.is_some());
        seen.push(world.visible_rows());
    }
    assert!(killed >= 3, "only {killed} runs were killed");
    let output = world.run(&["extract"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    world.check_lake();
    world.check_complete();
    world.check_weeks_were_whole(&seen);
    let failed = world.sql("SELECT count(*) FROM payload WHERE status = 'failed'");
    assert_eq!(failed, [["0"]]);
    // A run is in the ledger before it asks for a page, and a killed one keeps its null, unless it was killed after its end.
    let count = |what: &str| -> usize {
        world.sql(&format!("SELECT count(*) FROM extraction_run WHERE outcome {what}"))[0][0].parse().unwrap()
    };
    let (unfinished, finished) = (count("IS NULL"), count("IS NOT NULL"));
    let late = finished - completed - 1;
    assert!(
        (begun..=killed).contains(&(unfinished + late)),
        "{killed} killed, {begun} begun, {unfinished} without an end"
    );
    assert!(late <= 1 + killed / 10, "{late} of {killed} were killed after their end");
    let twice = world.sql(
        "SELECT table_name, window_start FROM extraction_slice WHERE clock = 'createdon' AND status = 'done' \
         GROUP BY 1, 2 HAVING count(*) > 1",
    );
    assert!(twice.is_empty(), "what was done was asked again: {twice:?}");
    delete_and_read_again(&world);
}

/// Commits in the log of a table.
fn commits(world: &World, table: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(world.lake().join(table).join("_delta_log")) else { return 0 };
    // One that is being written has another name.
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".json")).count()
}

#[test]
fn a_week_of_the_first_pass_is_visible_when_all_of_it_is_read() {
    let mut world = World::parse(
        "[service]
        latency_ms = 20
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 5200
        weeks = 26
        [[table]]
        name = \"msdyn_copilottranscript\"
        rows = 1200
        weeks = 6",
    );
    // Each week takes several pages.
    world.keys.insert("dataverse.page_size".to_owned(), 50.into());
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    let mut seen = Vec::new();
    for _ in 0..4 {
        // The first commit makes the table.
        let before = commits(&world, "msdyn_copilotevent").max(1);
        kill_when(&world, &["extract", "-q"], |world| commits(world, "msdyn_copilotevent") > before);
        seen.push(world.visible_rows());
    }
    world.extract(&[], 0);
    // Without payloads.
    let read = ["msdyn_copilotevent", "msdyn_copilottranscript"];
    world.check_rows(dataverse_tables().filter(|table| read.contains(&table.name)));
    world.check_weeks_were_whole(&seen);
    let weeks: Vec<_> = seen.iter().map(|visible| visible.len()).chain([world.visible_rows().len()]).collect();
    assert!(weeks.is_sorted() && 0 < weeks[0] && weeks[0] < weeks[4], "weeks that were visible: {weeks:?}");
}

#[test]
fn a_rerun_that_has_only_payloads_left_is_complete() {
    let mut world = World::parse(
        "[[table]]
        name = \"msdyn_copilotevent\"
        rows = 1000
        weeks = 2
        [[table]]
        name = \"msdyn_copilotinteraction\"
        absent = true",
    );
    let tables = ["msdyn_copilotevent", "msdyn_copilotinteraction"].map(toml::Value::from);
    world.keys.insert("dataverse.tables".to_owned(), tables.to_vec().into());
    kill_when(&world, &["extract"], |world| {
        world.emulator.served().requests.get("file").is_some_and(|files| *files >= 20)
    });
    let summary = world.extract(&[], 0);
    assert_eq!(summary["outcome"], "complete", "{summary}");
    world.check_complete();
}

#[test]
fn reading_everything_again_goes_on_where_it_was_killed() {
    let mut world = World::parse(
        "[service]
        latency_ms = 150
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 4000
        weeks = 10",
    );
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    world.extract(&[], 0);
    // What is in the ledger is not read again: it gets there in groups.
    let before = commits(&world, "extraction_slice");
    kill_when(&world, &["extract", "--full"], |world| commits(world, "extraction_slice") > before);
    world.extract(&["--full"], 0);
    let slices = world.sql(
        "SELECT count(*), count(DISTINCT window_start), count(DISTINCT run_id) FROM extraction_slice \
         JOIN extraction_run USING (run_id) \
         WHERE command = 'extract --full' AND table_name = 'msdyn_copilotevent' AND clock = 'createdon'",
    );
    let [slices, windows, runs] = slices[0].as_slice() else { panic!("{slices:?}") };
    assert_eq!((slices, runs.as_str()), (windows, "2"), "every week once, by both runs");
    world.check_lake();
    // The next one has nothing to take up.
    let summary = world.extract(&["--full"], 0);
    assert_eq!(of_table(&summary, "msdyn_copilotevent")["rows_received"], 4000, "{summary}");
}

#[test]
fn a_signal_stops_a_run_that_the_next_one_completes() {
    let mut world = World::parse(
        "[service]
        latency_ms = 5
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 4000
        weeks = 4",
    )
    .with_views();
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    for until in [60, 40] {
        let until = requests(&world) + until;
        let mut run = world.command(&["extract"]).stderr(Stdio::piped()).spawn().unwrap();
        assert!(world.wait_until(&mut run, || requests(&world) >= until), "it ended before");
        let sent = std::process::Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = run.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
        world.check_lake();
    }
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
    world.check_views();
    let outcomes = world.sql("SELECT outcome, count(*) FROM extraction_run GROUP BY 1 ORDER BY 1");
    assert_eq!(outcomes, [["complete", "1"], ["partial", "2"]]);
}

#[test]
fn nothing_is_started_after_the_deadline() {
    let world = World::parse(
        "[service]
        latency_ms = 100
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 8000
        weeks = 4",
    );
    let begun = std::time::Instant::now();
    let summary = world.extract(&["--deadline", "3s"], 3);
    assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
    assert_eq!(summary["outcome"], "partial");
    assert!(world.emulator.served().payloads < world.emulator.served().tables["msdyn_copilotevent"].files);
    world.check_lake();
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
}

#[test]
fn stalled_reads_and_long_pauses_end_with_the_deadline() {
    for fault in
        ["kind = \"slow\"\nms = 600000", "kind = \"503\"\nretry_after = 600", "kind = \"429\"\nretry_after = 600"]
    {
        let world = World::parse(&format!(
            "[[table]]
            name = \"msdyn_copilotevent\"
            rows = 400
            weeks = 2
            [[fault]]
            at = \"page\"
            number = 2
            times = 99
            {fault}"
        ));
        let begun = std::time::Instant::now();
        let summary = world.extract(&["--deadline", "2s"], 3);
        assert!(begun.elapsed().as_secs() < 20, "{fault}: {:?}", begun.elapsed());
        assert_eq!(summary["outcome"], "partial", "{fault}");
        world.check_lake();
        let tables = summary["tables"].as_array().unwrap();
        assert!(tables.iter().all(|table| table["slices_failed"] == 0), "{fault}: a stop is no failure: {summary}");
    }
}
