//! The bookkeeping tables: which runs there were, which windows are done, and which rows have rejects.
//!
//! Knows nothing of how a service is read: it gets the row of a slice once the slice is committed.

pub(crate) mod commit_queue;
mod reject_index;
pub(crate) mod rejects;
pub(crate) mod row_rejects;
mod rows;
pub(crate) mod runs;
pub(crate) mod slice_row;
pub(crate) mod week_records;
pub(crate) mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use copilot_lake_decoder::assemble;
use copilot_lake_extractor::Slice;
use copilot_lake_tables::{EXTRACTION_RUN, EXTRACTION_SLICE, Instant, Service, Table};
use copilot_lake_writer::{Lake, MergeMode, Scan};
use futures::TryStreamExt as _;
use tokio::sync::Mutex;

use self::commit_queue::CommitQueue;
use self::rows::NamedArrays;
use self::runs::Runs;
use self::slice_row::{SliceRow, Watermark};
use self::windows::{DoneWindow, UnreadableWindow};
use crate::cells::{instant, int, text};
use crate::error::Error;
use crate::report::{Report, RunOutcome, SliceStatus};

/// What the ledger held when the run started, and what the run has added since.
pub(crate) struct Ledger {
    lake: Lake,
    /// Rows of this run that may not be committed yet.
    queue: CommitQueue,
    runs: Runs,
    /// Done windows that count towards watermarks, per table and selection.
    windows: Mutex<WindowsByTable<DoneWindow>>,
    /// Windows that could not be read. Watermarks pass them: they are among the done ones too.
    unreadable: Mutex<WindowsByTable<UnreadableWindow>>,
    /// The last done window of each table and time column.
    last_windows: Mutex<BTreeMap<(String, String), LastWindow>>,
    failures: FailedWindows,
}

/// The windows per table and time column that were requested in vain, with the last time.
type FailedWindows = BTreeMap<(String, String), BTreeMap<(Instant, Instant), Instant>>;

/// Windows per table and selection.
type WindowsByTable<W> = BTreeMap<String, BTreeMap<String, Vec<W>>>;

/// The last done window of a table by one of its time columns.
#[derive(Debug, Clone)]
pub(crate) struct LastWindow {
    pub(crate) run_id: String,
    /// The end of its window.
    pub(crate) end: Instant,
    /// The delta token of change tracking.
    pub(crate) token: Option<String>,
    finished_at: Instant,
}

impl Ledger {
    /// Reads the ledger of a lake.
    pub(crate) async fn read(lake: &Lake) -> Result<Self, Error> {
        let mut ledger = Self {
            lake: lake.clone(),
            queue: CommitQueue::new(lake.clone()),
            runs: Runs::default(),
            windows: Mutex::default(),
            unreadable: Mutex::default(),
            last_windows: Mutex::default(),
            failures: FailedWindows::default(),
        };
        let scan = Scan { columns: vec!["run_id", "started_at", "command", "outcome"], ..Scan::default() };
        let mut batches = std::pin::pin!(lake.scan(&EXTRACTION_RUN, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            for row in 0..batch.num_rows() {
                let has_ended = batch.column_by_name("outcome").is_some_and(|outcome| outcome.is_valid(row));
                let outcome = has_ended.then(|| text(&batch, "outcome", row));
                let (run_id, command) = (text(&batch, "run_id", row), text(&batch, "command", row));
                ledger.runs.add(run_id, command, instant(&batch, "started_at", row), outcome);
            }
        }
        for service in Service::ALL.into_iter().filter(|service| !service.has_slices_of_users()) {
            ledger.read_windows(service).await?;
        }
        for service in Service::ALL.into_iter().filter(|service| service.has_slices_of_users()) {
            ledger.read_active(service).await?;
        }
        Ok(ledger)
    }

    /// Reads which windows of a service's tables are done.
    async fn read_windows(&mut self, service: Service) -> Result<(), Error> {
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
            "requests",
        ];
        let scan = Scan { columns, key: Some(("source", service.name())), ..Scan::default() };
        let (windows, last_windows) = (self.windows.get_mut(), self.last_windows.get_mut());
        let unreadable = self.unreadable.get_mut();
        let mut batches = std::pin::pin!(self.lake.scan(&EXTRACTION_SLICE, scan).await?);
        while let Some(batch) = batches.try_next().await? {
            let done_until = batch.column_by_name("done_until").map(Arc::clone);
            for row in 0..batch.num_rows() {
                let run_id = text(&batch, "run_id", row);
                let finished_at = instant(&batch, "finished_at", row);
                self.runs.note_active(run_id, finished_at);
                let status = text(&batch, "status", row);
                let has_watermark = done_until.as_ref().is_some_and(|column| column.is_valid(row));
                let is_done = status == SliceStatus::Done.name();
                if text(&batch, "source", row) != service.name() {
                    continue;
                }
                let (table, time_column) = (text(&batch, "table_name", row), text(&batch, "clock", row));
                let (start, end) = (instant(&batch, "window_start", row), instant(&batch, "window_end", row));
                if !(is_done || has_watermark) {
                    if status == SliceStatus::Failed.name() && int(&batch, "requests", row) > 0 {
                        let of_table = self.failures.entry((table.to_owned(), time_column.to_owned())).or_default();
                        let last = of_table.entry((start, end)).or_insert(finished_at);
                        *last = finished_at.max(*last);
                    }
                    continue;
                }
                let (as_of, selection) = (instant(&batch, "as_of", row), text(&batch, "selection", row));
                if !is_done {
                    let window = UnreadableWindow {
                        run_id: run_id.to_owned(),
                        time_column: time_column.to_owned(),
                        start,
                        end,
                        failing_since: as_of,
                        is_skipped: status == SliceStatus::Skipped.name(),
                    };
                    windows_of(windows, table, selection).push(window.passed(finished_at));
                    windows_of(unreadable, table, selection).push(window);
                    continue;
                }
                let token = Some(text(&batch, "token", row)).filter(|token| !token.is_empty()).map(str::to_owned);
                let last_window = LastWindow { run_id: run_id.to_owned(), end, token, finished_at };
                keep_latest(last_windows, table, time_column, last_window);
                if has_watermark {
                    let (run_id, time_column) = (run_id.to_owned(), time_column.to_owned());
                    let window = DoneWindow { run_id, time_column, start, end, as_of, is_read: true };
                    windows_of(windows, table, selection).push(window);
                }
            }
        }
        Ok(())
    }

    /// Reads when runs that may be resumed finished the slices of their last users. Of users the newest rows are
    /// enough: the planner of their slices reads the rest.
    async fn read_active(&mut self, service: Service) -> Result<(), Error> {
        let Some(first) = self.runs.earliest_open() else { return Ok(()) };
        let columns = vec!["run_id", "finished_at"];
        let scan = Scan { columns, key: Some(("source", service.name())), ..Scan::default() };
        let mut files = std::pin::pin!(self.lake.scan_files(&EXTRACTION_SLICE, scan).await?);
        while let Some(mut file) = files.try_next().await? {
            if file.newest.is_some_and(|newest| newest < first) {
                break;
            }
            while let Some(batch) = file.batches.try_next().await? {
                for row in 0..batch.num_rows() {
                    self.runs.note_active(text(&batch, "run_id", row), instant(&batch, "finished_at", row));
                }
            }
        }
        Ok(())
    }

    /// The runs that the ledger knows.
    pub(crate) fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The done windows of a table whose selection covers the present one.
    pub(crate) async fn windows(&self, table: &Table, selection: &str) -> Vec<DoneWindow> {
        let windows = self.windows.lock().await;
        let covering =
            windows.get(table.name).into_iter().flatten().filter(|(done, _)| windows::covers(done, selection));
        covering.flat_map(|(_, windows)| windows).cloned().collect()
    }

    /// The windows of a table that cannot be read, with a selection that covers the present one.
    pub(crate) async fn unreadable(&self, table: &Table, selection: &str) -> Vec<UnreadableWindow> {
        let done = self.windows(table, selection).await;
        let unreadable = self.unreadable.lock().await;
        let covering =
            unreadable.get(table.name).into_iter().flatten().filter(|(found, _)| windows::covers(found, selection));
        let found: Vec<_> = covering.flat_map(|(_, windows)| windows).cloned().collect();
        windows::still_unreadable(&found, &done)
    }

    /// When a slice, or one that overlaps it, was last requested in vain by an earlier run.
    pub(crate) fn last_failure(&self, slice: &Slice) -> Option<Instant> {
        let of_table = self.failures.get(&(slice.table.name.to_owned(), slice.time_column.to_owned()))?;
        let overlapping = of_table.iter().filter(|((start, end), _)| *start < slice.end && slice.start < *end);
        overlapping.map(|(_, at)| *at).max()
    }

    /// The last done window of a table by that time column.
    pub(crate) async fn last_window(&self, table: &str, time_column: &str) -> Option<LastWindow> {
        self.last_windows.lock().await.get(&(table.to_owned(), time_column.to_owned())).cloned()
    }

    /// Records the start of a run, before it does anything else. A run without an end counts as killed.
    pub(crate) async fn start_run(&mut self, run_id: &str, command: &str, started_at: Instant) -> Result<(), Error> {
        self.queue.compact_runs(run_id).await;
        self.write_run(run_id, rows::run_row(run_id, command, started_at, None, None), MergeMode::Append).await?;
        self.runs.add(run_id, command, started_at, None);
        Ok(())
    }

    /// Adds a run that only the archive knows.
    pub(crate) async fn adopt_run(&mut self, run_id: &str, started_at: Instant) -> Result<(), Error> {
        if !self.runs.contains(run_id) {
            self.write_run(
                run_id,
                rows::run_row(run_id, "extract", started_at, Some("replayed"), None),
                MergeMode::Append,
            )
            .await?;
            self.runs.add(run_id, "", started_at, None);
        }
        Ok(())
    }

    /// Records the end of a run, after everything else.
    pub(crate) async fn end_run(
        &self,
        command: &str,
        started_at: Instant,
        finished_at: Instant,
        report: &Report,
    ) -> Result<(), Error> {
        self.flush(&report.run_id).await?;
        self.queue.compact_slices(&report.run_id).await;
        let outcome = Some(RunOutcome::name(report.outcome));
        let row = rows::run_row(&report.run_id, command, started_at, outcome, Some((finished_at, report)));
        self.write_run(&report.run_id, row, MergeMode::Upsert).await
    }

    /// Records a slice; its row is committed soon. Call it after the slice's data is committed, or the row would not be
    /// true. Returns `false` when the run had recorded the slice before: this row replaces that one.
    pub(crate) async fn record(&self, run_id: &str, row: &SliceRow) -> Result<bool, Error> {
        self.record_by(run_id, row, false).await
    }

    /// As [`Ledger::record`], for a row that the lake may have already.
    pub(crate) async fn record_again(&self, run_id: &str, row: &SliceRow) -> Result<bool, Error> {
        self.record_by(run_id, row, true).await
    }

    async fn record_by(&self, run_id: &str, row: &SliceRow, known: bool) -> Result<bool, Error> {
        let slice = &row.slice;
        if row.status == SliceStatus::Done {
            let last_window = LastWindow {
                run_id: run_id.to_owned(),
                end: slice.end,
                token: row.token.clone(),
                finished_at: row.finished_at,
            };
            self.last_windows
                .lock()
                .await
                .insert((slice.table.name.to_owned(), slice.time_column.to_owned()), last_window);
        }
        let mut done_until = None;
        if row.status == SliceStatus::Done && row.watermark == Watermark::OfWindows {
            let as_of = row.received.as_of.unwrap_or(row.finished_at);
            let window = DoneWindow {
                run_id: run_id.to_owned(),
                time_column: slice.time_column.to_owned(),
                start: slice.start,
                end: slice.end,
                as_of,
                is_read: true,
            };
            windows_of(&mut *self.windows.lock().await, slice.table.name, &row.selection).push(window);
            let windows = self.windows(slice.table, &row.selection).await;
            done_until = windows::watermark(windows.iter(), as_of).or(Some(slice.start));
        }
        if row.watermark == Watermark::PastUnreadable {
            let window = UnreadableWindow {
                run_id: run_id.to_owned(),
                time_column: slice.time_column.to_owned(),
                start: slice.start,
                end: slice.end,
                failing_since: row.received.as_of.unwrap_or(row.finished_at),
                is_skipped: row.status == SliceStatus::Skipped,
            };
            let passed = window.passed(row.finished_at);
            windows_of(&mut *self.windows.lock().await, slice.table.name, &row.selection).push(passed);
            windows_of(&mut *self.unreadable.lock().await, slice.table.name, &row.selection).push(window);
            let windows = self.windows(slice.table, &row.selection).await;
            done_until = windows::watermark(windows.iter(), row.finished_at).or(Some(slice.end));
        }
        self.enqueue(run_id, &[(row, done_until)], known).await
    }

    /// Records slices that were committed together and whose watermarks are those of their scopes. `known`: the lake may
    /// have the rows already.
    pub(crate) async fn record_all(
        &self,
        run_id: &str,
        rows: impl Iterator<Item = &SliceRow>,
        known: bool,
    ) -> Result<(), Error> {
        let done_until = |row: &SliceRow| if let Watermark::At(at) = row.watermark { at } else { None };
        let rows: Vec<_> = rows.map(|row| (row, done_until(row))).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.enqueue(run_id, &rows, known).await.map(drop)
    }

    async fn enqueue(&self, run_id: &str, rows: &[(&SliceRow, Option<Instant>)], known: bool) -> Result<bool, Error> {
        let Some((first, _)) = rows.first() else { return Ok(true) };
        let source = first.slice.table.source_name();
        let batch = assemble(&EXTRACTION_SLICE, rows::slice_rows(run_id, rows))?;
        self.queue.push(source, batch, rows.iter().map(|(row, _)| rows::key_hash(run_id, row)), known, run_id).await
    }

    /// Commits all recorded rows. What follows may rely on their being durable.
    pub(crate) async fn flush(&self, run_id: &str) -> Result<(), Error> {
        self.queue.flush(run_id).await
    }

    /// Runs `work` to its end, and meanwhile commits recorded rows that have waited long enough.
    pub(crate) async fn while_committing<T>(&self, run_id: &str, work: impl Future<Output = T>) -> T {
        self.queue.while_committing(run_id, work).await
    }

    /// Writes the row of a run.
    async fn write_run(&self, run_id: &str, row: NamedArrays, mode: MergeMode) -> Result<(), Error> {
        let mut changes = self.lake.changes(&EXTRACTION_RUN, mode);
        changes.push(None, assemble(&EXTRACTION_RUN, row)?).await?;
        changes.commit(run_id).await?;
        Ok(())
    }
}

/// The windows of a table and selection.
fn windows_of<'w, W>(windows: &'w mut WindowsByTable<W>, table: &str, selection: &str) -> &'w mut Vec<W> {
    if !windows.get(table).is_some_and(|of_table| of_table.contains_key(selection)) {
        windows.entry(table.to_owned()).or_default().insert(selection.to_owned(), vec![]);
    }
    let found = windows.get_mut(table).and_then(|of_table| of_table.get_mut(selection));
    found.unwrap_or_else(|| unreachable!("it was put there"))
}

/// Keeps the later of two windows; of equal times the one that comes first, which was written last.
fn keep_latest(
    last_windows: &mut BTreeMap<(String, String), LastWindow>,
    table: &str,
    time_column: &str,
    last_window: LastWindow,
) {
    let kept = last_windows.entry((table.to_owned(), time_column.to_owned())).or_insert_with(|| last_window.clone());
    if kept.finished_at < last_window.finished_at {
        *kept = last_window;
    }
}

#[cfg(test)]
mod tests;
