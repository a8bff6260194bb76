//! The data dictionary in the repository is the one that the program prints.

use std::process::Command;

use crate::harness::{binary, expect_file, package, text};

#[test]
fn the_dictionary_is_what_the_program_prints() {
    let output = Command::new(binary()).args(["tables", "--markdown"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let page = package().parent().unwrap().join("crates/cli/examples/dictionary/README.md");
    expect_file(&page, &text(&output.stdout));
}
