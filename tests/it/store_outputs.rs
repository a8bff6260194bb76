//! Results of queries, and the page of `report`, as files in object stores.

use copilot_lake_emulator::Scenario;

use crate::harness::{World, text};
use crate::store_servers::{BUCKET, Kind, Server, rows_of_file};

/// More than two parts of an upload as CSV: rows repeated, with what makes them long.
const LONG: &str = "SELECT a.*, repeat(b.msdyn_copiloteventid, 20) AS padding FROM msdyn_copilotevent a
    CROSS JOIN (SELECT msdyn_copiloteventid FROM msdyn_copilotevent LIMIT 50) b";

/// A lake in a folder, and the options of a store.
fn world(kind: Kind, server: &Server) -> World {
    let mut world = World::new(Scenario::rows(500, 2));
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    let options: toml::Table = kind.options(&server.url).into_iter().map(|(key, value)| (key, value.into())).collect();
    world.keys.insert("lake.options".to_owned(), options.into());
    world.extract(&[], 0);
    world
}

/// Writes a result. Returns what was said.
fn write(world: &World, sql: &str, url: &str, code: i32) -> String {
    output_of(world, &["query", "--sql", sql], url, code)
}

/// Runs a command that writes to that place. Returns what was said.
fn output_of(world: &World, command: &[&str], url: &str, code: i32) -> String {
    let output = world.run(&[command, &["--output", url]].concat());
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{url}: {told}");
    assert!(!told.contains("s3cret-of-the-store") && !told.contains("Eby8vdM02"), "{told}");
    told
}

#[test]
fn results_become_files_in_every_store() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let world = world(kind, &server);
        let rows = |name: &str| rows_of_file(&world, kind, &server, &kind.url(name));
        for name in ["few.csv", "results/few.parquet"] {
            write(&world, "SELECT * FROM msdyn_copilotevent", &kind.url(name), 0);
            assert_eq!(rows(name), Some(500), "{kind:?}: {name}");
        }
        // In parts, and in the place of what was there.
        write(&world, LONG, &kind.url("few.csv"), 0);
        assert_eq!(rows("few.csv"), Some(500 * 50), "{kind:?}");
        write(&world, "SELECT * FROM msdyn_copilotevent WHERE false", &kind.url("few.csv"), 0);
        assert_eq!(rows("few.csv"), Some(0), "{kind:?}");
        let mut here = std::fs::read_dir(world.folder.path())
            .unwrap()
            .map(|entry| text(entry.unwrap().file_name().as_encoded_bytes()));
        assert!(!here.any(|name| name.contains("few") || name.contains(':')), "nothing of it is written here");
    }
}

#[test]
fn a_result_that_fails_leaves_nothing_in_a_store() {
    let server = Kind::S3.serve();
    let world = world(Kind::S3, &server);
    // The last row fails, after parts of the others were sent.
    let sql = format!(
        "SELECT *, 10 % CASE WHEN row_number() OVER () = 25000 THEN 0 ELSE 1 END AS fails FROM ({LONG}) AS rows"
    );
    let told = write(&world, &sql, &Kind::S3.url("long.csv"), 1);
    assert!(told.contains("division by zero"), "{told}");
    assert_eq!(rows_of_file(&world, Kind::S3, &server, &Kind::S3.url("long.csv")), None);
    assert_eq!(server.open_uploads(), [""; 0]);
    let told = write(&world, "SELECT 1", "s3://nowhere/one.csv", 1);
    assert!(told.contains("cannot write `s3://nowhere/one.csv`"), "{told}");
}

#[test]
fn what_is_no_place_for_a_result_is_said_before_the_question_is_asked() {
    let server = Kind::S3.serve();
    let world = world(Kind::S3, &server);
    let secret = format!("s3://KEY:SECRET@{BUCKET}/one.csv");
    for (url, expected) in [
        ("s3://lakes/one.xlsx", "no format is known by the extension of `s3://lakes/one.xlsx`"),
        ("s3://lakes/folder/", "it names no file"),
        ("ftp://host/one.csv", "cannot write `ftp://host/one.csv`"),
        (secret.as_str(), "credentials do not belong in the URL"),
    ] {
        let told = write(&world, "SELECT 1", url, 2);
        assert!(told.contains(expected) && told.contains("hint: ") && !told.contains("SECRET"), "{url}: {told}");
    }
    let local = world.folder.path().join("one.csv");
    write(&world, "SELECT 1 AS one", &format!("file://{}", local.display()), 0);
    assert_eq!(std::fs::read_to_string(local).unwrap(), "one\n1\n");
}

#[test]
fn the_page_of_a_report_becomes_a_file_in_every_store() {
    for kind in Kind::ALL {
        let server = kind.serve();
        let world = world(kind, &server);
        let url = kind.url("pages/report.html");
        let told = output_of(&world, &["report"], &url, 0);
        assert!(told.contains(&format!("wrote {url} (")), "{told}");
        let local = world.folder.path().join("report.html");
        assert_eq!(world.run(&["report", "--output", local.to_str().unwrap()]).status.code(), Some(0));
        let page = std::fs::read_to_string(local).unwrap();
        let lines = page.lines().count() as u64;
        assert!(page.starts_with("<!DOCTYPE html>") && lines > 50, "{lines} lines");
        assert_eq!(rows_of_file(&world, kind, &server, &url), Some(lines), "{kind:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_says_where() {
    let server = Kind::S3.serve();
    let world = world(Kind::S3, &server);
    for (url, code) in [("s3://lakes/pages/", 2), ("s3://nowhere/report.html", 1)] {
        let told = output_of(&world, &["report"], url, code);
        assert!(told.contains(&format!("cannot write `{url}`")), "{told}");
    }
}
