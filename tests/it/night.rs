//! Runs that nobody watches: what fails for a while is waited for, what fails for good is named, and a deadline holds
//! whatever goes on.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{World, of_table, text};
use crate::preload::{Disk, preloaded};

const TABLES: &str = "seed = 61
    clock = 2025-11-05T12:00:00Z
    [[table]]
    name = \"msdyn_copilotevent\"
    rows = 300
    weeks = 6
    [[table]]
    name = \"msdyn_copilotinteractiondata\"
    rows = 60
    weeks = 6
    end = 2025-11-01
    [graph]
    users = 6
    interactions = 200
    days = 10
    licensed = 1.0
    late = { share = 0.0 }";

/// An outage of Dataverse that lasts longer than the attempts of a request; a token that is no longer accepted; a
/// connection that stalls; a table that answers 500 to everything.
const FAULTS: &str = "[[fault]]
    at = \"page\"
    table = \"msdyn_copilotinteractiondata\"
    every = 1
    kind = \"500\"
    retry_after = 1
    [[fault]]
    at = \"page\"
    table = \"msdyn_copilotevent\"
    number = 2
    kind = \"expired_token\"
    [[fault]]
    at = \"history\"
    number = 4
    kind = \"slow\"
    ms = 600000
    [[fault]]
    at = \"any\"
    matching = \"/api/data/\"
    number = 24
    times = 24
    kind = \"500\"
    retry_after = 1";

fn summary(world: &World) -> Value {
    serde_json::from_slice(&std::fs::read(world.folder.path().join("summary.json")).unwrap()).unwrap()
}

#[test]
fn a_run_of_a_night() {
    let mut world = World::parse(&format!("{TABLES}\n{FAULTS}"));
    for (key, value) in [
        (
            "dataverse.tables",
            toml::Value::Array(vec!["msdyn_copilotevent".into(), "msdyn_copilotinteractiondata".into()]),
        ),
        ("dataverse.since", "2025-09-21".into()),
        ("graph.users", "all".into()),
        ("graph.since", "2025-10-20".into()),
        ("graph.requests_per_second", 1000.into()),
    ] {
        world.keys.insert(key.to_owned(), value);
    }
    let night = world.extract(&[], 3);
    world.check_lake();
    // What is there is committed: everything of Graph, and of the table that was served in the end.
    assert_eq!((&night["stopped"], &night["outcome"]), (&false.into(), &"partial".into()), "{night}");
    assert_eq!(world.users_read().len(), 6);
    world.check_histories(&world.users_read());
    let served = world.emulator.served();
    assert_eq!(world.weeks("msdyn_copilotevent"), served.tables["msdyn_copilotevent"].weeks);
    // What is not is named.
    let failed = "SELECT count(*) FILTER (WHERE reason LIKE '%not requested%'), count(*) FROM extraction_slice \
                  WHERE table_name = 'msdyn_copilotinteractiondata' AND status = 'failed'";
    assert_eq!(world.sql(failed), [["4", "7"]]);
    let error = night["error"].as_str().unwrap();
    assert!(
        error.starts_with("partial: 7 slices failed: ") && error.contains("msdyn_copilotinteractiondata"),
        "{error}"
    );
    assert_eq!(of_table(&night, "msdyn_copilotevent")["slices_failed"], 0, "{night}");

    // The next run does the rest, and only that.
    world.serve(TABLES);
    let morning = world.extract(&[], 0);
    assert_eq!(of_table(&morning, "msdyn_copilotinteractiondata")["rows_received"], 60);
    world.check_lake();
    world.check_complete();
    let twice = "SELECT table_name, window_start FROM extraction_slice WHERE status = 'done' AND clock = 'createdon' \
                 GROUP BY 1, 2 HAVING count(*) > 1";
    assert!(world.sql(twice).is_empty());
}

#[test]
fn an_outage_ends_with_the_deadline_wherever_it_begins() {
    // The fault, whether a run was complete before, and whether the run gets as far as its start.
    let cases = [
        ("at = \"any\"\nmatching = \"/api/data/\"\nnumber = 14\nkind = \"500\"\nretry_after = 1", false, true),
        ("at = \"metadata\"\nnumber = 1\nkind = \"503\"\nretry_after = 1", false, false),
        ("at = \"metadata\"\nnumber = 1\nkind = \"slow\"\nms = 600000", false, false),
        ("at = \"whoami\"\nnumber = 2\nkind = \"503\"\nretry_after = 1", true, false),
        ("at = \"token\"\nnumber = 2\nkind = \"503\"\nretry_after = 1", true, false),
    ];
    for (fault, was_complete, begins) in cases {
        let table = "clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 100\nweeks = 2";
        let mut world = World::parse(&format!("{table}\n[[fault]]\n{fault}\ntimes = 100000"));
        if was_complete {
            world.extract(&[], 0);
        }
        let begun = Instant::now();
        let stopped = world.extract(&["--deadline", "2s"], 3);
        assert!(begun.elapsed() < Duration::from_secs(2 + 12), "{fault}: {:?}", begun.elapsed());
        assert_eq!(stopped["outcome"], "partial", "{fault}: {stopped}");
        assert_eq!(stopped["run_id"].is_string(), begins, "{fault}: {stopped}");
        let error = stopped["error"].as_str().unwrap();
        assert!(error.starts_with("stopped before "), "{fault}: {error}");
        world.serve(table);
        world.extract(&[], 0);
        world.check_lake();
        world.check_complete();
    }
}

#[test]
fn a_commit_that_takes_too_long_after_the_deadline_is_given_up() {
    let table = "clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 100\nweeks = 2\n\
                 [[table]]\nname = \"msdyn_copilotinteractiondata\"\nrows = 50\nweeks = 1\nend = 2025-11-01";
    let world = World::parse(table);
    let file = world.folder.path().join("summary.json");
    let begun = Instant::now();
    // The files of one table are never written to the disk.
    let stalled = Disk::StalledSync("/msdyn_copilotevent/week_start");
    let arguments = ["extract", "--deadline", "2s", "--summary", file.to_str().unwrap()];
    let output = preloaded(&world, stalled, &arguments).output().unwrap();
    let (elapsed, message) = (begun.elapsed(), text(&output.stderr));
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(elapsed < Duration::from_secs(2 + 20), "{elapsed:?}: {message}");
    let named = "not committed within the time after the stop: msdyn_copilotevent createdon ";
    assert!(message.contains(named), "{message}");
    let stopped = summary(&world);
    assert_eq!((&stopped["stopped"], &stopped["outcome"]), (&true.into(), &"partial".into()), "{stopped}");
    // The other table's rows are there, and in the ledger.
    assert_eq!(world.sql("SELECT count(*) FROM msdyn_copilotinteractiondata"), [["50"]]);
    let done = "SELECT DISTINCT table_name FROM extraction_slice WHERE rows > 0";
    assert_eq!(world.sql(done), [["msdyn_copilotinteractiondata"]]);
    assert_eq!(world.sql("SELECT count(*) FROM msdyn_copilotevent"), [["0"]]);
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_service_that_cannot_be_prepared_keeps_no_other_from_being_read() {
    let fault = "[[fault]]\nat = \"metadata\"\nevery = 1\nkind = \"500\"";
    let mut world = World::parse(&format!("{TABLES}\n{fault}"));
    for (key, value) in [("graph.users", "all"), ("graph.since", "2025-10-20"), ("dataverse.since", "2025-09-21")] {
        world.keys.insert(key.to_owned(), value.into());
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    let night = world.extract(&[], 3);
    assert!(night["error"].as_str().unwrap().starts_with("partial: dataverse was given up: "), "{night}");
    assert_eq!(world.users_read().len(), 6);
    assert_eq!(world.sql("SELECT outcome FROM extraction_run"), [["partial"]]);
    world.serve(TABLES);
    world.extract(&[], 0);
    world.check_complete();
}

#[test]
fn deletions_that_cannot_be_confirmed_are_found_by_the_next_run() {
    // Only the confirmation requests rows by their ids: six times in vain.
    let mut world = World::parse(
        "clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 60\nweeks = 2
        [[phase]]\nclock = 2025-11-06T12:00:00Z\ndelete = [{ position = 5 }, { position = 30 }]
        [[fault]]\nat = \"page\"\nnumber = 1\ntimes = 6\nmatching = \"msdyn_copiloteventid eq \"
        kind = \"500\"\nretry_after = 1",
    );
    world.keys.insert("dataverse.deletes".to_owned(), "remove".into());
    world.extract(&[], 0);
    world.emulator.advance().unwrap();
    let failed = world.extract(&[], 3);
    let of = of_table(&failed, "msdyn_copilotevent");
    assert_eq!((&of["slices_failed"], &of["rows_deleted"]), (&1.into(), &0.into()), "{failed}");
    assert_eq!(of_table(&failed, "msdyn_copilotevent")["payloads_failed"], 0, "{failed}");
    let healed = world.extract(&[], 0);
    assert_eq!(of_table(&healed, "msdyn_copilotevent")["rows_deleted"], 2, "{healed}");
    assert_eq!(world.sql("SELECT count(*) FROM msdyn_copilotevent"), [["58"]]);
}
