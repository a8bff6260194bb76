//! Which Files rows name and `payload` does not hold.

use std::collections::HashMap;
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

/// A File column of a table in one week.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) table: &'static Table,
    pub(crate) column: &'static Column,
    pub(crate) week: Week,
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

/// What `payload` holds of a unit: the row, its File and its time.
type Held = HashMap<Fingerprint, (u64, Instant)>;

/// The column that says which charset is documented.
const SCENARIO: &str = "msdyn_scenariotype";

/// The rows of a unit that name a File which is not held; those that name none while one is held go to `gone`.
pub(crate) async fn missing(
    lake: &Lake,
    unit: Unit,
    gone: &Gone,
) -> Result<impl Stream<Item = Result<SourceRow, Error>> + use<>, Error> {
    let Unit { table, column, week } = unit;
    let held = held(lake, unit).await?;
    let name_column = table.columns.iter().map(|other| other.name).find(|name| is_name_of(name, column.name));
    let mut columns = vec!["row_time", column.name, "deleted_at"];
    columns.extend(table.key);
    columns.extend(name_column);
    columns.extend(table.column(SCENARIO).map(|scenario| scenario.name));
    let rows = lake.scan(table, Scan { columns, week: Some(week) }).await?;
    let gone = gone.clone();
    let missing = rows.map_err(Error::Lake).map_ok(move |batch| {
        let (rows, without) = of_batch(unit, name_column, &batch, &held);
        gone.0.lock().unwrap_or_else(PoisonError::into_inner).extend(without);
        futures::stream::iter(rows.into_iter().map(Ok))
    });
    Ok(missing.try_flatten())
}

/// Whether a column holds the name of the File in another one: `<column>_name`.
fn is_name_of(name: &str, file: &str) -> bool {
    name.strip_prefix(file).is_some_and(|rest| rest == "_name")
}

/// What `payload` holds of a unit; failed ones are tried again.
async fn held(lake: &Lake, unit: Unit) -> Result<Held, Error> {
    let columns =
        vec!["source_table", "source_id", "source_partitionid", "column_name", "file_id", "status", "row_time"];
    let scan = Scan { columns, week: Some(unit.week) };
    let mut held = HashMap::new();
    let mut batches = std::pin::pin!(lake.scan(&PAYLOAD, scan).await?);
    while let Some(batch) = batches.try_next().await? {
        for row in 0..batch.num_rows() {
            let of_unit = text(&batch, "source_table", row) == unit.table.name
                && text(&batch, "column_name", row) == unit.column.name;
            if of_unit && text(&batch, "status", row) != "failed" {
                let id = text(&batch, "source_id", row);
                let partition = text(&batch, "source_partitionid", row);
                let file = hash(&text(&batch, "file_id", row));
                held.insert(fingerprint(id, partition), (file, instant(&batch, "row_time", row)));
            }
        }
    }
    Ok(held)
}

/// The rows of a batch that name a File which is not held, and those that name none while one is held.
fn of_batch(
    unit: Unit,
    name_column: Option<&str>,
    batch: &RecordBatch,
    held: &Held,
) -> (Vec<SourceRow>, Vec<SourceRow>) {
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
        if is_deleted || (file.is_none() && held.is_empty()) {
            continue;
        }
        let id = text(batch, table.key[0], row);
        let partition_id = partition.map_or("", |name| text(batch, name, row));
        let row_time = instant(batch, "row_time", row);
        let known = held.get(&fingerprint(id, partition_id));
        if known.copied() == file.map(|file| (hash(&file), row_time)) {
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
            documented: Charset::of(column, scenario),
        };
        if file.is_some() { rows.push(source) } else { gone.push(source) }
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
