//! The Files that rows name and `payload` does not have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use copilot_lake_decoder::{Charset, SourceRow};
use copilot_lake_tables::{Column, Instant, PAYLOAD, Table, Week};
use copilot_lake_writer::{Lake, READ_ATTEMPTS, Scan};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};

use crate::cells::{instant, text};
use crate::error::Error;
use crate::payloads::complete_weeks::CompleteWeeks;
use crate::reread::{self, reread};

/// A File column of a table in one week.
#[derive(Debug, Clone, Copy)]
struct FileColumnWeek {
    table: &'static Table,
    column: &'static Column,
    week: Week,
}

/// Rows that no longer name a File while `payload` has one. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClearedFiles(Arc<Mutex<Vec<SourceRow>>>);

impl ClearedFiles {
    pub(crate) fn drain(&self) -> Vec<SourceRow> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Identifies a row in half the memory that its key takes.
type Fingerprint = (u64, u64);

/// The payloads of one week in the lake, by table and File column.
#[derive(Debug, Default)]
pub(crate) struct HeldPayloads(BTreeMap<String, BTreeMap<String, HeldFiles>>);

/// The Files of one column that the lake has.
type HeldFiles = HashMap<Fingerprint, HeldFile>;

/// A File that the lake has.
#[derive(Debug, Clone, Copy)]
struct HeldFile {
    /// The hash of its id; `None` for a File that could not be fetched, which is tried again.
    file: Option<u64>,
    /// The service had no such File.
    missing: bool,
    row_time: Instant,
    extracted_at: Instant,
}

impl HeldPayloads {
    /// Reads the payloads of a week.
    pub(crate) async fn read(lake: &Lake, week: Week) -> Result<Self, Error> {
        let columns = vec![
            "source_table",
            "source_id",
            "source_partitionid",
            "column_name",
            "file_id",
            "status",
            "row_time",
            "extracted_at",
        ];
        let scan = Scan { columns, week: Some(week), ..Scan::default() };
        let mut held = Self::default();
        let mut batches = std::pin::pin!(lake.scan(&PAYLOAD, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let id = fingerprint(text(&batch, "source_id", row), text(&batch, "source_partitionid", row));
                let status = text(&batch, "status", row);
                let file = HeldFile {
                    file: (status != "failed").then(|| hash(&text(&batch, "file_id", row))),
                    missing: status == "missing",
                    row_time: instant(&batch, "row_time", row),
                    extracted_at: instant(&batch, "extracted_at", row),
                };
                held.column(text(&batch, "source_table", row), text(&batch, "column_name", row)).insert(id, file);
            }
        }
        Ok(held)
    }

    fn column(&mut self, table: &str, column: &str) -> &mut HeldFiles {
        if !self.0.get(table).is_some_and(|columns| columns.contains_key(column)) {
            self.0.entry(table.to_owned()).or_default().insert(column.to_owned(), HeldFiles::new());
        }
        let found = self.0.get_mut(table).and_then(|columns| columns.get_mut(column));
        found.unwrap_or_else(|| unreachable!("it was put there"))
    }

    fn files(&self, table: &str, column: &str) -> Option<&HeldFiles> {
        self.0.get(table)?.get(column)
    }

    /// When the File of a row was fetched, if the lake has one.
    pub(crate) fn extracted_at(&self, row: &SourceRow) -> Option<Instant> {
        let files = self.files(row.table, row.column)?;
        let held = files.get(&fingerprint(&row.id, &row.partition_id))?;
        held.file.is_some().then_some(held.extracted_at)
    }
}

/// The column that decides which charset is documented.
const SCENARIO: &str = "msdyn_scenariotype";

/// Which missing Files are requested again: reads of an elastic table may lag behind its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryMissing {
    /// Whether all of them are.
    pub(crate) full: bool,
    /// The time by the service's clock.
    pub(crate) now: Instant,
}

/// How long after the time of its row a missing File may still come.
const MAY_COME_WITHIN_SECONDS: i64 = 7 * Instant::DAY_SECONDS;

impl RetryMissing {
    /// Whether a missing File of a row may still come, by the latest of the row's times.
    fn may_come(self, batch: &RecordBatch, row: usize) -> bool {
        let latest = ROW_TIMES.iter().map(|name| instant(batch, name, row)).max().unwrap_or(Instant(0));
        self.now < latest.plus_seconds(MAY_COME_WITHIN_SECONDS)
    }
}

/// The columns that say when a row was created or changed.
const ROW_TIMES: [&str; 3] = ["row_time", "createdon", "modifiedon"];

/// A row that names a File which the lake does not have.
pub(crate) struct NamedFile {
    pub(crate) row: SourceRow,
    /// Whether the service may have it later when it is missing now.
    pub(crate) may_come: bool,
    /// Whether an earlier run could not fetch it.
    pub(crate) has_failed_before: bool,
}

/// The Files to fetch: named by rows and not in the lake, newest week first. Weeks that are known to have all their
/// payloads are left out. Rows that name no File while the lake has one are added to `cleared`.
pub(crate) async fn files_to_fetch<'a>(
    lake: &'a Lake,
    tables: &'a [&'static Table],
    complete: &CompleteWeeks,
    cleared: &ClearedFiles,
    retry: RetryMissing,
) -> Result<impl Stream<Item = Result<NamedFile, Error>> + use<'a>, Error> {
    let mut weeks = BTreeSet::new();
    for table in tables {
        weeks.extend(lake.weeks(table).await?.into_iter().filter(|week| !complete.contains(table, *week)));
    }
    let cleared = cleared.clone();
    let weeks = futures::stream::iter(weeks.into_iter().rev().map(Ok::<_, Error>));
    let units = weeks.and_then(move |week| async move {
        let held = Arc::new(reread(|| HeldPayloads::read(lake, week)).await?);
        let columns = tables.iter().flat_map(|table| table.files().map(|column| (*table, column)));
        let units = columns
            .map(move |(table, column)| Ok::<_, Error>((FileColumnWeek { table, column, week }, Arc::clone(&held))));
        Ok(futures::stream::iter(units))
    });
    let files = units.try_flatten().map_ok(move |(unit, held)| {
        let week = WeekReader { lake, unit, held, cleared: cleared.clone(), retry, files: None, attempts: 1 };
        futures::stream::try_unfold(week, |mut week| async move {
            Ok::<_, Error>(week.next().await?.map(|file| (file, week)))
        })
    });
    Ok(files.try_flatten())
}

/// The Files to fetch of a week. Fetching them takes long, and meanwhile another tool may remove what is still to be read.
struct WeekReader<'a> {
    lake: &'a Lake,
    unit: FileColumnWeek,
    held: Arc<HeldPayloads>,
    cleared: ClearedFiles,
    retry: RetryMissing,
    files: Option<BoxStream<'static, Result<NamedFile, Error>>>,
    attempts: usize,
}

impl WeekReader<'_> {
    async fn next(&mut self) -> Result<Option<NamedFile>, Error> {
        loop {
            let Some(files) = &mut self.files else {
                let (held, how) = (Arc::clone(&self.held), (self.cleared.clone(), self.retry));
                self.files = Some(files_to_fetch_in_week(self.lake, self.unit, held, how).await?.boxed());
                continue;
            };
            match files.try_next().await {
                Err(error) if self.attempts < READ_ATTEMPTS && reread::is_outdated(&error) => {
                    // Files that were fetched and not committed are fetched twice.
                    self.attempts += 1;
                    self.held = Arc::new(reread(|| HeldPayloads::read(self.lake, self.unit.week)).await?);
                    self.files = None;
                }
                next => return next,
            }
        }
    }
}

async fn files_to_fetch_in_week(
    lake: &Lake,
    unit: FileColumnWeek,
    held: Arc<HeldPayloads>,
    (cleared, retry): (ClearedFiles, RetryMissing),
) -> Result<impl Stream<Item = Result<NamedFile, Error>> + use<>, Error> {
    let FileColumnWeek { table, column, week } = unit;
    let name_column = table.columns.iter().map(|other| other.name).find(|name| is_name_of(name, column.name));
    let mut columns = vec![column.name, "deleted_at"];
    columns.extend(ROW_TIMES.iter().filter(|name| **name == "row_time" || table.column(name).is_some()));
    columns.extend(table.key);
    columns.extend(name_column);
    columns.extend(table.column(SCENARIO).map(|scenario| scenario.name));
    let rows = lake.scan(table, Scan { columns, week: Some(week), ..Scan::default() }).await?;
    let files = rows.map_err(Error::Lake).map_ok(move |batch| {
        let (rows, without) = compare_batch(unit, name_column, &batch, held.files(table.name, column.name), retry);
        cleared.0.lock().unwrap_or_else(PoisonError::into_inner).extend(without);
        futures::stream::iter(rows.into_iter().map(Ok))
    });
    Ok(files.try_flatten())
}

/// Whether a column has the name of the File in another one: `<column>_name`.
fn is_name_of(name: &str, file: &str) -> bool {
    name.strip_prefix(file).is_some_and(|rest| rest == "_name")
}

/// The rows of a batch that name a File which the lake does not have, and those that name none while the lake has one.
fn compare_batch(
    unit: FileColumnWeek,
    name_column: Option<&str>,
    batch: &RecordBatch,
    held: Option<&HeldFiles>,
    retry: RetryMissing,
) -> (Vec<NamedFile>, Vec<SourceRow>) {
    let FileColumnWeek { table, column, .. } = unit;
    let Some(files) = batch.column_by_name(column.name) else { return (vec![], vec![]) };
    let files = files.as_string::<i32>();
    let scenarios = batch.column_by_name(SCENARIO).map(|codes| codes.as_primitive::<Int32Type>());
    let deleted = batch.column_by_name("deleted_at");
    let partition = table.key.get(1);
    let (mut rows, mut cleared) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        let file = files.is_valid(row).then(|| files.value(row));
        // Files of deleted rows are not fetched, and their payloads stay.
        let is_deleted = deleted.is_some_and(|deleted| deleted.is_valid(row));
        if is_deleted || (file.is_none() && held.is_none()) {
            continue;
        }
        let id = text(batch, table.key[0], row);
        let partition_id = partition.map_or("", |name| text(batch, name, row));
        let row_time = instant(batch, "row_time", row);
        let known = held.and_then(|held| held.get(&fingerprint(id, partition_id)));
        let may_come = retry.may_come(batch, row);
        let is_retried = known.is_some_and(|held| held.missing && (retry.full || may_come));
        if !is_retried && known.map(|held| (held.file, held.row_time)) == file.map(|file| (Some(hash(&file)), row_time))
        {
            continue;
        }
        let name = name_column.map_or("", |name| text(batch, name, row));
        let scenario = scenarios.filter(|codes| codes.is_valid(row)).map(|codes| codes.value(row));
        let source = SourceRow {
            table: table.name,
            id: id.to_owned(),
            partition_id: partition_id.to_owned(),
            column: column.name,
            file_id: file.unwrap_or_default().to_owned(),
            file_name: (!name.is_empty()).then(|| name.to_owned()),
            row_time,
            documented: Charset::documented_for(column, scenario),
        };
        if file.is_none() {
            cleared.push(source);
            continue;
        }
        let has_failed_before = known.is_some_and(|held| held.file.is_none());
        rows.push(NamedFile { row: source, may_come, has_failed_before });
    }
    (rows, cleared)
}

fn fingerprint(id: &str, partition_id: &str) -> Fingerprint {
    (hash(&(0_u8, id, partition_id)), hash(&(1_u8, id, partition_id)))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use copilot_lake_tables::COPILOT_EVENT;

    use super::*;
    use crate::test_lake::rows;

    const TIME: Instant = Instant::from_seconds(1_760_000_000);
    const FILE: &str = "msdyn_interactiondata";

    fn unit() -> FileColumnWeek {
        let column = COPILOT_EVENT.column(FILE).unwrap();
        FileColumnWeek { table: &COPILOT_EVENT, column, week: Week::of(TIME) }
    }

    /// An event `a` that names this File.
    fn event(file: Option<&str>) -> RecordBatch {
        rows(&COPILOT_EVENT, &["msdyn_copiloteventid", "partitionid", FILE], &[&[Some("a"), Some("p"), file]], TIME)
    }

    fn held(file: Option<&str>, missing: bool, row_time: Instant) -> HeldFiles {
        let file = HeldFile { file: file.map(|file| hash(&file)), missing, row_time, extracted_at: TIME };
        HeldFiles::from([(fingerprint("a", "p"), file)])
    }

    /// How many Files of the event are to be fetched, and how many payloads of it go.
    fn compared(batch: &RecordBatch, held: Option<&HeldFiles>, retry: RetryMissing) -> (usize, usize) {
        let (named, cleared) = compare_batch(unit(), None, batch, held, retry);
        (named.len(), cleared.len())
    }

    #[test]
    fn a_file_is_fetched_unless_it_is_held() {
        let retry = RetryMissing { full: false, now: TIME };
        let named = event(Some("f"));
        assert_eq!(compared(&named, None, retry), (1, 0), "none is held");
        assert_eq!(compared(&named, Some(&HeldFiles::new()), retry), (1, 0), "others are held");
        assert_eq!(compared(&named, Some(&held(Some("f"), false, TIME)), retry), (0, 0));
        assert_eq!(compared(&named, Some(&held(Some("g"), false, TIME)), retry), (1, 0), "it was replaced");
        assert_eq!(compared(&named, Some(&held(None, false, TIME)), retry), (1, 0), "it could not be fetched");
        let moved = held(Some("f"), false, TIME.plus_seconds(-1));
        assert_eq!(compared(&named, Some(&moved), retry), (1, 0), "its row has another time");
    }

    #[test]
    fn a_payload_goes_when_its_row_names_no_file_any_more() {
        let retry = RetryMissing { full: false, now: TIME };
        assert_eq!(compared(&event(None), None, retry), (0, 0));
        assert_eq!(compared(&event(None), Some(&HeldFiles::new()), retry), (0, 0));
        assert_eq!(compared(&event(None), Some(&held(Some("f"), false, TIME)), retry), (0, 1));
    }

    #[test]
    fn a_missing_file_is_tried_again_for_a_week() {
        let (named, held) = (event(Some("f")), held(Some("f"), true, TIME));
        let retry = |full, days| RetryMissing { full, now: TIME.plus_seconds(days * Instant::DAY_SECONDS) };
        assert_eq!(compared(&named, Some(&held), retry(false, 6)), (1, 0));
        assert_eq!(compared(&named, Some(&held), retry(false, 7)), (0, 0));
        assert_eq!(compared(&named, Some(&held), retry(true, 7)), (1, 0), "a run with --full tries all of them");
        let (found, _) = compare_batch(unit(), None, &named, None, retry(false, 6));
        assert!(found[0].may_come, "the service may have it later");
        let (found, _) = compare_batch(unit(), None, &named, None, retry(false, 7));
        assert!(!found[0].may_come);
    }

    #[test]
    fn files_of_deleted_rows_stay_as_they_are() {
        let deleted = event(Some("f"));
        let schema = deleted.schema();
        let columns = schema.fields().iter().zip(deleted.columns()).map(|(field, column)| {
            let is_time = field.name() == "deleted_at";
            let times = || arrow::array::TimestampMicrosecondArray::from(vec![TIME.0]).with_timezone("UTC");
            if is_time { Arc::new(times()) as arrow::array::ArrayRef } else { Arc::clone(column) }
        });
        let deleted = RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap();
        let retry = RetryMissing { full: true, now: TIME };
        assert_eq!(compared(&deleted, None, retry), (0, 0));
        assert_eq!(compared(&deleted, Some(&held(Some("g"), false, TIME)), retry), (0, 0));
    }

    #[test]
    fn the_name_of_a_file_is_in_a_column_beside_it() {
        assert!(is_name_of("msdyn_interactiondata_name", FILE));
        assert!(!is_name_of(FILE, FILE) && !is_name_of("msdyn_interactiondata_names", FILE));
    }
}
