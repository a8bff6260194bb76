//! `check` and `plan`: they name what is missing and what to grant, and change nothing.

use std::fmt::Write as _;

use copilot_lake_emulator::Scenario;

use crate::harness::{World, expect, of_table, text};

const LACKING: &str = "seed = 2
    clock = 2025-11-05T12:00:00Z
    [[table]]
    name = \"msdyn_copilotevent\"
    rows = 30
    weeks = 1
    without = [\"msdyn_aiagent\"]
    secured = [\"msdyn_interactiondata\"]
    [[table]]
    name = \"msdyn_copilotinteraction\"
    absent = true
    [[table]]
    name = \"msdyn_conversationinsight\"
    rows = 10
    weeks = 1
    [[table]]
    name = \"msdyn_copilottranscript\"
    rows = 10
    weeks = 1
    [[privilege]]
    table = \"msdyn_conversationinsight\"
    depth = \"none\"
    [[privilege]]
    table = \"msdyn_copilottranscript\"
    depth = \"Basic\"";

fn shown(world: &World, arguments: &[&str], code: i32) -> String {
    let output = world.run(arguments);
    let message = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{message}");
    let message = message.replace(world.emulator.url().as_str().trim_end_matches('/'), "EMULATOR");
    crate::bad_input::without_ids(&message)
}

#[test]
fn what_is_missing_is_named_with_what_to_grant() {
    let mut world = World::new(Scenario::parse(LACKING).unwrap());
    world.keys.insert("dataverse.deletes".to_owned(), "mark".into());
    let mut seen = shown(&world, &["check"], 3);
    assert!(!world.lake().exists(), "check leaves nothing behind");
    writeln!(seen, "\nextract").unwrap();
    let summary = world.extract(&[], 3);
    for table in summary["tables"].as_array().unwrap() {
        for reason in table["reasons"].as_array().unwrap() {
            // Which of many equal calls came first differs from run to run.
            let reason = reason.as_str().unwrap().split(" (GET ").next().unwrap();
            writeln!(seen, "{}: {reason}", table["table"].as_str().unwrap()).unwrap();
        }
    }
    expect("check.txt", &seen);
    assert_eq!(world.emulator.served().columns_unlisted, 0);
}

#[test]
fn a_secured_column_in_which_no_row_shows_a_file_is_named() {
    let world = World::parse(
        "[[table]]
        name = \"msdyn_copilotevent\"
        secured = [\"msdyn_interactiondata\"]
        [[table.row]]
        nulls = [\"msdyn_interactiondata\", \"msdyn_interactiondata_name\"]",
    );
    let seen = shown(&world, &["check"], 3);
    let line = "payloads of msdyn_interactiondata cannot be read: the column is secured and no row shows a File in it; add \
                the application user to a column security profile that may read msdyn_interactiondata";
    assert!(seen.contains(line), "{seen}");
}

#[test]
fn a_complete_environment_is_ok() {
    let world = World::new(Scenario::rows(200, 2));
    let seen = shown(&world, &["check"], 0);
    assert!(seen.contains("msdyn_copilotevent: ok, every row") && seen.ends_with("\nok"), "{seen}");
    let requests = world.emulator.served().requests.clone();
    assert!(requests.values().sum::<u64>() < 40, "{requests:?}");
}

#[test]
fn a_plan_changes_nothing_and_knows_the_rest() {
    let mut world = World::new(Scenario::rows(2_000, 4));
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    let first = shown(&world, &["plan"], 0);
    assert!(first.contains("2,000") && !world.lake().exists(), "{first}");
    world.extract(&["--set", "dataverse.payloads=false"], 0);
    let files = world.emulator.served().tables["msdyn_copilotevent"].files;
    let second = shown(&world, &["plan", "--table", "msdyn_copilotevent"], 0);
    let line = second.lines().find(|line| line.starts_with("msdyn_copilotevent")).unwrap();
    assert!(line.ends_with(&files.to_string()), "{files} payloads are left: {line}");
}

/// The number of requests that a plan estimates, and that of the run after it.
fn planned(world: &World, arguments: &[&str]) -> (u64, u64) {
    let plan = shown(world, &[&["plan"][..], arguments].concat(), 0);
    let line = plan.lines().find(|line| line.contains(" calls, ")).unwrap_or_else(|| panic!("{plan}"));
    let calls = line.split(' ').next().unwrap().replace(',', "").parse().unwrap();
    let summary = world.extract(arguments, 0);
    (calls, summary["requests"].as_u64().unwrap())
}

#[test]
fn the_calls_of_a_plan_are_about_those_of_the_run() {
    let mut scenario = String::from("seed = 1\nclock = 2025-11-05T12:00:00Z\n");
    for (table, rows) in [
        ("msdyn_copilotevent", 3_000),
        ("msdyn_copilotinteraction", 600),
        ("msdyn_copilotinteractiondata", 200),
        ("msdyn_copilottranscript", 150),
        ("msdyn_copilottranscriptdata", 150),
        ("msdyn_conversationinsight", 150),
    ] {
        scenario.push_str(&format!("[[table]]\nname = \"{table}\"\nrows = {rows}\nweeks = 6\n"));
    }
    scenario.push_str("[[phase]]\nclock = 2025-11-07T12:00:00Z\ngenerate = { rows = 120 }\n");
    let mut world = World::parse(&scenario);
    world.keys.insert("dataverse.page_size".to_owned(), 500.into());
    let near = |what: &str, (said, made): (u64, u64)| {
        assert!(said.abs_diff(made) <= made / 5 + 12, "{what}: {said} calls were said, {made} were made");
    };
    near("the first run", planned(&world, &[]));
    let payloads: u64 = world.sql("SELECT count(*) FROM payload")[0][0].parse().unwrap();
    assert!(payloads > 1_000, "{payloads}");
    near("everything again", planned(&world, &["--full"]));
    world.emulator.advance().unwrap();
    near("what changed", planned(&world, &[]));
    let summary = world.extract(&[], 0);
    assert_eq!(of_table(&summary, "msdyn_copilotevent")["payloads"], 0);
}

#[test]
fn a_failure_is_not_told_as_a_missing_permission() {
    let fault = "[[fault]]\nat = \"page\"\nevery = 1\nkind = \"500\"\nretry_after = 1";
    let events = "clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 30\nweeks = 1";
    let mut world = World::parse(&format!("{events}\n{fault}"));
    world.keys.insert("dataverse.tables".to_owned(), toml::Value::from(vec!["msdyn_copilotevent"]));
    let seen = shown(&world, &["check"], 1);
    assert!(seen.contains("msdyn_copilotevent: cannot be read: retries exhausted"), "{seen}");
    assert!(seen.contains("; the service is failing") && !seen.contains("grant prvRead"), "{seen}");

    let fault = fault.replace("page", "users");
    let world = World::parse(&format!("clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 4\n{fault}"));
    let seen = shown(&world.of_graph("all", "2025-08-01"), &["check"], 1);
    assert!(seen.contains("the service is failing") && !seen.contains("permission"), "{seen}");
}

#[test]
fn a_service_that_fails_keeps_no_other_from_being_tried() {
    let mut world = World::parse(
        "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 4\ninteractions = 40\nlicensed = 1.0\ndeleted = 0.0
        [[table]]\nname = \"msdyn_copilotevent\"
        [[fault]]\nat = \"whoami\"\nevery = 1\nkind = \"403_member\"",
    );
    world.keys.insert("graph.users".to_owned(), "all".into());
    world.keys.insert("graph.since".to_owned(), "2025-08-01".into());
    let seen = shown(&world, &["check"], 3);
    for line in [
        "error: dataverse: permission missing: the environment has no application user",
        "; add an application user for this app in the Power Platform admin center",
        "ai_interaction: ok, a history was read",
        "lake: ok, a file was written and removed",
        "error: 1 problem found",
    ] {
        assert!(seen.contains(line), "{line}: {seen}");
    }
}
