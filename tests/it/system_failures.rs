//! What the operating system refuses: the message names the file, and the hint what to do about it.

use std::fs::File;
use std::process::{Command, Output};

use copilot_lake_emulator::Scenario;

use crate::harness::{World, text};

/// Runs a command with a limit of the shell.
fn limited(world: &World, limit: &str, arguments: &[&str]) -> Output {
    let command = world.command(arguments);
    let mut shell = Command::new("/bin/sh");
    // Without the signal, the system says what it refuses.
    shell.args(["-c", &format!("trap '' XFSZ; {limit} && exec \"$@\""), "sh"]);
    shell.arg(command.get_program()).args(command.get_args()).env_clear().current_dir(world.folder.path());
    shell.output().unwrap()
}

fn assert_advised(output: &Output, code: i32, words: &[&str]) {
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert!(words.iter().all(|words| told.contains(words)), "{words:?}: {told}");
    for wrong in ["os error", "the same command", "move the table's folder away", "Generic "] {
        assert!(!told.contains(wrong), "{wrong}: {told}");
    }
}

#[test]
fn a_full_disk_under_a_result_is_said() {
    let world = World::new(Scenario::rows(2000, 2));
    world.extract(&[], 0);
    for format in ["csv", "json", "table", "parquet"] {
        let mut query = world.command(&["query", "--sql", "SELECT * FROM msdyn_copilotevent", "--format", format]);
        let output = query.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
        assert_advised(
            &output,
            1,
            &["error: cannot write the result: ", "o space left on device", "hint: make room on"],
        );
    }
}

#[test]
fn a_file_that_may_not_grow_is_named_with_the_limit() {
    let world = World::new(Scenario::rows(3000, 2));
    let output = limited(&world, "ulimit -f 8", &["extract"]);
    let told = ["cannot write ", "/lake/", "File too large", "hint: raise the limit of a file's size (`ulimit -f`)"];
    assert_advised(&output, 1, &told);
    // What was begun is no hindrance.
    world.extract(&[], 0);
    world.check_lake();
    world.check_complete();
}

#[test]
fn a_place_that_this_user_may_not_write_is_named() {
    let world = World::new(Scenario::rows(10, 1));
    // A folder that not even root can make.
    for arguments in [&["extract", "--lake", "/sys/lake"][..], &["demo", "--dir", "/sys/lake"]] {
        let output = match arguments[0] {
            "demo" => Command::new(crate::harness::binary()).args(arguments).env_clear().output().unwrap(),
            _ => world.run(arguments),
        };
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("cannot create the folder /sys/lake: "), "{told}");
        let advised = ["hint: give this user the right to that file or folder", "hint: mount that file system"];
        assert!(advised.iter().any(|advised| told.contains(advised)), "{told}");
    }
    let checked = text(&world.run(&["check", "--lake", "/sys/lake"]).stderr);
    let advised = ["; give this user the right to", "; mount that file system"];
    assert!(advised.iter().any(|advised| checked.contains(advised)), "{checked}");
}
