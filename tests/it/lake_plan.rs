//! The plan of a big lake (`benches/plan`) is what its figures and the sources say, and its simulation is near a lake that
//! daily runs made.

use std::process::Command;

use crate::harness::{package, python, text};

#[test]
fn the_plan_follows_from_its_figures_and_the_sources() {
    let script = package().parent().unwrap().join("benches/plan/plan.py");
    // `-B`: nothing is left in the repository.
    let output = Command::new(python()).arg("-B").arg(script).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
