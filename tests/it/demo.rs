//! `copilot-lake demo`, as a newcomer sees it.

use std::process::Command;

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

    let second = run();
    assert!(second.status.success(), "{}", text(&second.stderr));
    assert_eq!(text(&second.stdout), rates, "the demo's data is the same each time");
}
