//! `copilot-lake demo`, as a newcomer sees it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::harness::{binary, text};

#[test]
fn the_demo_leaves_a_lake_and_prints_rates() {
    let folder = tempfile::tempdir().unwrap();
    let run = || Command::new(binary()).arg("demo").env_clear().current_dir(folder.path()).output().unwrap();
    let first = run();
    assert!(first.status.success(), "{}", text(&first.stderr));
    let (rates, told) = (text(&first.stdout), text(&first.stderr));
    assert!(rates.contains("net_positive_rate") && rates.contains("Ask a question"), "{rates}");
    assert!(told.contains("msdyn_copilotevent") && told.contains("payload"), "{told}");
    assert!(folder.path().join("demo-lake/msdyn_copilotevent/_delta_log").is_dir());
    let of_view = std::fs::read_dir(folder.path().join("demo-lake/calendar")).unwrap();
    assert!(of_view.count() > 1, "views are made unless the configuration says otherwise");

    let second = run();
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert_eq!(text(&second.stdout), rates, "the demo's data is the same each time");
}

/// What the emulator prints can be redirected into a configuration, with which the other commands work.
#[test]
fn the_emulator_prints_a_configuration_for_both_services() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.toml");
    let rows =
        "[[table]]\nname = \"msdyn_copilotevent\"\nrows = 20\nweeks = 1\n[graph]\nusers = 5\ninteractions = 20\n";
    std::fs::write(&scenario, rows).unwrap();
    let mut emulator = Command::new(binary());
    emulator.args(["emulator", "--listen", "127.0.0.1:0", "--scenario"]).arg(&scenario);
    let mut emulator = emulator.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(emulator.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut configuration = String::new();
    for line in lines {
        configuration.push_str(&line);
        configuration.push('\n');
        if line.starts_with("since") {
            break;
        }
    }
    let mut file = std::fs::File::create(folder.path().join("copilot-lake.toml")).unwrap();
    file.write_all(configuration.as_bytes()).unwrap();
    let output =
        Command::new(binary()).args(["check", "--lake", "lake"]).env_clear().current_dir(folder.path()).output();
    emulator.kill().unwrap();
    emulator.wait().unwrap();
    let output = output.unwrap();
    let (found, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{configuration}\n{found}{told}");
    assert!(format!("{found}{told}").contains("msdyn_copilotevent: ok"), "{found}{told}");
}
