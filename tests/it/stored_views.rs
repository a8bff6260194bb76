//! Which rows of materialized views queries read: those that are stored, as long as they are what the view's SQL answers.

use copilot_lake_tables::{COPILOT_REQUEST, Table, views};

use crate::derived::{SCENARIO, of_both};
use crate::foreign::foreign;
use crate::harness::{World, text};

/// After all rows of the scenario.
const NOW: &str = "1764547200";

fn output(world: &World, arguments: &[&str]) -> String {
    let output = world.command(arguments).env("SOURCE_DATE_EPOCH", NOW).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Whether a query of a view reads the files of the view itself, and no others.
fn is_stored(world: &World, view: &Table) -> bool {
    let plan = output(world, &["query", "--explain", "--sql", &format!("SELECT * FROM {}", view.name)]);
    let has = |table: &str| plan.contains(&format!("{table}/"));
    let (own, others) = (has(view.name), view.view_of().unwrap().iter().any(|table| has(table)));
    assert_ne!(own, others, "{plan}");
    own
}

/// The rows of a view, as a query has them.
fn rows(world: &World, view: &Table) -> String {
    let sql = format!("SELECT * FROM {} ORDER BY {}", view.name, view.key.join(", "));
    output(world, &["query", "--format", "csv", "--sql", &sql])
}

fn page(world: &World) -> String {
    output(world, &["report", "--with-text", "--output", "page.html"]);
    std::fs::read_to_string(world.folder.path().join("page.html")).unwrap()
}

#[test]
fn rows_of_views_that_another_tool_has_changed_are_not_read() {
    let world = of_both();
    world.extract(&[], 0);
    assert!(views().all(|view| is_stored(&world, view)));
    let answers = |world: &World| views().map(|view| rows(world, view)).collect::<Vec<_>>();
    let (stored, page_of_stored) = (answers(&world), page(&world));
    for (view, condition) in views().zip(["scenario IS NOT NULL", "prompts > 0", "year > 0"]) {
        foreign(&world, view.name, &["delete", condition]);
    }
    assert!(!views().any(|view| is_stored(&world, view)));
    assert_eq!(answers(&world), stored);
    assert!(page(&world) == page_of_stored, "the page is made from the same rows");
    world.extract(&[], 0);
    assert!(views().all(|view| is_stored(&world, view)));
    assert_eq!(answers(&world), stored);
}

#[test]
fn rows_of_views_that_are_behind_the_rows_of_the_services_are_not_read() {
    let mut world = World::parse(SCENARIO);
    let view = &COPILOT_REQUEST;
    world.extract(&[], 0);
    assert!(!is_stored(&world, view), "no run has made it");
    let mut computed = rows(&world, view);
    assert!(computed.lines().count() > 50, "{computed}");
    world = world.with_views();
    world.extract(&[], 0);
    assert!(is_stored(&world, view));
    assert_eq!(rows(&world, view), computed);

    world.keys.remove("lake.views");
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert!(!is_stored(&world, view));
    let before = std::mem::replace(&mut computed, rows(&world, view));
    assert_ne!(computed, before);
    world = world.with_views();
    world.extract(&[], 0);
    assert!(is_stored(&world, view));
    assert_eq!(rows(&world, view), computed);

    assert_ne!(foreign(&world, "msdyn_copilotevent", &["delete", "versionnumber % 2 = 0"]), "0");
    assert!(!is_stored(&world, view));
    assert_ne!(rows(&world, view), computed);
}
