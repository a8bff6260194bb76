//! Raw pages and payloads are kept, and decoded again into an equal lake without a request.

use copilot_lake_emulator::Scenario;
use copilot_lake_tables::TABLES;

use crate::harness::{World, text};

#[test]
fn an_archive_gives_an_equal_lake_without_a_request() {
    let scenario = "seed = 8
        clock = 2025-11-05T12:00:00Z
        [[table]]
        name = \"msdyn_copilotevent\"
        rows = 120
        weeks = 2
        tracked = true
        [[table.row]]
        values = { msdyn_copiloteventid = \"00000000-0000-0000-0000-0000000000aa\", partitionid = \"p\" }
        json = { msdyn_aiagent = '\"somebody\"' }
        [[table]]
        name = \"msdyn_copilotinteraction\"
        rows = 60
        weeks = 2
        [[table]]
        name = \"msdyn_copilottranscriptdata\"
        rows = 40
        weeks = 2
        [[phase]]
        clock = 2025-11-06T12:00:00Z
        change = [
            { position = 3, values = { msdyn_verbatim = \"changed\" } },
            { key = [\"00000000-0000-0000-0000-0000000000aa\", \"p\"], json = { msdyn_aiagent = '1' } },
        ]
        delete = [{ position = 7 }]
        row = [{ values = { msdyn_verbatim = \"new\" } }]";
    let mut world = World::new(Scenario::parse(scenario).unwrap());
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.keys.insert("dataverse.deletes".to_owned(), "remove".into());
    world.keys.insert("dataverse.page_size".to_owned(), 50.into());
    world.extract(&[], 0);
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_complete();

    let asked: u64 = world.emulator.served().requests.values().sum();
    let again = world.folder.path().join("again");
    let (from, to) = (world.lake().join("_raw"), again.to_string_lossy().into_owned());
    let output = world.run(&["replay", from.to_str().unwrap(), "--lake", &to]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(world.emulator.served().requests.values().sum::<u64>(), asked, "a service was asked");

    for table in TABLES.iter().filter(|table| !table.name.starts_with("extraction_")) {
        let provenance = table.columns.iter().find(|column| column.provenance).map(|column| column.name);
        let fields = table.layout().fields().iter().map(|field| field.name.as_str());
        let columns: Vec<_> =
            fields.filter(|name| Some(*name) != provenance).map(|name| format!("\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), table.name, table.key.join(", "));
        let (first, second) = (world.sql(&sql), world.sql_of(&again, &sql));
        assert_eq!(first, second, "{}", table.name);
    }
    let windows = "SELECT table_name, clock, window_start, window_end, as_of, selection, status, rows, pages, token \
                   FROM extraction_slice ORDER BY 1, 2, 3";
    assert_eq!(world.sql(windows), world.sql_of(&again, windows), "the ledger");

    // Once more changes nothing.
    let files = |world: &World| world.sql_of(&again, "SELECT count(*) FROM msdyn_copilotevent");
    let before = files(&world);
    let output = world.run(&["replay", from.to_str().unwrap(), "--lake", &to]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(" 0 new or changed"), "{}", text(&output.stderr));
    assert_eq!(files(&world), before);
}
