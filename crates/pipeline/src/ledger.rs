//! The ledger: which runs there were, which windows are done, and the rows that say so.

mod continued;
mod groups;
mod rows;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use copilot_lake_decoder::assemble;
use copilot_lake_extractor::Slice;
use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, Instant, Table};
use copilot_lake_writer::{Lake, MergeMode, Scan};
use futures::TryStreamExt as _;
use tokio::sync::Mutex;

pub(crate) use self::continued::Continued;
use self::groups::Groups;
use self::rows::Row;
use crate::error::Error;
use crate::ingest::Counts;
use crate::plan::{self, Window};
use crate::report::{Outcome, Report, Status};

/// Runs whose starts lie no further apart may be told apart by the ledger alone.
const SAME_MOMENT_SECONDS: i64 = 60;

/// What `source` says of slices that are planned from all rows of the ledger.
const DATAVERSE: &str = "dataverse";
/// The same of users' slices.
const GRAPH: &str = "graph";
/// The command of a replay.
pub(crate) const REPLAY: &str = "replay";
/// What the command of a run that reads everything again ends with.
pub(crate) const FULL: &str = " --full";

/// What the ledger held when the run started, and what the run has added since.
pub(crate) struct Ledger {
    lake: Lake,
    /// Rows of this run that may not be committed yet.
    groups: Groups,
    started: BTreeMap<String, Instant>,
    /// How each run ended that did.
    outcomes: BTreeMap<String, String>,
    /// The command of each run.
    commands: BTreeMap<String, String>,
    /// When each run finished its last slice.
    active: BTreeMap<String, Instant>,
    /// Done windows that count for watermarks, per table and selection.
    windows: Mutex<BTreeMap<String, BTreeMap<String, Vec<Window>>>>,
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
#[derive(Debug)]
pub(crate) struct SliceRow {
    pub(crate) slice: Slice,
    pub(crate) selection: String,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    pub(crate) watermark: Watermark,
    /// The change tracking token that was given.
    pub(crate) token: Option<String>,
    pub(crate) finished_at: Instant,
    /// What was received.
    pub(crate) received: Counts,
}

/// Until when everything is read, after a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watermark {
    /// The window says nothing about that: it was asked for by `--since` or `--until`, or watermarks are not gone by.
    None,
    /// As the table's done windows say, with this one if it is done.
    OfWindows,
    /// This, as the slice's own scope says.
    At(Option<Instant>),
}

impl Ledger {
    /// Reads the ledger of a lake.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut ledger = Self {
            lake: lake.clone(),
            groups: Groups::new(lake.clone()),
            started: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            commands: BTreeMap::new(),
            active: BTreeMap::new(),
            windows: Mutex::default(),
            marks: Mutex::default(),
        };
        let scan = Scan { columns: vec!["run_id", "started_at", "command", "outcome"], ..Scan::default() };
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_RUN, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let run_id = text(&batch, "run_id", row).to_owned();
                if batch.column_by_name("outcome").is_some_and(|outcome| outcome.is_valid(row)) {
                    ledger.outcomes.insert(run_id.clone(), text(&batch, "outcome", row).to_owned());
                }
                ledger.commands.insert(run_id.clone(), text(&batch, "command", row).to_owned());
                ledger.started.insert(run_id, instant(&batch, "started_at", row));
            }
        }
        let columns = vec![
            "run_id",
            "source",
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
        // Of users the newest rows are enough: whoever needs them reads them.
        let scan = Scan { columns, key: Some(("source", DATAVERSE)), ..Scan::default() };
        let (windows, marks) = (ledger.windows.get_mut(), ledger.marks.get_mut());
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_SLICE, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            let counts = batch.column_by_name("done_until").map(Arc::clone);
            for row in 0..batch.num_rows() {
                let (run, at) = (text(&batch, "run_id", row), instant(&batch, "finished_at", row));
                note_active(&mut ledger.active, run, at);
                if text(&batch, "source", row) != DATAVERSE || text(&batch, "status", row) != Status::Done.name() {
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
                    let (table, selection) = (text(&batch, "table_name", row), text(&batch, "selection", row));
                    of_selection(windows, table, selection).push(window);
                }
            }
        }
        ledger.read_active().await?;
        Ok(ledger)
    }

    /// Reads when runs that may be continued finished the slices of their last users.
    async fn read_active(&mut self) -> Result<(), Error> {
        let mut runs: Vec<_> = self.started.iter().collect();
        runs.sort_by_key(|(_, started)| std::cmp::Reverse(**started));
        let open = runs.into_iter().take_while(|(run, _)| match self.outcomes.get(*run) {
            None => true,
            Some(outcome) => outcome == Outcome::Partial.name() && self.command_of(run).ends_with(FULL),
        });
        let Some(first) = open.map(|(_, started)| *started).last() else { return Ok(()) };
        let columns = vec!["run_id", "finished_at"];
        let scan = Scan { columns, key: Some(("source", GRAPH)), ..Scan::default() };
        let mut files = std::pin::pin!(self.lake.scan_files(&EXTRACTION_SLICE, scan).await?);
        while let Some(mut file) = files.try_next().await? {
            if file.newest.is_some_and(|newest| newest < first) {
                break;
            }
            while let Some(batch) = file.batches.try_next().await? {
                for row in 0..batch.num_rows() {
                    note_active(&mut self.active, text(&batch, "run_id", row), instant(&batch, "finished_at", row));
                }
            }
        }
        Ok(())
    }

    /// A start that comes after all earlier runs', although they may have begun in the same moment of a service's clock.
    /// Runs that began later by far have another clock.
    pub(crate) fn next_start(&self, started_at: Instant) -> Instant {
        let near = started_at.plus_seconds(SAME_MOMENT_SECONDS);
        let last = self.started.values().filter(|start| **start < near).max();
        last.map_or(started_at, |last| started_at.max(Instant(last.0 + 1)))
    }

    /// When each run started.
    pub(crate) fn started(&self) -> &BTreeMap<String, Instant> {
        &self.started
    }

    /// The done windows of a table whose selection covers the present one.
    pub(crate) async fn windows(&self, table: &Table, selection: &str) -> Vec<Window> {
        let windows = self.windows.lock().await;
        let covering = windows.get(table.name).into_iter().flatten().filter(|(done, _)| plan::covers(done, selection));
        covering.flat_map(|(_, windows)| windows).cloned().collect()
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
        self.groups.fold_runs(run_id).await;
        self.write_run(run_id, rows::run(run_id, command, started_at, None, None), MergeMode::Append).await?;
        self.commands.insert(run_id.to_owned(), command.to_owned());
        self.started.insert(run_id.to_owned(), started_at);
        Ok(())
    }

    /// Takes in a run of which only the archive tells.
    pub(crate) async fn learn_run(&mut self, run_id: &str, started_at: Instant) -> Result<(), Error> {
        if !self.started.contains_key(run_id) {
            self.write_run(run_id, rows::run(run_id, "extract", started_at, Some("replayed"), None), MergeMode::Append)
                .await?;
            self.started.insert(run_id.to_owned(), started_at);
        }
        Ok(())
    }

    /// Says how the run ended, after everything else.
    pub(crate) async fn end_run(
        &self,
        command: &str,
        started_at: Instant,
        finished_at: Instant,
        report: &Report,
    ) -> Result<(), Error> {
        self.flush(&report.run_id).await?;
        self.groups.fold_slices(&report.run_id).await;
        let outcome = Some(Outcome::name(report.outcome));
        let row = rows::run(&report.run_id, command, started_at, outcome, Some((finished_at, report)));
        self.write_run(&report.run_id, row, MergeMode::Upsert).await
    }

    /// Takes a slice's row, which is committed soon. It comes after the commit of its data: that is what makes it true.
    /// `false`: the run had recorded the slice before, and this row replaces that one.
    pub(crate) async fn record(&self, run_id: &str, row: &SliceRow) -> Result<bool, Error> {
        self.record_by(run_id, row, false).await
    }

    /// As [`Ledger::record`], for a row that the lake may have already.
    pub(crate) async fn record_again(&self, run_id: &str, row: &SliceRow) -> Result<bool, Error> {
        self.record_by(run_id, row, true).await
    }

    async fn record_by(&self, run_id: &str, row: &SliceRow, known: bool) -> Result<bool, Error> {
        let slice = &row.slice;
        if row.status == Status::Done {
            let mark = Mark {
                run_id: run_id.to_owned(),
                end: slice.end,
                token: row.token.clone(),
                finished_at: row.finished_at,
            };
            self.marks.lock().await.insert((slice.table.name.to_owned(), slice.time_column.to_owned()), mark);
        }
        let mut done_until = None;
        if row.status == Status::Done && row.watermark == Watermark::OfWindows {
            let as_of = row.received.as_of.unwrap_or(row.finished_at);
            let window = Window {
                run_id: run_id.to_owned(),
                clock: slice.time_column.to_owned(),
                start: slice.start,
                end: slice.end,
                as_of,
            };
            of_selection(&mut *self.windows.lock().await, slice.table.name, &row.selection).push(window);
            let windows = self.windows(slice.table, &row.selection).await;
            done_until = plan::watermark(windows.iter(), as_of).or(Some(slice.start));
        }
        self.take(run_id, &[(row, done_until)], known).await
    }

    /// Takes the rows of slices that were committed together and whose scopes say until when they are read.
    pub(crate) async fn record_all(&self, run_id: &str, rows: impl Iterator<Item = &SliceRow>) -> Result<(), Error> {
        let done_until = |row: &SliceRow| if let Watermark::At(at) = row.watermark { at } else { None };
        let rows: Vec<_> = rows.map(|row| (row, done_until(row))).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.take(run_id, &rows, false).await.map(drop)
    }

    async fn take(&self, run_id: &str, rows: &[(&SliceRow, Option<Instant>)], known: bool) -> Result<bool, Error> {
        let Some((first, _)) = rows.first() else { return Ok(true) };
        let source = first.slice.table.source_name();
        let batch = assemble(&EXTRACTION_SLICE, rows::slices(run_id, rows))?;
        self.groups.take(source, batch, rows.iter().map(|(row, _)| rows::key(run_id, row)), known, run_id).await
    }

    /// Commits all rows that were taken: for what must not happen before they are durable.
    pub(crate) async fn flush(&self, run_id: &str) -> Result<(), Error> {
        self.groups.flush(run_id).await
    }

    /// Does work to its end; rows that it records are committed meanwhile when they have waited long enough.
    pub(crate) async fn while_committing<T>(&self, run_id: &str, work: impl Future<Output = T>) -> T {
        self.groups.while_committing(run_id, work).await
    }

    /// Writes a run's row. A run keeps its start.
    async fn write_run(&self, run_id: &str, row: Row, find: MergeMode) -> Result<(), Error> {
        let mut changes = self.lake.changes(&EXTRACTION_RUN, find);
        changes.push(None, assemble(&EXTRACTION_RUN, row)?).await?;
        changes.commit(run_id).await?;
        Ok(())
    }
}

/// The windows of a table and selection.
fn of_selection<'w>(
    windows: &'w mut BTreeMap<String, BTreeMap<String, Vec<Window>>>,
    table: &str,
    selection: &str,
) -> &'w mut Vec<Window> {
    if !windows.get(table).is_some_and(|of_table| of_table.contains_key(selection)) {
        windows.entry(table.to_owned()).or_default().insert(selection.to_owned(), vec![]);
    }
    let found = windows.get_mut(table).and_then(|of_table| of_table.get_mut(selection));
    found.unwrap_or_else(|| unreachable!("it was put there"))
}

/// Notes that a run finished a slice then.
fn note_active(active: &mut BTreeMap<String, Instant>, run: &str, at: Instant) {
    match active.get_mut(run) {
        Some(last) => *last = at.max(*last),
        None => drop(active.insert(run.to_owned(), at)),
    }
}

/// Keeps the later of two marks; of the same time the one that came first here, which was written last.
fn remember(marks: &mut BTreeMap<(String, String), Mark>, table: &str, clock: &str, mark: Mark) {
    let kept = marks.entry((table.to_owned(), clock.to_owned())).or_insert_with(|| mark.clone());
    if kept.finished_at < mark.finished_at {
        *kept = mark;
    }
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

#[cfg(test)]
mod tests;
