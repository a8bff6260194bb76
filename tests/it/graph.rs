//! Histories of Microsoft 365 Copilot: whose are read, in which windows, and what is reported.

use std::collections::BTreeSet;

use copilot_lake_emulator::RecordedRequest;

use crate::harness::{World, of_table, text};

/// A tenant in which no interaction arrives late.
pub(crate) fn tenant(toml: &str) -> World {
    World::parse(&format!("clock = 2025-11-05T12:00:00Z\n[graph]\nlate = {{ share = 0.0 }}\n{toml}"))
}

/// The history requests that the emulator received, from this one on, with decoded URLs.
pub(crate) fn histories(world: &World, from: usize) -> Vec<RecordedRequest> {
    let requests = world.emulator.requests().into_iter().skip(from).filter(|request| request.kind == "history");
    let decode = |request: RecordedRequest| RecordedRequest { url: decoded(&request.url), ..request };
    requests.map(decode).collect()
}

fn decoded(url: &str) -> String {
    let mut bytes = url.bytes();
    let mut text = Vec::new();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(text).unwrap()
}

pub(crate) fn asked(world: &World, from: usize) -> BTreeSet<String> {
    histories(world, from).into_iter().filter_map(|request| request.user).collect()
}

/// The requested windows: after and before which second.
fn windows(world: &World, from: usize) -> BTreeSet<(String, String)> {
    let bound = |url: &str, sign: &str| {
        let (_, after) = url.split_once(&format!("createdDateTime {sign} "))?;
        Some(after.split([' ', '&']).next()?.to_owned())
    };
    let window = |url: &str| Some((bound(url, "gt")?, bound(url, "lt")?));
    histories(world, from).iter().map(|request| window(&request.url).expect("both bounds")).collect()
}

fn one_window(after: &str, before: &str) -> BTreeSet<(String, String)> {
    [(after.to_owned(), before.to_owned())].into()
}

#[test]
fn a_scope_is_groups_and_names_and_exclude_wins() {
    const GROUP: &str = "00000000-0000-4000-8000-0000000000a1";
    const INNER: &str = "00000000-0000-4000-8000-0000000000a2";
    const OUT: &str = "00000000-0000-4000-8000-0000000000a3";
    let id = |n: u32| format!("00000000-0000-4000-8000-00000000000{n}");
    let spelled: String = (0..8)
        .map(|n| {
            format!(
                "[[graph.user]]\nindex = {n}\nid = \"{}\"\nupn = \"user{n}@contoso.example\"\nlicensed = false\n",
                id(n)
            )
        })
        .collect();
    let mut world = tenant(&format!(
        "users = 12\ninteractions = 300\n{spelled}
        [[graph.group]]\nid = \"{GROUP}\"\nmembers = [0, 1]\ngroups = [\"{INNER}\"]
        [[graph.group]]\nid = \"{INNER}\"\nmembers = [1, 2, 3]
        [[graph.group]]\nid = \"{OUT}\"\nmembers = [2]"
    ));
    world = world.of_graph("", "2025-08-01");
    let list = |texts: &[&str]| toml::Value::from(texts.to_vec());
    world.keys.insert(
        "graph.users".to_owned(),
        list(&[&format!("group:{GROUP}"), "USER5@contoso.example", &id(6), "nobody@contoso.example"]),
    );
    world.keys.insert("graph.exclude".to_owned(), list(&[&format!("group:{OUT}"), "user3@contoso.example", &id(6)]));
    let summary = world.extract(&[], 3);
    assert_eq!(asked(&world, 0), [0, 1, 5].map(id).into(), "excluded ones are never asked for");
    let of = of_table(&summary, "ai_interaction");
    assert_eq!((&of["slices_done"], &of["slices_skipped"]), (&3.into(), &1.into()), "{summary}");
    let skipped = world.sql("SELECT scope, reason FROM extraction_slice WHERE status = 'skipped'");
    assert_eq!(skipped, [["nobody@contoso.example", "the directory has no such user"]]);
    assert_eq!(world.sql("SELECT count(*) FROM graph_user"), [["3"]]);
    world.check_histories(&world.users_read());
}

#[test]
fn a_permission_that_is_missing_is_named() {
    let world = tenant("users = 5\ninteractions = 50\nroles = [\"User.Read.All\"]").of_graph("all", "2025-08-01");
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("AiEnterpriseInteraction.Read.All is not granted"), "{told}");
    assert_eq!(asked(&world, 0), BTreeSet::new(), "it is known before anybody is asked for");

    let world = tenant("users = 30\ninteractions = 50\ndeleted = 0.0\neveryone_forbidden = true");
    let world = world.of_graph("all", "2025-08-01");
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("AiEnterpriseInteraction.Read.All"), "{told}");
    let rows = world.sql("SELECT DISTINCT status, done_until FROM extraction_slice WHERE source = 'graph'");
    assert_eq!(rows, [["failed", "-"]], "nobody's watermark moved");

    let world = tenant("users = 5\ninteractions = 50\nroles = [\"AiEnterpriseInteraction.Read.All\"]");
    let world = world.of_graph("licensed", "2025-08-01");
    let output = world.run(&["extract"]);
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(5) && told.contains("User.Read.All"), "{told}");
}

#[test]
fn windows_have_both_bounds_in_whole_seconds_and_text_and_ids_reach_no_log() {
    let world = tenant(
        "users = 6\ninteractions = 200\nlicensed = 1.0\nwhole_seconds = true
        [[graph.user]]\nindex = 0\nstatus = 403
        [[graph.interaction]]\nuser = 1\nvalues = { body = { contentType = \"text\", content = \"a confession of mine\" } }
        [[graph.interaction]]\nuser = 1\njson = { createdDateTime = '\"a confession time\"' }
        [[fault]]\nat = \"history\"\nnumber = 3\nkind = \"not_json\"
        [[fault]]\nat = \"history\"\nnumber = 4\nkind = \"cut_body\"",
    );
    let world = world.of_graph("all", "2025-08-01");
    let output = world.run(&["extract", "-vv", "--log", "json"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "one of six is more than 5 %: {told}");
    assert!(!told.contains("confession"), "{told}");
    let ids: Vec<_> = world.sql("SELECT user_id, user_principal_name FROM graph_user").into_iter().flatten().collect();
    assert_eq!(ids.len(), 12);
    for id in ids {
        assert!(!told.contains(&id), "{id} is in the log: {told}");
    }
    assert_eq!(windows(&world, 0), one_window("2025-07-31T23:59:59Z", "2025-11-05T12:00:00Z"));
}

#[test]
fn a_window_is_read_again_and_moves_no_watermark() {
    let world = tenant("users = 6\ninteractions = 600\nlicensed = 1.0\ndays = 20\nend = 2025-11-04");
    let world = world.of_graph("all", "2025-10-01");
    world.extract(&[], 0);
    let users = world.users_read();
    let from = world.emulator.requests().len();
    world.extract(&["--since", "2025-10-20", "--until", "2025-10-21"], 0);
    assert_eq!(windows(&world, from), one_window("2025-10-19T23:59:59Z", "2025-10-21T00:00:00Z"));
    world.check_histories(&users);
    let marks = world.sql("SELECT DISTINCT done_until FROM extraction_slice WHERE source = 'graph'");
    assert_eq!(marks, [["2025-11-05T12:00:00Z"]], "each row has the watermark");
    let from = world.emulator.requests().len();
    world.extract(&[], 0);
    let overlap = one_window("2025-11-04T11:59:59Z", "2025-11-05T12:00:00Z");
    assert_eq!(windows(&world, from), overlap, "of a day");
    let from = world.emulator.requests().len();
    world.extract(&["--full"], 0);
    assert_eq!(windows(&world, from), one_window("2025-09-30T23:59:59Z", "2025-11-05T12:00:00Z"));
    world.check_histories(&users);
    world.check_lake();
}

#[test]
fn more_classes_or_an_earlier_start_read_what_is_missing() {
    const WORD: &str = "IPM.SkypeTeams.Message.Copilot.Word";
    // Which of two runs came last is told by the clock: it must go on.
    let phases = (1..4).map(|n| format!("[[phase]]\nclock = 2025-11-05T12:{n}0:00Z\n")).collect::<String>();
    let mut world = tenant(&format!(
        "users = 4\ninteractions = 900\nlicensed = 1.0\ndays = 20\nend = 2025-11-04\nquiet = 0.0\n{phases}"
    ));
    world = world.of_graph("all", "2025-10-28");
    world.keys.insert("graph.app_classes".to_owned(), toml::Value::from(vec![WORD]));
    world.extract(&[], 0);
    assert_eq!(world.sql("SELECT DISTINCT app FROM ai_interaction"), [["Word"]]);
    world.keys.remove("graph.app_classes");
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.keys.insert("graph.since".to_owned(), "2025-10-01".into());
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_histories(&world.users_read());
    let from = world.emulator.requests().len();
    world.keys.insert("graph.since".to_owned(), "2025-10-28".into());
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert_eq!(windows(&world, from), one_window("2025-11-04T12:19:59Z", "2025-11-05T12:30:00Z"));
}

#[test]
fn check_and_plan_say_what_a_run_would_meet() {
    let world = tenant("users = 30\ninteractions = 900\nlicensed = 1.0\ndeleted = 0.0\nquiet = 0.0");
    let world = world.of_graph("licensed", "2025-08-01");
    let output = world.run(&["check"]);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    for line in [
        "sign-in to Graph: ok, with AiEnterpriseInteraction.Read.All, User.Read.All and GroupMember.Read.All",
        "graph_user: ok, 30 users on the first page",
        "ai_interaction: ok, a history was read",
        "lake: ok",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let kinds = world.emulator.served().requests;
    assert_eq!((kinds["history"], kinds["users"]), (1, 1), "the cheapest calls there are");
    let output = world.run(&["plan"]);
    let plan = text(&output.stdout);
    assert!(plan.starts_with("ai_interaction: 30 users in scope, 30 due; 0 rows in the lake"), "{plan}");
    assert!(!world.lake().exists(), "plan changes nothing");
    let from = world.emulator.requests().len();
    world.extract(&[], 0);
    let calls = histories(&world, from).len();
    assert!(calls >= 60, "two folders of each");
    let plan = text(&world.run(&["plan"]).stdout);
    assert!(plan.contains("30 calls for histories at least"), "a day of 97: {plan}");

    let world = tenant("users = 3\ninteractions = 9\nroles = [\"User.Read.All\"]").of_graph("all", "2025-08-01");
    let output = world.run(&["check"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("grant the application permission AiEnterpriseInteraction.Read.All"), "{told}");
}

#[test]
fn many_who_are_refused_keep_nobody_else_from_being_read() {
    let refused: String = (0..150)
        .map(|n| format!("[[graph.user]]\nindex = {n}\nid = \"00000000-0000-4000-8000-{n:012}\"\nstatus = 403\n"))
        .collect();
    let world = tenant(&format!(
        "users = 190\ninteractions = 400\nlicensed = 1.0\ndeleted = 0.0\ndays = 20\nend = 2025-11-05\n{refused}
        [[phase]]\nclock = 2025-11-06T12:00:00Z\ngraph = {{ interactions = 200 }}"
    ));
    let world = world.of_graph("licensed", "2025-10-01");
    // The directory says of them that they are licensed: of those who come first in it nobody is read.
    let output = world.run(&["extract"]);
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    // Now it is known of whom nothing is to be expected.
    for _ in 0..2 {
        world.emulator.advance().unwrap_or_default();
        let summary = world.extract(&[], 3);
        let of = of_table(&summary, "ai_interaction");
        assert_eq!((&of["slices_done"], &of["slices_skipped"]), (&40.into(), &150.into()), "{summary}");
        world.check_histories(&world.users_read());
        world.check_lake();
    }
}

#[test]
fn a_window_that_was_read_again_doubles_nothing_afterwards() {
    let world = tenant("users = 6\ninteractions = 2000\nlicensed = 1.0\ndays = 5\nend = 2025-11-05\nquiet = 0.0");
    let world = world.of_graph("all", "2025-10-28");
    world.extract(&[], 0);
    let users = world.users_read();
    for arguments in [
        &["--since", "2025-11-01", "--until", "2025-11-02"][..],
        &[],
        &["--since", "2025-11-05T10:00:00Z"],
        &[],
        &["--full"],
        &[],
    ] {
        world.extract(arguments, 0);
        world.check_lake();
        world.check_histories(&users);
    }
}

#[test]
fn a_deleted_user_who_is_named_is_asked_once() {
    const LEAVER: &str = "00000000-0000-4000-8000-0000000000b1";
    let world = tenant(&format!(
        "users = 4\ninteractions = 300\nlicensed = 1.0\ndeleted = 0.0\nend = 2025-11-04\nquiet = 0.0
        [[graph.user]]\nindex = 1\nid = \"{LEAVER}\"\ndeleted = 2025-11-03T10:00:00Z"
    ));
    let mut world = world.of_graph("", "2025-07-01");
    world.keys.insert("graph.users".to_owned(), toml::Value::from(vec![LEAVER]));
    world.extract(&[], 0);
    assert_eq!(asked(&world, 0), [LEAVER.to_owned()].into());
    let from = world.emulator.requests().len();
    for _ in 0..2 {
        world.extract(&[], 0);
    }
    assert_eq!(asked(&world, from), BTreeSet::new());
    world.check_lake();
    world.check_histories(&[LEAVER.to_owned()].into());
}
