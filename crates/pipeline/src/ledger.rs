//! The ledger: which runs there were, which windows are done, and the rows that say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_decoder::assemble;
use copilot_lake_extractor::Slice;
use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, Instant, Table};
use copilot_lake_writer::{Find, Lake, Scan};
use futures::TryStreamExt as _;
use tokio::sync::Mutex;

use crate::error::Error;
use crate::plan::{self, Window};
use crate::report::{Outcome, Report};

/// A run that did not end is continued by one that starts within this time.
const CONTINUED_WITHIN_SECONDS: i64 = 6 * 3600;

/// What the ledger held when the run started, and what the run has added since.
pub(crate) struct Ledger {
    lake: Lake,
    started: BTreeMap<String, Instant>,
    ended: BTreeSet<String>,
    /// Done windows that count for watermarks, with their selection, per table.
    windows: Mutex<BTreeMap<String, Vec<(Window, String)>>>,
}

/// The row that a slice leaves.
pub(crate) struct SliceRow<'a> {
    pub(crate) slice: &'a Slice,
    pub(crate) selection: &'a str,
    pub(crate) as_of: Option<Instant>,
    pub(crate) status: &'static str,
    pub(crate) reason: Option<String>,
    /// Whether the window counts for watermarks: not when it was asked for by `--since` or `--until`.
    pub(crate) counts: bool,
    pub(crate) pages: u64,
    pub(crate) rows: u64,
    pub(crate) rejected: u64,
    pub(crate) requests: u64,
    pub(crate) throttled_seconds: f64,
    pub(crate) finished_at: Instant,
}

impl Ledger {
    /// Reads the ledger of a lake.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut ledger = Self {
            lake: lake.clone(),
            started: BTreeMap::new(),
            ended: BTreeSet::new(),
            windows: Mutex::new(BTreeMap::new()),
        };
        let scan = Scan { columns: vec!["run_id", "started_at", "outcome"], week: None };
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_RUN, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let run_id = text(&batch, "run_id", row).to_owned();
                if batch.column_by_name("outcome").is_some_and(|outcome| outcome.is_valid(row)) {
                    ledger.ended.insert(run_id.clone());
                }
                ledger.started.insert(run_id, instant(&batch, "started_at", row));
            }
        }
        let columns = vec![
            "run_id",
            "table_name",
            "clock",
            "window_start",
            "window_end",
            "as_of",
            "done_until",
            "status",
            "selection",
        ];
        let scan = Scan { columns, week: None };
        let windows = ledger.windows.get_mut();
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            let counts = batch.column_by_name("done_until").map(Arc::clone);
            for row in 0..batch.num_rows() {
                let is_done = text(&batch, "status", row) == "done";
                if is_done && counts.as_ref().is_some_and(|column| column.is_valid(row)) {
                    let window = Window {
                        run_id: text(&batch, "run_id", row).to_owned(),
                        clock: text(&batch, "clock", row).to_owned(),
                        start: instant(&batch, "window_start", row),
                        end: instant(&batch, "window_end", row),
                        as_of: instant(&batch, "as_of", row),
                    };
                    let selection = text(&batch, "selection", row).to_owned();
                    windows.entry(text(&batch, "table_name", row).to_owned()).or_default().push((window, selection));
                }
            }
        }
        Ok(ledger)
    }

    /// Whether the last run did not end: it may have left files behind. One before it was cleaned up after.
    pub(crate) fn last_is_unfinished(&self) -> bool {
        let last = self.started.values().max();
        self.started.iter().any(|(run, started)| Some(started) == last && !self.ended.contains(run))
    }

    /// The runs that a run starting now continues: the newest ones without an end, within six hours.
    pub(crate) fn continued(&self, now: Instant) -> BTreeSet<String> {
        let mut runs: Vec<_> = self.started.iter().collect();
        runs.sort_by_key(|(_, started)| std::cmp::Reverse(**started));
        let earliest = now.plus_seconds(-CONTINUED_WITHIN_SECONDS);
        runs.into_iter()
            .take_while(|(run, started)| !self.ended.contains(*run) && **started >= earliest)
            .map(|(run, _)| run.clone())
            .collect()
    }

    /// When each run started.
    pub(crate) fn started(&self) -> &BTreeMap<String, Instant> {
        &self.started
    }

    /// The done windows of a table whose selection covers the present one, and whether there are others.
    pub(crate) async fn windows(&self, table: &Table, selection: &str) -> (Vec<Window>, bool) {
        let windows = self.windows.lock().await;
        let Some(windows) = windows.get(table.name) else { return (vec![], false) };
        let covering = windows.iter().filter(|(_, done)| plan::covers(done, selection));
        let covering: Vec<_> = covering.map(|(window, _)| window.clone()).collect();
        let others = covering.len() < windows.len();
        (covering, others)
    }

    /// Says that the run started, before it does anything else. Without an end it counts as killed.
    pub(crate) async fn start_run(&mut self, run_id: &str, command: &str, started_at: Instant) -> Result<(), Error> {
        self.write_run(run_id, command, started_at, None).await?;
        self.started.insert(run_id.to_owned(), started_at);
        Ok(())
    }

    /// Says how the run ended.
    pub(crate) async fn end_run(
        &self,
        command: &str,
        started_at: Instant,
        finished_at: Instant,
        report: &Report,
    ) -> Result<(), Error> {
        self.write_run(&report.run_id, command, started_at, Some((finished_at, report))).await
    }

    async fn write_run(
        &self,
        run_id: &str,
        command: &str,
        started_at: Instant,
        end: Option<(Instant, &Report)>,
    ) -> Result<(), Error> {
        let count = |of: fn(&Report) -> u64| {
            Arc::new(Int64Array::from(vec![end.map(|(_, report)| of(report) as i64)])) as ArrayRef
        };
        let outcome = end.map(|(_, report): (_, &Report)| Outcome::name(report.outcome));
        let row = vec![
            ("run_id", one(Some(run_id))),
            ("started_at", utc(Some(started_at))),
            ("finished_at", utc(end.map(|(at, _)| at))),
            ("version", one(Some(env!("CARGO_PKG_VERSION")))),
            ("command", one(Some(command))),
            ("outcome", one(outcome)),
            ("slices_done", count(|report| report.total(|table| table.slices_done))),
            ("slices_failed", count(|report| report.total(|table| table.slices_failed))),
            ("slices_skipped", count(|report| report.total(|table| table.slices_skipped))),
            ("rows_received", count(|report| report.total(|table| table.rows_received))),
            ("rows_written", count(|report| report.total(|table| table.rows_written))),
            ("payloads", count(|report| report.total(|table| table.payloads))),
            ("payloads_failed", count(|report| report.total(|table| table.payloads_failed))),
            ("rejected", count(|report| report.total(|table| table.rejected))),
            ("requests", count(|report| report.requests)),
            ("extracted_at", utc(Some(end.map_or(started_at, |(at, _)| at)))),
        ];
        self.write(&EXTRACTION_RUN, row, run_id).await
    }

    /// Writes a slice's row. It comes after the commit of its data: that is what makes it true.
    pub(crate) async fn record(&self, run_id: &str, row: &SliceRow<'_>) -> Result<(), Error> {
        let slice = row.slice;
        let mut done_until = None;
        if row.status == "done" && row.counts {
            let as_of = row.as_of.unwrap_or(row.finished_at);
            let window = Window {
                run_id: run_id.to_owned(),
                clock: slice.clock.to_owned(),
                start: slice.start,
                end: slice.end,
                as_of,
            };
            let mut windows = self.windows.lock().await;
            let of_table = windows.entry(slice.table.name.to_owned()).or_default();
            of_table.push((window, row.selection.to_owned()));
            let covering = of_table.iter().filter(|(_, done)| plan::covers(done, row.selection));
            done_until = plan::watermark(covering.map(|(window, _)| window), as_of).or(Some(slice.start));
        }
        let count = |value: u64| Arc::new(Int64Array::from(vec![value as i64])) as ArrayRef;
        let throttled = Decimal128Array::from(vec![(row.throttled_seconds * 1e12) as i128])
            .with_data_type(copilot_lake_tables::Type::Decimal.data_type());
        let columns = vec![
            ("run_id", one(Some(run_id))),
            ("source", one(Some(slice.table.source_name()))),
            ("table_name", one(Some(slice.table.name))),
            ("scope", one(Some(&slice.scope))),
            ("clock", one(Some(slice.clock))),
            ("window_start", utc(Some(slice.start))),
            ("window_end", utc(Some(slice.end))),
            ("as_of", utc(row.as_of)),
            ("done_until", utc(done_until)),
            ("finished_at", utc(Some(row.finished_at))),
            ("status", one(Some(row.status))),
            ("pages", count(row.pages)),
            ("rows", count(row.rows)),
            ("rejected", count(row.rejected)),
            ("requests", count(row.requests)),
            ("throttled_seconds", Arc::new(throttled)),
            ("selection", one(Some(row.selection))),
            ("reason", one(row.reason.as_deref())),
            ("extracted_at", utc(Some(row.finished_at))),
        ];
        self.write(&EXTRACTION_SLICE, columns, run_id).await
    }

    async fn write(&self, table: &'static Table, row: Vec<(&str, ArrayRef)>, run_id: &str) -> Result<(), Error> {
        // A run keeps its start, and a slice's row is never written again.
        let mut changes = self.lake.changes(table, Find::ByTime);
        changes.push(None, assemble(table, row)?).await?;
        changes.commit(run_id).await?;
        Ok(())
    }
}

fn one(text: Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from(vec![text]))
}

fn utc(at: Option<Instant>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![at.map(|at| at.0)]).with_timezone("UTC"))
}

/// The text in a column, empty when null.
pub(crate) fn text<'b>(batch: &'b RecordBatch, column: &str, row: usize) -> &'b str {
    let array = batch.column_by_name(column).map(|array| array.as_string::<i32>());
    array.filter(|array| array.is_valid(row)).map_or("", |array| array.value(row))
}

/// The instant in a column, the epoch when null.
pub(crate) fn instant(batch: &RecordBatch, column: &str, row: usize) -> Instant {
    let array = batch.column_by_name(column).map(|array| array.as_primitive::<TimestampMicrosecondType>());
    Instant(array.filter(|array| array.is_valid(row)).map_or(0, |array| array.value(row)))
}
