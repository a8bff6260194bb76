//! Lakes in places with odd names, and on a file system without hard links.

use std::process::{Command, Output};

use copilot_lake_emulator::Scenario;

use crate::harness::{World, binary, python, text};
use crate::preload::{Disk, preloaded};

fn world() -> World {
    World::new(Scenario::rows(60, 2))
}

fn succeeds(output: &Output, what: &str) -> String {
    assert!(output.status.success(), "{what}: {}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn paths_go_up() {
    let mut world = world();
    let inner = world.folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let run = |arguments: &[&str], world: &World| {
        // The configuration is written there; it is named by a path that goes up.
        drop(world.command(&[]));
        let mut command = Command::new(binary());
        command.args(arguments).args(["--config", "../copilot-lake.toml"]).env_clear().current_dir(&inner);
        succeeds(&command.output().unwrap(), &format!("{arguments:?}"))
    };
    let count = ["query", "--sql", "SELECT count(*) AS rows FROM msdyn_copilotevent", "--format", "csv"];
    world.keys.insert("lake.url".to_owned(), "./lake".into());
    run(&["extract"], &world);
    assert_eq!(run(&count, &world), "rows\n60\n");
    world.check_lake();
    let beside = [&["extract"][..], &["--lake", "../beside"]].concat();
    run(&beside, &world);
    run(&["check", "--lake", "../beside"], &world);
    assert_eq!(run(&[&count[..], &["--lake", "../inner/.././beside/"]].concat(), &world), "rows\n60\n");
    assert!(world.folder.path().join("beside/payload/_delta_log").is_dir());
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0);
}

#[test]
fn a_place_may_have_any_name() {
    for name in ["100%20off", "per%cent #1?", "größe's [x]*"] {
        let mut world = world();
        let place = world.folder.path().join(name).to_string_lossy().into_owned();
        world.keys.insert("lake.url".to_owned(), format!("./{name}").into());
        world.keys.insert("lake.archive_raw".to_owned(), true.into());
        let run = |arguments: &[&str]| succeeds(&world.run(arguments), &format!("{name}: {arguments:?}"));
        run(&["check"]);
        run(&["extract"]);
        // What is there is read, and nothing is double.
        run(&["extract", "--full"]);
        let count = "SELECT count(*) AS rows, count(DISTINCT msdyn_copiloteventid) AS keys FROM msdyn_copilotevent";
        assert_eq!(run(&["query", "--sql", count, "--format", "csv"]), "rows,keys\n60,60\n");
        let again = format!("./again {name}");
        run(&["replay", &place, "--lake", &again]);
        run(&["replay", &format!("{place}/_raw"), "--lake", &again]);
        assert_eq!(run(&["query", "--sql", count, "--format", "csv", "--lake", &again]), "rows,keys\n60,60\n");
        std::fs::write(world.folder.path().join("views.sql"), run(&["query", "--duckdb-views"])).unwrap();
        let script = "import duckdb; c = duckdb.connect(); c.execute(open('views.sql').read()); \
                      print(c.execute('SELECT count(*) FROM msdyn_copilotevent').fetchone()[0])";
        let output = Command::new(python()).args(["-c", script]).current_dir(world.folder.path()).output().unwrap();
        assert_eq!(succeeds(&output, name), "60\n");
    }
}

#[test]
fn a_file_system_without_hard_links_holds_a_lake() {
    let world = world();
    for arguments in [&["check"][..], &["extract"], &["extract", "--full"]] {
        let output = preloaded(&world, Disk::WithoutLinks, arguments).output().unwrap();
        succeeds(&output, &format!("{arguments:?}"));
    }
    world.check_lake();
    world.check_complete();
}
