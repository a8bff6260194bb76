//! Archived pages and payloads are decoded again into an equal lake, without a single request.

use std::path::{Path, PathBuf};

use copilot_lake_emulator::Scenario;
use copilot_lake_tables::TABLES;

use crate::harness::{World, text};

/// Two runs of everything, with rows that change and go, rejects that are mended, and a File that is taken away.
const SCENARIO: &str = "seed = 8
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
        [graph]
        users = 60
        interactions = 900
        licensed = 1.0
        deleted = 0.0
        late = { share = 0.0 }
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

/// The lake of [`SCENARIO`], with its archive.
pub(crate) fn archived_world() -> World {
    let mut world = World::new(Scenario::parse(SCENARIO).unwrap());
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.keys.insert("dataverse.deletes".to_owned(), "remove".into());
    world.keys.insert("dataverse.page_size".to_owned(), 50.into());
    read_graph(&mut world);
    world.extract(&[], 0);
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    world.check_complete();
    world
}

#[test]
fn an_archive_gives_an_equal_lake_without_a_request() {
    let world = archived_world();

    let asked: u64 = world.emulator.served().requests.values().sum();
    let again = world.folder.path().join("again");
    let (from, to) = (world.lake().join("_raw"), again.to_string_lossy().into_owned());
    let output = world.run(&["replay", from.to_str().unwrap(), "--lake", &to]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(world.emulator.served().requests.values().sum::<u64>(), asked, "a service was asked");
    assert_equal(&world, &again);
    assert_eq!(world.sql(LEDGER), world.sql_of(&again, LEDGER), "the ledger");

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

/// What the ledger says of slices, but for the runs that wrote the lake.
pub(crate) const LEDGER: &str = "SELECT table_name, clock, window_start, window_end, as_of, selection, status, rows, pages, token, \
                      scope, CASE WHEN source = 'graph' THEN done_until END, reason, run_id FROM extraction_slice WHERE clock <> 'payloads' \
                      ORDER BY 1, 2, 11, 3, 5, 8, 9, 4, 14";

/// Reads Graph as well.
fn read_graph(world: &mut World) {
    world.keys.insert("graph.users".to_owned(), "licensed".into());
    world.keys.insert("graph.since".to_owned(), "2025-08-01".into());
    world.keys.insert("graph.requests_per_second".to_owned(), 1000.into());
}

/// The files below a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// Replays an archive into another lake. Returns that lake and what was said; the exit code must be this one.
fn replay(world: &World, raw: &Path, code: i32) -> (PathBuf, String) {
    let again = world.folder.path().join("again");
    let output = world.run(&["replay", raw.to_str().unwrap(), "--lake", again.to_str().unwrap()]);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    (again, message)
}

fn count(world: &World, lake: &Path, table: &str) -> u64 {
    world.sql_of(lake, &format!("SELECT count(*) FROM {table}"))[0][0].parse().unwrap()
}

#[test]
fn histories_of_many_users_are_few_objects_and_replay_to_an_equal_lake() {
    let mut world = World::parse(
        "clock = 2025-11-05T12:00:00Z\n[graph]\nusers = 700\ninteractions = 6000\nlicensed = 0.8\n\
         [[graph.user]]\nindex = 3\nlicensed = true\nstatus = 404\ncode = \"MailboxNotEnabledForRESTAPI\"\n\
         [[graph.user]]\nindex = 4\nlicensed = true\ninteractions = 2500\n[[phase]]\nclock = 2025-11-06T12:00:00Z\n",
    )
    .of_graph("licensed", "2025-08-01");
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.extract(&[], 0);
    world.emulator.advance().unwrap();
    world.extract(&[], 0);
    let raw = world.lake().join("_raw");
    let found = files(&raw);
    assert!(found.len() <= 2 * 2 * 3, "{} objects: {found:?}", found.len());
    let requests: u64 = world.emulator.served().requests.values().sum();
    let (again, message) = replay(&world, &raw, 0);
    assert_eq!(world.emulator.served().requests.values().sum::<u64>(), requests, "a service was asked");
    assert_equal(&world, &again);
    assert_eq!(world.sql(LEDGER), world.sql_of(&again, LEDGER), "the ledger: {message}");
    assert!(count(&world, &again, "ai_interaction") > 1000 && count(&world, &again, "graph_user") > 100);
    // Once more changes nothing.
    let (again, message) = replay(&world, &raw, 0);
    assert!(message.contains(" 0 new or changed") || !message.contains("new or changed"), "{message}");
    assert_equal(&world, &again);

    // The end of a bundle is lost: some users are not read, and the rest is.
    std::fs::remove_dir_all(&again).unwrap();
    let bundles =
        found.iter().filter(|path| path.ends_with("bundle-0001.zst") && !path.to_string_lossy().contains("graph_user"));
    let bundle = bundles.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let bytes = std::fs::read(bundle).unwrap();
    std::fs::write(bundle, &bytes[..bytes.len() - bytes.len() / 10]).unwrap();
    let (again, message) = replay(&world, &raw, 3);
    assert!(message.contains("bundle-0001.zst at ") && message.contains("the bundle is cut"), "{message}");
    let (all, some) = (count(&world, &world.lake(), "ai_interaction"), count(&world, &again, "ai_interaction"));
    assert!(all * 8 / 10 < some && some < all, "{some} of {all}");
    let done = "SELECT count(*) FROM extraction_slice WHERE source = 'graph' AND status = 'done'";
    let (all, some) =
        (world.sql(done)[0][0].parse::<u64>().unwrap(), world.sql_of(&again, done)[0][0].parse().unwrap());
    assert!(all / 2 < some && some < all, "{some} of {all} histories");
}

#[test]
fn payloads_and_pages_are_few_objects() {
    let mut world = World::new(Scenario::rows(2000, 9));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.keys.insert("dataverse.page_size".to_owned(), 100.into());
    world.extract(&[], 0);
    let raw = world.lake().join("_raw");
    let tables = std::fs::read_dir(&raw).unwrap().count();
    let found = files(&raw);
    assert!(count(&world, &world.lake(), "payload") > 1000);
    assert!(found.len() <= 3 * tables, "{} objects of {tables} tables", found.len());
    let (again, _) = replay(&world, &raw, 0);
    assert_equal(&world, &again);
    // Tools that know nothing of us read it.
    let script = "import duckdb, sys\nraw = sys.argv[1]\n\
        index = f\"read_json('{raw}/*/*/*/index.jsonl.zst', filename = true)\"\n\
        pages = duckdb.sql(f\"SELECT count(*) FROM read_json('{raw}/msdyn_copilotevent/*/*/bundle-*.zst', \
        format = 'unstructured', maximum_object_size = 67108864), unnest(value)\").fetchall()[0][0]\n\
        payloads = duckdb.sql(f\"SELECT count(*) FROM {index} WHERE kind = 'payload' AND sha256 IS NOT NULL\").fetchall()[0][0]\n\
        print(pages, payloads)";
    let output = std::process::Command::new(crate::harness::python()).args(["-c", script]).arg(&raw).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let read = text(&output.stdout);
    let (pages, payloads) = read.trim().split_once(' ').unwrap();
    assert_eq!(pages, count(&world, &world.lake(), "msdyn_copilotevent").to_string());
    assert_eq!(payloads, count(&world, &world.lake(), "payload").to_string());
}

#[test]
fn a_damaged_bundle_of_the_archive_holds_nothing_else_up() {
    let mut world = World::new(Scenario::rows(300, 3));
    world.keys.insert("lake.archive_raw".to_owned(), true.into());
    world.keys.insert("dataverse.page_size".to_owned(), 20.into());
    world.extract(&[], 0);
    let raw = world.lake().join("_raw");
    let of = |table: &str| {
        let bundles = files(&raw.join(table)).into_iter().filter(|path| path.ends_with("bundle-0001.zst"));
        bundles.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
    };
    let (pages, payloads) = (of("msdyn_copilotevent"), of("payload"));
    let mut bytes = std::fs::read(&pages).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&pages, bytes).unwrap();
    let bytes = std::fs::read(&payloads).unwrap();
    std::fs::write(&payloads, &bytes[..bytes.len() / 2]).unwrap();

    let (again, message) = replay(&world, &raw, 3);
    for (path, reason) in [(&pages, "its hash is not that of the index"), (&payloads, "the bundle is cut")] {
        let named = path.strip_prefix(&raw).unwrap().to_string_lossy().into_owned();
        assert!(message.contains(&format!("{named} at ")) && message.contains(reason), "{message}");
    }
    assert!(message.contains("createdon"), "the slice is named: {message}");
    let compared = |table: &str| (count(&world, &world.lake(), table), count(&world, &again, table));
    let (all, some) = compared("msdyn_copilotevent");
    assert!(all - some <= 20 && some < all, "one page is lost: {some} of {all}");
    let (all, some) = compared("payload");
    assert!(all / 4 < some && some < all * 3 / 4, "{some} of {all}");
    // Only whole slices count as read.
    let done = "SELECT count(*) FROM extraction_slice WHERE table_name = 'msdyn_copilotevent' AND clock <> 'payloads'";
    let slices = |lake: &Path| world.sql_of(lake, done)[0][0].parse::<u64>().unwrap();
    assert_eq!(slices(&again) + 1, slices(&world.lake()));
}

/// An archive that an older version wrote, with a file for each page and payload.
fn older_archive(world: &World) -> PathBuf {
    let copy = world.folder.path().join("older");
    let from = crate::harness::package().join("fixtures/archive-1");
    for file in files(&from) {
        let to = copy.join(file.strip_prefix(&from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(file, to).unwrap();
    }
    copy
}

#[test]
fn an_archive_of_an_older_version_is_read() {
    let world = World::new(Scenario::rows(1, 1));
    let raw = older_archive(&world);
    let (again, _) = replay(&world, &raw, 0);
    let counts = ["msdyn_copilotevent", "msdyn_copilottranscriptdata", "systemuser", "payload", "extraction_slice"];
    assert_eq!(counts.map(|table| count(&world, &again, table)), [8, 3, 8, 9, 5]);
    let sql = "SELECT source_table, column_name, encoding, byte_length, character_length(text), extracted_at FROM payload \
               ORDER BY 1, 2, source_id";
    let payloads: Vec<_> = world.sql_of(&again, sql).iter().map(|row| row.join(" | ") + "\n").collect();
    crate::harness::expect("archive-1.txt", &payloads.concat());

    // One page and one payload are damaged.
    std::fs::remove_dir_all(&again).unwrap();
    let page = raw.join("msdyn_copilotevent/run/createdon-17530101T000000Z-20251102T000000Z/1.json.zst");
    let payload = raw.join("payload/run/part-000001/4.bin.zst");
    std::fs::write(&page, "damaged").unwrap();
    std::fs::write(&payload, "damaged").unwrap();
    let (again, message) = replay(&world, &raw, 3);
    assert!(message.contains("20251102T000000Z/1.json.zst") && message.contains("4.bin.zst"), "{message}");
    assert_eq!(count(&world, &again, "payload"), 8);
    let rows = count(&world, &again, "msdyn_copilotevent");
    assert!(0 < rows && rows < 8, "the other pages are read: {rows}");
}

/// A page of 17 GiB in half a megabyte.
#[cfg(unix)]
#[test]
fn an_archive_that_would_fill_the_memory_is_left_out() {
    const LIMIT_KIB: u64 = 4 << 20;
    let world = World::new(Scenario::rows(1, 1));
    let raw = older_archive(&world);
    let page = raw.join("msdyn_copilotevent/run/createdon-17530101T000000Z-20251102T000000Z/1.json.zst");
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
        message.contains("1.json.zst: it has more than 64 MiB, the limit for a page; the other pages of the slice"),
        "{message}"
    );
    assert!(count(&world, &again, "msdyn_copilotevent") > 0 && count(&world, &again, "payload") == 9);
}

/// A run's folders in an archive, one per table.
fn of_first_run(raw: &Path) -> Vec<PathBuf> {
    let folders = |path: &Path| std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let runs: Vec<_> = folders(raw).iter().flat_map(|table| folders(table)).collect();
    let first = runs.iter().map(|path| path.file_name().unwrap().to_owned()).min().unwrap();
    runs.into_iter().filter(|path| path.file_name().unwrap() == first).collect()
}

/// Asserts that two lakes hold equal rows, apart from which run wrote them.
pub(crate) fn assert_equal(world: &World, again: &Path) {
    // A session computes the views, without the columns that only their tables have.
    for table in TABLES.iter().filter(|table| !table.name.starts_with("extraction_") && table.view_of().is_none()) {
        let provenance = table.columns.iter().find(|column| column.provenance).map(|column| column.name);
        let fields = table.layout().fields().iter().map(|field| field.name.as_str());
        let columns: Vec<_> =
            fields.filter(|name| Some(*name) != provenance).map(|name| format!("\"{name}\"")).collect();
        let sql = format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), table.name, table.key.join(", "));
        let (first, second) = (world.sql(&sql), world.sql_of(again, &sql));
        assert_eq!(first, second, "{}", table.name);
    }
}
