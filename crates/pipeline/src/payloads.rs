//! The second walk: whatever the lake's rows name and `payload` does not hold, newest first.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant as Clock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use copilot_lake_decoder::{Charset, Fetched, RawPayload, SourceRow, decode_payloads};
use copilot_lake_extractor::{Dataverse, Error as ServiceError, File, FileAddress};
use copilot_lake_tables::{Column, PAYLOAD, Table, Week};
use copilot_lake_writer::{Changes, Find, Lake, Scan};
use futures::TryStreamExt as _;
use tokio::task::{JoinError, JoinSet};

use crate::cpu;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::ledger::{instant, text};
use crate::settings::Stop;

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

/// Fetches, decodes and commits the payloads of a table's File columns.
pub(crate) async fn run(
    table: &'static Table,
    service: &Dataverse,
    lake: &Lake,
    run_id: &str,
    observe: &Observer,
    stop: &Stop,
) -> Result<Counts, Error> {
    let mut walk = Walk {
        table,
        service,
        lake,
        run_id,
        observe,
        changes: lake.changes(&PAYLOAD, Find::ByTime),
        since_commit: Clock::now(),
        bytes: 0,
        uncommitted: Counts::default(),
        counts: Counts::default(),
    };
    let mut weeks = lake.weeks(table).await?;
    weeks.sort_unstable_by(|a, b| b.cmp(a));
    for column in table.files() {
        for week in &weeks {
            walk.week(column, *week, stop).await?;
            if *stop.borrow() {
                walk.counts.stopped = true;
                walk.commit().await?;
                return Ok(walk.counts);
            }
        }
    }
    walk.commit().await?;
    Ok(walk.counts)
}

struct Walk<'a> {
    table: &'static Table,
    service: &'a Dataverse,
    lake: &'a Lake,
    run_id: &'a str,
    observe: &'a Observer,
    changes: Changes,
    since_commit: Clock,
    bytes: usize,
    uncommitted: Counts,
    counts: Counts,
}

/// Identifies a row and a file in half the memory of their texts.
type Fingerprint = (u64, u64);

impl Walk<'_> {
    async fn week(&mut self, column: &'static Column, week: Week, stop: &Stop) -> Result<(), Error> {
        let held = self.held(column, week).await?;
        let name_column = self.table.columns.iter().map(|other| other.name).find(|name| is_name_of(name, column.name));
        let mut columns = vec!["row_time", column.name];
        columns.extend(self.table.key);
        columns.extend(name_column);
        columns.extend(self.table.column(SCENARIO).map(|scenario| scenario.name));
        let scan = Scan { columns, week: Some(week) };
        let rows = self.lake.scan(self.table, scan).await?;
        let (table, service) = (self.table, self.service);
        let missing = rows.map_ok(|batch| {
            let rows = missing(table, column, name_column, &batch, &held);
            futures::stream::iter(rows.into_iter().map(Ok))
        });
        let fetched = missing.map_err(Error::Lake).try_flatten().map_ok(|row| {
            // A task of its own, so that fetches go on while others are decoded and committed.
            let mut task = JoinSet::new();
            task.spawn(fetch(table, service.clone(), row));
            async move { task.join_next().await.unwrap_or_else(|| unreachable!("one task was spawned")).unwrap_or_else(resume) }
        });
        let mut fetched = std::pin::pin!(fetched.try_buffer_unordered(FETCHED_AT_ONCE));
        let mut together: Vec<RawPayload<FetchedFile>> = Vec::new();
        let mut together_bytes = 0;
        let mut stopped = stop.clone();
        loop {
            let next = tokio::select! {
                next = fetched.try_next() => next?,
                Ok(_) = stopped.wait_for(|stop| *stop) => None,
            };
            let Some(payload) = next else { break };
            together_bytes += payload.bytes();
            together.push(payload.0);
            if together.len() >= DECODED_TOGETHER || together_bytes >= DECODED_TOGETHER_BYTES {
                self.decode(std::mem::take(&mut together), std::mem::take(&mut together_bytes)).await?;
                let is_due = self.since_commit.elapsed() >= COMMITTED_AFTER || self.bytes >= COMMITTED_AFTER_BYTES;
                if is_due {
                    self.commit().await?;
                }
            }
        }
        self.decode(together, together_bytes).await
    }

    /// The files of a week that `payload` holds; failed ones are tried again.
    async fn held(&self, column: &Column, week: Week) -> Result<HashSet<Fingerprint>, Error> {
        let columns = vec!["source_table", "source_id", "source_partitionid", "column_name", "file_id", "status"];
        let scan = Scan { columns, week: Some(week) };
        let mut held = HashSet::new();
        let mut batches = std::pin::pin!(self.lake.scan(&PAYLOAD, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let of_column = text(&batch, "source_table", row) == self.table.name
                    && text(&batch, "column_name", row) == column.name;
                if of_column && text(&batch, "status", row) != "failed" {
                    let id = text(&batch, "source_id", row);
                    let partition = text(&batch, "source_partitionid", row);
                    held.insert(fingerprint(id, partition, text(&batch, "file_id", row)));
                }
            }
        }
        Ok(held)
    }

    async fn decode(&mut self, payloads: Vec<RawPayload<FetchedFile>>, bytes: usize) -> Result<(), Error> {
        if payloads.is_empty() {
            return Ok(());
        }
        let extracted_at = self.service.service_time().await?;
        self.uncommitted.payloads += payloads.len() as u64;
        self.uncommitted.failed +=
            payloads.iter().filter(|payload| matches!(payload.fetched, Fetched::Failed(_))).count() as u64;
        // The bytes are let go as soon as they are decoded: their budget is what bounds the fetches.
        let decoded = cpu::run(move || decode_payloads(&payloads, extracted_at)).await?;
        for (week, batch) in decoded.batches {
            self.changes.push(Some(week), batch).await?;
        }
        self.bytes += bytes;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let changes = std::mem::replace(&mut self.changes, self.lake.changes(&PAYLOAD, Find::ByTime));
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

/// The rows of a batch that name a file which is not held.
fn missing(
    table: &'static Table,
    column: &'static Column,
    name_column: Option<&str>,
    batch: &RecordBatch,
    held: &HashSet<Fingerprint>,
) -> Vec<SourceRow> {
    let Some(files) = batch.column_by_name(column.name) else { return Vec::new() };
    let files = files.as_string::<i32>();
    let scenarios = batch.column_by_name(SCENARIO).map(|codes| codes.as_primitive::<Int32Type>());
    let partition = table.key.get(1);
    let mut rows = Vec::new();
    for row in (0..batch.num_rows()).filter(|row| files.is_valid(*row)) {
        let id = text(batch, table.key[0], row);
        let partition_id = partition.map_or("", |name| text(batch, name, row));
        if held.contains(&fingerprint(id, partition_id, files.value(row))) {
            continue;
        }
        let name = name_column.map_or("", |name| text(batch, name, row));
        let scenario = scenarios.filter(|codes| codes.is_valid(row)).map(|codes| codes.value(row));
        rows.push(SourceRow {
            table: table.name,
            id: id.to_owned(),
            partition_id: partition_id.to_owned(),
            column: column.name,
            file_id: files.value(row).to_owned(),
            file_name: (!name.is_empty()).then(|| name.to_owned()),
            row_time: instant(batch, "row_time", row),
            documented: Charset::of_scenario(scenario),
        });
    }
    rows
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
        Err(error) => Fetched::Failed(error.to_string()),
    };
    Ok(OnePayload(RawPayload { row, fetched }))
}

/// A panic of the task is a panic here; it is cancelled only together with this one.
fn resume<T>(error: JoinError) -> T {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => unreachable!("{error}"),
    }
}

fn fingerprint(id: &str, partition_id: &str, file_id: &str) -> Fingerprint {
    let half = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        (seed, id, partition_id, file_id).hash(&mut hasher);
        hasher.finish()
    };
    (half(0), half(1))
}
