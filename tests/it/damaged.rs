//! Lakes with missing files: they are named, everything else works, and a repair reads them again.

use copilot_lake_emulator::Scenario;
use copilot_lake_tables::dataverse_tables;

use crate::graph::tenant;
use crate::harness::{World, text};

fn lose(world: &World, path: &str) {
    std::fs::remove_dir_all(world.lake().join(path)).unwrap();
}

/// The folder of one of a table's weeks.
fn week(world: &World, table: &str) -> String {
    let mut weeks: Vec<_> = std::fs::read_dir(world.lake().join(table)).unwrap().collect::<Result<_, _>>().unwrap();
    weeks.retain(|entry| entry.file_name().to_string_lossy().starts_with("week_start="));
    weeks.sort_by_key(|entry| entry.file_name());
    format!("{table}/{}", weeks[weeks.len() / 2].file_name().to_string_lossy())
}

/// Runs a command that must name a damaged table.
fn named(world: &World, arguments: &[&str], table: &str) {
    let output = world.run(arguments);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    let named = format!("table {table} is damaged: ");
    assert!(
        told.contains(&named) && told.contains("`copilot-lake extract --repair` re-reads what is missing"),
        "{told}"
    );
}

fn check_repaired(world: &World) {
    world.extract(&["--repair"], 0);
    check_whole(world);
    world.extract(&[], 0);
    check_whole(world);
    let output = world.run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

fn check_whole(world: &World) {
    world.check_lake();
    world.check_complete();
}

fn of_all_tables() -> World {
    let mut text = String::from("seed = 4\nclock = 2025-11-05T12:00:00Z\n");
    for table in dataverse_tables() {
        text.push_str(&format!("[[table]]\nname = \"{}\"\nrows = 60\nweeks = 4\n", table.name));
    }
    let world = World::parse(&text);
    world.extract(&[], 0);
    world
}

#[test]
fn a_lost_table_is_named_and_read_again() {
    let world = World::new(Scenario::rows(600, 4));
    world.extract(&[], 0);
    lose(&world, "msdyn_copilotevent");
    for arguments in [&["extract"][..], &["extract", "--full"], &["check"], &["extract"]] {
        named(&world, arguments, "msdyn_copilotevent");
        assert!(!world.lake().join("msdyn_copilotevent").exists());
    }
    check_repaired(&world);
}

#[test]
fn a_lost_week_is_named_and_the_other_tables_go_on() {
    let world = of_all_tables();
    lose(&world, &week(&world, "msdyn_copilottranscript"));
    let others = || dataverse_tables().filter(|table| table.name != "msdyn_copilottranscript");
    for arguments in [&["extract"][..], &["extract", "--full"], &["check"]] {
        named(&world, arguments, "msdyn_copilottranscript");
        world.check_rows(others());
    }
    let pages = |world: &World| world.emulator.served().requests.get("page").copied().unwrap_or_default();
    let before = pages(&world);
    world.extract(&["--repair"], 0);
    let used = pages(&world) - before;
    assert!(used < 40, "{used} pages: only a week is read again");
    check_whole(&world);
    check_repaired(&world);
}

#[test]
fn a_missing_file_is_found_by_whoever_reads_it() {
    let world = of_all_tables();
    let folder = world.lake().join(week(&world, "msdyn_copilottranscript"));
    for entry in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // Its folder is there, and nobody else has been at it: the start does not look.
    for arguments in [&["extract", "--full"][..], &["extract"]] {
        named(&world, arguments, "msdyn_copilottranscript");
        world.check_rows(dataverse_tables().filter(|table| table.name != "msdyn_copilottranscript"));
    }
    check_repaired(&world);
}

#[test]
fn a_repair_that_does_not_get_through_is_taken_up_by_the_next_run() {
    let world = World::parse(
        "seed = 4
        clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilottranscript\"
        rows = 60
        weeks = 4
        [[table]]
        name = \"msdyn_conversationinsight\"
        rows = 60
        weeks = 4
        [[fault]]
        at = \"page\"
        table = \"msdyn_copilottranscript\"
        matching = \"createdon lt 2025-10-26\"
        number = 2
        kind = \"403_member\"",
    );
    world.extract(&[], 0);
    lose(&world, "msdyn_copilottranscript");
    world.extract(&["--repair"], 3);
    world.extract(&[], 0);
    world.check_rows(dataverse_tables());
    let lost = || std::fs::read_dir(world.lake().join("msdyn_copilottranscript/_delta_log")).unwrap().count();
    let entries = lost();
    world.extract(&[], 0);
    assert_eq!(lost(), entries, "nothing is left to be read again");
}

#[test]
fn lost_payloads_are_fetched_and_lost_messages_decoded_again() {
    let world = of_all_tables();
    let messages = "SELECT transcript_data_id, message_id, sequence, role, message, row_time FROM transcript_message \
                    ORDER BY 1, 2";
    let before = world.sql(messages);
    assert!(!before.is_empty());
    let files = |world: &World| world.emulator.served().requests.get("file").copied().unwrap_or_default();
    let fetched = files(&world);
    lose(&world, "transcript_message");
    named(&world, &["extract"], "transcript_message");
    world.extract(&["--repair"], 0);
    assert_eq!(world.sql(messages), before);
    assert_eq!(files(&world), fetched, "`payload` has their texts");
    lose(&world, &week(&world, "transcript_message"));
    named(&world, &["extract"], "transcript_message");
    check_repaired(&world);
    assert_eq!(world.sql(messages), before);

    lose(&world, &week(&world, "payload"));
    named(&world, &["extract"], "payload");
    check_repaired(&world);
    lose(&world, "payload");
    named(&world, &["extract"], "payload");
    check_repaired(&world);
    assert_eq!(world.sql(messages), before);
}

#[test]
fn lost_people_are_read_again() {
    let world = of_all_tables();
    let people = "SELECT systemuserid, full_name FROM systemuser ORDER BY 1";
    let before = world.sql(people);
    lose(&world, "systemuser");
    named(&world, &["extract"], "systemuser");
    check_repaired(&world);
    assert_eq!(world.sql(people), before);
}

#[test]
fn without_its_bookkeeping_a_lake_is_refused_and_everything_read_again() {
    for table in ["extraction_slice", "extraction_run", "rejected_record"] {
        let world = of_all_tables();
        lose(&world, table);
        let output = world.run(&["extract"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("table {table} is damaged: it is missing")), "{told}");
        assert!(told.contains("`copilot-lake extract --repair`"), "{told}");
        assert!(!world.lake().join(table).exists());
        check_repaired(&world);
    }
}

#[test]
fn lost_histories_are_read_again() {
    let world = tenant("users = 20\ninteractions = 800\nlicensed = 1.0\ndays = 40\nend = 2025-11-04")
        .of_graph("all", "2025-09-01");
    world.extract(&[], 0);
    world.check_complete();
    let check = || {
        world.extract(&["--repair"], 0);
        world.check_lake();
        world.check_complete();
        world.extract(&[], 0);
        world.check_lake();
        world.check_complete();
    };
    let links = "SELECT count(*) FROM ai_interaction_link";
    let before = world.sql(links);
    for lost in ["ai_interaction_link".to_owned(), week(&world, "ai_interaction_link"), "graph_user".to_owned()] {
        lose(&world, &lost);
        named(&world, &["extract"], lost.split('/').next().unwrap());
        check();
        assert_eq!(world.sql(links), before, "{lost}");
    }
    for lost in [week(&world, "ai_interaction"), "ai_interaction".to_owned()] {
        lose(&world, &lost);
        named(&world, &["extract"], "ai_interaction");
        check();
        assert_eq!(world.sql(links), before, "{lost}");
    }
}

/// What spoils a lake.
type Spoil = fn(&World);

/// Overwrites a file of a table's log.
fn spoil(world: &World, table: &str, file: &str, content: &[u8]) {
    std::fs::write(world.lake().join(table).join("_delta_log").join(file), content).unwrap();
}

#[test]
fn a_broken_log_is_told_in_one_line_and_its_table_is_made_again() {
    const TABLE: &str = "transcript_message";
    let cases: [(&str, Spoil); 3] = [
        ("Json error: ", |world| spoil(world, TABLE, "00000000000000000001.json", b"Jane's salary\n")),
        ("Parquet error: ", |world| {
            spoil(world, TABLE, "_last_checkpoint", b"{\"version\":1,\"size\":10}");
            spoil(world, TABLE, "00000000000000000001.checkpoint.parquet", &[7; 500]);
        }),
        ("the entries between version 1 and version 4 are missing", |world| {
            let log = world.lake().join(TABLE).join("_delta_log");
            std::fs::copy(log.join("00000000000000000001.json"), log.join("00000000000000000004.json")).unwrap();
        }),
    ];
    for (words, spoil) in cases {
        let world = of_all_tables();
        spoil(&world);
        let query = format!("SELECT count(message) FROM {TABLE}");
        for (arguments, code) in [
            (&["query", "--sql", query.as_str()][..], 1),
            (&["extract"], 3),
            (&["extract", "--repair"], 3),
            (&["check"], 3),
        ] {
            let output = world.run(arguments);
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{told}");
            let named = format!("the log of table {TABLE} cannot be used: ");
            assert!(told.contains(&named) && told.contains(words), "{told}");
            assert!(told.contains("restore the table's folder from a backup; or move it away"), "{told}");
            let wrong = ["the same command", "ALTER TABLE", "salary", "buoyant_kernel", "ParsedLogPath"];
            assert!(!wrong.iter().any(|wrong| told.contains(wrong)), "{told}");
        }
        std::fs::rename(world.lake().join(TABLE), world.folder.path().join("away")).unwrap();
        check_repaired(&world);
    }
}

#[test]
fn a_query_that_meets_a_lost_or_broken_file_says_how_to_get_its_rows_back() {
    for is_lost in [true, false] {
        let world = of_all_tables();
        let folder = world.lake().join(week(&world, "transcript_message"));
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if is_lost {
                std::fs::remove_file(path).unwrap();
            } else {
                std::fs::write(path, [7; 500]).unwrap();
            }
        }
        let output = world.run(&["query", "--sql", "SELECT count(message) FROM transcript_message"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("transcript_message/week_start="), "{told}");
        assert!(
            told.contains("hint: if the file is there and damaged, move it away; then `copilot-lake extract"),
            "{told}"
        );
        check_repaired(&world);
    }
}
