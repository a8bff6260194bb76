//! A row that breaks every page with it: what is requested, and what a kill between two halves leaves.

use std::process::Stdio;

use crate::harness::World;
use crate::status;

const WINDOW: &str = "createdon%20ge%202025-10-28T10%3A00%3A00Z%20and%20createdon%20lt%202025-10-28T10%3A00%3A01Z";

fn world() -> World {
    let mut world = World::parse(
        "seed = 51
        clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 200
        weeks = 2
        [[table.row]]
        values = { msdyn_verbatim = \"unreadable\", createdon = 2025-10-28T10:00:00Z }
        [[fault]]
        at = \"page\"
        every = 1
        holding = \"unreadable\"
        kind = \"500\"
        [[phase]]
        clock = 2025-11-05T13:00:00Z
        [[phase]]
        clock = 2025-11-05T14:00:00Z
        [[phase]]
        clock = 2025-11-05T15:00:00Z",
    );
    world.keys.insert("dataverse.page_size".to_owned(), 50.into());
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    world
}

/// The requests for windows of the first pass, from this request on.
fn first_pass(world: &World, from: usize) -> Vec<String> {
    let requests = world.emulator.requests().into_iter().skip(from);
    requests
        .map(|request| request.url)
        .filter(|url| url.contains("$filter=createdon%20ge") || url.contains("$filter=%28createdon%20ge"))
        .collect()
}

/// Asserts that everything but the row is there, and that nothing was done twice.
fn check(world: &World, failed: &str) {
    world.check_lake();
    assert_eq!(world.sql("SELECT count(*) FROM msdyn_copilotevent"), [["200"]]);
    let unreadable = world
        .sql("SELECT window_start, window_end, count(*) FROM extraction_slice WHERE status = 'failed' GROUP BY 1, 2");
    assert_eq!(unreadable, [["2025-10-28T10:00:00Z", "2025-10-28T10:00:01Z", failed]]);
}

#[test]
fn a_kill_between_two_halves_loses_and_doubles_nothing() {
    let world = world();
    for parts in [4, 9] {
        let mut run = world.command(&["extract", "-q"]).stderr(Stdio::null()).spawn().unwrap();
        let from = world.emulator.requests().len();
        // Some parts of its week have been requested by then.
        let has_halved = |url: &String| !url.contains("T00%3A00%3A00Z%20and%20createdon%20lt");
        let halves = || first_pass(&world, from).iter().filter(|url| has_halved(url)).count();
        assert!(world.wait_until(&mut run, || halves() >= parts), "it ended before it was killed");
        run.kill().unwrap();
        run.wait().unwrap();
    }
    world.extract(&[], 3);
    check(&world, "1");
    let told = status::json(&world);
    assert_eq!((&told["failed_slices"], &told["skipped_slices"]), (&1.into(), &0.into()), "{told}");
    let table = status::table(&told, "msdyn_copilotevent");
    assert_eq!(table["read_from"], "1753-01-01T00:00:00Z", "a row that cannot be read ends no chain: {table}");
    let twice = world.sql(
        "SELECT window_start FROM extraction_slice WHERE clock = 'createdon' AND status = 'done' \
         AND table_name = 'msdyn_copilotevent' GROUP BY 1 HAVING count(*) > 1",
    );
    assert!(twice.is_empty(), "what was done was asked again: {twice:?}");

    // The next run asks for it alone, once.
    world.emulator.advance().unwrap();
    let from = world.emulator.requests().len();
    world.extract(&[], 3);
    let asked = first_pass(&world, from);
    assert!(asked.len() <= 3 && asked.iter().all(|url| url.contains(WINDOW)), "{asked:?}");
    check(&world, "2");

    // Everything again: the same, found anew.
    world.emulator.advance().unwrap();
    world.extract(&["--full"], 3);
    check(&world, "3");
    let since = world.sql("SELECT DISTINCT date_trunc('minute', as_of) FROM extraction_slice WHERE status = 'failed'");
    assert_eq!(since, [["2025-11-05T12:00:00Z"]], "since it failed first");

    // A window that is read again moves no watermark: it is not remembered.
    world.emulator.advance().unwrap();
    world.extract(&["--since", "2025-10-28", "--until", "2025-10-29"], 3);
    let marks = world.sql("SELECT count(*), count(done_until) FROM extraction_slice WHERE status = 'failed'");
    assert_eq!(marks, [["4", "3"]]);
}
