//! Materialized views: after every run they are what their SQL answers, whatever happened before; and what a run without
//! news, a killed one and one that cannot make them leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use copilot_lake_query::{Session, view};
use copilot_lake_tables::{CALENDAR, COPILOT_REQUEST, Table, Week, dataverse_tables, views};
use copilot_lake_writer::{Lake, Scan, StoreOptions};
use futures::TryStreamExt as _;

use crate::harness::{World, is_soak, of_table, package, python, text};
use crate::kill::kill_when;
use crate::ledger::used;
use crate::status;

/// Four weeks of everything that views are made from; then rows that change, ratings of earlier weeks among them.
pub(crate) const SCENARIO: &str = r#"
seed = 23
clock = 2025-11-05T12:00:00Z
[[table]]
name = "msdyn_copilotevent"
rows = 300
weeks = 4
[[table]]
name = "msdyn_copilotinteraction"
rows = 120
weeks = 4
[[table]]
name = "msdyn_copilotinteractiondata"
rows = 60
weeks = 4
[[table]]
name = "msdyn_copilottranscript"
rows = 20
weeks = 4
[[table]]
name = "msdyn_copilottranscriptdata"
rows = 20
weeks = 4
[graph]
users = 20
interactions = 400
[[phase]]
clock = 2025-11-12T12:00:00Z
generate = { table = "msdyn_copilotevent", rows = 60 }
[[phase]]
clock = 2025-11-19T12:00:00Z
generate = { table = "msdyn_copilottranscriptdata", rows = 10 }
"#;

/// A world of Dataverse.
fn of_dataverse() -> World {
    World::parse(SCENARIO).with_views()
}

/// A world of both services.
pub(crate) fn of_both() -> World {
    let mut world = of_dataverse().of_graph("licensed", "2025-07-01");
    world.keys.remove("dataverse.url");
    world
}

impl World {
    /// Asserts that every materialized view holds what its SQL answers.
    pub(crate) fn check_views(&self) {
        let session = self.runtime.block_on(async {
            let lake = Lake::open(&self.lake_url(), self.lake_options()).await.unwrap();
            Session::open(&lake, &BTreeMap::new(), &[]).await.unwrap()
        });
        for table in views() {
            let (stored, computed) = (self.stored(table), self.computed(&session, table));
            if stored != computed {
                let sets = [&computed, &stored].map(|rows| rows.iter().collect::<BTreeSet<_>>());
                let missing: Vec<_> = sets[0].difference(&sets[1]).take(2).collect();
                let extra: Vec<_> = sets[1].difference(&sets[0]).take(2).collect();
                let (name, is, should) = (table.name, stored.len(), computed.len());
                panic!("{name}: {is} rows, not {should}; missing {missing:#?}, extra {extra:#?}");
            }
        }
    }

    /// The rows of a view as the lake has them.
    fn stored(&self, table: &'static Table) -> Vec<String> {
        self.runtime.block_on(async {
            let lake = Lake::open(&self.lake_url(), self.lake_options()).await.unwrap();
            let weeks: Vec<Option<Week>> = match table.is_partitioned() {
                true => lake.weeks(table).await.unwrap().into_iter().map(Some).collect(),
                false => vec![None],
            };
            let mut rows = Vec::new();
            for week in weeks {
                let scan = Scan { week, ..Scan::default() };
                let batches: Vec<_> = lake.scan(table, scan).await.unwrap().try_collect().await.unwrap();
                let place = week.map(|week| week.to_string()).unwrap_or_default();
                rows.extend(
                    batches.iter().flat_map(|batch| in_words(table, batch)).map(|row| format!("{place} {row}")),
                );
            }
            rows.sort();
            rows
        })
    }

    /// The rows of a view as its SQL has them.
    fn computed(&self, session: &Session, table: &'static Table) -> Vec<String> {
        self.runtime.block_on(async {
            let (_, batches) = session.sql(view(table.name).unwrap().sql).await.unwrap();
            let options = FormatOptions::default();
            let mut rows = Vec::new();
            for batch in &batches {
                let weeks = batch.column_by_name("week_start").filter(|_| table.is_partitioned());
                let weeks = weeks.map(|weeks| ArrayFormatter::try_new(weeks, &options).unwrap());
                let words = in_words(table, batch).into_iter().enumerate();
                let place = |row| weeks.as_ref().map(|weeks| weeks.value(row).to_string()).unwrap_or_default();
                rows.extend(words.map(|(at, row)| format!("{} {row}", place(at))));
            }
            rows.sort();
            rows
        })
    }

    /// The versions of the views' logs.
    fn view_versions(&self) -> Vec<usize> {
        let log = |table: &Table| self.lake().join(table.name).join("_delta_log");
        views().map(|table| std::fs::read_dir(log(table)).unwrap().count()).collect()
    }
}

/// The rows of a batch: what a view says, in the types of the table.
fn in_words(table: &'static Table, batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let fields = table.layout().fields().iter();
    let named = view(table.name).unwrap().columns();
    let is_said = |name: &str| named.iter().any(|(names, _)| names.split(", ").any(|said| said == name));
    let said = fields.filter(|field| is_said(&field.name));
    let columns: Vec<(&str, ArrayRef)> = said
        .map(|field| {
            let column = batch.column_by_name(&field.name).unwrap();
            (field.name.as_str(), cast_with_options(column, &field.ty.data_type(), &strict).unwrap())
        })
        .collect();
    let formats: Vec<_> =
        columns.iter().map(|(name, array)| (name, ArrayFormatter::try_new(array, &options).unwrap())).collect();
    let row = |row| formats.iter().map(|(name, format)| format!("{name}={} ", format.value(row))).collect::<String>();
    (0..batch.num_rows()).map(row).collect()
}

#[test]
fn views_are_what_their_sql_answers_after_every_run() {
    let mut world = of_both();
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    world.check_views();
    let first = world.stored(&COPILOT_REQUEST);
    assert!(first.len() > 50, "{}", first.len());
    for _ in 0..2 {
        world.emulator.advance().unwrap();
        world.extract(&[], 0);
        world.check_views();
    }
    assert_ne!(world.stored(&COPILOT_REQUEST), first);
    world.check_lake();
    // From scratch: the tables are gone.
    let kept: Vec<_> = views().map(|table| world.stored(table)).collect();
    for table in views() {
        std::fs::remove_dir_all(world.lake().join(table.name)).unwrap();
    }
    world.extract(&[], 0);
    assert_eq!(views().map(|table| world.stored(table)).collect::<Vec<_>>(), kept);
    // A replay makes them, too.
    let (raw, again) = (world.lake().join("_raw"), world.folder.path().join("again"));
    let output = world.run(&["replay", raw.to_str().unwrap(), "--lake", again.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    world.store = Some((again.to_string_lossy().into_owned(), StoreOptions::default()));
    world.check_views();
    assert_eq!(views().map(|table| world.stored(table)).collect::<Vec<_>>(), kept);
}

#[test]
fn views_stay_as_they_are_where_they_are_not_to_be_made() {
    let mut world = World::parse(SCENARIO);
    let stored = |world: &World| views().map(|table| world.stored(table)).collect::<Vec<_>>();
    let stale = |world: &World| {
        let status = status::json(world);
        let weeks = status["stale_weeks"].as_u64().unwrap();
        assert_eq!(status["hints"].to_string().contains("the next run rebuilds it"), weeks > 0, "{status}");
        weeks
    };
    world.extract(&[], 0);
    assert!(stored(&world).iter().all(Vec::is_empty));
    assert_eq!(world.sql("SELECT count(*) FROM extraction_slice WHERE clock = 'views'"), [["0"]]);
    assert_eq!(stale(&world), 0);
    world = world.with_views();
    assert!(stale(&world) > 0);
    world.extract(&[], 0);
    world.check_views();
    assert_eq!(stale(&world), 0);

    let made = stored(&world);
    world.keys.remove("lake.views");
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert_eq!(stored(&world), made);
    assert_eq!(stale(&world), 0);
    world = world.with_views();
    world.extract(&[], 0);
    world.check_views();
    assert_ne!(stored(&world), made);
}

#[test]
fn a_killed_run_leaves_stale_weeks_and_the_next_one_makes_them() {
    // Other rows are on their way for longer than it takes to kill the run.
    let world = World::parse(&format!(
        "{SCENARIO}[[fault]]\nat = \"page\"\nnumber = 2\ntable = \"systemuser\"\nkind = \"slow\"\nms = 5000\n"
    ))
    .with_views();
    world.extract(&[], 0);
    let stale = |world: &World| status::json(world)["stale_weeks"].as_u64().unwrap();
    assert_eq!(stale(&world), 0);
    world.emulator.advance().unwrap();
    let log = world.lake().join("msdyn_copilotevent/_delta_log");
    let commits = || {
        let entries = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name());
        // One that is being written has another name.
        entries.filter(|name| name.to_string_lossy().ends_with(".json")).count()
    };
    let before = commits();
    kill_when(&world, &["extract", "-q"], |_| commits() > before);
    assert!(stale(&world) > 0, "rows are in the lake that the view has not");
    let output = world.run(&["status"]);
    let told = text(&output.stdout);
    assert!(told.contains("- copilot_request: ") && told.contains("the next run rebuilds it"), "{told}");
    world.extract(&[], 0);
    assert_eq!(stale(&world), 0);
    world.check_views();
    world.check_complete();
}

#[test]
fn a_run_without_news_makes_no_view() {
    let world = of_dataverse();
    world.extract(&[], 0);
    let versions = world.view_versions();
    let made = "SELECT count(*) FROM extraction_slice WHERE clock = 'views'";
    let rows = world.sql(made);
    assert_ne!(rows, [["0"]], "the ledger says what was made");
    world.extract(&[], 0);
    assert_eq!((world.view_versions(), world.sql(made)), (versions.clone(), rows));
    // Only the weeks whose rows changed, and those of their requests, are rebuilt.
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    assert_ne!(world.view_versions(), versions);
    // Not all weeks: those whose rows changed, and those of their requests.
    let weeks = world.sql(
        "SELECT count(*) FILTER (WHERE run_id = newest), count(*) FILTER (WHERE run_id <> newest) FROM extraction_slice \
         CROSS JOIN (SELECT max(run_id) AS newest FROM extraction_run) AS run \
         WHERE clock = 'views' AND table_name = 'copilot_request'",
    );
    let [again, before] = [0, 1].map(|at| weeks[0][at].parse::<u64>().unwrap());
    assert!(again > 0 && again < before, "{again} of {before} weeks were made again");
}

#[test]
fn a_view_that_cannot_be_made_fails_nothing_else() {
    let world = of_dataverse();
    world.extract(&[], 0);
    // A file of the view is spoilt.
    let folder = world.lake().join(COPILOT_REQUEST.name);
    let weeks = status::listing(&folder);
    let files: Vec<_> = weeks.keys().filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect();
    for file in &files {
        std::fs::write(file, "spoilt").unwrap();
    }
    world.emulator.advance().unwrap();
    let summary = world.extract(&[], 3);
    let of_view = of_table(&summary, COPILOT_REQUEST.name);
    assert_eq!(of_view["slices_failed"], 1, "{summary}");
    assert!(of_view["reasons"].to_string().contains("not made from the rows"), "{of_view}");
    assert_eq!(of_table(&summary, "msdyn_copilotevent")["slices_failed"], 0);
    world.check_rows(dataverse_tables());
    assert!(status::json(&world)["stale_weeks"].as_u64() > Some(0));
    // Its files are moved away, as the program says.
    for file in files {
        std::fs::remove_file(file).unwrap();
    }
    world.extract(&["--repair"], 0);
    world.check_views();
    assert_eq!(status::json(&world)["stale_weeks"], 0);
}

#[test]
fn other_tools_may_compact_and_empty_a_view() {
    let world = of_dataverse();
    world.extract(&[], 0);
    for table in views() {
        crate::foreign::foreign(&world, table.name, &["compact"]);
        crate::foreign::foreign(&world, table.name, &["vacuum"]);
    }
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_views();
    world.check_lake();
    crate::foreign::foreign(&world, COPILOT_REQUEST.name, &["delete", "scenario IS NOT NULL"]);
    world.extract(&[], 0);
    world.check_views();
    let output = world.run(&["maintain"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    world.check_lake();
    world.extract(&[], 0);
    world.check_views();
}

#[test]
fn a_table_of_somebody_elses_with_the_name_of_a_view_is_named_and_stays() {
    let world = of_dataverse();
    crate::foreign::foreign(&world, CALENDAR.name, &["create", "date"]);
    let folder = world.lake().join(CALENDAR.name);
    let before = status::listing(&folder);
    let summary = world.extract(&[], 3);
    assert!(of_table(&summary, CALENDAR.name)["reasons"].to_string().contains("somebody else's"), "{summary}");
    assert_eq!(status::listing(&folder), before);
    let status = status::json(&world);
    let problem = status::table(&status, CALENDAR.name)["problem"].to_string();
    assert!(problem.contains("somebody else's"), "{problem}");
    assert_eq!(status["stale_weeks"], 0, "the other views are made");
}

#[test]
fn rows_that_the_older_store_has_lost_make_all_weeks_stale() {
    let world = of_dataverse();
    world.extract(&[], 0);
    let folder = world.lake().join(COPILOT_REQUEST.name);
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let weeks = names.filter(|name| name.to_string_lossy().starts_with("week_start=")).count() as u64;
    // They stood for rows of the newer store, or lent them their text.
    let table = "msdyn_copilotinteraction";
    assert_ne!(crate::foreign::foreign(&world, table, &["delete", "importsequencenumber is null"]), "0");
    let status = status::json(&world);
    let stale = status::table(&status, COPILOT_REQUEST.name)["stale_weeks"].as_u64().unwrap();
    assert!(weeks > 1 && stale >= weeks, "{stale} of {weeks} weeks");
    world.extract(&[], 0);
    world.check_views();
    assert_eq!(status::json(&world)["stale_weeks"], 0);
}

#[test]
fn duckdb_computes_what_the_views_hold() {
    let world = of_both();
    world.extract(&[], 0);
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    let script = world.folder.path().join("views.sql");
    let output = world.run(&["query", "--duckdb-views"]);
    std::fs::write(&script, &output.stdout).unwrap();
    let made: Vec<_> = views().filter(|table| !world.stored(table).is_empty()).map(|table| table.name).collect();
    assert_eq!(made, ["copilot_request", "m365_turn", "calendar"]);
    let output = Command::new(python())
        .arg(package().join("python/materialized.py"))
        .args([script.as_path(), world.lake().as_path()])
        .args(made)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn views_of_large_weeks_are_made_in_little_memory() {
    // Soaked, a week has more rows than are made at a time.
    let rows = if is_soak() { 500_000 } else { 20_000 };
    let scenario =
        format!("clock = 2025-11-05T12:00:00Z\n[[table]]\nname = \"msdyn_copilotevent\"\nrows = {rows}\nweeks = 2");
    let mut world = World::parse(&scenario).with_views();
    world.keys.insert("dataverse.payloads".to_owned(), false.into());
    let (mebibytes, _) = used(&world);
    assert!(mebibytes <= 256, "{mebibytes} MiB");
    world.check_views();
}
