//! Histories of Microsoft 365 Copilot: whose are read, how fast, what a run that was killed leaves, and what is told.

use std::collections::BTreeSet;
use std::process::Stdio;

use copilot_lake_emulator::Request;

use crate::harness::{Numbers, World, is_soak, text};

fn tenant(toml: &str) -> World {
    World::parse(&format!("clock = 2025-11-05T12:00:00Z\n[graph]\nlate = {{ share = 0.0 }}\n{toml}"))
}

/// The history requests that the emulator got, from that one on, their URLs decoded.
fn histories(world: &World, from: usize) -> Vec<Request> {
    let requests = world.emulator.requests().into_iter().skip(from).filter(|request| request.kind == "history");
    let decode = |request: Request| Request { url: decoded(&request.url), ..request };
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

fn requests(world: &World) -> u64 {
    world.emulator.served().requests.values().sum()
}

fn asked(world: &World, from: usize) -> BTreeSet<String> {
    histories(world, from).into_iter().filter_map(|request| request.user).collect()
}

#[test]
fn a_scope_is_groups_and_names_and_exclude_wins() {
    const GROUP: &str = "00000000-0000-4000-8000-0000000000a1";
    const INNER: &str = "00000000-0000-4000-8000-0000000000a2";
    const OUT: &str = "00000000-0000-4000-8000-0000000000a3";
    let id = |n: u32| format!("00000000-0000-4000-8000-00000000000{n}");
    let spelled: String = (0..8)
        .map(|n| format!("[[graph.user]]\nindex = {n}\nid = \"{}\"\nupn = \"user{n}@contoso.example\"\nlicensed = false\n", id(n)))
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
    let of = &summary["tables"].as_array().unwrap().iter().find(|table| table["table"] == "ai_interaction").unwrap();
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
    for request in histories(&world, 0) {
        let url = request.url;
        assert!(url.contains("createdDateTime gt 2025-07-31T23:59:59Z and createdDateTime lt 2025-11-05T12:00:00Z"), "{url}");
    }
}

#[test]
fn a_window_is_read_again_and_moves_no_watermark() {
    let world = tenant("users = 6\ninteractions = 600\nlicensed = 1.0\ndays = 20\nend = 2025-11-04");
    let world = world.of_graph("all", "2025-10-01");
    world.extract(&[], 0);
    let users = world.users_read();
    let from = world.emulator.requests().len();
    world.extract(&["--since", "2025-10-20", "--until", "2025-10-21"], 0);
    let again = histories(&world, from);
    assert!(again.iter().all(|request| request.url.contains("2025-10-21T00:00:00Z")), "{again:?}");
    world.check_histories(&users);
    let marks = world.sql("SELECT DISTINCT done_until FROM extraction_slice WHERE source = 'graph'");
    assert_eq!(marks, [["2025-11-05T12:00:00Z"]], "each row has the watermark");
    let from = world.emulator.requests().len();
    world.extract(&[], 0);
    let next = histories(&world, from);
    assert!(next.iter().all(|request| request.url.contains("2025-11-04T11")), "the overlap of a day: {next:?}");
    let from = world.emulator.requests().len();
    world.extract(&["--full"], 0);
    assert!(histories(&world, from).iter().all(|request| request.url.contains("2025-09-30T23")));
    world.check_histories(&users);
    world.check_lake();
}

#[test]
fn more_classes_or_an_earlier_start_read_what_is_missing() {
    const WORD: &str = "IPM.SkypeTeams.Message.Copilot.Word";
    let mut world = tenant("users = 4\ninteractions = 900\nlicensed = 1.0\ndays = 20\nend = 2025-11-04\nquiet = 0.0");
    world = world.of_graph("all", "2025-10-28");
    world.keys.insert("graph.app_classes".to_owned(), toml::Value::from(vec![WORD]));
    world.extract(&[], 0);
    assert_eq!(world.sql("SELECT DISTINCT app FROM ai_interaction"), [["Word"]]);
    world.keys.remove("graph.app_classes");
    world.extract(&[], 0);
    world.keys.insert("graph.since".to_owned(), "2025-10-01".into());
    world.extract(&[], 0);
    world.check_histories(&world.users_read());
    let from = world.emulator.requests().len();
    world.keys.insert("graph.since".to_owned(), "2025-10-28".into());
    world.extract(&[], 0);
    assert!(histories(&world, from).iter().all(|request| request.url.contains("2025-11-04T11")));
}

/// At a limit of the emulator's: nearly as fast as is allowed, hardly ever refused.
#[test]
fn a_tenant_is_read_at_the_pace_that_is_asked_for() {
    let (users, interactions, rate) = if is_soak() { (20_000, 1_000_000, 400) } else { (150, 2_000, 50) };
    let world = World::parse(&format!(
        "seed = 7\n[graph]\nusers = {users}\ninteractions = {interactions}\nlicensed = 1.0\ndeleted = 0.0
        late = {{ share = 0.0 }}\nlimits = {{ requests_per_second = {} }}\n[service]\nlatency_ms = 20",
        rate * 30 / 24
    ));
    let mut world = world.of_graph("licensed", "2025-07-01");
    world.keys.insert("graph.requests_per_second".to_owned(), rate.into());
    world.extract(&[], 0);
    let times: Vec<u64> = histories(&world, 0).iter().map(|request| request.at_ms).collect();
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    let pace = (times.len() - 1) as f64 * 1000.0 / (last - first) as f64;
    println!("{} histories, {pace:.1} a second of {rate}", times.len());
    assert!(pace >= 0.95 * f64::from(rate) && pace <= 1.02 * f64::from(rate), "{pace:.1} requests a second of {rate}");
    let served = world.emulator.served();
    let graph = served.graph.unwrap();
    assert!((graph.throttled as f64) < 0.001 * times.len() as f64, "{} were refused", graph.throttled);
    assert_eq!((graph.at_once, served.retry_after_violations), (0, 0));
    world.check_histories(&world.users_read());
    world.check_lake();
}

#[test]
fn a_killed_run_and_its_rerun() {
    let kills = if is_soak() { 30 } else { 5 };
    let world = World::parse(
        "seed = 9\nclock = 2025-11-05T12:00:00Z\n[graph]\nusers = 400\ninteractions = 6000\nlicensed = 1.0\nquiet = 0.0
        deleted = 0.0\nlate = { share = 0.0 }",
    );
    let mut world = world.of_graph("licensed", "2025-07-01");
    world.keys.insert("graph.requests_per_second".to_owned(), 100.into());
    let mut moments = Numbers(42);
    let (mut killed, mut spared) = (0, 0);
    for _ in 0..kills {
        let (before, begun) = (world.emulator.requests().len(), requests(&world));
        let done: BTreeSet<String> = if killed > 0 { world.users_done_by_open_runs() } else { BTreeSet::new() };
        let until = 100 + moments.next(700);
        let mut run = world.command(&["extract", "-q"]).stderr(Stdio::null()).spawn().unwrap();
        let ended = loop {
            if let Some(status) = run.try_wait().unwrap() {
                break Some(status);
            }
            if requests(&world) - begun >= until {
                run.kill().unwrap();
                run.wait().unwrap();
                break None;
            }
            std::thread::yield_now();
        };
        killed += usize::from(ended.is_none());
        spared += done.len();
        let again: Vec<_> = asked(&world, before).intersection(&done).cloned().collect();
        assert!(again.is_empty(), "done, and asked again: {again:?}");
    }
    assert!(killed >= 3 && spared > 0, "{killed} killed, {spared} not asked again");
    world.extract(&[], 0);
    world.check_lake();
    let users = world.users_read();
    assert_eq!(users.len(), 400);
    world.check_histories(&users);
    assert_eq!(world.emulator.served().graph.unwrap().at_once, 0);
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
    let plan = text(&world.run(&["plan"]).stdout);
    assert!(plan.contains(&format!("{calls} calls for histories at least")), "as many as last time: {plan}");

    let world = tenant("users = 3\ninteractions = 9\nroles = [\"User.Read.All\"]").of_graph("all", "2025-08-01");
    let output = world.run(&["check"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{told}");
    assert!(told.contains("grant the application permission AiEnterpriseInteraction.Read.All"), "{told}");
}
