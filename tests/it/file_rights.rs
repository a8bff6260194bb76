//! Whom the umask would let read: a lake, its archive, a summary and outputs belong to their user unless that is changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output};

use copilot_lake_emulator::Scenario;

use crate::harness::{World, text};

/// Runs the binary under the usual umask.
fn run(world: &World, arguments: &[&str]) -> Output {
    let command = world.command(arguments);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 022; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    shell.env_clear().current_dir(world.folder.path()).output().unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// How many files and folders below a folder have each mode.
fn modes(folder: &Path) -> BTreeMap<(bool, u32), usize> {
    let mut found = BTreeMap::from([((true, mode(folder)), 1)]);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let inside = if path.is_dir() { modes(&path) } else { BTreeMap::from([((false, mode(&path)), 1)]) };
        inside.into_iter().for_each(|(mode, count)| *found.entry(mode).or_default() += count);
    }
    found
}

#[test]
fn what_is_written_is_private_unless_the_lake_is_shared() {
    for (shared, file, folder) in [(false, 0o600, 0o700), (true, 0o644, 0o755)] {
        let mut world = World::new(Scenario::rows(40, 2));
        world.keys.insert("lake.archive_raw".to_owned(), true.into());
        if shared {
            world.keys.insert("lake.shared".to_owned(), true.into());
        }
        let again = world.folder.path().join("made/again");
        let (raw, to) = (world.lake().join("_raw"), again.to_string_lossy().into_owned());
        for arguments in [
            &["check"][..],
            &["extract", "--summary", "summary.json"],
            &["replay", raw.to_str().unwrap(), "--lake", &to],
            &["query", "--sql", "SELECT 1 AS a", "--output", "out.csv"],
            &["query", "--sql", "SELECT 1 AS a", "--output", "out.parquet"],
        ] {
            let output = run(&world, arguments);
            assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        }
        for place in [world.lake(), world.folder.path().join("made")] {
            let found = modes(&place);
            let kinds: Vec<_> = found.keys().copied().collect();
            assert_eq!(kinds, [(false, file), (true, folder)], "{}", place.display());
            assert!(found.values().sum::<usize>() > 50, "{found:?}");
        }
        for name in ["summary.json", "out.csv", "out.parquet"] {
            assert_eq!(mode(&world.folder.path().join(name)), file, "{name}");
        }
    }
}

#[test]
fn an_output_over_a_closed_file_stays_closed() {
    let mut world = World::new(Scenario::rows(10, 1));
    world.extract(&[], 0);
    world.keys.insert("lake.shared".to_owned(), true.into());
    for (name, before, after) in [("a.csv", 0o600, 0o600), ("b.csv", 0o640, 0o640), ("c.csv", 0o666, 0o644)] {
        let path = world.folder.path().join(name);
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(before)).unwrap();
        let output = run(&world, &["query", "--sql", "SELECT 1 AS a", "--output", name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!((mode(&path), std::fs::read_to_string(&path).unwrap().as_str()), (after, "a\n1\n"), "{name}");
    }
    let summary = world.folder.path().join("summary.json");
    std::fs::set_permissions(&summary, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(run(&world, &["extract", "--summary", "summary.json"]).status.success());
    assert_eq!(mode(&summary), 0o600);
}

#[test]
fn another_name_of_the_standard_output_is_written_to_and_not_replaced() {
    let world = World::new(Scenario::rows(10, 1));
    world.extract(&[], 0);
    let (link, seen) = (world.folder.path().join("stdout.csv"), world.folder.path().join("seen"));
    // What `/dev/stdout` is, in a folder of our own.
    symlink("/dev/fd/1", &link).unwrap();
    let mut file = File::create(&seen).unwrap();
    file.write_all(b"before\n").unwrap();
    let arguments = ["query", "-q", "--sql", "SELECT 1 AS a", "--output", "stdout.csv"];
    let status = world.command(&arguments).stdout(file).status().unwrap();
    assert!(status.success());
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "before\na\n1\n");
    assert!(link.is_symlink(), "a file took its place");
}

#[test]
fn no_link_leads_a_write_or_a_replay_elsewhere() {
    let mut world = World::new(Scenario::rows(10, 1));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let victim = world.folder.path().join("victim");
    let lock = world.lake().join("_lock");
    std::fs::write(&victim, "mine").unwrap();
    std::fs::remove_file(&lock).unwrap();
    symlink(&victim, &lock).unwrap();
    symlink(&victim, world.folder.path().join("out.csv.partial")).unwrap();
    let raw = world.lake().join("_raw");
    symlink(world.folder.path(), raw.join("elsewhere")).unwrap();
    let refused = "it is a symbolic link, which is not followed";
    for (arguments, name) in [
        (&["extract"][..], "_lock"),
        (&["query", "--sql", "SELECT 1 AS a", "--output", "out.csv"], "out.csv.partial`"),
        (&["replay", raw.to_str().unwrap(), "--lake", "again"], "elsewhere"),
    ] {
        let output = world.run(arguments);
        let message = text(&output.stderr);
        assert!(!output.status.success() && message.contains(&format!("{name}: {refused}")), "{message}");
    }
    assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
}
