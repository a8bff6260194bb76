//! The second walk: whatever the lake's rows name and `payload` does not hold, newest first.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Clock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow, assemble, decode_payloads};
use copilot_lake_extractor::{Dataverse, Error as ServiceError, File, FileAddress};
use copilot_lake_tables::{Column, Instant, PAYLOAD, Table, Week};
use copilot_lake_writer::{Changes, Find, Lake, Scan};
use futures::TryStreamExt as _;
use tokio::task::{JoinError, JoinSet};

use crate::cpu;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::halt::Halt;
use crate::ledger::{instant, text};

/// Payloads fetched at the same time; the extractor's own limits lie below.
const FETCHED_AT_ONCE: usize = 48;
/// Payloads that are decoded together, by number and by bytes.
const DECODED_TOGETHER: usize = 512;
const DECODED_TOGETHER_BYTES: usize = 8 << 20;
/// What a crash may cost: payloads are committed after this time or this many bytes.
const COMMITTED_AFTER: Duration = Duration::from_secs(60);
const COMMITTED_AFTER_BYTES: usize = 64 << 20;

/// What the walk did for a table.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) payloads: u64,
    pub(crate) failed: u64,
    pub(crate) stopped: bool,
}

/// Fetches, decodes and commits the payloads of a table's File columns. What was got before an error is committed.
pub(crate) async fn run(
    table: &'static Table,
    service: &Dataverse,
    lake: &Lake,
    run_id: &str,
    observe: &Observer,
    halt: &Halt,
) -> (Counts, Result<(), Error>) {
    let mut walk = Walk {
        table,
        service,
        lake,
        run_id,
        observe,
        halt,
        changes: lake.changes(&PAYLOAD, Find::ByKey),
        since_commit: Clock::now(),
        bytes: 0,
        uncommitted: Counts::default(),
        counts: Counts::default(),
    };
    let walked = walk.weeks().await;
    let committed = walk.commit().await;
    (walk.counts, walked.and(committed))
}

struct Walk<'a> {
    table: &'static Table,
    service: &'a Dataverse,
    lake: &'a Lake,
    run_id: &'a str,
    observe: &'a Observer,
    halt: &'a Halt,
    changes: Changes,
    since_commit: Clock,
    bytes: usize,
    uncommitted: Counts,
    counts: Counts,
}

/// Identifies a row in half the memory of its key.
type Fingerprint = (u64, u64);

/// What `payload` holds of a week: the row, its File and its time.
type Held = HashMap<Fingerprint, (u64, Instant)>;

impl Walk<'_> {
    async fn weeks(&mut self) -> Result<(), Error> {
        let mut weeks = self.lake.weeks(self.table).await?;
        weeks.reverse();
        for column in self.table.files() {
            for week in &weeks {
                if self.halt.is_over() {
                    self.counts.stopped = true;
                    return Ok(());
                }
                self.week(column, *week).await?;
            }
        }
        Ok(())
    }

    async fn week(&mut self, column: &'static Column, week: Week) -> Result<(), Error> {
        let held = self.held(column, week).await?;
        let name_column = self.table.columns.iter().map(|other| other.name).find(|name| is_name_of(name, column.name));
        let mut columns = vec!["row_time", column.name];
        columns.extend(self.table.key);
        columns.extend(name_column);
        columns.extend(self.table.column(SCENARIO).map(|scenario| scenario.name));
        let scan = Scan { columns, week: Some(week) };
        let rows = self.lake.scan(self.table, scan).await?;
        let (table, service, halt) = (self.table, self.service, self.halt);
        let gone = Mutex::new(Vec::new());
        let missing = rows.map_ok(|batch| {
            let (rows, without) = missing(table, column, name_column, &batch, &held);
            gone.lock().unwrap_or_else(PoisonError::into_inner).extend(without);
            futures::stream::iter(rows.into_iter().map(Ok))
        });
        let fetched = missing.map_err(Error::Lake).try_flatten().map_ok(|row| {
            // A task of its own, so that fetches go on while others are decoded and committed.
            let mut task = JoinSet::new();
            task.spawn(fetch(table, service.clone(), row));
            async move {
                let joined = task.join_next().await;
                joined.unwrap_or_else(|| unreachable!("one task was spawned")).unwrap_or_else(resume)
            }
        });
        let mut fetched = std::pin::pin!(fetched.try_buffer_unordered(FETCHED_AT_ONCE));
        let mut over = std::pin::pin!(halt.over());
        let mut together: Vec<RawPayload<FetchedFile>> = Vec::new();
        let mut together_bytes = 0;
        let result = loop {
            let due = self.since_commit + COMMITTED_AFTER;
            let next = tokio::select! {
                next = fetched.try_next() => match next {
                    Ok(Some(payload)) => Some(payload),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                },
                () = tokio::time::sleep_until(due.into()) => None,
                () = &mut over => {
                    self.counts.stopped = true;
                    break Ok(());
                }
            };
            if let Some(payload) = next {
                together_bytes += payload.bytes();
                together.push(payload.0);
            }
            if together.len() >= DECODED_TOGETHER || together_bytes >= DECODED_TOGETHER_BYTES || Clock::now() >= due {
                self.decode(std::mem::take(&mut together), std::mem::take(&mut together_bytes)).await?;
            }
        };
        self.decode(together, together_bytes).await?;
        let gone = std::mem::take(&mut *gone.lock().unwrap_or_else(PoisonError::into_inner));
        if !gone.is_empty() {
            self.changes.remove(&keys(&gone)?)?;
        }
        result
    }

    /// What `payload` holds of a week; failed ones are tried again.
    async fn held(&self, column: &Column, week: Week) -> Result<Held, Error> {
        let columns =
            vec!["source_table", "source_id", "source_partitionid", "column_name", "file_id", "status", "row_time"];
        let scan = Scan { columns, week: Some(week) };
        let mut held = HashMap::new();
        let mut batches = std::pin::pin!(self.lake.scan(&PAYLOAD, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let of_column = text(&batch, "source_table", row) == self.table.name
                    && text(&batch, "column_name", row) == column.name;
                if of_column && text(&batch, "status", row) != "failed" {
                    let id = text(&batch, "source_id", row);
                    let partition = text(&batch, "source_partitionid", row);
                    let file = hash(&text(&batch, "file_id", row));
                    held.insert(fingerprint(id, partition), (file, instant(&batch, "row_time", row)));
                }
            }
        }
        Ok(held)
    }

    async fn decode(&mut self, payloads: Vec<RawPayload<FetchedFile>>, bytes: usize) -> Result<(), Error> {
        if !payloads.is_empty() {
            let extracted_at = self.service.service_time().await?;
            self.uncommitted.payloads += payloads.len() as u64;
            self.uncommitted.failed +=
                payloads.iter().filter(|payload| matches!(payload.fetched, Fetched::Failed(_))).count() as u64;
            // The bytes are let go as soon as they are decoded: their budget is what bounds the fetches.
            let decoded = cpu::run(move || decode_payloads(&payloads, extracted_at)).await?;
            for (week, batch) in decoded.payloads {
                self.changes.push(Some(week), batch).await?;
            }
            self.bytes += bytes;
        }
        if self.since_commit.elapsed() >= COMMITTED_AFTER || self.bytes >= COMMITTED_AFTER_BYTES {
            self.commit().await?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let changes = std::mem::replace(&mut self.changes, self.lake.changes(&PAYLOAD, Find::ByKey));
        changes.commit(self.run_id).await?;
        let Counts { payloads, failed, .. } = std::mem::take(&mut self.uncommitted);
        if payloads > 0 {
            (self.observe)(&Event::Payloads { table: self.table.name, payloads, failed });
        }
        self.counts.payloads += payloads;
        self.counts.failed += failed;
        self.bytes = 0;
        self.since_commit = Clock::now();
        Ok(())
    }
}

/// The column that says which charset is documented.
const SCENARIO: &str = "msdyn_scenariotype";

/// Whether a column holds the name of the File in another one: `<column>_name`.
fn is_name_of(name: &str, file: &str) -> bool {
    name.strip_prefix(file).is_some_and(|rest| rest == "_name")
}

/// The bytes of a fetched file; its permit in the extractor's budget is given back when it is dropped.
struct FetchedFile(File);

impl AsRef<[u8]> for FetchedFile {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

struct OnePayload(RawPayload<FetchedFile>);

impl OnePayload {
    fn bytes(&self) -> usize {
        match &self.0.fetched {
            Fetched::Bytes(file, _) => file.0.bytes.len(),
            Fetched::Missing | Fetched::TooLarge(_) | Fetched::Failed(_) => 0,
        }
    }
}

/// The keys of rows of `payload` whose row names no File any more.
fn keys(gone: &[SourceRow]) -> Result<RecordBatch, Error> {
    let each =
        |part: fn(&SourceRow) -> &str| Arc::new(StringArray::from_iter_values(gone.iter().map(part))) as ArrayRef;
    let keys = vec![
        ("source_table", each(|row| row.table)),
        ("source_id", each(|row| &row.id)),
        ("source_partitionid", each(|row| &row.partition_id)),
        ("column_name", each(|row| row.column)),
    ];
    Ok(assemble(&PAYLOAD, keys)?)
}

/// The rows of a batch that name a File which is not held, and those that name none while one is held.
fn missing(
    table: &'static Table,
    column: &'static Column,
    name_column: Option<&str>,
    batch: &RecordBatch,
    held: &Held,
) -> (Vec<SourceRow>, Vec<SourceRow>) {
    let Some(files) = batch.column_by_name(column.name) else { return (vec![], vec![]) };
    let files = files.as_string::<i32>();
    let scenarios = batch.column_by_name(SCENARIO).map(|codes| codes.as_primitive::<Int32Type>());
    let partition = table.key.get(1);
    let (mut rows, mut gone) = (Vec::new(), Vec::new());
    for row in 0..batch.num_rows() {
        let file = files.is_valid(row).then(|| files.value(row));
        if file.is_none() && held.is_empty() {
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

async fn fetch(table: &'static Table, service: Dataverse, row: SourceRow) -> Result<OnePayload, Error> {
    let mut key = vec![row.id.clone()];
    if table.key.len() > 1 {
        key.push(row.partition_id.clone());
    }
    let address = FileAddress { table, key, column: row.column };
    let fetched = match service.file(&address).await {
        Ok(file) => {
            let name = file.name.clone();
            Fetched::Bytes(FetchedFile(file), name)
        }
        Err(ServiceError::FileMissing { .. }) => Fetched::Missing,
        Err(ServiceError::FileTooLarge { size, .. }) => Fetched::TooLarge(size),
        // Nothing else will be got either.
        Err(error @ (ServiceError::SignInRefused { .. } | ServiceError::PermissionMissing { .. })) => {
            return Err(error.into());
        }
        Err(error) => Fetched::Failed(without_call(&error)),
    };
    Ok(OnePayload(RawPayload { row, fetched }))
}

/// The error without tries, times and request ids: the same failure must read the same in the next run.
fn without_call(error: &ServiceError) -> String {
    let text = error.to_string();
    let call = error.call().map(|call| format!(" ({call})")).unwrap_or_default();
    text.strip_suffix(&call).unwrap_or(&text).to_owned()
}

/// A panic of the task is a panic here; it is cancelled only together with this one.
fn resume<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("{error}"),
    }
}

fn fingerprint(id: &str, partition_id: &str) -> Fingerprint {
    (hash(&(0_u8, id, partition_id)), hash(&(1_u8, id, partition_id)))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
