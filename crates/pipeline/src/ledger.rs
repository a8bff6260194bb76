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
use crate::ingest::Counts;
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
    /// The last done window of each table and clock.
    marks: Mutex<BTreeMap<(String, String), Mark>>,
}

/// Where the reading of a table by one of its clocks ended last.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) run_id: String,
    /// The end of its window.
    pub(crate) end: Instant,
    /// The change tracking token that it gave.
    pub(crate) token: Option<String>,
    finished_at: Instant,
}

/// The row that a slice leaves.
pub(crate) struct SliceRow<'a> {
    pub(crate) slice: &'a Slice,
    pub(crate) selection: &'a str,
    pub(crate) status: &'static str,
    pub(crate) reason: Option<String>,
    /// Whether the window counts for watermarks: not when it was asked for by `--since` or `--until`.
    pub(crate) counts: bool,
    /// The change tracking token that was given.
    pub(crate) token: Option<&'a str>,
    pub(crate) finished_at: Instant,
    /// What was received.
    pub(crate) received: &'a Counts,
}

impl Ledger {
    /// Reads the ledger of a lake.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut ledger = Self {
            lake: lake.clone(),
            started: BTreeMap::new(),
            ended: BTreeSet::new(),
            windows: Mutex::default(),
            marks: Mutex::default(),
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
            "finished_at",
            "token",
        ];
        let scan = Scan { columns, week: None };
        let (windows, marks) = (ledger.windows.get_mut(), ledger.marks.get_mut());
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            let counts = batch.column_by_name("done_until").map(Arc::clone);
            for row in 0..batch.num_rows() {
                if text(&batch, "status", row) != "done" {
                    continue;
                }
                let token = Some(text(&batch, "token", row)).filter(|token| !token.is_empty());
                let mark = Mark {
                    run_id: text(&batch, "run_id", row).to_owned(),
                    end: instant(&batch, "window_end", row),
                    token: token.map(str::to_owned),
                    finished_at: instant(&batch, "finished_at", row),
                };
                remember(marks, text(&batch, "table_name", row), text(&batch, "clock", row), mark);
                if counts.as_ref().is_some_and(|column| column.is_valid(row)) {
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

    /// Where the reading of a table by that clock ended last.
    pub(crate) async fn mark(&self, table: &str, clock: &str) -> Option<Mark> {
        self.marks.lock().await.get(&(table.to_owned(), clock.to_owned())).cloned()
    }

    /// Whether no run started between these two.
    pub(crate) fn is_before(&self, run_id: &str, next: &str) -> bool {
        let Some(start) = self.started.get(next) else { return false };
        let earlier = self.started.iter().map(|(run, at)| (at, run.as_str())).filter(|run| *run < (start, next));
        earlier.max().is_some_and(|(_, before)| before == run_id)
    }

    /// Says that the run started, before it does anything else. Without an end it counts as killed.
    pub(crate) async fn start_run(&mut self, run_id: &str, command: &str, started_at: Instant) -> Result<(), Error> {
        self.write_run(run_id, command, started_at, None, None).await?;
        self.started.insert(run_id.to_owned(), started_at);
        Ok(())
    }

    /// Takes in a run of which only the archive tells.
    pub(crate) async fn learn_run(&mut self, run_id: &str, started_at: Instant) -> Result<(), Error> {
        if !self.started.contains_key(run_id) {
            self.write_run(run_id, "extract", started_at, Some("replayed"), None).await?;
            self.started.insert(run_id.to_owned(), started_at);
        }
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
        let outcome = Some(Outcome::name(report.outcome));
        self.write_run(&report.run_id, command, started_at, outcome, Some((finished_at, report))).await
    }

    async fn write_run(
        &self,
        run_id: &str,
        command: &str,
        started_at: Instant,
        outcome: Option<&str>,
        end: Option<(Instant, &Report)>,
    ) -> Result<(), Error> {
        let count = |of: fn(&Report) -> u64| {
            Arc::new(Int64Array::from(vec![end.map(|(_, report)| of(report) as i64)])) as ArrayRef
        };
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
        // A run keeps its start.
        self.write(&EXTRACTION_RUN, row, run_id, Find::ByTime).await
    }

    /// Writes a slice's row. It comes after the commit of its data: that is what makes it true.
    pub(crate) async fn record(&self, run_id: &str, row: &SliceRow<'_>) -> Result<(), Error> {
        // A slice's row is never written again by its own run.
        self.record_by(run_id, row, Find::ByTime).await
    }

    /// Writes a slice's row, which may be there already.
    pub(crate) async fn record_again(&self, run_id: &str, row: &SliceRow<'_>) -> Result<(), Error> {
        self.record_by(run_id, row, Find::ByKey).await
    }

    async fn record_by(&self, run_id: &str, row: &SliceRow<'_>, find: Find) -> Result<(), Error> {
        let (slice, received) = (row.slice, row.received);
        let mut done_until = None;
        if row.status == "done" {
            let mark = Mark {
                run_id: run_id.to_owned(),
                end: slice.end,
                token: row.token.map(str::to_owned),
                finished_at: row.finished_at,
            };
            remember(&mut *self.marks.lock().await, slice.table.name, slice.clock, mark);
        }
        if row.status == "done" && row.counts {
            let as_of = received.as_of.unwrap_or(row.finished_at);
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
        let throttled = Decimal128Array::from(vec![(received.throttled_seconds * 1e12) as i128])
            .with_data_type(copilot_lake_tables::Type::Decimal.data_type());
        let columns = vec![
            ("run_id", one(Some(run_id))),
            ("source", one(Some(slice.table.source_name()))),
            ("table_name", one(Some(slice.table.name))),
            ("scope", one(Some(&slice.scope))),
            ("clock", one(Some(slice.clock))),
            ("window_start", utc(Some(slice.start))),
            ("window_end", utc(Some(slice.end))),
            ("as_of", utc(received.as_of)),
            ("done_until", utc(done_until)),
            ("finished_at", utc(Some(row.finished_at))),
            ("status", one(Some(row.status))),
            ("pages", count(received.pages)),
            ("rows", count(received.rows)),
            ("rejected", count(received.rejected)),
            ("requests", count(received.requests)),
            ("throttled_seconds", Arc::new(throttled)),
            ("selection", one(Some(row.selection))),
            ("reason", one(row.reason.as_deref())),
            ("token", one(row.token)),
            ("extracted_at", utc(Some(row.finished_at))),
        ];
        self.write(&EXTRACTION_SLICE, columns, run_id, find).await
    }

    async fn write(
        &self,
        table: &'static Table,
        row: Vec<(&str, ArrayRef)>,
        run_id: &str,
        find: Find,
    ) -> Result<(), Error> {
        let mut changes = self.lake.changes(table, find);
        changes.push(None, assemble(table, row)?).await?;
        changes.commit(run_id).await?;
        Ok(())
    }
}

/// Keeps the later of two marks.
fn remember(marks: &mut BTreeMap<(String, String), Mark>, table: &str, clock: &str, mark: Mark) {
    let kept = marks.entry((table.to_owned(), clock.to_owned())).or_insert_with(|| mark.clone());
    if kept.finished_at <= mark.finished_at {
        *kept = mark;
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
