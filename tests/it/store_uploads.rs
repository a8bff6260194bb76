//! Uploads to S3 that a killed run has begun: their parts take room, and no listing of objects shows them.

use std::process::Stdio;

use copilot_lake_tables::COPILOT_EVENT;

use crate::harness::World;
use crate::store_proxy::{StoreFault, StoreProxy};
use crate::store_servers::{Kind, Server, rows, world};

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
        let output = world.run(&[command]);
        assert!(output.status.success(), "{command}: {output:?}");
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
