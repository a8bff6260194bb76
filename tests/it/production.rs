//! The page on running it in production: its commands, and those of its examples, are run.

use std::process::{Command, Output};

use copilot_lake_emulator::Scenario;

use crate::harness::{World, binary, package, text};
use crate::status::json;

/// What lies beside the page, and the page itself.
fn example(name: &str) -> String {
    let folder = package().parent().unwrap().join("crates/cli/examples/production");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Runs commands in the world's folder, which stands for every place that they name.
fn shell(world: &World, script: &str) -> Output {
    // Writes the configuration.
    drop(world.command(&[]));
    let (binary, folder) = (binary(), world.folder.path());
    let here = folder.to_str().unwrap();
    let places = [
        ("/usr/local/bin/copilot-lake", binary.to_str().unwrap().to_owned()),
        ("/etc/copilot-lake", here.to_owned()),
        ("/var/lib/copilot-lake", here.to_owned()),
        ("/backup", format!("{here}/backup")),
        ("/srv", format!("{here}/srv")),
    ];
    let script = places.iter().fold(script.to_owned(), |script, (place, here)| script.replace(place, here));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    Command::new("sh").args(["-ec", &script]).env_clear().env("PATH", path).current_dir(folder).output().unwrap()
}

/// Puts the script for monitors where the page runs it.
fn with_alert(world: World) -> World {
    let script = package().parent().unwrap().join("crates/cli/examples/production/alert.sh");
    std::fs::copy(script, world.folder.path().join("alert.sh")).unwrap();
    world
}

/// The exit code of the alert, and what it says.
fn alert(world: &World) -> (Option<i32>, String) {
    let output = shell(world, "./alert.sh --config /etc/copilot-lake/copilot-lake.toml");
    (output.status.code(), text(&[output.stdout, output.stderr].concat()))
}

#[test]
fn the_alert_says_why_somebody_should_look() {
    let rows = "[[table]]\nname = \"msdyn_copilotevent\"\nrows = 40\nweeks = 2\n";
    let refused =
        "[[fault]]\nat = \"page\"\ntable = \"msdyn_copilotevent\"\nnumber = 1\ntimes = 1\nkind = \"403_member\"";
    let world = with_alert(World::parse(&format!("{rows}{refused}")));
    world.extract(&[], 3);
    assert_eq!(alert(&world), (Some(1), "1 slices failed\n".to_owned()));
    world.extract(&[], 0);
    assert_eq!(alert(&world), (Some(0), "ok\n".to_owned()));

    let world = with_alert(World::parse(&format!("clock = 2025-11-05T12:00:00Z\n{rows}")));
    world.extract(&[], 0);
    let (code, said) = alert(&world);
    assert!(code == Some(1) && said.starts_with("what was read is ") && said.ends_with(" hours old\n"), "{said}");
}

#[test]
fn the_command_lines_of_schedulers_run() {
    let world = World::new(Scenario::rows(30, 1));
    let find = |name: &str, words: &str| {
        let lines = example(name);
        lines.lines().find_map(|line| Some(line.split_once(words)?.1.to_owned())).unwrap()
    };
    // After the five fields of the time and the user.
    let cron = find("copilot-lake.cron", "0 1 * * * copilot-lake ");
    assert!(!cron.contains('%'), "cron makes lines of it: {cron}");
    let arguments = find("cronjob.yaml", "args: [").replace("]", "").replace(", ", " ");
    let commands = [cron, find("copilot-lake.service", "ExecStart="), format!("copilot-lake {arguments}")];
    let summary = world.folder.path().join("last-run.json");
    for (command, has_summary) in commands.iter().zip([true, true, false]) {
        let output = shell(&world, command);
        assert_eq!(output.status.code(), Some(0), "{command}: {}", text(&output.stderr));
        if has_summary {
            let run: serde_json::Value = serde_json::from_slice(&std::fs::read(&summary).unwrap()).unwrap();
            assert_eq!(run["outcome"], "complete", "{command}: {run}");
            std::fs::remove_file(&summary).unwrap();
        }
        if command.contains("--quiet") {
            assert_eq!(text(&[output.stdout, output.stderr].concat()), "", "cron mails what is said: {command}");
        }
    }
}

#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let mut world = with_alert(World::new(Scenario::rows(100, 1)));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let folder = world.folder.path().to_owned();
    for made in ["backup", "srv"] {
        std::fs::create_dir(folder.join(made)).unwrap();
    }
    let page = example("README.md");
    let mut blocks: Vec<_> =
        page.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0.to_owned()).collect();
    let mut run = |words: &str| {
        let at = blocks.iter().position(|block| block.contains(words)).unwrap_or_else(|| panic!("no block: {words}"));
        let block = blocks.remove(at);
        let output = shell(&world, &block);
        assert_eq!(output.status.code(), Some(0), "{block}{}", text(&output.stderr));
        text(&output.stdout)
    };
    let events = |lake: &str| world.sql_of(&folder.join(lake), "SELECT count(*) FROM msdyn_copilotevent");
    assert!(run("./alert.sh").ends_with("\nok\n"), "nothing is wrong");
    run("cp -a /var/lib/copilot-lake/lake /backup/");
    run("cp -a /backup/");
    world.check_lake();
    world.check_complete();
    run("--shard");
    assert_eq!(events("again"), events("lake"));
    for name in ["prod.toml", "test.toml"] {
        std::fs::copy(folder.join("copilot-lake.toml"), folder.join(name)).unwrap();
    }
    run("--config prod.toml");
    assert_eq!([events("prod"), events("test")], [events("lake"), events("lake")]);
    let before = events("lake");
    run("mv /var/lib/copilot-lake/lake /srv/");
    assert_eq!((events("srv/lake"), folder.join("lake").exists()), (before, false));
    assert!(blocks.is_empty(), "not run: {blocks:?}");
}

#[test]
fn a_night_adds_three_objects_for_a_table_to_the_archive() {
    let mut world = World::new(Scenario::rows(300, 2));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let objects =
        || crate::status::listing(&world.lake().join("_raw")).into_keys().filter(|path| path.is_file()).count();
    let first = objects();
    world.extract(&[], 0);
    // Those of activities, and people.
    let tables = copilot_lake_tables::dataverse_tables().count() + 1;
    let added = objects() - first;
    assert!(added > 0 && added <= 3 * tables, "{added} objects for {tables} tables");
}

#[test]
fn the_page_names_the_fields_that_there_are() {
    let world = World::new(Scenario::rows(3, 1));
    world.extract(&[], 0);
    let found = json(&world);
    let page = example("README.md");
    let fields: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(fields.len() >= 7, "{fields:?}");
    assert!(fields.iter().all(|field| found.get(field).is_some()), "{fields:?}: {found}");
}
