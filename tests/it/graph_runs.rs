//! Runs that read histories: their speed, and what is left behind when one is stopped, killed, or refused by the other
//! service.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use crate::graph::{asked, histories};
use crate::harness::{Numbers, World, is_soak, of_table, text};

fn requests(world: &World) -> u64 {
    world.emulator.request_counts().values().sum()
}

/// A run in progress that has made this many requests.
pub(crate) fn under_way(world: &World, arguments: &[&str], until: u64) -> Child {
    let begun = requests(world);
    let mut run = world.command(arguments).stderr(Stdio::null()).spawn().unwrap();
    assert!(world.wait_until(&mut run, || requests(world) - begun >= until), "it ended before its time");
    run
}

/// Under a rate limit, a run is nearly as fast as allowed and hardly ever refused.
#[test]
fn a_tenant_is_read_at_the_pace_that_is_asked_for() {
    let (users, interactions, rate) = if is_soak() { (20_000, 1_000_000, 150) } else { (150, 2_000, 50) };
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
    // By the real clock: it tells which of two runs, or of two rows of the ledger, came last.
    let world = World::parse(
        "seed = 9\n[graph]\nusers = 400\ninteractions = 6000\nlicensed = 1.0\nquiet = 0.0
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
        if world.wait_until(&mut run, || requests(&world) - begun >= until) {
            run.kill().unwrap();
            run.wait().unwrap();
            killed += 1;
        }
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

/// Sends the signal that stops a run, and waits for it to exit.
fn stop(mut run: Child) {
    let stopped = std::process::Command::new("kill").arg(run.id().to_string()).status().unwrap();
    assert!(stopped.success());
    assert_eq!(run.wait().unwrap().code(), Some(3));
}

#[test]
fn a_stopped_first_pass_and_its_rerun_double_nothing() {
    let world = World::parse(
        "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 60\ninteractions = 20000\nlicensed = 1.0\nquiet = 0.0
        deleted = 0.0\nlate = { share = 0.0 }",
    );
    let mut world = world.of_graph("licensed", "2025-07-01");
    world.keys.insert("graph.requests_per_second".to_owned(), 60.into());
    for until in [30, 90] {
        stop(under_way(&world, &["extract", "-q"], until));
        world.check_lake();
    }
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.extract(&[], 0);
    world.check_lake();
    let users = world.users_read();
    assert_eq!(users.len(), 60);
    world.check_histories(&users);
}

const BOTH: &str =
    "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 300\ninteractions = 6000\nlicensed = 1.0\nquiet = 0.0
    deleted = 0.0\nlate = { share = 0.0 }\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = 200\nweeks = 2\n";

/// A world with both services.
fn both(toml: &str) -> World {
    let mut world = World::parse(toml).of_graph("licensed", "2025-07-01");
    world.keys.remove("dataverse.url");
    world.keys.insert("dataverse.tables".to_owned(), toml::Value::from(vec!["msdyn_copilotevent"]));
    world
}

#[test]
fn what_a_killed_run_left_is_met_after_a_run_of_the_other_service() {
    let mut world = both(BOTH);
    world.keys.insert("graph.requests_per_second".to_owned(), 60.into());
    let mut run = under_way(&world, &["extract", "-q", "--source", "graph"], 400);
    run.kill().unwrap();
    run.wait().unwrap();
    world.extract(&["--source", "dataverse"], 0);
    assert!(!world.users_read().is_empty(), "something was committed");
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.extract(&["--source", "graph"], 0);
    world.check_lake();
    world.check_complete();
    assert_eq!(world.users_read().len(), 300);
}

#[test]
fn everything_is_read_again_once_though_one_service_was_not_through() {
    let mut world =
        both(&format!("{BOTH}[[phase]]\nclock = 2025-11-05T12:10:00Z\n[[phase]]\nclock = 2025-11-05T12:20:00Z"));
    let received =
        |summary: &serde_json::Value, table: &str| of_table(summary, table)["rows_received"].as_u64().unwrap();
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.extract(&[], 0);
    world.emulator.advance().unwrap();
    world.keys.insert("graph.requests_per_second".to_owned(), 20.into());
    let run = under_way(&world, &["extract", "-q", "--full"], 250);
    stop(run);
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.emulator.advance().unwrap();
    let plan = text(&world.run(&["plan", "--full"]).stdout);
    assert!(plan.lines().any(|line| line.starts_with("msdyn_copilotevent") && line.contains(" 0 ")), "{plan}");
    let summary = world.extract(&["--full"], 0);
    assert_eq!(received(&summary, "msdyn_copilotevent"), 0, "it was through: {summary}");
    assert!(received(&summary, "ai_interaction") > 0, "{summary}");
    let summary = world.extract(&["--full"], 0);
    assert_eq!(received(&summary, "msdyn_copilotevent"), 200, "{summary}");
    world.check_lake();
}

#[test]
fn one_service_that_refuses_keeps_the_other_from_nothing() {
    let world = both(&BOTH.replace("[graph]", "[graph]\nroles = [\"User.Read.All\"]"));
    let summary = world.extract(&[], 3);
    let early = &summary["ended_early"];
    assert_eq!((early.as_array().unwrap().len(), &early[0]["source"]), (1, &"graph".into()), "{summary}");
    let told = summary["error"].as_str().unwrap();
    assert!(told.starts_with("partial: graph was given up: ") && !told.contains("failed"), "{told}");
    assert!(told.contains("AiEnterpriseInteraction.Read.All is not granted"), "{told}");
    assert!(summary["hint"].as_str().unwrap().contains("admin consent"), "{summary}");
    assert_eq!(world.sql("SELECT count(*) FROM msdyn_copilotevent"), [["200"]]);
    assert_eq!(histories(&world, 0).len(), 0);

    let mut world = both(BOTH);
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
    world.keys.insert("dataverse.auth.client_secret".to_owned(), "another".into());
    let summary = world.extract(&[], 3);
    assert_eq!(summary["ended_early"][0]["source"], "dataverse", "{summary}");
    let told = summary["error"].as_str().unwrap();
    assert!(told.starts_with("partial: dataverse was given up: ") && !told.contains("another"), "{told}");
    assert!(summary["hint"].as_str().unwrap().contains("auth.client_id"), "{summary}");
    let users = world.users_read();
    assert_eq!(users.len(), 300);
    world.check_histories(&users);
}
