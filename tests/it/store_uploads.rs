//! Uploads to S3 that a killed run has begun: their parts take room, and no listing of objects shows them.

use std::process::Stdio;

use copilot_lake_tables::COPILOT_EVENT;

use crate::harness::{World, text};
use crate::store_proxy::{StoreFault, StoreProxy};
use crate::store_servers::{BOTH, Kind, Server, rows, world};

/// One week of one table, too much for one request, and changes of half of it.
const LARGE: &str = "clock = 2025-11-05T12:00:00Z
[[table]]
name = \"msdyn_copilotevent\"
rows = 6000
weeks = 1
[[phase]]
clock = 2025-11-06T12:00:00Z
change = [{ table = \"msdyn_copilotevent\", every = 2, values = { msdyn_verbatim = \"changed\" } }]
";

/// Kills a run while a part of an upload is on its way, and lets that part arrive afterwards.
fn kill_during_an_upload(world: &mut World, server: &Server) -> Vec<String> {
    let proxy = StoreProxy::start(world, &server.url);
    world.store.as_mut().unwrap().1.options = Kind::S3.options(&proxy.url);
    proxy.fail("PUT", "partNumber=", 0, 1, StoreFault::Held);
    let mut run = world.command(&["extract", "-q"]).stderr(Stdio::null()).spawn().unwrap();
    assert!(world.wait_until(&mut run, || proxy.is_holding()), "it ended before");
    run.kill().unwrap();
    run.wait().unwrap();
    proxy.let_go(world);
    server.open_uploads()
}

#[test]
fn uploads_of_a_killed_run_are_aborted_by_the_next_command() {
    let server = Kind::S3.serve();
    let mut world = world(Kind::S3, &server.url, LARGE);
    world.keys.retain(|key, _| !key.starts_with("graph."));
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    let other = "lake/msdyn_copilotevent/mine.parquet";
    server.ask("POST", &format!("/{other}?uploads"));
    for command in ["extract", "maintain"] {
        let open = kill_during_an_upload(&mut world, &server);
        let own = open.iter().filter(|key| key.starts_with("lake/msdyn_copilotevent/week_start=")).count();
        assert!(own >= 1 && own + 1 == open.len(), "{open:?}");
        let aborted = format!("killed runs: {own} unfinished upload");
        if command == "maintain" {
            let told = text(&world.run(&[command, "--dry-run"]).stdout);
            assert!(told.contains(&aborted) && server.open_uploads() == open, "{told}");
        }
        let output = world.run(&[command]);
        assert!(output.status.success(), "{command}: {output:?}");
        assert!(command == "extract" || text(&output.stderr).contains(&aborted), "{output:?}");
        assert_eq!(server.open_uploads(), [other], "after {command}");
        if command == "extract" {
            world.emulator.advance().unwrap();
        }
    }
    world.extract(&[], 0);
    world.check_lake();
    world.check_rows(std::iter::once(&COPILOT_EVENT));
    assert_eq!(rows(&world)["msdyn_copilotevent"], 6000);
}

#[test]
fn an_upload_that_no_run_knows_of_is_aborted_by_maintain() {
    let server = Kind::S3.serve();
    let mut world = world(Kind::S3, &server.url, BOTH);
    world.keys.retain(|key, _| !key.starts_with("graph."));
    world.extract(&[], 0);
    // As is left when the store has begun it and the answer was lost.
    let own = format!("lake/payload/part-0199b0c3d2e1-{}.parquet", "0".repeat(32));
    let others = ["lake/payload/mine.parquet", "other/payload/part.parquet"];
    for key in others.iter().copied().chain([own.as_str()]) {
        server.ask("POST", &format!("/{key}?uploads"));
    }
    let summary = |arguments: &[&str]| -> serde_json::Value {
        let output = world.run(&[arguments, &["--log", "json"]].concat());
        assert!(output.status.success(), "{output:?}");
        serde_json::from_str(text(&output.stderr).lines().last().unwrap()).unwrap()
    };
    for command in [&["maintain", "--dry-run"][..], &["maintain"]] {
        assert!(server.open_uploads().contains(&own));
        assert_eq!(summary(command)["uploads_aborted"], 1, "{command:?}");
    }
    assert_eq!(server.open_uploads(), others);
    assert_eq!(summary(&["maintain"])["uploads_aborted"], 0);
}
