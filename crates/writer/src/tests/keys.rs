//! Rows found by their key, and rows that go by the beginning of their key.

use std::collections::BTreeSet;

use super::counting::Counting;
use super::*;

/// A row of a test: id, week (so many after the first), version, a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Row {
    id: String,
    week: i64,
    version: i64,
    /// The parts of the version that the row has: its time, its number.
    has: [bool; 2],
    text: String,
}

impl Row {
    fn seconds(&self) -> i64 {
        self.week * WEEK + self.version * 977 % WEEK
    }

    /// Whether the version is newer than another's: by the first part that both have and that differs.
    fn is_newer_than(&self, other: &Self) -> bool {
        (0..2).any(|part| self.has[part] && other.has[part]) && self.version > other.version
    }
}

const WEEK: i64 = 7 * 86_400;

fn nth_week(n: i64) -> Week {
    (0..n).fold(week(), |week, _| week.next())
}

/// Numbers that look random, from a seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn id(&mut self) -> String {
        let (a, b) = (self.below(u64::MAX), self.below(u64::MAX));
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xffff,
            b >> 48,
            b & ((1 << 48) - 1)
        )
    }
}

fn rows_of(rows: &[Row]) -> RecordBatch {
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let times_of_change = rows.iter().map(|row| row.has[0].then_some(row.version * 1_000_000));
    let numbers = rows.iter().map(|row| row.has[1].then_some(row.version));
    batch(
        &COPILOT_EVENT,
        &[
            ("msdyn_copiloteventid", texts(&ids)),
            ("row_time", times(rows.iter().map(|row| at(row.seconds())))),
            ("modifiedon", Arc::new(TimestampMicrosecondArray::from_iter(times_of_change).with_timezone("UTC"))),
            ("versionnumber", Arc::new(Int64Array::from_iter(numbers))),
            ("msdyn_verbatim", texts(&rows.iter().map(|row| row.text.as_str()).collect::<Vec<_>>())),
        ],
    )
}

async fn push(changes: &mut crate::Changes, rows: &[Row]) {
    for week in rows.iter().map(|row| row.week).collect::<BTreeSet<_>>() {
        let of_week: Vec<Row> = rows.iter().filter(|row| row.week == week).cloned().collect();
        changes.push(Some(nth_week(week)), rows_of(&of_week)).await.unwrap();
    }
}

/// What the lake holds, by id.
async fn held(lake: &Lake) -> BTreeMap<String, Row> {
    let mut held = BTreeMap::new();
    for week in 0..8 {
        let columns = vec!["msdyn_copiloteventid", "versionnumber", "msdyn_verbatim", "modifiedon"];
        let scan = Scan { columns, week: Some(nth_week(week)), ..Scan::default() };
        let batches: Vec<RecordBatch> = lake.scan(&COPILOT_EVENT, scan).await.unwrap().try_collect().await.unwrap();
        for batch in batches {
            let (ids, texts) = (batch.column(0).as_string::<i32>(), batch.column(2).as_string::<i32>());
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            let changed = batch.column(3).as_primitive::<TimestampMicrosecondType>();
            for at in 0..batch.num_rows() {
                let (id, text) = (ids.value(at).to_owned(), texts.value(at).to_owned());
                let has = [changed.is_valid(at), numbers.is_valid(at)];
                let version = if has[1] { numbers.value(at) } else { changed.value(at) / 1_000_000 };
                let row = Row { id: id.clone(), week, version, has, text };
                assert_eq!(held.insert(id, row), None, "a key twice");
            }
        }
    }
    held
}

/// A change of the model and of the lake alike: some new rows, some newer or older versions in the same or in another
/// week, some keys that go.
fn change(random: &mut Random, model: &BTreeMap<String, Row>, round: u64) -> (Vec<Row>, Vec<String>) {
    let known: Vec<&Row> = model.values().collect();
    let mut changed = Vec::new();
    let mut gone = Vec::new();
    for n in 0..random.below(20) {
        let row = known[random.below(known.len() as u64) as usize];
        let text = format!("{round}-{n}");
        let week = random.below(8) as i64;
        let has = [[true, true], [true, false], [false, true]][random.below(3) as usize];
        match random.below(6) {
            0 => changed.push(Row { id: random.id(), week, version: 5, has, text }),
            1 => changed.push(Row { version: row.version + 1, has, text, ..row.clone() }),
            2 => changed.push(Row { version: row.version + 1, week, has, text, ..row.clone() }),
            3 => changed.push(Row { version: row.version - 1, week, has, text, ..row.clone() }),
            4 => changed.push(row.clone()),
            _ => gone.push(row.id.clone()),
        }
        // Of three rows that share no part of their version with each other none is the newest.
        if changed.last().is_some_and(|last| changed.iter().filter(|row| row.id == last.id).count() > 2) {
            changed.pop();
        }
    }
    (changed, gone)
}

fn apply(model: &mut BTreeMap<String, Row>, changed: &[Row], gone: &[String]) {
    for id in gone {
        if !changed.iter().any(|row| row.id == *id) {
            model.remove(id);
        }
    }
    // Of equal versions the last one counts, whether it came with the first or later.
    let mut newest: BTreeMap<&str, &Row> = BTreeMap::new();
    for row in changed {
        match newest.get(row.id.as_str()) {
            Some(before) if before.is_newer_than(row) => {}
            _ => drop(newest.insert(&row.id, row)),
        }
    }
    for row in newest.into_values() {
        match model.get(&row.id) {
            Some(before) if before.is_newer_than(row) => {}
            _ => drop(model.insert(row.id.clone(), row.clone())),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_changes_give_what_a_map_would() {
    for seed in 0..6 {
        let folder = TempDir::new().unwrap();
        // With little memory, rows wait in files.
        let memory = if seed % 2 == 0 { 80 << 20 } else { 1 << 10 };
        let lake = open(folder.path(), LakeOptions { memory, ..LakeOptions::default() }).await;
        lake.prepare(&instance(), false).await.unwrap();
        let mut random = Random(seed);
        let mut model = BTreeMap::new();
        let mut first: Vec<Row> = (0..200)
            .map(|n| Row {
                id: random.id(),
                week: random.below(8) as i64,
                version: 5,
                has: [true, true],
                text: n.to_string(),
            })
            .collect();
        // An empty key is a key.
        first[7].id = String::new();
        let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
        push(&mut changes, &first).await;
        changes.commit("run-1").await.unwrap();
        apply(&mut model, &first, &[]);
        for round in 0..12 {
            let (mut changed, gone) = change(&mut random, &model, round);
            if round == 3 {
                let empty = &model[""];
                changed.push(Row { version: empty.version + 1, week: 7 - empty.week, ..empty.clone() });
            }
            // Rows are merged in the order of their times.
            changed.sort_by_key(Row::seconds);
            let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
            let keys: Vec<Row> = gone.iter().map(|id| Row { id: id.clone(), ..Row::default() }).collect();
            changes.remove(&rows_of(&keys)).unwrap();
            push(&mut changes, &changed).await;
            changes.commit("run-1").await.unwrap();
            apply(&mut model, &changed, &gone);
            let held = held(&lake).await;
            let keys = |rows: &BTreeMap<String, Row>| rows.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&held), keys(&model), "seed {seed}, round {round}");
            for (id, row) in &model {
                assert_eq!(&held[id], row, "seed {seed}, round {round}");
            }
            assert_glob_is_log(folder.path(), &lake).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_holds_none_of_the_keys_is_not_read_for_its_rows() {
    let (store, lake) = Counting::lake().await;
    let mut random = Random(1);
    let first: Vec<Row> = (0..24_000)
        .map(|n| Row { id: random.id(), week: n % 6, version: 5, has: [false, true], text: random.id() })
        .collect();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    push(&mut changes, &first).await;
    changes.commit("run-1").await.unwrap();
    let files = lake.files(&COPILOT_EVENT).await.unwrap();
    assert_eq!(files.len(), 6);
    let week_of = |path: &str| files.iter().find(|file| file.path == path).and_then(|file| file.week);

    let check = |changed: Week| {
        let read = store.take();
        let mut others = 0;
        for file in lake_files(&read) {
            let of = files.iter().find(|known| known.path == *file);
            let Some(of) = of.filter(|of| of.week != Some(changed)) else { continue };
            others += 1;
            // The end of the file and the filter.
            assert!(read[file] < 84 << 10 && of.size > 160 << 10, "{} of {} bytes", read[file], of.size);
        }
        assert_eq!(others, 5);
        let own = read.iter().find(|(path, _)| week_of(path) == Some(changed));
        assert!(own.is_none_or(|(_, bytes)| *bytes > 160 << 10));
    };

    // A row that moves from the third week to the sixth, and new ones.
    store.take();
    let mut changed = vec![Row { version: 6, week: 5, ..first[2].clone() }];
    changed.extend((0..20).map(|_| Row {
        id: random.id(),
        week: 5,
        version: 1,
        has: [false, true],
        text: String::new(),
    }));
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    push(&mut changes, &changed).await;
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.rows_written, done.files_added, done.files_removed), (21, 2, 1));
    check(nth_week(2));

    // A row that goes by the beginning of its key.
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    changes.remove(&rows_of(&first[4..5]).project(&[0]).unwrap()).unwrap();
    let done = changes.commit("run-1").await.unwrap();
    assert_eq!((done.files_added, done.files_removed), (1, 1));
    let read = store.take();
    let untouched = [0, 1, 3].map(nth_week);
    let others = read.iter().filter(|(path, _)| week_of(path).is_some_and(|week| untouched.contains(&week)));
    assert!(others.clone().count() == 3 && others.clone().all(|(_, bytes)| *bytes < 84 << 10));
    assert_eq!(held(&lake).await.len(), 24_000 + 20 - 1);
}

fn lake_files(read: &BTreeMap<String, u64>) -> impl Iterator<Item = &String> {
    read.keys().filter(|path| path.ends_with(".parquet"))
}

#[tokio::test]
async fn the_filter_of_a_key_rarely_errs() {
    let (folder, lake) = lake().await;
    let mut random = Random(2);
    let rows: Vec<Row> =
        (0..30_000).map(|_| Row { id: random.id(), version: 1, has: [false, true], ..Row::default() }).collect();
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    push(&mut changes, &rows).await;
    changes.commit("run-1").await.unwrap();
    let path = folder.path().join(&logged(&lake, &COPILOT_EVENT).await[0]);
    let column = read(&path).1.row_group(0).column(0).clone();
    let bits = f64::from(column.bloom_filter_length().unwrap()) * 8.0 / 30_000.0;
    assert!((20.0..45.0).contains(&bits), "{bits} bits a row");
    let file = std::fs::File::open(&path).unwrap();
    let filter = ::parquet::bloom_filter::Sbbf::read_from_column_chunk(&column, &file).unwrap().unwrap();
    assert!(rows.iter().all(|row| filter.check(row.id.as_str())));
    let wrong = (0..50_000).filter(|_| filter.check(random.id().as_str())).count();
    assert!(wrong <= 20, "{wrong} of 50,000");
}

/// Payloads by the four parts of their key, all of the same time.
fn payload_keys(rows: &[[&str; 4]], status: &str) -> RecordBatch {
    let part = |at: usize| texts(&rows.iter().map(|row| row[at]).collect::<Vec<_>>());
    batch(
        &PAYLOAD,
        &[
            ("source_table", part(0)),
            ("source_id", part(1)),
            ("source_partitionid", part(2)),
            ("column_name", part(3)),
            ("row_time", times(rows.iter().map(|_| at(1)))),
            ("status", texts(&vec![status; rows.len()])),
        ],
    )
}

/// The keys of all payloads, their parts joined.
async fn all_payload_keys(lake: &Lake) -> Vec<String> {
    let scan = Scan { columns: PAYLOAD.key.to_vec(), ..Scan::default() };
    let batches: Vec<RecordBatch> = lake.scan(&PAYLOAD, scan).await.unwrap().try_collect().await.unwrap();
    let part = |batch: &RecordBatch, at: usize, row: usize| batch.column(at).as_string::<i32>().value(row).to_owned();
    let key = |batch: &RecordBatch, row| [0, 1, 2, 3].map(|at| part(batch, at, row)).concat();
    let mut keys: Vec<_> =
        batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| key(batch, row))).collect();
    keys.sort();
    keys
}

#[tokio::test]
async fn the_beginning_of_a_key_takes_all_its_rows_along() {
    let (folder, lake) = lake().await;
    let put = async |rows: &[[&str; 4]], status, remove: &[RecordBatch]| {
        let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
        for keys in remove {
            changes.remove(keys).unwrap();
        }
        changes.push(Some(week()), payload_keys(rows, status)).await.unwrap();
        changes.commit("run-1").await.unwrap()
    };
    let first =
        [["t", "1", "", "x"], ["t", "1", "", "y"], ["t", "2", "p", "x"], ["t", "2", "q", "x"], ["u", "1", "", "x"]];
    put(&first, "decoded", &[]).await;
    put(&[["v", "3", "", "x"], ["v", "4", "", "x"]], "decoded", &[]).await;
    let before = logged(&lake, &PAYLOAD).await;

    // What is pushed again as it is stays where it is; nothing is written.
    let done = put(&first, "decoded", &[payload_keys(&first, "").project(&[0, 1]).unwrap()]).await;
    assert_eq!(done, crate::Committed { rows_unchanged: 5, ..Default::default() });

    // One row of two is pushed again, the other one goes; another row goes by three parts of its key.
    let remove = [
        payload_keys(&[["t", "1", "", ""], ["t", "9", "", ""]], "").project(&[0, 1]).unwrap(),
        payload_keys(&[["t", "2", "q", ""]], "").project(&[2, 0, 1]).unwrap(),
    ];
    let done = put(&[["t", "1", "", "y"], ["w", "1", "", "x"]], "decoded", &remove).await;
    assert_eq!((done.rows_written, done.rows_unchanged, done.files_removed), (1, 1, 1));
    assert_eq!(all_payload_keys(&lake).await, ["t1y", "t2px", "u1x", "v3x", "v4x", "w1x"]);
    assert!(before.iter().any(|file| folder.path().join(file).exists()), "the file of v was not touched");

    // By the first part only, of which no filter tells.
    let done =
        put(&[["t", "2", "p", "x"]], "failed", &[payload_keys(&[["t", "", "", ""]], "").project(&[0]).unwrap()]).await;
    assert_eq!((done.rows_written, done.rows_unchanged), (1, 0));
    assert_eq!(all_payload_keys(&lake).await, ["t2px", "u1x", "v3x", "v4x", "w1x"]);
    assert_glob_is_log(folder.path(), &lake).await;
}

#[tokio::test]
async fn a_key_without_its_beginning_is_refused() {
    let (_folder, lake) = lake().await;
    let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
    let keys = payload_keys(&[["t", "1", "", "x"]], "");
    for columns in [vec![], vec![1], vec![0, 2, 3]] {
        let error = changes.remove(&keys.project(&columns).unwrap()).unwrap_err();
        assert!(matches!(error, crate::Error::Rows { table: "payload", .. }), "{error}");
    }
    // Nothing was taken.
    assert_eq!(changes.commit("run-1").await.unwrap(), crate::Committed::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_some_ids_are_read_as_they_were_pushed() {
    let (store, lake) = Counting::lake().await;
    let mut random = Random(3);
    let mut first: Vec<Row> = (0..12_000)
        .map(|n| Row { id: random.id(), week: n % 3, version: 5, has: [false, true], text: random.id() })
        .collect();
    // One id in two partitions.
    first.extend([first[0].clone(), first[0].clone()]);
    let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Upsert);
    push(&mut changes, &first[..12_000]).await;
    let mut columns = rows_of(&first[12_000..]).columns().to_vec();
    columns[1] = texts(&["p", "q"]);
    let more = RecordBatch::try_new(Arc::clone(COPILOT_EVENT.layout().schema()), columns).unwrap();
    changes.push(Some(week()), more).await.unwrap();
    changes.commit("run-1").await.unwrap();
    store.take();

    let ids = [0, 3, 9_003].map(|at: usize| first[at].id.clone()).into_iter().chain(["none".to_owned()]).collect();
    let found = lake.rows_of(&COPILOT_EVENT, &ids).await.unwrap();
    assert!(found.iter().all(|batch| batch.schema() == *COPILOT_EVENT.layout().schema()));
    let mut found: Vec<(String, String)> = found
        .iter()
        .flat_map(|batch| {
            pairs(&batch.project(&[0, COPILOT_EVENT.layout().position("msdyn_verbatim").unwrap()]).unwrap())
        })
        .collect();
    found.sort();
    let mut expected: Vec<_> =
        [0, 0, 0, 3, 9_003].map(|at: usize| (first[at].id.clone(), first[at].text.clone())).into();
    expected.sort();
    assert_eq!(found, expected);
    // The files of the other weeks were not read for their rows.
    let read = store.take();
    let whole: Vec<u64> = lake_files(&read).map(|file| read[file]).filter(|bytes| *bytes > 84 << 10).collect();
    assert_eq!((lake_files(&read).count(), whole.len()), (3, 1));

    assert!(lake.rows_of(&COPILOT_EVENT, &BTreeSet::new()).await.unwrap().is_empty());
    assert_eq!(store.take(), BTreeMap::new());
    // The first key column of payloads has no filter.
    let mut changes = lake.changes(&PAYLOAD, MergeMode::Upsert);
    changes.push(Some(week()), payload_keys(&[["t", "1", "", "x"], ["u", "1", "", "x"]], "decoded")).await.unwrap();
    changes.commit("run-1").await.unwrap();
    let found = lake.rows_of(&PAYLOAD, &BTreeSet::from(["u".to_owned()])).await.unwrap();
    assert_eq!(found.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicate_keys_are_removed() {
    let (folder, lake) = lake().await;
    let row = |id: &str, week, version, text: &str| Row {
        id: id.to_owned(),
        week,
        version,
        has: [true, true],
        text: text.to_owned(),
    };
    // As a commit left them that did not look.
    for rows in [
        vec![row("a", 0, 1, "old"), row("b", 0, 1, "b"), row("c", 1, 3, "newest")],
        vec![row("a", 1, 2, "new"), row("c", 2, 2, "older"), row("d", 2, 1, "d")],
        vec![row("c", 3, 1, "oldest"), row("d", 4, 1, "written later")],
    ] {
        let mut changes = lake.changes(&COPILOT_EVENT, MergeMode::Append);
        push(&mut changes, &rows).await;
        changes.commit("run-1").await.unwrap();
    }
    let log = lake.inner.log(&COPILOT_EVENT);
    assert_eq!(crate::merge::dedupe::remove_duplicates(&lake.inner.storage, &log).await.unwrap(), 4);
    let held = held(&lake).await;
    let texts: Vec<_> = held.values().map(|row| (row.id.as_str(), row.text.as_str())).collect();
    assert_eq!(texts, [("a", "new"), ("b", "b"), ("c", "newest"), ("d", "written later")]);
    assert_glob_is_log(folder.path(), &lake).await;
    let version = log.snapshot().await.unwrap().unwrap().version;
    assert_eq!(crate::merge::dedupe::remove_duplicates(&lake.inner.storage, &log).await.unwrap(), 0);
    assert_eq!(log.snapshot().await.unwrap().unwrap().version, version, "there was nothing to do");
}
