//! `status`: what it says of a lake in each condition, and that it asks nobody and changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use crate::graph::tenant;
use crate::harness::{World, expect, text};

/// Every file of a folder with its size and the time of its last change.
pub(crate) fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let of = std::fs::metadata(&path).unwrap();
        if path.is_dir() {
            found.extend(listing(&path));
        }
        found.insert(path, (of.len(), of.modified().unwrap()));
    }
    found
}

/// Runs `status`, which must end with 0, ask no service and change nothing.
fn status(world: &World, arguments: &[&str]) -> String {
    let (requests, before) = (world.emulator.requests().len(), listing(&world.lake()));
    let output = world.run(&[&["status"][..], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(world.emulator.requests().len(), requests, "a service was asked");
    assert_eq!(listing(&world.lake()), before, "the lake was changed");
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

/// The status of the lake.
pub(crate) fn json(world: &World) -> Value {
    serde_json::from_str(&status(world, &["--format", "json"])).unwrap()
}

pub(crate) fn table<'v>(status: &'v Value, name: &str) -> &'v Value {
    let mut tables = status["tables"].as_array().unwrap().iter();
    tables.find(|table| table["table"] == name).unwrap_or_else(|| panic!("{name} is not in {status}"))
}

/// Without what differs from run to run: seconds, ages, ids of runs, the widths of columns.
fn masked(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let word = |(at, word): (usize, &&str)| match (*word, words.get(at + 1)) {
            (_, Some(&("s" | "min" | "days" | "days:"))) => "N".to_owned(),
            (word, _) if word.len() == 25 && word.contains("Z-") => "RUN".to_owned(),
            (word, _) if word.starts_with("2025-11-05T12:") => "2025-11-05T12:*".to_owned(),
            (word, _) if word.starts_with("127.0.0.1:") => "HOST".to_owned(),
            (word, _) => word.to_owned(),
        };
        words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

const ROW: &str = "00000000-0000-4000-8000-000000000001";

#[test]
fn each_condition_is_told() {
    let mut seen = String::new();
    let mut show = |title: &str, world: &World| {
        writeln!(seen, "## {title}\n{}\n", masked(&status(world, &[]))).unwrap();
    };
    // A week is refused once; a File fails in the first two runs; the service has no such table.
    let events = format!(
        "seed = 17
        clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 400
        weeks = 3
        [[table.row]]
        values = {{ msdyn_copiloteventid = \"{ROW}\", partitionid = \"p\", createdon = 2025-10-27T10:00:00Z }}
        payload_text = \"late\"\n"
    );
    let mut world = World::parse(&format!(
        "{events}[[table]]
        name = \"msdyn_copilottranscript\"
        absent = true
        [[fault]]
        at = \"page\"
        number = 1
        times = 1
        matching = \"createdon ge 2025-10-19\"
        kind = \"403_privilege\"
        [[fault]]
        at = \"file\"
        every = 1
        matching = \"{ROW}\"
        kind = \"500\""
    ))
    .with_views();
    world.keys.insert(
        "dataverse.tables".to_owned(),
        toml::Value::from(vec!["msdyn_copilotevent", "msdyn_copilottranscript"]),
    );
    world.extract(&[], 3);
    show("a week and a payload failed, and a table is missing", &world);
    let found = json(&world);
    assert_eq!((&found["failed_slices"], &found["payloads_failed"]), (&1.into(), &1.into()), "{found}");
    assert_eq!(
        table(&found, "msdyn_copilotevent")["read_from"],
        "2025-10-26T00:00:00Z",
        "the chain begins after the gap"
    );
    assert_eq!(found["last_complete_at"], Value::Null);

    world.extract(&[], 3);
    show("the week is healed", &world);
    let found = json(&world);
    assert_eq!((&found["failed_slices"], &found["payloads_due"]), (&0.into(), &1.into()), "{found}");
    assert_eq!(table(&found, "msdyn_copilotevent")["read_from"], "1753-01-01T00:00:00Z");

    // Everything that was in the way is over.
    let later = events.replace("T12:00:00Z\n", "T12:30:00Z\n");
    world.serve(&format!("{later}[[table]]\nname = \"msdyn_copilottranscript\"\nrows = 3\nweeks = 1\n"));
    world.extract(&[], 0);
    let found = json(&world);
    let open = ["failed_slices", "skipped_slices", "payloads_due", "payloads_failed", "problems"];
    assert_eq!(open.map(|name| &found[name]), [&Value::from(0); 5], "{found}");
    let hint = "no run has started for";
    assert!(found["hints"].as_array().unwrap().iter().all(|of| of.as_str().unwrap().starts_with(hint)), "{found}");

    std::fs::remove_dir_all(world.lake().join("msdyn_copilotevent/_delta_log")).unwrap();
    show("the log of a table is lost", &world);
    assert_eq!(json(&world)["problems"], 1);
    expect("status.txt", &seen);
}

#[test]
fn users_who_are_skipped_hold_nobody_up() {
    let world = tenant(
        "users = 24\ninteractions = 300\ndays = 20\nlicensed = 1.0\ndeleted = 0.0
        [[graph.user]]\nindex = 0\nstatus = 404\ncode = \"ResourceNotFound\"
        [[phase]]\nclock = 2025-11-06T12:00:00Z
        [[phase]]\nclock = 2025-11-07T12:00:00Z",
    );
    let world = world.of_graph("all", "2025-10-01");
    world.extract(&[], 0);
    for (day, phase) in ["2025-11-05", "2025-11-06", "2025-11-07"].into_iter().enumerate() {
        if day > 0 {
            world.emulator.advance().unwrap();
            world.extract(&[], 0);
        }
        let found = json(&world);
        let histories = table(&found, "ai_interaction");
        assert!(histories["read_until"].as_str().unwrap().starts_with(&format!("{phase}T12:00")), "{histories}");
        assert_eq!(histories["users"], serde_json::json!({"in_scope": 24, "done": 23}));
        assert_eq!((&histories["failed_slices"], &histories["skipped_slices"]), (&0.into(), &1.into()));
        let shown = status(&world, &[]);
        assert!(
            shown.contains("skipped, because the service does not serve it:\n- ai_interaction: 1 history"),
            "{shown}"
        );
        // Nobody is named.
        assert!(!shown.contains("00000000-0000-4000") && !shown.contains("@contoso"), "{shown}");
    }
}

#[test]
fn a_history_that_failed_is_open_until_it_is_read() {
    const USER: &str = "00000000-0000-4000-8000-00000000f000";
    let world = tenant(&format!(
        "users = 5\ninteractions = 50\ndays = 10\nlicensed = 1.0\ndeleted = 0.0
        [[graph.user]]\nindex = 0\nid = \"{USER}\"\ninteractions = 450
        [[fault]]\nat = \"history\"\nmatching = \"{USER}\"\nnumber = 3\nkind = \"foreign_link\"
        [[phase]]\nclock = 2025-11-05T13:00:00Z"
    ));
    let world = world.of_graph("all", "2025-10-20");
    world.extract(&[], 3);
    let found = json(&world);
    assert_eq!(table(&found, "ai_interaction")["users"], serde_json::json!({"in_scope": 5, "done": 4}));
    let failure = &table(&found, "ai_interaction")["failures"][0];
    assert_eq!((&failure["status"], &failure["slices"]), (&"failed".into(), &1.into()), "{failure}");
    assert!(!failure.to_string().contains(USER), "{failure}");
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    let found = json(&world);
    assert_eq!((&found["failed_slices"], &found["runs"][0]["outcome"]), (&0.into(), &"complete".into()));
    assert_eq!(found["last_complete_at"], found["runs"][0]["finished_at"]);
}

#[test]
fn the_fields_for_monitors_stay() {
    let world =
        World::parse("clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 30\nweeks = 1\n");
    world.extract(&[], 0);
    let found = json(&world);
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        fields(&found),
        "at failed_slices hints lake last_complete_at max_age_seconds payloads_due payloads_failed problems runs \
         skipped_slices small_files stale_weeks tables version"
    );
    assert_eq!(
        fields(table(&found, "msdyn_copilotevent")),
        "age_seconds bytes failed_slices failures files payloads problem read_from read_until rows skipped_slices \
         small_files stale_weeks table users"
    );
    assert_eq!(fields(&table(&found, "msdyn_copilotevent")["payloads"]), "complete_weeks due failed weeks");
    assert_eq!(
        fields(&found["runs"][0]),
        "command finished_at outcome payloads payloads_failed rows_written run_id seconds slices_failed slices_skipped \
         started_at"
    );
}

#[test]
fn a_run_may_be_going_on() {
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
    let mut run = world.command(&["extract", "-q"]).spawn().unwrap();
    assert!(world.wait_until(&mut run, || world.emulator.request_counts().contains_key("page")), "it ended before");
    let output = world.run(&["status", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["runs"][0]["outcome"], &found["failed_slices"]), (&Value::Null, &0.into()), "{found}");
    assert!(run.wait_with_output().unwrap().status.success());
    assert_eq!(json(&world)["runs"][0]["outcome"], "complete");
}
