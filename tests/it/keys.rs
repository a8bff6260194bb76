//! Rows whose key or columns a later read might lose: each key stays unique, and columns that were not selected keep
//! their values.

use std::process::Stdio;

use crate::harness::World;

/// The row that the scenarios of this file are about.
const ROW: &str = "00000000-0000-4000-8000-000000000001";

fn event(values: &str, more: &str) -> String {
    format!(
        "[[table.row]]
        values = {{ msdyn_copiloteventid = \"{ROW}\", partitionid = \"p\", {values} }}
        {more}
        "
    )
}

/// A world that serves a row with a custom column on the given day, with the given fault.
fn custom_column(day: u32, fault: &str) -> String {
    let time = "createdon = 2025-10-28T10:00:00Z, modifiedon = 2025-10-28T10:00:00Z";
    let row = event(time, "extra = { new_region = \"north\" }\npayload_text = \"hello\"");
    format!(
        "seed = 33
        clock = 2025-11-{day:02}T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        [[table.column]]
        name = \"new_region\"
        type = \"Text\"
        {row}
        {fault}"
    )
}

#[test]
fn a_custom_column_stays_when_the_metadata_is_refused() {
    let regions = |world: &World| world.sql("SELECT extra_json FROM msdyn_copilotevent");
    let north = [["{\"new_region\":\"north\"}"]];
    let mut world = World::parse(&custom_column(5, ""));
    world.extract(&[], 0);
    assert_eq!(regions(&world), north);
    world.serve(&custom_column(6, "[[fault]]\nat = \"metadata\"\nevery = 1\nkind = \"403_member\""));
    world.extract(&["--full"], 0);
    assert_eq!(regions(&world), north, "it was not asked for");
    world.serve(&custom_column(7, ""));
    world.extract(&[], 0);
    assert_eq!(regions(&world), north);
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_label_stays_when_the_next_request_for_labels_fails() {
    let scenario = |hour: u32, fault: &str| {
        let time = "createdon = 2025-11-05T11:50:00Z, modifiedon = 2025-11-05T11:50:00Z";
        let row = event(&format!("{time}, msdyn_scenariotype = 100230999"), "");
        format!(
            "seed = 33
            clock = 2025-11-05T{hour:02}:00:00Z
            [[table]]
            name = \"msdyn_copilotevent\"
            [[table.column]]
            name = \"msdyn_scenariotype\"
            options = [{{ value = 100230999, label = \"Brand new\" }}]
            {row}
            {fault}"
        )
    };
    let fault = "[[fault]]\nat = \"metadata\"\nnumber = 2\ntimes = 100\nkind = \"403_member\"";
    let mut world = World::parse(&scenario(12, ""));
    for (hour, fault) in [(12, ""), (14, fault), (20, "")] {
        world.serve(&scenario(hour, fault));
        world.extract(&[], 0);
        let labels = world.sql("SELECT msdyn_scenariotype_label FROM msdyn_copilotevent");
        assert_eq!(labels, [["Brand new"]], "at {hour}:00");
    }
    world.check_lake();
}

#[test]
fn a_file_stays_while_its_column_is_hidden() {
    let (shown, hidden) = (
        "payload_text = \"{\\\"messages\\\":[{\\\"id\\\":\\\"m1\\\",\\\"message\\\":\\\"hi\\\",\\\"user\\\":\\\"user\\\",\\\"sequence\\\":0,\\\"timestamp\\\":1761645600000}],\\\"context\\\":{}}\"",
        "nulls = [\"msdyn_transcriptdata\", \"msdyn_transcriptdata_name\"]",
    );
    let scenario = |day: u32, secured: &str, file: &str, more: &str| {
        format!(
            "seed = 14
            clock = 2025-11-{day:02}T12:00:00Z
            [[table]]
            name = \"msdyn_copilottranscriptdata\"
            {secured}
            [[table.row]]
            values = {{ msdyn_copilottranscriptdataid = \"{ROW}\", createdon = 2025-10-28T10:00:00Z, modifiedon = 2025-10-28T10:00:00Z, versionnumber = 77 }}
            {file}
            {more}"
        )
    };
    let another = "[[table.row]]
        values = { msdyn_copilottranscriptdataid = \"00000000-0000-4000-8000-000000000002\", createdon = 2025-10-28T11:00:00Z, modifiedon = 2025-11-08T10:00:00Z, versionnumber = 88 }
        nulls = [\"msdyn_transcriptdata\", \"msdyn_transcriptdata_name\"]";
    let mut world = World::parse(&scenario(5, "", shown, ""));
    let secured = "secured = [\"msdyn_transcriptdata\"]";
    let runs: [(String, &[&str]); 4] = [
        (scenario(5, "", shown, ""), &[]),
        (scenario(6, secured, hidden, ""), &["--full"]),
        (scenario(7, "", shown, ""), &[]),
        (scenario(8, "", shown, another), &[]),
    ];
    for (at, (scenario, arguments)) in runs.iter().enumerate() {
        world.serve(scenario);
        world.extract(arguments, 0);
        let counts = world.sql(
            "SELECT (SELECT count(msdyn_transcriptdata) FROM msdyn_copilottranscriptdata) AS files, \
             (SELECT count(*) FROM payload WHERE status = 'decoded') AS payloads, \
             (SELECT count(*) FROM transcript_message) AS messages",
        );
        assert_eq!(counts, [["1", "1", "1"]], "files, payloads and messages after run {at}");
        world.check_lake();
    }
}

#[test]
fn a_row_that_moved_before_the_first_pass_is_there_once() {
    let row = event("createdon = 2025-10-27T10:00:00Z", "");
    let world = World::parse(&format!(
        "seed = 15
        clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 100
        weeks = 3
        {row}
        [[phase]]
        clock = 2025-11-06T13:00:00Z
        change = [{{ key = [\"{ROW}\", \"p\"], values = {{ createdon = 2025-10-15T10:00:00Z }} }}]
        [[phase]]
        clock = 2025-11-08T13:00:00Z
        [[phase]]
        clock = 2025-11-10T13:00:00Z"
    ));
    world.extract(&["--since", "2025-10-20"], 0);
    for phases in [2, 1] {
        for _ in 0..phases {
            world.emulator.advance().unwrap();
        }
        world.extract(&[], 0);
        world.check_lake();
        world.check_complete();
    }
}

#[test]
fn a_row_that_moves_during_the_first_pass_is_there_once() {
    let row = event("createdon = 2025-11-01T10:00:00Z", "");
    let world = World::parse(&format!(
        "seed = 12
        clock = 2025-11-05T12:00:00Z
        [service]
        latency_ms = 100
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 200
        weeks = 12
        {row}
        [[phase]]
        clock = 2025-11-05T12:00:05Z
        change = [{{ key = [\"{ROW}\", \"p\"], values = {{ createdon = 2025-08-12T10:00:00Z }} }}]"
    ));
    let mut run = world.command(&["extract", "--table", "msdyn_copilotevent"]).stderr(Stdio::null()).spawn().unwrap();
    let read = || world.emulator.request_counts().get("page").copied().unwrap_or_default();
    assert!(world.wait_until(&mut run, || read() >= 5), "it ended before the row moved");
    world.emulator.advance().unwrap();
    assert!(run.wait().unwrap().success());
    world.check_lake();
    let rows = world.sql(&format!("SELECT week_start FROM msdyn_copilotevent WHERE msdyn_copiloteventid = '{ROW}'"));
    assert_eq!(rows, [["2025-08-10"]], "the row was read twice");
}
