//! Power cuts: whatever the disk then holds, the lake is consistent, and a rerun completes it.
//!
//! A preloaded library records three runs of the real binary: one that is killed, one that completes it, and one that
//! finds new rows. From the record the test derives states that a file system may be in after a power cut; each is
//! opened by us and by `deltalake`, and completed by a rerun.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use copilot_lake_tables::{TABLES, Table, dataverse_tables};
use copilot_lake_writer::{Lake, LakeOptions, Scan};
use futures::TryStreamExt as _;

use crate::disk::{Journal, Reached, Tree};
use crate::harness::{Numbers, World, is_soak, package, python, text};
use crate::preload::{Disk, preloaded};

/// Rows of several weeks, with payloads and messages; then new rows, and changed ones whose files are rewritten.
const HISTORY: &str = "
    seed = 10
    clock = 2025-11-05T12:00:00Z
    [[table]]
    name = \"msdyn_copilotevent\"
    rows = 24
    weeks = 2
    [[table]]
    name = \"msdyn_copilottranscriptdata\"
    rows = 3
    weeks = 1
    [[phase]]
    clock = 2025-11-06T13:00:00Z
    row = [{ table = \"msdyn_copilotevent\", values = { createdon = 2025-11-06T12:00:00Z, modifiedon = 2025-11-06T12:00:00Z } }]
    change = [{ table = \"msdyn_copilotevent\", position = 0, values = { msdyn_verbatim = \"changed\" } }]";

const READ: [&str; 2] = ["msdyn_copilotevent", "msdyn_copilottranscriptdata"];

fn world() -> World {
    let mut world = World::parse(HISTORY);
    world.keys.insert("dataverse.tables".to_owned(), READ.map(toml::Value::from).to_vec().into());
    world
}

/// `deltalake` for Python, which opens one lake after another.
struct Reader {
    process: Child,
    lakes: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    fn start() -> Self {
        let mut command = Command::new(python());
        command.arg(package().join("python/whole.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let (lakes, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, lakes, answers: BufReader::new(answers) }
    }

    /// Rows by table.
    fn open(&mut self, world: &World) -> BTreeMap<String, usize> {
        writeln!(self.lakes, "{}", world.lake().display()).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "deltalake cannot open the lake");
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Every row of a table: these columns as text, joined by `/`. Without columns, all of them.
fn rows(world: &World, table: &'static Table, columns: &[&'static str]) -> Vec<String> {
    world.runtime.block_on(async {
        let lake = Lake::open(world.lake().to_str().unwrap(), LakeOptions::default()).await.unwrap();
        let scan = Scan { columns: columns.to_vec(), ..Scan::default() };
        let batches: Vec<_> = lake.scan(table, scan).await.unwrap().try_collect().await.unwrap();
        let options = FormatOptions::default();
        let mut rows = vec![];
        for batch in batches {
            let shown = batch.columns().iter().map(|array| ArrayFormatter::try_new(array, &options).unwrap());
            let shown: Vec<_> = shown.take(columns.len()).collect();
            let row = |row| shown.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("/");
            rows.extend((0..batch.num_rows()).map(row));
        }
        rows
    })
}

/// Asserts that the lake has what the service has, each row once, and exactly the files that the log names.
fn check_complete(world: &World) {
    world.check_listing();
    for table in TABLES {
        let keys = rows(world, table, table.key);
        let once: BTreeSet<_> = keys.iter().collect();
        assert_eq!(once.len(), keys.len(), "{}: a key twice", table.name);
    }
    let served = world.emulator.served();
    for table in dataverse_tables().filter(|table| READ.contains(&table.name)) {
        let columns: Vec<_> = table.key.iter().copied().chain(["versionnumber"]).collect();
        let lake: BTreeSet<_> = rows(world, table, &columns).into_iter().collect();
        let service = world
            .rows(table.name)
            .into_iter()
            .map(|(key, version)| format!("{key}/{}", version.unwrap_or_default()))
            .collect();
        assert_eq!(lake, service, "{}: the lake is not the service", table.name);
    }
    let payloads = rows(world, &copilot_lake_tables::PAYLOAD, &["source_table", "status"]);
    for table in READ {
        let of_table = payloads.iter().filter(|row| row.starts_with(&format!("{table}/"))).count() as u64;
        assert_eq!(of_table, served.tables[table].files, "{table}: payloads");
    }
    assert!(payloads.iter().all(|row| row.ends_with("/decoded")), "{payloads:?}");
}

/// Opens the lake that a disk holds, and completes it.
fn check(world: &World, reader: &mut Reader, tree: &Tree) {
    tree.restore(&world.lake());
    let theirs = reader.open(world);
    for table in TABLES {
        let ours = rows(world, table, &[]).len();
        assert_eq!(ours, theirs.get(table.name).copied().unwrap_or_default(), "{}", table.name);
    }
    world.extract(&[], 0);
    check_complete(world);
}

/// Names the state of the disk when a test fails.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "{}", self.0);
        }
    }
}

#[test]
fn whatever_a_disk_holds_after_a_cut_is_whole_and_completed_by_a_rerun() {
    let world = world();
    let path = world.folder.path().join("journal");
    let run = |disk, code| {
        let output = preloaded(&world, disk, &["extract", "-q"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stderr));
    };
    run(Disk::JournalUntil(&path, 330), 137);
    run(Disk::Journal(&path), 0);
    world.emulator.advance().unwrap();
    run(Disk::Journal(&path), 0);
    check_complete(&world);
    let journal = Journal::read(&path, world.folder.path());
    let syncs = journal.count(|told| told.starts_with("S "));
    let commits = journal.count(|told| told.starts_with("L "));
    let data_files = journal.count(|told| told.starts_with("R "));
    // For each commit its entry, the folder of that and of its data files; for each data file itself and perhaps a week.
    assert!(syncs <= 4 * commits + 2 * data_files, "{syncs} syncs, {commits} commits, {data_files} data files");

    // After each change of a name and each sync; writes in between differ in what reached the disk only.
    let cuts: Vec<usize> = (0..=journal.len()).filter(|cut| !journal.told(*cut).starts_with("W ")).collect();
    let mut states = vec![];
    for (at, cut) in cuts.iter().enumerate() {
        let random = [1, 2].map(|seed| Reached::Some((at * 2 + seed) as u64));
        let all = [Reached::Nothing, Reached::Everything, Reached::Entries, Reached::Content].into_iter().chain(random);
        states.extend(all.map(|reached| (*cut, reached)));
    }
    if !is_soak() {
        // The end of the last run, and a sample of the rest.
        let mut numbers = Numbers(7);
        let end = states.split_off(states.len() - 4);
        states = (0..25).map(|_| states[numbers.next(states.len() as u64) as usize]).chain(end).collect();
    }
    let mut seen = HashSet::new();
    let mut reader = Reader::start();
    for (cut, reached) in states {
        let tree = journal.after_cut(cut, reached).below("lake");
        if seen.insert(tree.print()) {
            let _told = Told(format!("cut {cut} after {:?}, reached: {reached:?}", journal.told(cut)));
            check(&world, &mut reader, &tree);
        }
    }
}

#[test]
fn a_failed_sync_fails_the_commit() {
    let world = world();
    // Of the lake's own folder, of a log's entry, of its folder, of a table's, in the midst of data.
    for number in [1, 2, 3, 4, 90, 91, 92, 93, 94] {
        let _told = Told(format!("sync {number}"));
        if world.lake().exists() {
            std::fs::remove_dir_all(world.lake()).unwrap();
        }
        let output = preloaded(&world, Disk::FailingSync(number), &["extract"]).output().unwrap();
        let message = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 3)), "{:?} {message}", output.status);
        assert!(message.contains("Input/output error"), "{message}");
        world.extract(&[], 0);
        check_complete(&world);
    }
}
