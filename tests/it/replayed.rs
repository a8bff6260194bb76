//! Archived pages and payloads are decoded again into an equal lake, without a single request.

use std::path::{Path, PathBuf};

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
        [[table.row]]
        values = { msdyn_copiloteventid = \"00000000-0000-0000-0000-0000000000bb\", partitionid = \"p\" }
        payload_text = \"taken away\"
        [[table.row]]
        values = { msdyn_copiloteventid = \"00000000-0000-0000-0000-0000000000cc\", partitionid = \"p\" }
        payload_text = \"the first\"
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
            { key = [\"00000000-0000-0000-0000-0000000000bb\", \"p\"], nulls = [\"msdyn_interactiondata\", \"msdyn_interactiondata_name\"] },
            { key = [\"00000000-0000-0000-0000-0000000000cc\", \"p\"], payload_text = \"the second\" },
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
    assert_equal(&world, &again);
    let windows = "SELECT table_name, clock, window_start, window_end, as_of, selection, status, rows, pages, token \
                   FROM extraction_slice ORDER BY 1, 2, 3, 5, 8, 9, 4";
    assert_eq!(world.sql(windows), world.sql_of(&again, windows), "the ledger");

    // The archive of the first run alone takes nothing back that the lake has from the second one.
    let now = |world: &World| {
        let payload = world.sql_of(&again, "SELECT text FROM payload WHERE source_id LIKE '%0000000000cc'");
        let row = world.sql_of(&again, "SELECT count(*) FROM msdyn_copilotevent WHERE msdyn_verbatim = 'changed'");
        (payload, row)
    };
    let before = now(&world);
    assert_eq!(before.0, [["the second"]]);
    let first = of_first_run(&from);
    let mut arguments = vec!["replay", "--lake", &to];
    arguments.extend(first.iter().map(|path| path.to_str().unwrap()));
    let output = world.run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(now(&world), before);
    let output = world.run(&["replay", from.to_str().unwrap(), "--lake", &to]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_equal(&world, &again);

    // Once more changes nothing.
    let files = |world: &World| world.sql_of(&again, "SELECT count(*) FROM msdyn_copilotevent");
    let before = files(&world);
    let output = world.run(&["replay", from.to_str().unwrap(), "--lake", &to]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(" 0 new or changed"), "{}", text(&output.stderr));
    assert_eq!(files(&world), before);
}

#[test]
fn a_damaged_slice_of_the_archive_holds_nothing_else_up() {
    let mut world = World::new(Scenario::rows(300, 3));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let runs = of_first_run(&world.lake().join("_raw"));
    let run = runs.iter().find(|path| path.parent().unwrap().ends_with("msdyn_copilotevent")).unwrap();
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages = files(run).flat_map(|slice| files(&slice).collect::<Vec<_>>());
    let pages = pages.filter(|path| path.to_string_lossy().contains("1.json"));
    let page = pages.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    std::fs::write(&page, "damaged").unwrap();

    let again = world.folder.path().join("again");
    let (from, to) = (world.lake().join("_raw"), again.to_string_lossy().into_owned());
    let output = world.run(&["replay", from.to_str().unwrap(), "--lake", &to]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains(page.file_name().unwrap().to_str().unwrap()) || message.contains("page 1"), "{message}");
    let rows =
        |lake: &Path| world.sql_of(lake, "SELECT count(*) FROM msdyn_copilotevent")[0][0].parse::<u64>().unwrap();
    let (all, some) = (rows(&world.lake()), rows(&again));
    assert!(0 < some && some < all, "{some} of {all}");
}

/// A page of 17 GiB in half a megabyte.
#[cfg(unix)]
#[test]
fn an_archive_that_would_fill_the_memory_is_left_out() {
    const LIMIT_KIB: u64 = 4 << 20;
    let mut world = World::new(Scenario::rows(60, 2));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    let raw = world.lake().join("_raw");
    let run = of_first_run(&raw).into_iter().find(|path| path.parent().unwrap().ends_with("msdyn_copilotevent"));
    let page = std::fs::read_dir(run.unwrap()).unwrap().map(|slice| slice.unwrap().path().join("1.json.zst"));
    let page = page.filter(|page| page.exists()).max_by_key(|page| std::fs::metadata(page).unwrap().len()).unwrap();
    // Blocks of 128 KiB of one repeated byte, in a frame that declares no size.
    let mut bomb = vec![0x28, 0xB5, 0x2F, 0xFD, 0, 0x38];
    for _ in 0..17 << 13 {
        bomb.extend_from_slice(&[0x02, 0x00, 0x10, b' ']);
    }
    bomb.extend_from_slice(&[0x03, 0x00, 0x10, b' ']);
    std::fs::write(&page, bomb).unwrap();

    let again = world.folder.path().join("again");
    let command = world.command(&["replay", raw.to_str().unwrap(), "--lake", again.to_str().unwrap()]);
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT_KIB} && exec \"$0\" \"$@\"")])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(
        message
            .contains("1.json.zst: it has more than 64 MiB, the limit for a page; the slice is left out, the others"),
        "{message}"
    );
    let weeks = |lake: &Path| world.sql_of(lake, "SELECT DISTINCT week_start FROM msdyn_copilotevent").len();
    assert!(0 < weeks(&again) && weeks(&again) < weeks(&world.lake()));
}

/// A run's folders in an archive, one per table.
fn of_first_run(raw: &Path) -> Vec<PathBuf> {
    let folders = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let runs: Vec<_> = folders(raw).iter().flat_map(|table| folders(table)).collect();
    let first = runs.iter().map(|path| path.file_name().unwrap().to_owned()).min().unwrap();
    runs.into_iter().filter(|path| path.file_name().unwrap() == first).collect()
}

/// Asserts that two lakes hold equal rows, apart from which run wrote them.
fn assert_equal(world: &World, again: &Path) {
    for table in TABLES.iter().filter(|table| !table.name.starts_with("extraction_")) {
        let provenance = table.columns.iter().find(|column| column.provenance).map(|column| column.name);
        let fields = table.layout().fields().iter().map(|field| field.name.as_str());
        let columns: Vec<_> =
            fields.filter(|name| Some(*name) != provenance).map(|name| format!("\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), table.name, table.key.join(", "));
        let (first, second) = (world.sql(&sql), world.sql_of(again, &sql));
        assert_eq!(first, second, "{}", table.name);
    }
}
