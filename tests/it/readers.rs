//! The lake of many generated rows, read by engines that nobody here wrote.

use std::process::Command;

use copilot_lake_emulator::Scenario;

use crate::harness::{World, package, python, text};

#[test]
fn duckdb_deltalake_and_pyarrow_agree() {
    let world = World::new(Scenario::rows(20_000, 12));
    world.extract(&[], 0);
    let folder = world.folder.path();
    std::fs::write(folder.join("served.json"), serde_json::to_vec(&world.emulator.served()).unwrap()).unwrap();
    let print = |arguments: &[&str], name: &str| {
        let output = world.run(arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::write(folder.join(name), output.stdout).unwrap();
    };
    print(&["query", "--duckdb-views"], "views.sql");
    for name in ["feedback_rates", "scenario_usage"] {
        print(&["query", name, "--format", "json"], &format!("{name}.json"));
    }
    let output = Command::new(python())
        .arg(package().join("python/readers.py"))
        .args([world.lake(), folder.join("served.json"), folder.join("views.sql")])
        .args([package().parent().unwrap().join("queries"), folder.to_owned()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout).matches(" ok").count(), 4);
}
