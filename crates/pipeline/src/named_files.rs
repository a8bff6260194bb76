//! Which Files rows name and `payload` does not hold.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use copilot_lake_decoder::{Charset, SourceRow};
use copilot_lake_tables::{Column, Instant, PAYLOAD, Table, Week};
use copilot_lake_writer::{Lake, Scan};
use futures::{Stream, TryStreamExt as _};

use crate::error::Error;
use crate::ledger::{instant, text};
use crate::whole::Whole;

/// A File column of a table in one week.
#[derive(Debug, Clone, Copy)]
struct Unit {
    table: &'static Table,
    column: &'static Column,
    week: Week,
}

/// Rows whose File was taken away while `payload` holds one. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gone(Arc<Mutex<Vec<SourceRow>>>);

impl Gone {
    pub(crate) fn take(&self) -> Vec<SourceRow> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Identifies a row in half the memory of its key.
type Fingerprint = (u64, u64);

/// What `payload` holds of one week, by table and File column.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<String, BTreeMap<String, HeldFiles>>);

/// The Files of one column that are held.
type HeldFiles = HashMap<Fingerprint, HeldFile>;

/// A File that is held.
#[derive(Debug, Clone, Copy)]
struct HeldFile {
    /// The hash of its id; none of a File that could not be fetched, which is tried again.
    file: Option<u64>,
    /// The service had no such File.
    missing: bool,
    row_time: Instant,
    extracted_at: Instant,
}

impl Held {
    /// Reads what the lake holds of a week.
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

    fn of(&self, table: &str, column: &str) -> Option<&HeldFiles> {
        self.0.get(table)?.get(column)
    }

    /// When the File of a row was fetched, if one is held.
    pub(crate) fn extracted_at(&self, row: &SourceRow) -> Option<Instant> {
        let of_column = self.of(row.table, row.column)?;
        let held = of_column.get(&fingerprint(&row.id, &row.partition_id))?;
        held.file.is_some().then_some(held.extracted_at)
    }
}

/// The column that says which charset is documented.
const SCENARIO: &str = "msdyn_scenariotype";

/// Which Files are asked for again of which the service had nothing: reads of an elastic table lag behind its rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryMissing {
    /// All of them.
    pub(crate) full: bool,
    /// The time by the service's clock.
    pub(crate) now: Instant,
}

/// So long after its row's time a File that is missing may still come.
const MAY_COME_WITHIN_SECONDS: i64 = 7 * Instant::DAY_SECONDS;

impl RetryMissing {
    /// Whether the File of a row may still come when it is missing: by the latest of its times.
    fn may_come(self, batch: &RecordBatch, row: usize) -> bool {
        let latest = ROW_TIMES.iter().map(|name| instant(batch, name, row)).max().unwrap_or(Instant(0));
        self.now < latest.plus_seconds(MAY_COME_WITHIN_SECONDS)
    }
}

/// When a row was made or changed.
const ROW_TIMES: [&str; 3] = ["row_time", "createdon", "modifiedon"];

/// A row that names a File which is not held.
pub(crate) struct NamedFile {
    pub(crate) row: SourceRow,
    /// When the service has no such File yet, it may have one later.
    pub(crate) may_come: bool,
}

/// The rows that name a File which is not held, newest week first, but for weeks that are known to be whole; those that
/// name none while one is held go to `gone`.
pub(crate) async fn missing<'a>(
    lake: &'a Lake,
    tables: &'a [&'static Table],
    whole: &Whole,
    gone: &Gone,
    again: RetryMissing,
) -> Result<impl Stream<Item = Result<NamedFile, Error>> + use<'a>, Error> {
    let mut weeks = BTreeSet::new();
    for table in tables {
        weeks.extend(lake.weeks(table).await?.into_iter().filter(|week| !whole.is_whole(table, *week)));
    }
    let gone = gone.clone();
    let weeks = futures::stream::iter(weeks.into_iter().rev().map(Ok::<_, Error>));
    let units = weeks.and_then(move |week| async move {
        let held = Arc::new(Held::read(lake, week).await?);
        let columns = tables.iter().flat_map(|table| table.files().map(|column| (*table, column)));
        let units = columns.map(move |(table, column)| Ok((Unit { table, column, week }, Arc::clone(&held))));
        Ok(futures::stream::iter(units))
    });
    let missing = units.try_flatten().and_then(move |(unit, held)| {
        let gone = gone.clone();
        async move { of_unit(lake, unit, held, (gone, again)).await }
    });
    Ok(missing.try_flatten())
}

async fn of_unit(
    lake: &Lake,
    unit: Unit,
    held: Arc<Held>,
    (gone, again): (Gone, RetryMissing),
) -> Result<impl Stream<Item = Result<NamedFile, Error>> + use<>, Error> {
    let Unit { table, column, week } = unit;
    let name_column = table.columns.iter().map(|other| other.name).find(|name| is_name_of(name, column.name));
    let mut columns = vec![column.name, "deleted_at"];
    columns.extend(ROW_TIMES.iter().filter(|name| **name == "row_time" || table.column(name).is_some()));
    columns.extend(table.key);
    columns.extend(name_column);
    columns.extend(table.column(SCENARIO).map(|scenario| scenario.name));
    let rows = lake.scan(table, Scan { columns, week: Some(week), ..Scan::default() }).await?;
    let missing = rows.map_err(Error::Lake).map_ok(move |batch| {
        let (rows, without) = of_batch(unit, name_column, &batch, held.of(table.name, column.name), again);
        gone.0.lock().unwrap_or_else(PoisonError::into_inner).extend(without);
        futures::stream::iter(rows.into_iter().map(Ok))
    });
    Ok(missing.try_flatten())
}

/// Whether a column holds the name of the File in another one: `<column>_name`.
fn is_name_of(name: &str, file: &str) -> bool {
    name.strip_prefix(file).is_some_and(|rest| rest == "_name")
}

/// The rows of a batch that name a File which is not held, and those that name none while one is held.
fn of_batch(
    unit: Unit,
    name_column: Option<&str>,
    batch: &RecordBatch,
    held: Option<&HeldFiles>,
    again: RetryMissing,
) -> (Vec<NamedFile>, Vec<SourceRow>) {
    let Unit { table, column, .. } = unit;
    let Some(files) = batch.column_by_name(column.name) else { return (vec![], vec![]) };
    let files = files.as_string::<i32>();
    let scenarios = batch.column_by_name(SCENARIO).map(|codes| codes.as_primitive::<Int32Type>());
    let deleted = batch.column_by_name("deleted_at");
    let partition = table.key.get(1);
    let (mut rows, mut gone) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        let file = files.is_valid(row).then(|| files.value(row));
        // What the service does not have any more is not fetched, and what was fetched of it stays.
        let is_deleted = deleted.is_some_and(|deleted| deleted.is_valid(row));
        if is_deleted || (file.is_none() && held.is_none()) {
            continue;
        }
        let id = text(batch, table.key[0], row);
        let partition_id = partition.map_or("", |name| text(batch, name, row));
        let row_time = instant(batch, "row_time", row);
        let known = held.and_then(|held| held.get(&fingerprint(id, partition_id)));
        let may_come = again.may_come(batch, row);
        let is_asked_again = known.is_some_and(|held| held.missing && (again.full || may_come));
        if !is_asked_again
            && known.map(|held| (held.file, held.row_time)) == file.map(|file| (Some(hash(&file)), row_time))
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
        if file.is_some() { rows.push(NamedFile { row: source, may_come }) } else { gone.push(source) }
    }
    (rows, gone)
}

fn fingerprint(id: &str, partition_id: &str) -> Fingerprint {
    (hash(&(0_u8, id, partition_id)), hash(&(1_u8, id, partition_id)))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
