//! Files as the service may serve them: late, in parts, with non-ASCII names, with another size than declared.

use crate::harness::{World, of_table};

/// Statuses, texts and reasons of all payloads, by their row's id.
fn payloads(world: &World) -> Vec<Vec<String>> {
    world.sql("SELECT right(source_id, 2), status, text, reason FROM payload ORDER BY 1")
}

fn row(id: u8, created: &str, more: &str) -> String {
    let key = format!("msdyn_copiloteventid = \"00000000-0000-4000-8000-0000000000{id:02}\", partitionid = \"p\"");
    let values = format!("{{ {key}, createdon = {created}, modifiedon = {created} }}");
    format!("[[table.row]]\nvalues = {values}\npayload_text = \"hello\"\n{more}\n")
}

const EVENTS: &str = "seed = 7\nclock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\n";

#[test]
fn a_file_that_comes_after_its_row_is_asked_for_again() {
    let young = row(1, "2025-11-05T11:59:50Z", "payload_from = 2025-11-05T12:20:00Z");
    let late = row(2, "2025-11-05T11:59:50Z", "payload_from = 2025-11-06T00:00:00Z");
    let old = row(3, "2025-10-20T11:59:50Z", "payload_from = 2025-11-06T00:00:00Z");
    let phases = "[[phase]]\nclock = 2025-11-05T12:30:00Z\n[[phase]]\nclock = 2025-11-07T12:30:00Z\n\
                  [[phase]]\nclock = 2025-11-07T13:30:00Z\n";
    let world = World::parse(&format!("{EVENTS}{young}{late}{old}{phases}"));
    let reason = "the service answers that there is no such file";
    let missing = |id: &'static str| [id, "missing", "-", reason];
    let decoded = |id: &'static str| [id, "decoded", "hello", "-"];
    world.extract(&[], 0);
    assert_eq!(payloads(&world), [missing("01"), missing("02"), missing("03")]);

    world.emulator.advance().unwrap();
    let summary = world.extract(&[], 0);
    assert_eq!(of_table(&summary, "msdyn_copilotevent")["payloads"], 2, "the old one is given up");
    assert_eq!(payloads(&world), [decoded("01"), missing("02"), missing("03")]);

    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert_eq!(payloads(&world), [decoded("01"), decoded("02"), missing("03")]);

    world.emulator.advance().unwrap();
    world.extract(&["--full"], 0);
    assert_eq!(payloads(&world), [decoded("01"), decoded("02"), decoded("03")]);
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_file_that_is_missing_within_a_week_is_asked_for_once_a_run() {
    let world = World::parse(&format!("{EVENTS}{}", row(1, "2025-11-05T11:59:50Z", "payload_missing = true")));
    for runs in 1..=3 {
        world.extract(&[], 0);
        assert_eq!(world.emulator.served().requests["file"], runs);
    }
    world.check_lake();
}

#[test]
fn a_file_of_another_size_than_declared_is_kept_with_a_reason() {
    let mut world = World::parse(&format!("{EVENTS}{}", row(1, "2025-10-28T10:00:00Z", "payload_size = 7")));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let kept = [["01", "decoded", "hello", "the service declares 7 bytes and sends 5"]];
    assert_eq!(payloads(&world), kept);
    assert_eq!(world.sql("SELECT byte_length FROM payload"), [["5"]]);
    let summary = world.extract(&[], 0);
    assert_eq!(of_table(&summary, "msdyn_copilotevent")["payloads"], 0, "it is not fetched again");
    assert_eq!(world.emulator.served().requests["file"], 2, "it came twice alike");
    world.check_lake();
    world.check_complete();

    let (raw, again) = (world.lake().join("_raw"), world.folder.path().join("again"));
    let output = world.run(&["replay", raw.to_str().unwrap(), "--lake", again.to_str().unwrap()]);
    assert!(output.status.success());
    let sql = "SELECT right(source_id, 2), status, text, reason FROM payload";
    assert_eq!(world.sql_of(&again, sql), kept);
}

#[test]
fn a_large_file_is_read_in_parts_or_whole() {
    for (ranges, requests) in [("served", 6), ("refused", 3), ("ignored", 2)] {
        let large = row(1, "2025-10-28T10:00:00Z", "payload_repeat = 2600000").replace("hello", "hello, ");
        let service = format!("[service]\nranges = \"{ranges}\"\n");
        let world = World::parse(&format!("{EVENTS}{large}{service}"));
        world.extract(&[], 0);
        let found = world.sql("SELECT status, byte_length, character_length(text), reason FROM payload");
        assert_eq!(found, [["decoded", "18200000", "18200000", "-"]], "{ranges}");
        assert_eq!(world.emulator.served().requests["file"], requests, "{ranges}");
        world.check_complete();
    }
}

#[test]
fn a_name_outside_ascii_is_stored_as_people_read_it() {
    let rows = [
        row(1, "2025-10-28T10:00:00Z", "payload_name = \"Transkript ä.json\""),
        row(2, "2025-10-28T10:00:00Z", "payload_name = \"100% sure.txt\""),
    ];
    let world = World::parse(&format!("{EVENTS}{}", rows.concat()));
    world.extract(&[], 0);
    let names = world.sql("SELECT file_name FROM payload ORDER BY source_id");
    assert_eq!(names, [["Transkript ä.json"], ["100% sure.txt"]]);
    assert_eq!(
        names,
        world.sql("SELECT msdyn_interactiondata_name FROM msdyn_copilotevent ORDER BY msdyn_copiloteventid")
    );
}

#[test]
fn a_column_of_which_no_file_can_be_fetched_is_given_up() {
    let rows = "clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 400\nweeks = 1\n";
    let fault = "[[fault]]\nat = \"file\"\nevery = 1\nkind = \"500\"\nretry_after = 1\n";
    let mut world = World::parse(&format!("{rows}{fault}"));
    let summary = world.extract(&[], 3);
    let files = world.emulator.served().requests["file"];
    // Up to six attempts for each of those that failed in a row, and of those under way.
    assert!((250..=600).contains(&files), "{files} requests");
    let error = summary["error"].as_str().unwrap();
    let reason = " payloads of msdyn_interactiondata: retries exhausted: ";
    assert!(error.starts_with("partial: ") && error.contains(reason), "{error}");
    let reasons = summary["tables"].to_string();
    assert!(reasons.contains("the rest was not requested, because 50 of them failed in a row"), "{reasons}");
    // What was tried in vain does not keep the rest from being tried; what is healed is fetched.
    let failed: u64 = world.sql("SELECT count(*) FROM payload WHERE status = 'failed'")[0][0].parse().unwrap();
    assert!((50..100).contains(&failed), "{failed}");
    world.serve(rows);
    world.extract(&[], 0);
    world.check_complete();
}
