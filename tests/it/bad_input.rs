//! User mistakes: one line that says what happened and where, one that says what to do, and the exit code.

use std::fmt::Write as _;

use copilot_lake_emulator::Scenario;

use crate::harness::{World, expect, text};

struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    keys: &'static [(&'static str, &'static str)],
    code: i32,
}

const CASES: &[Case] = &[
    Case { name: "wrong flag", arguments: &["extract", "--fulll"], keys: &[], code: 2 },
    Case { name: "wrong table", arguments: &["extract", "--table", "msdyn_copilotevents"], keys: &[], code: 2 },
    Case { name: "wrong time", arguments: &["extract", "--since", "yesterday"], keys: &[], code: 2 },
    Case {
        name: "empty window",
        arguments: &["extract", "--since", "2025-02-01", "--until", "2025-01-01"],
        keys: &[],
        code: 2,
    },
    Case { name: "unknown key of a secret", arguments: &["extract"], keys: &[("auth.client_secrt", "abc")], code: 2 },
    Case { name: "unknown key", arguments: &["extract"], keys: &[("dataverse.page_sise", "100")], code: 2 },
    Case { name: "bad value", arguments: &["extract"], keys: &[("dataverse.overlap", "soon")], code: 2 },
    Case { name: "missing secret", arguments: &["extract"], keys: &[("auth.client_secret", "")], code: 2 },
    Case { name: "wrong secret", arguments: &["extract"], keys: &[("auth.client_secret", "wrong")], code: 5 },
    Case {
        name: "refused connection",
        arguments: &["extract"],
        keys: &[("dataverse.url", "http://127.0.0.1:1")],
        code: 1,
    },
    Case {
        name: "http to a host",
        arguments: &["extract"],
        keys: &[("dataverse.url", "http://contoso.crm.dynamics.com")],
        code: 2,
    },
    Case { name: "no lake", arguments: &["query", "feedback_rates"], keys: &[], code: 2 },
    Case { name: "status without a lake", arguments: &["status"], keys: &[], code: 2 },
    Case { name: "a format that there is not", arguments: &["status", "--format", "xml"], keys: &[], code: 2 },
    Case { name: "a flag of another command", arguments: &["status", "--full"], keys: &[], code: 2 },
    Case { name: "unknown query", arguments: &["query", "feedback_rate"], keys: &[], code: 2 },
    Case { name: "a view", arguments: &["query", "copilot_request"], keys: &[], code: 2 },
    Case {
        name: "a value of another type",
        arguments: &["query", "feedback_rates", "--param", "from=Oct"],
        keys: &[],
        code: 2,
    },
    Case {
        name: "a parameter that a text does not take",
        arguments: &["query", "--sql", "select * from m365_unused_licences", "--param", "idle_day=7"],
        keys: &[],
        code: 2,
    },
    Case { name: "an unsupported store", arguments: &["extract"], keys: &[("lake.url", "ftp://host/lake")], code: 2 },
];

#[test]
fn messages_say_what_to_do() {
    let mut seen = String::new();
    for case in CASES {
        let mut world = World::new(Scenario::rows(10, 1));
        for (key, value) in case.keys {
            world.keys.insert((*key).to_owned(), (*value).into());
        }
        let output = world.run(case.arguments);
        let folder = world.folder.path().to_string_lossy().into_owned();
        let emulator = world.emulator.url().to_string();
        let message =
            text(&output.stderr).replace(&folder, "FOLDER").replace(emulator.trim_end_matches('/'), "EMULATOR");
        assert_eq!(output.status.code(), Some(case.code), "{}: {message}", case.name);
        assert!(output.stdout.is_empty(), "{}: data where there is none", case.name);
        assert!(!message.contains("emulator-secret"), "{}: the secret is shown", case.name);
        let message = without_times(&message);
        writeln!(seen, "{} ({}), exit {}\n{}", case.name, case.arguments.join(" "), case.code, indented(&message))
            .unwrap();
    }
    expect("bad_input.txt", &seen);
}

#[test]
fn a_link_to_another_origin_is_not_followed() {
    let world = World::parse(
        "clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 100
        weeks = 1
        [[fault]]
        at = \"page\"
        table = \"msdyn_copilotevent\"
        number = 1
        matching = \"createdon lt 2025-11-02\"
        kind = \"foreign_link\"
        origin = \"http://127.0.0.2:9\"",
    );
    let summary = world.extract(&["--set", "dataverse.page_size=30"], 3);
    let reasons = summary["tables"].to_string();
    assert!(reasons.contains("another origin"), "{reasons}");
    world.check_lake();
    assert!(world.weeks("msdyn_copilotevent").is_empty(), "a slice is committed as a whole");
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_lake_has_one_writer() {
    let world = World::parse(
        "[[table]]
        name = \"msdyn_copilotevent\"
        rows = 50
        weeks = 1
        [[fault]]
        at = \"page\"
        number = 1
        kind = \"slow\"
        ms = 5000",
    );
    let mut first = world.command(&["extract", "-q"]).spawn().unwrap();
    assert!(world.wait_until(&mut first, || world.emulator.request_counts().contains_key("page")), "it ended before");
    let second = world.run(&["extract"]);
    let message = text(&second.stderr);
    assert_eq!(second.status.code(), Some(4), "{message}");
    assert!(message.starts_with("error: another run holds the lake: 20"), "{message}");
    assert_eq!(message.lines().count(), 2, "{message}");
    let first = first.wait_with_output().unwrap();
    assert!(first.status.success());
    assert_eq!(world.sql("SELECT count(*) FROM extraction_run"), [["1"]], "the second run changes nothing");
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_window_that_begins_in_the_future_is_said_to() {
    let world = World::new(Scenario::rows(10, 1));
    let output = world.run(&["extract", "--since", "2999-01-01"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("error: the window begins at 2999-01-01T00:00:00Z, which lies ahead: it is 20"), "{told}");
    assert!(told.contains("hint: `--since` is a time in the past") && !told.contains("--until"), "{told}");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Without what differs from run to run: elapsed times and the service's request ids.
pub(crate) fn without_ids(message: &str) -> String {
    let is_id = |word: &str| {
        let word = word.trim_end_matches(',');
        word.len() == 36 && word.bytes().filter(|c| *c == b'-').count() == 4
    };
    let line = |line: &str| {
        let words = line.split(' ').map(|word| if is_id(word) { "ID" } else { word });
        words.collect::<Vec<_>>().join(" ")
    };
    without_times(&message.lines().map(line).collect::<Vec<_>>().join("\n"))
}

/// Elapsed times differ from run to run.
fn without_times(message: &str) -> String {
    let is_time = |word: &&str| word.contains('.') && word.parse::<f64>().is_ok();
    let line = |line: &str| {
        line.split(' ').map(|word| if is_time(&word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ")
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
}
